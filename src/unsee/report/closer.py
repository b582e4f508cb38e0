"""The tables of the closer look: pictures by grade, facts by attribute, the knowledge gate, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from unsee.report.main_table import Cell, Scope, Slice, with_row_names
from unsee.report.notes import sentence
from unsee.report.vocabulary import (
    CONTROLS,
    LEVEL_HINTS,
    LEVELS,
    MODALITY_TITLES,
    attribute_title,
    brief,
    method_order,
    method_title,
    set_title,
)

if TYPE_CHECKING:
    import polars as pl

    from unsee.report.run_data import RunData


class Line(NamedTuple):
    """A row of a small table."""

    title: str
    method: str
    cells: list[Cell | None]

    @property
    def is_control(self) -> bool:
        return self.method in CONTROLS


@dataclass(frozen=True)
class SmallTable:
    """Columns are (title, hint)."""

    columns: list[tuple[str, str]]
    rows: list[Line]

    @property
    def notes(self) -> list[str]:
        """Why values are missing, each reason once."""
        missing = [cell for row in self.rows for cell in row.cells if cell is not None and cell.value is None]
        return [sentence(reason) for reason in dict.fromkeys(cell.reason for cell in missing)]

    def __bool__(self) -> bool:
        return bool(self.rows)


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


class Cost(NamedTuple):
    """What a model's cell took; "" where nothing was noted."""

    title: str
    steps: str
    unlearning: str
    answering: str


def grades(results: pl.DataFrame, scope: Scope, which: Slice) -> SmallTable:
    """Accuracy on the test set by grade of the picture, one row per model."""
    import polars as pl

    # Only questions with a picture have grades.
    chosen = _accuracy(results, scope, which._replace(modality="image_text")).filter(
        (pl.col("set") == "test") & pl.col("level").is_not_null() & pl.col("group").is_null()
    )
    known = set(chosen["level"].unique())
    levels = [level for level in LEVELS if level in known] + sorted(known - set(LEVELS))
    cells = _cells(chosen, "level")
    rows = [
        Line(method_title(method, variant), method, [cells.get((method, variant, level)) for level in levels])
        for method, variant in _models(chosen)
    ]
    return SmallTable([(level.capitalize(), LEVEL_HINTS.get(level, "")) for level in levels], rows)


def attributes(results: pl.DataFrame, scope: Scope, which: Slice) -> SmallTable:
    """Accuracy on the forget set by kind of fact: a row per attribute, a column per model."""
    import polars as pl

    chosen = _accuracy(results, scope, which).filter(
        (pl.col("set") == "forget") & pl.col("group").str.starts_with("attribute=") & pl.col("level").is_null()
    )
    models = _models(chosen)
    cells = _cells(chosen, "group")
    rows = [
        Line(attribute_title(group.partition("=")[2]), "", [cells.get((method, variant, group)) for method, variant in models])
        for group in sorted(chosen["group"].unique())
    ]
    return SmallTable([(brief(method_title(method, variant, short=True)), "") for method, variant in models], rows)


def gate_counts(results: pl.DataFrame, scope: Scope) -> list[GateCount]:
    """Facts asked, known and scored, per set and modality; the gate is the same for every model of a request."""
    import polars as pl

    names = ("gate_n_raw", "gate_n_known", "gate_n_scored")
    chosen = results.filter(
        pl.col("metric").is_in(names)
        & (pl.col("forget_ratio").is_null() | pl.col("forget_ratio").eq_missing(scope.forget_ratio))
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


def costs(run: RunData, cells: Sequence[tuple[str, str]]) -> list[Cost]:
    """Steps and times per (title, cell), from what cells noted when done and from their training logs."""
    found = []
    for title, cell in cells:
        log, facts = run.train_log(cell), run.facts(cell)
        trained = sum(float(step.get("seconds") or 0.0) for step in log) if log else None
        unlearning = _duration(facts.get("unlearn_seconds", trained))
        answering = _duration(facts.get("answer_seconds"))
        if log or unlearning or answering:
            found.append(Cost(title, str(len(log)) if log else "", unlearning, answering))
    return found


def _duration(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _accuracy(results: pl.DataFrame, scope: Scope, which: Slice) -> pl.DataFrame:
    import polars as pl

    wanted = {**scope._asdict(), **which._asdict()}
    return with_row_names(results).filter(
        pl.col("metric") == "accuracy",
        pl.col("task") == "classification",
        pl.col("view").is_null() | (pl.col("view") == "options"),
        pl.col("baseline").is_null(),
        *(pl.col(key).is_null() | pl.col(key).eq_missing(pl.lit(value)) for key, value in wanted.items()),
    )


def _models(chosen: pl.DataFrame) -> list[tuple[str, str | None]]:
    return sorted(chosen.select("method", "variant").unique().iter_rows(), key=lambda m: (*method_order(m[0]), m[1] or ""))


def _cells(chosen: pl.DataFrame, key: str) -> dict[tuple[str, str | None, str], Cell]:
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
            unit="percent",
            n_seeds=row["seeds"],
        )
        for row in mean.iter_rows(named=True)
    }
