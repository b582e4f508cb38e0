"""Which cells of a run delete single facts; they forget no share of the subjects, so other tables leave them out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from unsee.report.run_data import RunData

BATCH = "batch"
SINGLE_FACT = ("single_fact", BATCH)
"""Stand in the ids of such cells where others have their forget ratio; the second where one edit deleted all facts."""


def is_single(cell: str) -> bool:
    """Whether a cell deletes single facts, or is a control of such cells."""
    return [*cell.split("-"), ""][1] in SINGLE_FACT


def single_results(results: pl.DataFrame) -> pl.DataFrame:
    """The rows of single-fact cells."""
    return results.filter(_request().is_in(SINGLE_FACT).fill_null(False))


def is_batch() -> pl.Expr:
    """Whether rows of results are of a cell whose one edit deleted all facts."""
    return _request().eq(BATCH).fill_null(False)


def _request() -> pl.Expr:
    """What a row's cell forgets, as its id says it."""
    import polars as pl

    return pl.col("cell").str.split("-").list.get(1, null_on_oob=True)


def without_single_facts(run: RunData) -> RunData:
    """The run without its single-fact cells: what the parts about forget requests are made from."""
    import polars as pl

    cells = single_results(run.results)["cell"].unique()
    return replace(
        run,
        results=run.results.filter(~pl.col("cell").is_in(cells.implode())),
        finished=tuple(cell for cell in run.finished if not is_single(cell)),
        unfinished=tuple(cell for cell in run.unfinished if not is_single(cell)),
    )


def known_facts(results: pl.DataFrame) -> tuple[int, int] | None:
    """(facts probed, facts that vanilla knew) among those to delete; None where nothing was probed."""
    import polars as pl

    counts = single_results(results).filter(pl.col("set") == "forget")
    raw, known = (counts.filter(pl.col("metric") == name)["value"].drop_nulls() for name in ("gate_n_raw", "gate_n_known"))
    return (int(raw[0]), int(known[0])) if raw.len() and known.len() else None
