"""Rows of the results table for what harnesses measured outside of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl

from unsee.metrics.bootstrap import Z95
from unsee.schemas import RESULTS
from unsee.utility.harnesses import HARNESSES
from unsee.utility.known import benchmark_of

if TYPE_CHECKING:
    from unsee.metrics.cell_info import CellInfo

VERSION = 1
"""Raised whenever the same results of a harness would give other rows; its own versions stand in `reason`."""


def utility_rows(measured: pl.DataFrame, *, cell: CellInfo) -> pl.DataFrame:
    """Values of a harness as rows of results.

    `set` is general, `task` the harness's task id, `protocol` the harness, `view` its filter. `group` is `harness=NAME`, so
    that no table of a whole set takes them for ours. The interval is the value plus and minus 1.96 of the harness's standard
    errors over questions, within the metric's range where it is one that papers report.

    Args:
        measured: schema UTILITY.
        cell: identifying columns.
    """
    rows = []
    for row in measured.sort("harness", "task", "metric", "filter").iter_rows(named=True):
        low, high = _interval(row["value"], row["stderr"], _scale(row["harness"], row["task"], row["metric"]))
        rows.append(
            asdict(cell)
            | {
                "set": "general",
                "task": row["task"],
                "protocol": row["harness"],
                "view": row["filter"],
                "group": f"harness={row['harness']}",
                "metric": row["metric"],
                "value": row["value"],
                "ci_low": low,
                "ci_high": high,
                "n": row["n"],
                "higher_is_better": row["higher_is_better"],
                "metric_version": VERSION,
                "reason": _reason(row),
            }
        )
    return pl.DataFrame(rows, schema=RESULTS)


def is_utility() -> pl.Expr:
    """Rows of results that come from a harness."""
    return pl.col("protocol").is_in(list(HARNESSES)).fill_null(False)


def _scale(harness: str, task: str, metric: str) -> float | None:
    known = benchmark_of(task, harness)
    return known.scale if known is not None and known.metrics[harness] == metric else None


def _interval(value: float | None, stderr: float | None, scale: float | None) -> tuple[float | None, float | None]:
    if value is None or stderr is None or stderr <= 0:
        return None, None  # a harness gives 0 where all answers count alike, which is no certainty
    low, high = value - Z95 * stderr, value + Z95 * stderr
    return (low, high) if scale is None else (max(0.0, low), min(scale, high))


def _reason(row: dict[str, object]) -> str:
    version = f", task version {row['task_version']}" if row["task_version"] else ""
    made = f"{row['harness']} {row['harness_version']}{version}"
    whole, asked = row["n_all"], row["n"]
    part = f"{asked} of {whole} questions" if whole is not None and asked is not None and whole != asked else None
    return "; ".join(str(one) for one in (row["problem"], part, made) if one)
