"""Distance to gold: "as if never seen" is the target, on either side.

Per question, the absolute difference between the model's and gold's length-normalised log-probability of the right answer
(nats per token, capped at LOGPROB_FLOOR). Its signed twin says on which side the model stands: above zero the answer is
likelier than under gold (under-forgotten, or better kept), below zero it is less likely (over-forgotten, or damaged).
"""

from __future__ import annotations

import polars as pl

from unsee.metrics.answer_probability import ANSWER_LOGPROB
from unsee.metrics.metric import LOGPROB_FLOOR, MetricInfo

DISTANCE = MetricInfo(
    "distance_to_gold",
    1,
    "distance",
    "mean absolute difference to gold's log-probability of the right answer, nats per token",
    (0.0, -LOGPROB_FLOOR),
)
SIGNED_DISTANCE = MetricInfo(
    "signed_distance_to_gold",
    1,
    "knowledge",
    "mean difference to gold's log-probability: above 0 under-forgotten, below 0 over-forgotten",
    (LOGPROB_FLOOR, -LOGPROB_FLOOR),
)
NOISE_FLOOR = MetricInfo(
    "noise_floor",
    1,
    "distance",
    "the same value for a held-out gold: what another seed alone does",
    (-float("inf"), float("inf")),
)


def distances(values: pl.DataFrame, others: tuple[str, ...] = ()) -> pl.DataFrame:
    """Rows of `distance_to_gold` and its signed twin from rows of `answer_logprob`.

    Args:
        values: columns `metric`, `value`, `gold` and those named in `others`; other columns are kept.
        others: columns of further models whose distance to gold is wanted too.
    """
    base = values.filter((pl.col("metric") == ANSWER_LOGPROB.name) & pl.col("gold").is_not_null())
    signed = base.with_columns(pl.col(name) - pl.col("gold") for name in ("value", *others))
    return pl.concat(
        [
            signed.with_columns(pl.col("value", *others).abs(), pl.lit(DISTANCE.name).alias("metric")),
            signed.with_columns(pl.lit(SIGNED_DISTANCE.name).alias("metric")),
        ]
    ).with_columns(pl.lit(None, dtype=pl.Float64).alias("gold"))
