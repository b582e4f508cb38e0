"""The main table: one value per method and column, seeds averaged; the page and the terminal both show it.

table = main_table(results)                                  # tidy: one row per value
for row in rows(table, scopes(results)[0]):                  # one row per method
    print(row.title, row.cells["unlearning_score"].text)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.metrics.bootstrap import FEW_SUBJECTS, FEW_SUBJECTS_MARK
from unsee.report.columns import PRIOR_COLUMNS, Column, Unit, all_columns, plain, rank
from unsee.report.numbers import number_text
from unsee.report.vocabulary import (
    CONTROLS,
    REQUIRED,
    ROLES,
    SCENARIO_TITLES,
    SECOND,
    UNLEARNED_FROM,
    method_order,
    method_title,
)
from unsee.sample import MODALITIES
from unsee.schemas import RESULTS

if TYPE_CHECKING:
    import polars as pl

DASH = "\u2013"

KEYS = ("protocol", "forget_ratio", "unlearn_modality", "scenario", "modality", "gated", "method", "variant", "column", "unit")
_NUMBERS = ("value", "ci_low", "ci_high", "n", "n_subjects", "reason")
COLLAPSED = "collapsed"
_VIEWS = ("options", "letter", "generate")
"""Where an answer was read in several ways, the strict protocol counts the first of these; others never the first."""


class Scope(NamedTuple):
    """One forget request: the share of subjects, the modality the methods unlearned them through, and the kind of harm."""

    forget_ratio: float | None
    unlearn_modality: str | None
    scenario: str | None = None

    @property
    def title(self) -> str:
        ratio = "Whole run" if self.forget_ratio is None else f"Forget {100 * self.forget_ratio:.4g}\u00a0%"
        if self.scenario is not None:
            listed = "" if self.forget_ratio is None else f", {100 * self.forget_ratio:.4g}\u00a0% of harm listed"
            ratio = f"{SCENARIO_TITLES.get(self.scenario, self.scenario)}{listed}"
        if self.unlearn_modality is None:
            return ratio
        return f"{ratio}, unlearned from {UNLEARNED_FROM.get(self.unlearn_modality, self.unlearn_modality)}"


class Slice(NamedTuple):
    """Which answers count: scoring protocol, modality of the questions, known facts only or all."""

    protocol: str | None = "strict"
    modality: str | None = "image_text"
    gated: bool | None = False


@dataclass(frozen=True)
class Cell:
    """One value of the table; where `value` is None `reason` says why, else it is a remark or empty.

    `of` names what the value is of, where that differs from row to row; `beside` is a further value in words.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int | None
    n_subjects: int | None
    reason: str
    unit: Unit
    n_seeds: int = 1
    seed_low: float | None = None
    seed_high: float | None = None
    of: str = ""
    beside: str = ""

    @property
    def text(self) -> str:
        return "" if self.value is None else number_text(self.value, self.unit)

    @property
    def interval(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"{number_text(self.low, self.unit)}{DASH}{number_text(self.high, self.unit)}"

    @property
    def few(self) -> bool:
        """Whether an interval from so few subjects carries no verdict."""
        return bool(self.interval) and self.n_subjects is not None and self.n_subjects < FEW_SUBJECTS

    @property
    def remark(self) -> str:
        """Why the value is missing or limited, less the mark of few subjects, which `few` carries; "" for a plain value."""
        return "; ".join(part for part in self.reason.split("; ") if part not in ("", FEW_SUBJECTS_MARK))

    @property
    def tooltip(self) -> str:
        """What the value rests on, in words."""
        if self.value is None:
            return self.reason
        parts = []
        if self.n is not None:
            parts.append(f"{self.n} answers")
        if self.n_subjects is not None:
            parts.append(f"{self.n_subjects} subjects")
        if self.n_seeds > 1 and self.seed_low is not None and self.seed_high is not None:
            spread = f"{number_text(self.seed_low, self.unit)} to {number_text(self.seed_high, self.unit)}"
            parts.append(f"mean of {self.n_seeds} seeds, {spread}")
        return ", ".join(filter(None, (*parts, self.beside, self.reason)))


@dataclass(frozen=True)
class Row:
    """One method; `absent` says why a row has no values, `collapsed` that the model no longer answers.

    `tag` tells rows of one method apart: the protocol or the run.
    """

    method: str
    variant: str | None
    cells: dict[str, Cell] = field(default_factory=dict)
    absent: str | None = None
    collapsed: str | None = None
    tag: str = ""

    @property
    def title(self) -> str:
        return method_title(self.method, self.variant)

    @property
    def short_title(self) -> str:
        return method_title(self.method, self.variant, short=True)

    @property
    def role(self) -> str:
        return ROLES.get(self.method, "")

    @property
    def is_control(self) -> bool:
        return self.method in CONTROLS

    def value(self, column: str) -> float | None:
        cell = self.cells.get(column)
        return None if cell is None else cell.value


def main_table(results: pl.DataFrame) -> pl.DataFrame:
    """Average the results over seeds, one row per method and column of the main table.

    Args:
        results: schema RESULTS.

    Returns:
        Columns protocol, forget_ratio, unlearn_modality, scenario, modality, gated, method, variant, column, unit, value,
        ci_low, ci_high, n, n_subjects, n_seeds, seed_low, seed_high, reason. With several seeds the interval is the mean of the
        seeds' intervals (it shows the subjects' uncertainty), seed_low and seed_high their range. A key that does not apply is
        null.
    """
    import polars as pl

    named = with_row_names(results)
    whole = plain(named)
    parts = [_column_rows(whole, column) for column in all_columns(results)]
    parts += [_prior_rows(whole), _collapsed_rows(whole)]
    return pl.concat(parts).group_by(KEYS, maintain_order=True).agg(over_seeds()).sort(KEYS, nulls_last=True)


def over_seeds() -> list[pl.Expr]:
    """How rows of several seeds become one: value, ci_low, ci_high, n, n_subjects, n_seeds, seed_low, seed_high, reason."""
    import polars as pl

    return [
        pl.col("value", "ci_low", "ci_high").mean(),
        pl.col("n").sum(),
        pl.col("n_subjects").min(),
        pl.col("value").count().cast(pl.Int64).alias("n_seeds"),
        pl.col("value").min().alias("seed_low"),
        pl.col("value").max().alias("seed_high"),
        pl.col("reason").drop_nulls().first(),
    ]


def averaged_cell(row: Mapping[str, Any], unit: Unit) -> Cell:
    """A cell from a row with the columns of `over_seeds`."""
    return Cell(
        value=row["value"],
        low=row["ci_low"],
        high=row["ci_high"],
        n=row["n"],
        n_subjects=row["n_subjects"],
        reason=row["reason"] or ("not measured" if row["value"] is None else ""),
        unit=unit,
        n_seeds=row["n_seeds"],
        seed_low=row["seed_low"],
        seed_high=row["seed_high"],
    )


def with_row_names(results: pl.DataFrame) -> pl.DataFrame:
    """Results whose second golds are a variant of their own, whose controls have no unlearning modality, and without NaN.

    A second gold (another training seed on the same split) is scored and anchors nothing: its row shows the noise floor.
    """
    import polars as pl

    from unsee.experiment_tables import NOISE_SEED_STEP

    second = (pl.col("method") == "gold") & (pl.col("seed") >= NOISE_SEED_STEP)
    modality = pl.col("unlearn_modality")
    # NaN compares with nothing and would pass as a value.
    finite = pl.col("value").is_finite()
    return results.with_columns(
        pl.when(finite).then(pl.col("value")),
        *(pl.when(finite & pl.col(name).is_finite()).then(pl.col(name)) for name in ("ci_low", "ci_high")),
        pl.when(finite.not_()).then(pl.lit("the value is not a finite number")).otherwise(pl.col("reason")).alias("reason"),
        pl.when(second).then(pl.lit(SECOND)).otherwise(pl.col("variant")).alias("variant"),
        pl.when(modality != "none").then(modality).alias("unlearn_modality"),
    )


def _column_rows(whole: pl.DataFrame, column: Column) -> pl.DataFrame:
    import polars as pl

    chosen = whole.filter(pl.col("metric") == column.metric)
    if column.set is not None:
        chosen = chosen.filter(pl.col("set") == column.set)
    if column.pooled:
        # Likelihoods of options always yield an answer.
        chosen = chosen.filter((pl.col("view") != "options").fill_null(True) | (column.metric != "unparsable_rate"))
        cell = ("cell", "protocol", "forget_ratio", "unlearn_modality", "scenario", "gated", "method", "variant", "seed")
        weight = pl.when(pl.col("value").is_not_null()).then(pl.col("n"))
        total = pl.when(weight.sum() > 0).then(weight.sum())
        chosen = chosen.group_by(cell, maintain_order=True).agg(
            pl.col("value").sum() if column.unit == "count" else (pl.col("value") * weight).sum() / total,
            weight.sum().alias("n"),
            pl.col("n_subjects").max(),
            pl.when(pl.col("value").is_null()).then(pl.col("reason")).drop_nulls().first().alias("reason"),
        )
        chosen = chosen.with_columns(pl.when(pl.col("value").is_null()).then(pl.col("reason")).alias("reason"))
    elif column.task is None:
        chosen = chosen.filter(pl.col("task").is_null() & pl.col("modality").is_null())
    else:
        chosen = best_views(chosen.filter(pl.col("task") == column.task))
    return as_rows(chosen, column.key, column.unit)


def best_views(chosen: pl.DataFrame) -> pl.DataFrame:
    """Of values read in several ways, those read the way their protocol means: by likelihood if strict, else as written."""
    import polars as pl

    place = pl.col("view").replace_strict(
        {name: n for n, name in enumerate(_VIEWS)}, default=len(_VIEWS), return_dtype=pl.Int64
    )
    strict = (pl.col("protocol") == "strict").fill_null(True)
    order = pl.when(strict).then(place).otherwise((place - 1) % (len(_VIEWS) + 1))
    by = ("protocol", "task", "metric")
    return (
        chosen.with_columns(order.alias("_order"))
        .filter(pl.col("view").is_null() | (pl.col("_order") == pl.col("_order").min().over(by)))
        .drop("_order")
    )


def _prior_rows(whole: pl.DataFrame) -> pl.DataFrame:
    """Guessing as a model of its own; every cell of a request carries the same numbers."""
    import polars as pl

    key = pl.concat_str("set", pl.lit("/"), "task")
    chosen = whole.filter((pl.col("metric") == "prior_only_accuracy") & key.is_in(PRIOR_COLUMNS))
    chosen = chosen.unique(["forget_ratio", "scenario", "seed", "set", "task", "modality"], keep="first", maintain_order=True)
    null = pl.lit(None, dtype=pl.String)
    return as_rows(
        chosen.with_columns(pl.lit("prior_only").alias("method"), null.alias("variant"), null.alias("unlearn_modality")), key
    )


def _collapsed_rows(whole: pl.DataFrame) -> pl.DataFrame:
    """Cells that no longer answer; they are marked beside their name."""
    import polars as pl

    return as_rows(whole.filter((pl.col("metric") == "collapsed") & (pl.col("value") > 0)), COLLAPSED)


def as_rows(chosen: pl.DataFrame, key: str | pl.Expr, unit: Unit = "percent") -> pl.DataFrame:
    """Rows of results as values of one column of a table, before seeds are averaged."""
    import polars as pl

    column = pl.lit(key) if isinstance(key, str) else key
    missing = [name for name in (*KEYS, *_NUMBERS) if name not in ("column", "unit", *chosen.columns)]
    return chosen.with_columns(
        column.alias("column"), pl.lit(unit).alias("unit"), *(pl.lit(None, dtype=RESULTS[name]).alias(name) for name in missing)
    ).select(*KEYS, *_NUMBERS)


def scopes(results: pl.DataFrame) -> list[Scope]:
    """The run's forget requests, the one with most evidence (largest ratio) first."""
    import polars as pl

    results = with_row_names(results)
    unlearned = results.filter(~pl.col("method").is_in(["vanilla", "gold"]))
    # Cells of no one scenario have scores of each.
    mixed = pl.col("scenario").is_null().any().over("cell")
    asked = (unlearned if unlearned.height else results).with_columns(scenario=pl.when(~mixed).then("scenario"))
    found = [Scope(*place) for place in asked.select(Scope._fields).unique().iter_rows()]
    found = [scope for scope in found if scope.scenario is not None] or found
    # A control without a training modality belongs to every request of its ratio.
    full = [scope for scope in found if None not in scope[:2]]
    order = ("mixed", "both", "image_text", "text")
    return sorted(
        full or found,
        key=lambda scope: (
            rank(scope.scenario or "", tuple(SCENARIO_TITLES)),
            -(scope.forget_ratio or 0),
            order.index(scope.unlearn_modality) if scope.unlearn_modality in order else len(order),
            scope.unlearn_modality or "",
        ),
    )


def slices(table: pl.DataFrame) -> list[Slice]:
    """Every combination the table has values for: strict protocol, pictures and all facts first."""
    import polars as pl

    modalities: list[str | None] = [m for m in MODALITIES if table["modality"].eq(m).any()]
    protocols: list[str | None] = sorted(table["protocol"].drop_nulls().unique(), key=lambda name: (name != "strict", name))
    gates: list[bool | None] = [gated for gated in (False, True) if table.filter(pl.col("gated") == gated).height]
    found = [Slice(p, m, g) for p in protocols or [None] for m in modalities or [None] for g in gates or [None]]
    with_values = {Slice(*row) for row in table.select("protocol", "modality", "gated").unique().iter_rows()}
    return [which for which in found if which in with_values] or found[:1]


def rows(
    table: pl.DataFrame, scope: Scope, which: Slice, *, absent: Mapping[tuple[str, str | None], str] | None = None
) -> list[Row]:
    """The table for one forget request and one slice, controls first.

    Args:
        table: what `main_table` returned.
        absent: (method, variant) -> why it has no values; such methods become rows that say so, like a missing control.
    """
    import polars as pl

    wanted = {**scope._asdict(), **which._asdict()}
    here = table.filter(
        pl.all_horizontal(pl.col(key).is_null() | pl.col(key).eq_missing(pl.lit(value)) for key, value in wanted.items())
    )
    found: dict[tuple[str, str | None], dict[str, Cell]] = {}
    # A value for exactly this slice comes before one that holds for all.
    for row in here.sort(list(wanted), nulls_last=True).iter_rows(named=True):
        cells = found.setdefault((row["method"], row["variant"]), {})
        cells.setdefault(
            row["column"],
            averaged_cell(row, row["unit"]),
        )
    listed = [
        Row(method, variant, cells, collapsed=cells.pop(COLLAPSED).reason if COLLAPSED in cells else None)
        for (method, variant), cells in found.items()
    ]
    for (method, variant), reason in (absent or {}).items():
        if not any(row.method == method and (row.variant == "official") == (variant == "official") for row in listed):
            listed.append(Row(method, variant, absent=reason))
    for method in REQUIRED:
        if not any(row.method == method for row in listed):
            listed.append(Row(method, None, absent=_absence(table, method)))
    return sorted(listed, key=lambda row: (*method_order(row.method), row.variant or ""))


def _absence(table: pl.DataFrame, method: str) -> str:
    """What the results themselves say about a missing control."""
    import polars as pl

    if method in ("gold", "vanilla"):
        told = table.filter(pl.col("value").is_null() & pl.col("reason").str.contains(f"no {method}"))["reason"]
        if told.len():
            return str(told[0])
    return "this run did not ask for it" if method != "gold" else "no gold model was trained for this request"
