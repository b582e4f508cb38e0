"""Values of single-fact cells: where each stands in the results, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.metrics.attack_success import ATTACK_CANDIDATES
from unsee.report.columns import Unit
from unsee.report.main_table import Cell, averaged_cell, over_seeds, with_row_names
from unsee.report.single_cells import is_batch

if TYPE_CHECKING:
    import polars as pl

_KEY = ("method", "variant", "unlearn_modality", "modality")
_UNITS: Mapping[str, Unit] = {"delta_accuracy_p": "p", ATTACK_CANDIDATES.name: "points"}


class Spot(NamedTuple):
    """Where a value stands in the results.

    `n_edits` counts facts that were deleted one after the other; 1 where each has an edit of its own, all went in one edit, or
    nothing was edited.
    """

    metric: str
    set: str
    attack: str | None = None
    level: str | None = None
    budget: int | None = None
    group: str | None = None
    layer: int | None = None
    baseline: str | None = None
    n_edits: int = 1


def fact_values(results: pl.DataFrame) -> dict[tuple[str, str | None, str | None, str | None], dict[Spot, Cell]]:
    """(method, variant, what the edit showed, modality) -> values by place, averaged over seeds like the main table's.

    Args:
        results: schema RESULTS, rows of single-fact cells only.
    """
    import polars as pl

    # Known facts decide; where vanilla knew none of them, all facts are shown rather than nothing.
    known = results.filter(pl.col("gated"), pl.col("attack").is_not_null()).height > 0
    means = (
        with_row_names(results)
        .filter(pl.col("gated").is_null() | (pl.col("gated") == known))
        .with_columns(pl.when(is_batch()).then(1).otherwise(pl.col("n_edits").fill_null(1)).alias("n_edits"))
        .group_by(*_KEY, *Spot._fields, maintain_order=True)
        .agg(over_seeds())
    )
    found: dict[Any, dict[Spot, Cell]] = {}
    for row in means.iter_rows(named=True):
        spots = found.setdefault(tuple(row[name] for name in _KEY), {})
        spots[Spot(**{name: row[name] for name in Spot._fields})] = averaged_cell(row, _UNITS.get(row["metric"], "percent"))
    return found
