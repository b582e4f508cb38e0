"""What a metric is: a pure function from a frame of answers to one number per answer, with name, version and direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from unsee.sample import Task

Tells = Literal["knowledge", "ignorance", "quality", "defect", "distance", "nothing"]
"""What a larger value tells.

`knowledge` should be low on what is to be forgotten and high elsewhere, `ignorance` the other way round; `quality` should
be high and `defect` and `distance` low on every set; `nothing` is neither better nor worse by itself.
"""

FORGOTTEN_SETS = ("forget", "test")
LOGPROB_FLOOR = -10.0
"""Length-normalised log-probabilities below this (nats per token) count as this: less likely than that is no news."""


@dataclass(frozen=True)
class MetricInfo:
    """What `unsee list` shows about a metric.

    Attributes:
        name: value of the column `metric` in results.
        version: raised whenever the same records would give another value.
        tells: what a larger value tells, from which the direction on each set follows.
        description: one line.
        bounds: smallest and largest possible value.
    """

    name: str
    version: int
    tells: Tells
    description: str
    bounds: tuple[float, float] = (0.0, 1.0)

    def higher_is_better(self, set: str) -> bool | None:
        """Whether a larger value is better on a set after unlearning, None where it has no direction."""
        if self.tells == "nothing":
            return None
        if self.tells == "knowledge":
            return set not in FORGOTTEN_SETS
        if self.tells == "ignorance":
            return set in FORGOTTEN_SETS
        return self.tells == "quality"


@dataclass(frozen=True)
class Metric(MetricInfo):
    """A metric whose value over a set is the mean of one number per answer.

    Attributes:
        tasks, views: answers it is defined for.
        binary: whether every number is 0 or 1.
        values: frame of such answers (see `frames.join_truth`) -> [rows] numbers; null where an answer has none.
    """

    tasks: tuple[Task, ...] = ("classification", "generation", "cloze")
    views: tuple[str, ...] = ("options", "letter", "generate")
    binary: bool = False
    values: Callable[[pl.DataFrame], pl.Series] = lambda frame: pl.Series([], dtype=pl.Float64)
