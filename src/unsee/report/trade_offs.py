"""Forgetting against what was kept: one figure per request, choice of answers, and utility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from unsee.report.columns import Column
from unsee.report.figures.svg import Figure
from unsee.report.figures.trade_off import Dot, trade_off
from unsee.report.main_table import Row, Scope, Slice
from unsee.report.panels import Panel, suffix
from unsee.report.sources import Sources, Switch, keys_of, which_title
from unsee.report.vocabulary import SECOND, TASK_TITLES, brief, set_title

FORGETTING = "forget/classification"
PLANTED = "forget/generation/factuality"
"""The same of questions in words, for what was planted; questions for identifiers offer no options."""
X_TITLES = {
    FORGETTING: "Forget questions not answered right, %",
    PLANTED: "Forget questions not answered with what was planted, %",
}


class Axis(NamedTuple):
    """A utility: column of the main table, its title, and what the axis says."""

    key: str
    title: str
    label: str


def axes(columns: Sequence[Column]) -> list[Axis]:
    """The first task of each set that is not to be forgotten, every task of `general`, and model utility."""
    found: dict[tuple[str, str], Axis] = {}
    several = {name for name in {c.set for c in columns} if len({c.task for c in columns if c.set == name}) > 1}
    for column in columns:
        if column.set in (None, "forget", "test") or column.task is None:
            continue
        key = (column.set, column.task if column.set == "general" else "")
        if key in found or column.unit != "percent":
            continue
        title = set_title(column.set)
        if column.set == "general" and column.set in several:
            title = f"{title}, {TASK_TITLES.get(column.task, column.task.replace('_', ' '))}"
        label = "Answered right, %" if column.metric.endswith("accuracy") else f"{column.title}, %"
        found[key] = Axis(column.key, title, label)
    return [*found.values(), Axis("model_utility", "Model utility", "Model utility, %")]


def axis_switch(found: Sequence[Axis]) -> Switch:
    """The selector of the utility; the last option shows all of them."""
    options = [(str(number), axis.title) for number, axis in enumerate(found)]
    return Switch("Against", "axis", [*options, ("", "all, side by side")], "select", "0")


def trade_off_panels(sources: Sources) -> list[Panel]:
    """One figure per request, slice and utility; a figure that cannot be drawn says why."""
    panels = []
    if not has_forgetting(sources):
        return []
    for scope in sources.requests:
        for which in sources.choices:
            listed = with_utility(sources.rows(scope, which), sources.rows(scope, whole_of(sources, which)))
            for number, axis in enumerate(axes(sources.columns)):
                keys = keys_of(which, scope=sources.scope_keys(scope), axis=str(number))
                panels.append(Panel(keys, figure=_figure(sources, scope, which, axis, listed, "-".join(keys.values()))))
    return panels


def has_forgetting(sources: Sources) -> bool:
    """Whether any request can be drawn."""
    there = {column.key for column in sources.columns}
    return any(forgetting_of(scope) in there for scope in sources.requests)


def forgetting_of(scope: Scope) -> str:
    """The column that says how much of a request is forgotten."""
    return FORGETTING if scope.scenario is None else PLANTED


def whole_of(sources: Sources, which: Slice) -> Slice:
    """The slice whose model utility belongs to a slice: it rests on the first protocol whatever is chosen."""
    return Slice(sources.protocols[0], None, which.gated)


def with_utility(listed: Sequence[Row], whole: Sequence[Row]) -> list[Row]:
    """Rows with the model utility of the same models in `whole`."""
    found = {(row.method, row.variant, row.tag): row.cells.get("model_utility") for row in whole}
    cells = [found.get((row.method, row.variant, row.tag)) for row in listed]
    return [
        row if cell is None else replace(row, cells=row.cells | {"model_utility": cell})
        for row, cell in zip(listed, cells, strict=True)
    ]


def _figure(sources: Sources, scope: Scope, which: Slice, axis: Axis, listed: Sequence[Row], place: str) -> Figure:
    dots = [dot for row in listed if (dot := dot_of(row, axis, forgetting_of(scope))) is not None]
    name = f"{sources.name}-trade-off-{axis.key.replace('/', '-').replace('_', '-')}{suffix(which)}"
    name += f"-request{sources.scope_keys(scope)}" if len(sources.requests) > 1 else ""
    title = axis.title if len(sources.requests) == 1 else f"{axis.title}, {scope.title[:1].lower()}{scope.title[1:]}"
    if not any(dot.kind != "vanilla" for dot in dots):
        cells = [row.cells.get(axis.key) for row in listed]
        missing = (cell.reason for cell in cells if cell is not None and cell.value is None)
        return Figure(name, title, f"absent: {next(missing, 'not measured')}")
    told = "; ".join(f"{dot.label}: forgetting {dot.x:.0f} %, kept {dot.y:.0f} %" for dot in dots)
    picture = trade_off(dots, x_title=X_TITLES[forgetting_of(scope)], y_title=axis.label, prefix=f"p-{place}".replace("_", "-"))
    return Figure(name, title, f"Forgetting against {axis.title}, {which_title(which)}. {told}", (picture,))


def dot_of(row: Row, axis: Axis, forgetting: str = FORGETTING) -> Dot | None:
    """A model's place in the plot; None where it was not measured."""
    x, y = row.cells.get(forgetting), row.cells.get(axis.key)
    if x is None or y is None or x.value is None or y.value is None or row.method == "prior_only":
        return None
    kind = row.method if row.method in ("vanilla", "gold") else "control" if row.is_control else "method"
    if row.variant == SECOND:
        kind = "second_gold"
    label = brief(row.short_title)
    label += f" \u00b7 {brief(row.tag, 12)}" if row.tag else ""
    label += " (collapsed)" if row.collapsed else ""
    return Dot(
        label=label,
        kind=kind,
        x=100 - 100 * x.value,
        x_low=None if x.high is None else 100 - 100 * x.high,
        x_high=None if x.low is None else 100 - 100 * x.low,
        y=100 * y.value,
        y_low=None if y.low is None else 100 * y.low,
        y_high=None if y.high is None else 100 * y.high,
        family=row.title,
    )
