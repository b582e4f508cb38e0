"""The way through unlearning: forgetting against what was kept, from vanilla over the points on the way to the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from unsee.report.figures.svg import Figure
from unsee.report.figures.trade_off import Dot, Path, trade_off
from unsee.report.main_table import Row, Scope, Slice, rows
from unsee.report.panels import Panel, suffix
from unsee.report.sources import Sources, keys_of, which_title
from unsee.report.states import way_tables
from unsee.report.trade_offs import X_TITLES, Axis, axes, dot_of, forgetting_of, has_forgetting, whole_of, with_utility
from unsee.report.vocabulary import UNLEARNED_FROM

if TYPE_CHECKING:
    import polars as pl

MOST_LINES = 6
"""With more lines each way of unlearning gets a picture of its own."""
_LOOKS = ("solid", "dashed", "dotted", "dashed and dotted")


class _Line(NamedTuple):
    """One method unlearned from one modality; `points` begin at vanilla and end at `end`."""

    end: Dot
    modality: str | None
    points: list[Dot]


def path_panels(sources: Sources) -> list[Panel]:
    """One figure per share of subjects, slice and utility; nothing where no point on the way was asked."""
    tables = way_tables(sources.runs[0].run.states)
    if not tables or not has_forgetting(sources):
        return []
    panels = []
    for members in sources.ratios.values():
        for which in sources.choices:
            stages = {scope: _stages(sources, tables, scope, which) for scope in members}
            for number, axis in enumerate(axes(sources.columns)):
                keys = keys_of(which, scope=" ".join(map(sources.scope_keys, members)), axis=str(number))
                figure = _figure(sources, stages, which, axis, "-".join(keys.values()))
                panels += [] if figure is None else [Panel(keys, figure=figure)]
    return panels


def _stages(sources: Sources, tables: Sequence[pl.DataFrame], scope: Scope, which: Slice) -> list[list[Row]]:
    """Rows at each point on the way, and last at the end."""
    whole = whole_of(sources, which)
    way = [with_utility(rows(table, scope, which), rows(table, scope, whole)) for table in tables]
    return [*way, with_utility(sources.rows(scope, which), sources.rows(scope, whole))]


def _figure(sources: Sources, stages: dict[Scope, list[list[Row]]], which: Slice, axis: Axis, place: str) -> Figure | None:
    fixed: dict[str, Dot] = {}
    lines: list[_Line] = []
    for scope, listed in stages.items():
        forgetting = forgetting_of(scope)
        *way, ends = [{(r.method, r.variant): dot for r in stage if (dot := dot_of(r, axis, forgetting))} for stage in listed]
        fixed |= {dot.label: dot for dot in ends.values() if dot.kind in ("vanilla", "gold", "second_gold")}
        start = [dot for dot in ends.values() if dot.kind == "vanilla"]
        for key, end in ends.items():
            if end.kind == "method" and (points := [dots[key] for dots in way if key in dots]):
                lines.append(_Line(end, scope.unlearn_modality, [*start, *points, end]))
    if not lines:
        return None
    modalities = list(dict.fromkeys(line.modality for line in lines))
    methods = list(dict.fromkeys(line.end.family for line in lines))
    together = len(lines) <= MOST_LINES or len(modalities) == 1
    by_modality = together and len(modalities) > 1
    named = [line._replace(end=line.end._replace(label=_label(line))) for line in lines] if by_modality else lines

    def drawn(group: Sequence[_Line], title: str, number: int) -> Markup:
        order = (lambda line: modalities.index(line.modality)) if by_modality else (lambda line: methods.index(line.end.family))
        return trade_off(
            [*fixed.values(), *(line.end for line in group)],
            paths=[Path([(dot.x, dot.y) for dot in line.points], line.end.family, order(line)) for line in group],
            title=title,
            x_title=X_TITLES[forgetting_of(next(iter(stages)))],
            y_title=axis.label,
            prefix=f"w-{place}-{number}".replace("_", "-").replace(" ", "-"),
        )

    if together:
        pictures = [drawn(named, "", 0)]
    else:
        groups = [[line for line in lines if line.modality == modality] for modality in modalities]
        pictures = [drawn(group, _source(group[0].modality), number) for number, group in enumerate(groups)]
    scopes = list(stages)
    title = axis.title if len(sources.ratios) == 1 else f"{axis.title}, {_ratio(scopes[0])}"
    if by_modality:
        looks = zip(_LOOKS, modalities, strict=False)
        legend = ", ".join(f"{look}: {_source(modality).lower()}" for look, modality in looks)
        title = f"{title}. {legend[:1].upper()}{legend[1:]}"
    told = "; ".join(f"{_label(line)}: " + " to ".join(f"{dot.x:.0f} / {dot.y:.0f}" for dot in line.points) for line in lines)
    name = f"{sources.name}-path-{axis.key.replace('/', '-').replace('_', '-')}{suffix(which)}"
    name += f"-request{'-'.join(map(sources.scope_keys, scopes))}" if len(sources.ratios) > 1 else ""
    return Figure(
        name,
        title,
        f"Forgetting / {axis.title} in percent from vanilla over points on the way to the end, {which_title(which)}. {told}",
        tuple(pictures),
        columns=min(len(pictures), 3),
    )


def _label(line: _Line) -> str:
    source = UNLEARNED_FROM.get(str(line.modality), line.modality)
    return line.end.label if source is None else f"{line.end.label}, {source}"


def _source(modality: str | None) -> str:
    return f"Unlearned from {UNLEARNED_FROM.get(str(modality), str(modality))}"


def _ratio(scope: Scope) -> str:
    title = scope._replace(unlearn_modality=None).title
    return title[:1].lower() + title[1:]
