"""A flag for models that no longer answer, so that their low scores are not read as forgetting."""

from __future__ import annotations

import polars as pl

from unsee.metrics.accuracy import REPEATED, UNPARSABLE
from unsee.metrics.metric import FORGOTTEN_SETS, MetricInfo
from unsee.metrics.official_scores import main_protocol

COLLAPSED = MetricInfo(
    "collapsed", 1, "defect", "1 where most responses on the other sets are unparsable or all the same, else 0"
)
_MOST = 0.5
# Letters of balanced questions repeat by themselves: a sound model says each of four a quarter of the time.
_MOST_LETTERS = 0.8
_ENOUGH = 20


def rows(values: pl.DataFrame) -> pl.DataFrame:
    """One row with the flag, and the reason where it is up.

    Args:
        values: one row per answer and metric: `set`, `protocol`, `view`, `metric`, `value`.
    """
    values = main_protocol(values)
    others = values.filter(~pl.col("set").is_in(FORGOTTEN_SETS) & pl.col("view").is_in(["letter", "generate"]))
    if others.is_empty():
        others = values.filter(pl.col("view").is_in(["letter", "generate"]))
    shares = others.group_by("metric", "view").agg(pl.col("value").mean(), pl.len().alias("n"))
    found = []
    for row in shares.sort("metric", "view").iter_rows(named=True):
        most = _MOST_LETTERS if (row["metric"], row["view"]) == (REPEATED.name, "letter") else _MOST
        if row["metric"] in (UNPARSABLE.name, REPEATED.name) and row["value"] > most and row["n"] >= _ENOUGH:
            what = "unparsable" if row["metric"] == UNPARSABLE.name else "the same"
            found.append(f"{row['value']:.0%} of the responses in view {row['view']} are {what}")
    return pl.DataFrame(
        {
            "set": ["all"],
            "metric": [COLLAPSED.name],
            "value": [float(bool(found))],
            "n": [others.select("sample_id").n_unique()],
            "reason": ["collapsed: " + ", ".join(found) if found else None],
        },
        schema={"set": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64, "reason": pl.String},
    )
