"""The tables of the closer look: pictures by grade, facts by attribute, distance to gold, the knowledge gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from unsee.report.columns import Unit, rank
from unsee.report.main_table import Cell, Scope, Slice, best_views, with_row_names
from unsee.report.panels import Panel, suffix
from unsee.report.sources import Sources, Switch, keys_of, which_title
from unsee.report.tables import Body, Heading, Line, Table
from unsee.report.vocabulary import (
    CONTROLS,
    LEVEL_HINTS,
    LEVELS,
    MODALITY_TITLES,
    TASK_TITLES,
    attribute_title,
    brief,
    method_order,
    method_title,
    set_title,
)

if TYPE_CHECKING:
    import polars as pl

ATTRIBUTE_METRICS = {"accuracy": "four options", "factuality": "written answers", "cloze_accuracy": "blanks"}


class GateCount(NamedTuple):
    """How many facts were asked, known to vanilla, and left to score."""

    title: str
    modality: str
    n_raw: int
    n_known: int
    n_scored: int

    @property
    def known_percent(self) -> float:
        return round(100 * self.n_known / max(self.n_raw, 1), 1)

    @property
    def scored_percent(self) -> float:
        return round(100 * self.n_scored / max(self.n_raw, 1), 1)


def grade_panels(sources: Sources) -> list[Panel]:
    """Accuracy on the test set by grade of the picture, one row per model."""
    import polars as pl

    panels = []
    for which in dict.fromkeys(choice._replace(modality="image_text") for choice in sources.choices):
        # Only questions with a picture have grades.
        graded = (pl.col("set") == "test") & pl.col("level").is_not_null() & pl.col("group").is_null()
        parts = [(scope, _metric(sources.results, scope, which, "accuracy").filter(graded)) for scope in sources.requests]
        levels = sorted({level for _, rows in parts for level in rows["level"].unique()}, key=lambda name: rank(name, LEVELS))
        bodies = [
            Body(scope.title, sources.scope_keys(scope), _model_lines(rows, "level")) for scope, rows in parts if rows.height
        ]
        headings = [Heading(level, level.capitalize(), LEVEL_HINTS.get(level, "")) for level in levels]
        keys = {name: value for name, value in keys_of(which).items() if name != "modality"}
        table = Table(
            f"{sources.name}-grades{suffix(which)}", "Test pictures by grade", which_title(which), headings, bodies, bars=True
        )
        panels.append(Panel(keys, table=table))
    return [panel for panel in panels if panel.table]


def attribute_panels(sources: Sources) -> list[Panel]:
    """The forget set by kind of fact: a row per attribute, a column per model, one table per way of asking."""
    panels = [_attributes(sources, which, metric) for which in sources.choices for metric in ATTRIBUTE_METRICS]
    return [panel for panel in panels if panel.table]


def asking_switch(panels: Sequence[Panel]) -> Switch:
    """The selector of the way of asking."""
    found = {panel.keys["asked"] for panel in panels}
    options = [(metric, title) for metric, title in ATTRIBUTE_METRICS.items() if metric in found]
    return Switch("Asked with", "asked", options, "select", options[0][0] if options else "")


def _attributes(sources: Sources, which: Slice, metric: str) -> Panel:
    import polars as pl

    bodies: list[Body] = []
    models: dict[str, Heading] = {}
    for scope in sources.requests:
        rows = _metric(sources.results, scope, which, metric).filter(
            (pl.col("set") == "forget") & pl.col("group").str.starts_with("attribute=") & pl.col("level").is_null()
        )
        cells = _cells(rows, "group")
        for method, variant in _models(rows):
            key = f"{method}/{variant}"
            models.setdefault(key, Heading(key, brief(method_title(method, variant, short=True))))
        lines = [
            Line(
                attribute_title(group.partition("=")[2]),
                {f"{method}/{variant}": cell for (method, variant, name), cell in cells.items() if name == group},
            )
            for group in sorted(rows["group"].unique())
        ]
        if lines:
            bodies.append(Body(scope.title, sources.scope_keys(scope), lines))
    table = Table(
        name=f"{sources.name}-facts-{metric.replace('_', '-')}{suffix(which)}",
        title=f"Kinds of fact, {ATTRIBUTE_METRICS[metric]}",
        note=which_title(which),
        headings=[models[key] for key in sorted(models, key=lambda key: (*method_order(key.partition("/")[0]), key))],
        bodies=bodies,
        corner="Fact",
        bars=True,
    )
    return Panel(keys_of(which, asked=metric), table=table)


def distance_tables(sources: Sources) -> list[Panel]:
    """Distance to gold by set and task, in nats per token."""
    import polars as pl

    panels = []
    for which in sources.choices:
        bodies, found = [], dict[tuple[str, str], Heading]()
        for scope in sources.requests:
            rows = _metric(sources.results, scope, which, "distance_to_gold", task=None).filter(
                pl.col("level").is_null() & pl.col("group").is_null()
            )
            rows = best_views(rows).with_columns(pl.concat_str("set", pl.lit("/"), "task").alias("place"))
            for column in sources.columns:
                place = (str(column.set), str(column.task))
                if rows["place"].eq("/".join(place)).any():
                    title = TASK_TITLES.get(place[1], place[1])
                    found.setdefault(
                        place, Heading("/".join(place), title, "", set_title(place[0]), "score", set_title(place[0]))
                    )
            if rows.height:
                bodies.append(Body(scope.title, sources.scope_keys(scope), _model_lines(rows, "place", "score")))
        table = Table(
            name=f"{sources.name}-distance{suffix(which)}",
            title="Distance to gold",
            note=which_title(which),
            headings=list(found.values()),
            bodies=bodies,
            grouped=True,
            lower=True,
            hints=sources.set_hints,
        )
        panels.append(Panel(keys_of(which), table=table))
    return [panel for panel in panels if panel.table]


def gate_table(counts: Sequence[GateCount], name: str) -> Table:
    """The gate as a table for files."""
    headings = [Heading(key, key.capitalize(), unit="count") for key in ("asked", "known", "scored")]
    lines = [
        Line(
            f"{count.title}, {count.modality.lower()}",
            {
                key: Cell(float(value), None, None, None, None, "", "count")
                for key, value in (("asked", count.n_raw), ("known", count.n_known), ("scored", count.n_scored))
            },
        )
        for count in counts
    ]
    return Table(f"{name}-gate", "Knowledge gate", "facts", headings, [Body("", "", lines)], corner="Set")


def gate_counts(results: pl.DataFrame, scope: Scope) -> list[GateCount]:
    """Facts asked, known and scored, per set and modality; the gate is the same for every model of a request."""
    import polars as pl

    names = ("gate_n_raw", "gate_n_known", "gate_n_scored")
    chosen = results.filter(
        pl.col("metric").is_in(names)
        & (pl.col("forget_ratio").is_null() | pl.col("forget_ratio").eq_missing(scope.forget_ratio))
        & (pl.col("scenario").is_null() | pl.col("scenario").eq_missing(pl.lit(scope.scenario)))
    )
    found: dict[tuple[str, str | None], dict[str, float]] = {}
    for set_name, modality, metric, value in chosen.select("set", "modality", "metric", "value").iter_rows():
        if value is not None:
            found.setdefault((set_name, modality), {}).setdefault(metric, value)
    return [
        GateCount(set_title(set_name), MODALITY_TITLES.get(modality or "", "all"), *(int(counts[name]) for name in names))
        for (set_name, modality), counts in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        if all(name in counts for name in names)
    ]


def _metric(
    results: pl.DataFrame, scope: Scope, which: Slice, metric: str, *, task: str | None = "classification"
) -> pl.DataFrame:
    import polars as pl

    wanted = {**scope._asdict(), **which._asdict()}
    task = {"cloze_accuracy": "cloze", "factuality": "generation"}.get(metric, task)
    return best_views(
        with_row_names(results).filter(
            pl.col("metric") == metric,
            pl.lit(task is None) | (pl.col("task") == pl.lit(task)),
            pl.col("baseline").is_null(),
            *(pl.col(key).is_null() | pl.col(key).eq_missing(pl.lit(value)) for key, value in wanted.items()),
        )
    )


def _model_lines(rows: pl.DataFrame, key: str, unit: Unit = "percent") -> list[Line]:
    cells = _cells(rows, key, unit)
    return [
        Line(
            method_title(method, variant),
            {name: cell for (m, v, name), cell in cells.items() if (m, v) == (method, variant)},
            kind=f"control {method}" if method in CONTROLS else "method",
        )
        for method, variant in _models(rows)
    ]


def _models(chosen: pl.DataFrame) -> list[tuple[str, str | None]]:
    return sorted(chosen.select("method", "variant").unique().iter_rows(), key=lambda m: (*method_order(m[0]), m[1] or ""))


def _cells(chosen: pl.DataFrame, key: str, unit: Unit = "percent") -> dict[tuple[str, str | None, str], Cell]:
    """Means over seeds, like the main table's."""
    import polars as pl

    mean = chosen.group_by("method", "variant", key).agg(
        pl.col("value", "ci_low", "ci_high").mean(),
        pl.col("n").sum(),
        pl.col("n_subjects").min(),
        pl.col("value").count().cast(pl.Int64).alias("seeds"),
        pl.col("reason").drop_nulls().first(),
    )
    return {
        (row["method"], row["variant"], row[key]): Cell(
            value=row["value"],
            low=row["ci_low"],
            high=row["ci_high"],
            n=row["n"],
            n_subjects=row["n_subjects"],
            reason=row["reason"] or ("not measured" if row["value"] is None else ""),
            unit=unit,
            n_seeds=row["seeds"],
        )
        for row in mean.iter_rows(named=True)
    }
