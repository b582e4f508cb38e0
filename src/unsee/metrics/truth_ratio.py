"""Whether a model still prefers the truth: wrong answers' probability over the right answer's.

    R = mean_i P(wrong_i | q)^(1/|wrong_i|) / P(right | q)^(1/|right|)

as in TOFU (arXiv 2401.06121, section 2.2), with the right answer itself in the denominator. R is taken per question and
averaged afterwards; averaging the probabilities of a whole set before dividing gives another number.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from unsee.metrics.answer_probability import ONCE
from unsee.metrics.metric import Metric

LARGEST_RATIO = 1e6


def truth_ratios(frame: pl.DataFrame) -> pl.Series:
    """R per question, at most LARGEST_RATIO; null without wrong answers, or where a model gives no finite number.

    Args:
        frame: `answer_logprob_mean` and `perturbed_logprobs`, both length-normalised, in nats.
    """
    log_ratio = _log_ratio(frame)
    return pl.Series("value", np.exp(np.minimum(log_ratio, np.log(LARGEST_RATIO))), dtype=pl.Float64).fill_nan(None)


def truth_scores(frame: pl.DataFrame) -> pl.Series:
    """1 / (1 + R): the right answer's share against an average wrong one; 1 knows, 0.5 cannot tell, below 0.5 avoids."""
    log_ratio = np.clip(_log_ratio(frame), -700.0, 700.0)
    return pl.Series("value", 1.0 / (1.0 + np.exp(log_ratio)), dtype=pl.Float64).fill_nan(None)


def _log_ratio(frame: pl.DataFrame) -> np.ndarray:
    """Logarithm of R, [rows]; NaN where there is none."""
    rows = frame.select("answer_logprob_mean", "perturbed_logprobs").with_row_index("row")
    exploded = rows.explode("perturbed_logprobs", empty_as_null=True, keep_nulls=True).drop_nulls("perturbed_logprobs")
    wrong = np.full(rows.height, -np.inf)
    number = np.zeros(rows.height)
    at, values = exploded["row"].to_numpy(), exploded["perturbed_logprobs"].to_numpy()
    np.logaddexp.at(wrong, at, values)
    np.add.at(number, at, 1.0)
    right = rows["answer_logprob_mean"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: np.ndarray = wrong - np.log(number) - right
    ratio[number == 0] = np.nan
    return ratio


TRUTH_RATIO = Metric(
    "truth_ratio",
    1,
    "ignorance",
    "mean over questions of wrong answers' over the right answer's length-normalised probability (TOFU)",
    (0.0, LARGEST_RATIO),
    views=ONCE,
    values=truth_ratios,
)
TRUTH_SCORE = Metric(
    "truth_score",
    1,
    "knowledge",
    "mean over questions of 1 / (1 + truth ratio): 0.5 cannot tell right from wrong",
    views=ONCE,
    values=truth_scores,
)
