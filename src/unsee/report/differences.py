"""Bars by set, task and modality (the paper's other figure), and the distance to gold drawn the same way.

Sets to forget show the paired difference to vanilla, sets to keep show the value itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from unsee.report.columns import Column, rank
from unsee.report.figures.bars import Bar, bar_panels
from unsee.report.figures.bars import Panel as BarPanel
from unsee.report.figures.svg import Figure
from unsee.report.main_table import Scope, best_views, with_row_names
from unsee.report.panels import Panel
from unsee.report.sources import Sources, Switch, file_stem
from unsee.report.vocabulary import (
    MODALITY_TITLES,
    PANEL_TITLES,
    SECOND,
    TASKS,
    UNLEARNED_FROM,
    brief,
    method_order,
    method_title,
    set_title,
)
from unsee.sample import MODALITIES

if TYPE_CHECKING:
    import polars as pl

FORGOTTEN = ("forget", "test")
QUESTIONS, UNLEARNING = "questions", "unlearning"
_UNLEARNED_ORDER = ("image_text", "text", "mixed", "both")
_ALIKE = ("do_nothing",)
"""Controls that equal vanilla and would only repeat it."""


class Value(NamedTuple):
    """One bar before it is placed, in the unit of the axis."""

    set: str
    task: str
    model: str
    series: str
    value: float
    low: float | None
    high: float | None
    order: int


class _Choice(NamedTuple):
    """Which results stand in one figure, and what its two kinds of bars are."""

    scopes: Sequence[Scope]
    protocol: str | None
    gated: bool | None
    modality: str | None
    by: str


def compare_switch(sources: Sources) -> Switch | None:
    """What the two kinds of bars are; None where there is only one thing to compare."""
    if not _ratios(sources):
        return None
    options = [(QUESTIONS, "how they are asked"), (UNLEARNING, "what they were unlearned from")]
    return Switch("Bars compare", "compare", options, "select", QUESTIONS)


def difference_panels(sources: Sources) -> list[Panel]:
    """One figure per request, protocol and gate; more where requests differ in what they were unlearned from."""
    columns = [c for c in sources.columns if c.unit == "percent" and c.set and (c.task in PANEL_TITLES)]
    columns = [c for c in columns if c.key == f"{c.set}/{c.task}"]
    return _panels(sources, columns, metric=None, name="differences")


def distance_panels(sources: Sources) -> list[Panel]:
    """Signed distance to gold, in nats per token."""
    columns = [c for c in sources.columns if c.set and c.key == f"{c.set}/{c.task}"]
    return _panels(sources, columns, metric="signed_distance_to_gold", name="distance")


def _panels(sources: Sources, columns: Sequence[Column], *, metric: str | None, name: str) -> list[Panel]:
    panels = []
    results = with_row_names(sources.results)
    compared = _ratios(sources) if metric is None else {}
    for protocol in sources.protocols:
        for gated in sources.gates:
            for scope in sources.requests:
                choice = _Choice([scope], protocol, gated, None, QUESTIONS)
                keys = {"scope": sources.scope_keys(scope)} | ({"compare": QUESTIONS} if compared else {})
                panels.append(_panel(sources, results, columns, choice, keys, metric, name))
            for asked, members in compared.items():
                for modality in dict.fromkeys(which.modality for which in sources.choices):
                    choice = _Choice(members, protocol, gated, modality, UNLEARNING)
                    keys = {
                        "scope": " ".join(map(sources.scope_keys, members)),
                        "compare": UNLEARNING,
                        "modality": str(modality),
                    }
                    about = f"{name}-{100 * (asked.forget_ratio or 0):.4g}"
                    panels.append(_panel(sources, results, columns, choice, keys, metric, about))
    return [panel for panel in panels if panel is not None]


def _panel(
    sources: Sources,
    results: pl.DataFrame,
    columns: Sequence[Column],
    choice: _Choice,
    keys: Mapping[str, str],
    metric: str | None,
    name: str,
) -> Panel | None:
    values = list(_values(results, columns, choice, metric))
    if not values:
        return None
    given = {"protocol": choice.protocol, "gated": None if choice.gated is None else str(choice.gated)}
    keys = {key: value for key, value in given.items() if value is not None} | dict(keys)
    prefix = file_stem("-".join([name, *(f"{key} {value}" for key, value in keys.items())]), length=160)
    ratio = choice.scopes[0].title if choice.by == QUESTIONS else choice.scopes[0]._replace(unlearn_modality=None).title
    title = ratio if len(sources.requests) > 1 else ""
    series = _series(values, choice)
    told = "; ".join(f"{v.model}, {set_title(v.set)}, {v.task}, {_name(v.series, choice)}: {v.value:.3g}" for v in values)
    legend = ", ".join(f"{look}: {_name(one, choice)}" for look, one in zip(("solid", "hollow", "dashed"), series))
    legend = legend[:1].upper() + legend[1:]
    known = ", known facts only" if choice.gated else ""
    known += "" if choice.protocol in (None, "strict") else f", {choice.protocol} protocol"
    title = f"{title}{known}".removeprefix(", ")
    pictures = tuple(Markup(picture) for picture in _pictures(columns, values, series, metric, prefix))
    figure = Figure(
        name=f"{sources.name}-{prefix}",
        title=f"{title}. {legend}" if title else legend,
        description=told,
        pictures=pictures,
        columns=3 if len(pictures) in (5, 6) else min(len(pictures), 4),
    )
    return Panel(keys, figure=figure)


def _values(results: pl.DataFrame, columns: Sequence[Column], choice: _Choice, metric: str | None) -> Iterator[Value]:
    import polars as pl

    def either(column: str, value: object) -> pl.Expr:
        return pl.col(column).is_null() | pl.col(column).eq_missing(pl.lit(value))

    chosen = results.filter(
        pl.all_horizontal(pl.col(name).is_null() for name in ("group", "level", "attack", "layer", "n_edits")),
        either("forget_ratio", choice.scopes[0].forget_ratio),
        either("scenario", choice.scopes[0].scenario),
        either("protocol", choice.protocol),
        either("gated", choice.gated),
        pl.col("modality").is_not_null() if choice.modality is None else pl.col("modality") == choice.modality,
        pl.any_horizontal(either("unlearn_modality", scope.unlearn_modality) for scope in choice.scopes),
        pl.col("value").is_not_null(),
    )
    for column in columns:
        differs = metric is None and column.set in FORGOTTEN
        rows = chosen.filter(
            (pl.col("set") == column.set)
            & (pl.col("task") == column.task)
            & (pl.col("metric") == (metric or column.metric))
            & (pl.col("baseline") == "vanilla" if differs else pl.col("baseline").is_null())
        )
        by = ("method", "variant", "modality", "unlearn_modality")
        means = best_views(rows).group_by(by, maintain_order=True).agg(pl.col("value", "ci_low", "ci_high").mean())
        scale = 100.0 if metric is None else 1.0
        listed = sorted(means.iter_rows(named=True), key=lambda row: (*method_order(row["method"]), row["variant"] or ""))
        for row in listed:
            if row["method"] in _ALIKE or (row["method"] == "vanilla" and differs):
                continue
            if metric is not None and row["method"] == "gold" and row["variant"] != SECOND:
                continue
            model = brief(method_title(row["method"], row["variant"], short=True))
            low, high = (None if row[name] is None else scale * row[name] for name in ("ci_low", "ci_high"))
            kinds = [row["modality"]] if choice.by == QUESTIONS else [row["unlearn_modality"]]
            if kinds == [None]:
                # What was not unlearned stands beside every way of unlearning.
                kinds = _unlearned(choice.scopes)[:1]
            order = method_order(row["method"])[0]
            place = Value(str(column.set), str(column.task), model, "", scale * row["value"], low, high, order)
            yield from (place._replace(series=kind) for kind in kinds)


def _pictures(
    columns: Sequence[Column], values: Sequence[Value], series: Sequence[str], metric: str | None, prefix: str
) -> Iterator[str]:
    models = list(dict.fromkeys(value.model for value in sorted(values, key=lambda value: value.order)))
    for name in dict.fromkeys(str(column.set) for column in columns):
        here = [value for value in values if value.set == name]
        if not here:
            continue
        forgotten = name in FORGOTTEN
        differs = metric is None and forgotten
        alike = [v for v in values if metric is not None or (v.set in FORGOTTEN) == forgotten]
        panels = []
        for task in sorted({value.task for value in here}, key=lambda task: rank(task, TASKS)):
            ends = [
                end
                for v in alike
                if v.task == task or metric is not None
                for end in (v.value, v.low, v.high)
                if end is not None
            ]
            column = next(column for column in columns if column.set == name and column.task == task)
            what = PANEL_TITLES.get(task, task) if metric is not None else f"{PANEL_TITLES.get(task, task)}: {column.title}"
            bars = [Bar(v.model, series.index(v.series), v.value, v.low, v.high) for v in here if v.task == task]
            panels.append(
                BarPanel(
                    what, bars, _domain(ends, differs=differs or metric is not None, least=10.0 if metric is None else 1.0)
                )
            )
        heading = set_title(name)
        if metric is None:
            heading += ": points from vanilla" if differs else ": percent"
        shown = [model for model in models if any(value.model == model for value in here)]
        yield bar_panels(
            panels,
            models=shown,
            prefix=f"{prefix}-{name}".replace("_", "-"),
            mark="bar" if metric is None else "dot",
            title=heading,
        )


def _domain(ends: Sequence[float], *, differs: bool, least: float) -> tuple[float, float]:
    if not differs:
        return (0.0, 104.0)
    low, high = min(0.0, *ends), max(0.0, *ends)
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    edge = 0.06 * (high - low or 1.0)
    return (low - edge, high + edge)


def _series(values: Sequence[Value], choice: _Choice) -> list[str]:
    order = MODALITIES if choice.by == QUESTIONS else _UNLEARNED_ORDER
    return sorted({value.series for value in values}, key=lambda name: rank(name, order))


def _name(series: str, choice: _Choice) -> str:
    if choice.by == QUESTIONS:
        return {"image_text": "asked with the picture", "text": "asked by name"}.get(series, series)
    return f"unlearned from {UNLEARNED_FROM.get(series, MODALITY_TITLES.get(series, series))}"


def _unlearned(members: Sequence[Scope]) -> list[str]:
    return sorted({str(scope.unlearn_modality) for scope in members}, key=lambda name: rank(name, _UNLEARNED_ORDER))


def _ratios(sources: Sources) -> dict[Scope, list[Scope]]:
    """What was unlearned in several modalities."""
    return {asked: members for asked, members in sources.ratios.items() if len(members) > 1}
