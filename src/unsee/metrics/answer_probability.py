"""How likely the right answer is, per token, teacher forced after the bare question."""

from __future__ import annotations

import polars as pl

from unsee.metrics.metric import LOGPROB_FLOOR, Metric

# Each question is teacher forced once; the letter view of a question would repeat the value of its options view.
ONCE = ("options", "generate")


def probability(frame: pl.DataFrame) -> pl.Series:
    """Exponential of the length-normalised log-probability; 0 where a broken model gives no number."""
    return frame["answer_logprob_mean"].fill_nan(-float("inf")).exp()


def logprob(frame: pl.DataFrame) -> pl.Series:
    """Length-normalised log-probability in nats, not below LOGPROB_FLOOR."""
    return frame["answer_logprob_mean"].fill_nan(-float("inf")).clip(lower_bound=LOGPROB_FLOOR)


ANSWER_PROBABILITY = Metric(
    "answer_probability",
    1,
    "knowledge",
    "geometric mean probability of the right answer's tokens",
    views=ONCE,
    values=probability,
)
ANSWER_LOGPROB = Metric(
    "answer_logprob",
    1,
    "knowledge",
    f"mean log-probability of the right answer's tokens in nats, not below {LOGPROB_FLOOR:.0f}",
    (LOGPROB_FLOOR, 0.0),
    views=ONCE,
    values=logprob,
)
