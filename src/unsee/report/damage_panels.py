"""What edits cost, for the page: everything in one table, and accuracy lost against what attacks still find."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.report.damage import RANDOM, damage_cells, detail_headings, detail_lines
from unsee.report.figures.svg import Figure
from unsee.report.figures.trade_off import Dot, trade_off
from unsee.report.panels import Panel
from unsee.report.single_facts import FactTable, modality_key, tag_title
from unsee.report.sources import Sources
from unsee.report.tables import Body, Table
from unsee.report.vocabulary import brief


def detail_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """Everything that was measured about edits: by what is disguised, by level, and with p-values."""
    panels = []
    for table in tables:
        own = modality_key(table, tables)
        made = Table(
            name="-".join([sources.name, "edits", *(value.replace("_", "-") for value in own.values())]),
            title="Edits in detail",
            note="percent, damage in points",
            headings=detail_headings(table),
            bodies=[Body("", "", detail_lines(table))],
            corner="Defence",
            tag_title=tag_title(sources, table),
            grouped=True,
        )
        panels += [Panel(own, table=made)] if made else []
    return panels


def plane_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """Mean attack success against accuracy lost on other facts, a point per model; one figure per budget and way of finding."""
    panels = []
    for table in tables:
        own = modality_key(table, tables)
        for found in table.founds:
            for budget in table.budgets:
                place = own | {"budget": str(budget), "found": found}
                figure = _plane(sources, table, budget, found, "-".join(place.values()).replace("_", "-"))
                panels += [] if figure is None else [Panel(place, figure=figure)]
    return panels


def _plane(sources: Sources, table: FactTable, budget: int, found: str, place: str) -> Figure | None:
    dots = []
    for model in table.models:
        over, lost = table.over_attacks(model, budget, found=found), damage_cells(table, model).get(RANDOM)
        if over is not None and over[0].value is not None and lost is not None and lost.value is not None:
            kind = "control" if model.is_control else "method"
            ends = [None if end is None else 100 * end for end in (over[0].low, over[0].high, lost.low, lost.high)]
            x, y = 100 * over[0].value, 100 * lost.value
            dots.append(Dot(brief(model.label, 28), kind, x, ends[0], ends[1], y, ends[2], ends[3], model.method))
    if not any(dot.kind == "method" for dot in dots):
        return None
    highs, lows = [dot.y if dot.y_high is None else dot.y_high for dot in dots], [dot.y_low or 0.0 for dot in dots]
    room = 0.06 * (max(*highs, 10.0) - min(*lows, 0.0))
    never = [own.over(own.strangers(budget, found=found)) for own in table.by_run.values()]
    told = "; ".join(f"{dot.label}: {dot.x:.0f} % found, {dot.y:.1f} points lost" for dot in dots)
    picture = trade_off(
        dots,
        x_title=f"Facts found with {budget} candidates, mean over attacks, %",
        y_title="Accuracy lost on other facts, points",
        prefix=f"d-{place}",
        y_domain=(min(*lows, 0.0) - room, max(*highs, 10.0) + room),
        dashed_at=[100 * (pair[0].value or 0.0) for pair in never if pair is not None],
    )
    return Figure(
        f"{sources.name}-damage-{place}",
        f"What hiding costs, B = {budget}",
        f"Mean attack success at B = {budget} against accuracy lost on other facts. {told}",
        (picture,),
    )
