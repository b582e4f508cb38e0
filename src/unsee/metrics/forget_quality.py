"""Forget quality: can the truth ratios be told from those of a model that never saw the subjects?

The p-value of a two-sample Kolmogorov-Smirnov test between the model's and gold's truth ratios per question (TOFU,
arXiv 2401.06121): near 1 they look alike, near 0 they do not. The test takes questions as independent, which questions
about one subject are not, so a small p-value is somewhat too small; without gold there is no value.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from unsee.metrics.metric import MetricInfo

FORGET_QUALITY = MetricInfo(
    "forget_quality", 2, "quality", "p-value of a KS test between the truth ratios of the model and of gold (TOFU)"
)
NO_GOLD = "no gold model: there is nothing to compare with"
NO_RATIOS = "no truth ratios: the records hold no probabilities of wrong answers"


def forget_quality(ratios: pl.Series, gold: pl.Series | None) -> tuple[float | None, str | None]:
    """p-value, or None with the reason.

    Args:
        ratios: truth ratios of the model, one per question.
        gold: truth ratios of gold, or None without gold.
    """
    if gold is None:
        return None, NO_GOLD
    mine, other = (np.asarray(series.drop_nulls().drop_nans()) for series in (ratios, gold))
    if not len(mine) or not len(other):
        return None, NO_RATIOS
    from scipy.stats import ks_2samp

    return float(ks_2samp(mine, other).pvalue), None
