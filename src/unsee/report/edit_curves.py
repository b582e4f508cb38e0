"""What becomes of damage and of deleted facts when one model carries more and more edits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unsee.report.attack_curves import curve_of, ends_of
from unsee.report.attack_table import FOUND_TITLES
from unsee.report.damage import NEIGHBOURHOOD, RANDOM, REWRITE, damage_cells
from unsee.report.figures.line_panel import Curve, line_panel, room_for
from unsee.report.figures.svg import Figure
from unsee.report.main_table import Cell
from unsee.report.panels import Panel
from unsee.report.single_facts import FIRST, FactTable, Model, modality_key, tag_title
from unsee.report.sources import Sources
from unsee.report.tables import Body, Heading, Line, Table

_FOUND = "found"


class _Measure(NamedTuple):
    """A plot, and a group of columns; `top` is what its axis reaches at least."""

    key: str
    title: str
    axis: str
    top: float = 100.0
    lower: bool = False


_MEASURES = (
    _Measure(RANDOM, "Random", "Accuracy lost on other facts, points", 10.0, lower=True),
    _Measure(_FOUND, "Found", "Found with {budget} candidates, mean over attacks, %", lower=True),
    _Measure(REWRITE, "Rewrite", "Rewrite score, %"),
    _Measure(NEIGHBOURHOOD, "Neighbourhood", "Neighbourhood score, %"),
)


class _Choice(NamedTuple):
    """Candidates of the attacks and what counts as found; no candidates where nothing was attacked."""

    budget: int | None
    found: str

    def keys(self, table: FactTable, tables: Sequence[FactTable]) -> dict[str, str]:
        """In the words of the switches."""
        own = {} if self.budget is None else {"budget": str(self.budget), "found": self.found}
        return modality_key(table, tables) | own

    @property
    def title(self) -> str:
        return "" if self.budget is None else f"B = {self.budget}, {FOUND_TITLES[self.found]}"


class _Edited(NamedTuple):
    """A model that was edited more than once, and what was measured of it by number of edits."""

    model: Model
    cells: dict[int, dict[str, Cell]]


def edit_curve_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """Four plots with a line per model over the number of edits; one figure per budget and way of finding.

    Nothing where no model carries several edits.
    """
    panels = []
    for table, choice, edited in _measured(tables):
        keys = choice.keys(table, tables)
        figure = _figure(sources, table, choice, edited, "-".join(["edits", *keys.values()]).replace("_", "-"))
        panels += [] if figure is None else [Panel(keys, figure=figure)]
    return panels


def edit_number_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """The same numbers with their intervals as tables."""
    panels = []
    for table, choice, edited in _measured(tables):
        keys = choice.keys(table, tables)
        made = _numbers(sources, table, choice, edited, "-".join(["edits", *keys.values()]).replace("_", "-"))
        panels += [Panel(keys, table=made)] if made else []
    return panels


def _measured(tables: Sequence[FactTable]) -> Iterator[tuple[FactTable, _Choice, list[_Edited]]]:
    """Everything that can be shown, where models carry several edits."""
    for table in tables:
        choices = [_Choice(budget, found) for found in table.founds for budget in table.budgets]
        for choice in choices or [_Choice(None, FIRST)]:
            values = [_Edited(m, {n: _cells(table, m, choice, n) for n in table.n_edits}) for m in table.models]
            several = [one for one in values if any(found for n, found in one.cells.items() if n > 1)]
            if several:
                yield table, choice, several


def _cells(table: FactTable, model: Model, choice: _Choice, n_edits: int) -> dict[str, Cell]:
    found = damage_cells(table, model, n_edits=n_edits)
    if choice.budget is not None:
        over = table.over_attacks(model, choice.budget, found=choice.found, n_edits=n_edits)
        found |= {} if over is None else {_FOUND: over[0]}
    return {measure.key: found[measure.key] for measure in _MEASURES if measure.key in found}


def _figure(sources: Sources, table: FactTable, choice: _Choice, edited: Sequence[_Edited], place: str) -> Figure | None:
    drawn = [(measure, curves) for measure in _MEASURES if (curves := _curves(table, edited, measure, choice))]
    room = max((room_for(curves) for _, curves in drawn), default=0.0)
    pictures, told = [], []
    for number, (measure, curves) in enumerate(drawn):
        title = measure.axis.format(budget=choice.budget)
        heights = [y for curve in curves for _, y in curve.points]
        pictures.append(
            line_panel(
                curves,
                x_title="number of edits",
                ticks=table.n_edits,
                prefix=f"n-{place}-{number}",
                title=title,
                log=True,
                room=room,
                y_domain=(min(0.0, *heights), max(measure.top, *heights)),
            )
        )
        told.append(f"{title}: " + ", ".join(f"{curve.label} {ends_of(curve)}" for curve in curves if curve.points))
    about = f", {choice.title}" if choice.title else ""
    figure = Figure(
        name=f"{sources.name}-several-{place}",
        title=f"After several edits{about}",
        description=f"Values from {table.n_edits[0]} to {table.n_edits[-1]} edits{about}. {'; '.join(told)}",
        pictures=tuple(pictures),
        columns=2,
    )
    return figure if pictures else None


def _curves(table: FactTable, edited: Sequence[_Edited], measure: _Measure, choice: _Choice) -> list[Curve]:
    curves = []
    for model, cells in edited:
        own = [(float(n), found.get(measure.key)) for n, found in cells.items()]
        points = tuple((n, 100 * cell.value) for n, cell in own if cell is not None and cell.value is not None)
        curves.append(curve_of(model, points))
    if not any(curve.points for curve in curves):
        return []
    if measure.key == _FOUND and choice.budget is not None:
        never = table.over(table.strangers(choice.budget, found=choice.found))
        if never is not None and never[0].value is not None:
            ends, title = (table.n_edits[0], table.n_edits[-1]), table.reference_words.title
            curves.append(Curve(title, "base", tuple((float(n), 100 * never[0].value) for n in ends)))
    return curves


def _numbers(sources: Sources, table: FactTable, choice: _Choice, edited: Sequence[_Edited], place: str) -> Table:
    headings = [
        Heading(
            f"{measure.key}/{n}",
            str(n),
            "" if n > 1 else "each fact by an edit of its own",
            f"{measure.title} after n edits",
            about=f"{measure.title} after {n} edit{'' if n == 1 else 's'}",
            lower=measure.lower,
        )
        for measure in _MEASURES
        for n in table.n_edits
        if any(measure.key in cells[n] for _, cells in edited)
    ]
    lines = [
        Line(
            model.title,
            {f"{key}/{n}": cell for n, found in cells.items() for key, cell in found.items()},
            "",
            f"control {model.method}" if model.is_control else "method",
            model.tag,
        )
        for model, cells in edited
    ]
    return Table(
        name=f"{sources.name}-several-{place}-numbers",
        title="Edits one after the other",
        note="; ".join(filter(None, ["percent, damage in points", choice.title])),
        headings=headings,
        bodies=[Body("", "", lines)],
        corner="Defence",
        tag_title=tag_title(sources, table),
        grouped=True,
    )
