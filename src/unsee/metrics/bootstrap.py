"""Intervals by resampling subjects: never questions, because the questions about one subject stand and fall together."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unsee.errors import ConfigError

Array = NDArray[np.float64]

FEW_SUBJECTS = 20
FEW_SUBJECTS_MARK = "fewer than 20 subjects: no verdict"
Z95 = 1.959963984540054


class Interval(NamedTuple):
    low: float
    high: float


class Estimates(NamedTuple):
    """Means with 95 % intervals, one per column; arrays are [columns]."""

    value: Array
    low: Array
    high: Array
    questions: NDArray[np.int64]
    subjects: NDArray[np.int64]


def family(set: str) -> str:
    """Sets that ask about the same subjects share their resamples: `forget` and `test`."""
    return "forget" if set == "test" else set


class Resampler:
    """Draws of subjects with replacement, shared by everything that is computed in one call.

    `weights(family)` is [draws, subjects]: how often each subject was drawn. Because all metrics and models are weighted by
    the same draws, differences and composed scores are paired.
    """

    def __init__(self, subjects: Mapping[str, Sequence[str]], *, draws: int = 1000, seed: int = 0) -> None:
        """Args:
            subjects: family -> its subjects.
            draws: number of resamples.
            seed: the same seed gives the same draws, whatever other families there are.

        Raises:
            ConfigError: fewer than one draw.
        """
        if draws < 1:
            raise ConfigError(f"bootstrap={draws} gives no interval; use at least 1, better 1000")
        self.draws = draws
        self.seed = seed
        self.index = {name: {subject: i for i, subject in enumerate(sorted(set(ids)))} for name, ids in subjects.items()}
        self._weights: dict[str, Array] = {}

    def weights(self, name: str) -> Array:
        """How often each subject of a family was drawn, [draws, subjects]."""
        if name not in self._weights:
            size = len(self.index[name])
            generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            self._weights[name] = generator.multinomial(size, np.full(size, 1 / size), size=self.draws).astype(np.float64)
        return self._weights[name]


def weighted_means(sums: Array, counts: Array, weights: Array) -> Array:
    """Means in every draw, [draws, columns]; NaN where a draw holds nobody of a column.

    Args:
        sums, counts: [subjects, columns], totals and numbers of values per subject.
        weights: [draws, subjects].
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = (weights @ sums) / (weights @ counts)
    return means


def percentiles(draws: Array) -> tuple[Array, Array]:
    """2.5 % and 97.5 % of each column of [draws, columns], draws without a value left out."""
    holes = np.isnan(draws).any(axis=0)
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    if (~holes).any():
        low[~holes], high[~holes] = np.percentile(draws[:, ~holes], (2.5, 97.5), axis=0)
    for column in np.flatnonzero(holes):
        left = draws[~np.isnan(draws[:, column]), column]
        if left.size:
            low[column], high[column] = np.percentile(left, (2.5, 97.5))
    return low, high


def estimate(sums: Array, counts: Array, weights: Array, proportion: NDArray[np.bool_] | None = None) -> Estimates:
    """Means of columns with percentile intervals over subjects.

    Args:
        sums, counts: [subjects, columns].
        weights: [draws, subjects].
        proportion: [columns], true where every value is 0 or 1. If then every subject is all right or all wrong, the mean
            is a proportion of subjects and gets Wilson's interval, which does not shrink to a point at 0 and 1.
    """
    value = weighted_means(sums, counts, np.ones((1, len(sums))))[0]
    low, high = percentiles(weighted_means(sums, counts, weights))
    subjects = (counts > 0).sum(axis=0)
    if proportion is not None:
        whole = proportion & ((sums == 0) | (sums == counts)).all(axis=0)
        for column in np.flatnonzero(whole & (subjects > 0)):
            low[column], high[column] = wilson(value[column] * subjects[column], int(subjects[column]))
    low[subjects < 2], high[subjects < 2] = np.nan, np.nan
    return Estimates(value, low, high, counts.sum(axis=0).astype(np.int64), subjects.astype(np.int64))


def wilson(successes: float, trials: int, *, z: float = Z95) -> Interval:
    """Wilson's score interval for a proportion.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if trials < 1 or not -1e-9 <= successes <= trials + 1e-9:
        raise ValueError(f"{successes} successes of {trials} trials is no proportion")
    p = successes / trials
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(max(0.0, p * (1 - p)) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)))
