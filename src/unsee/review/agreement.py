"""How far annotators agree: Cohen's kappa for two of them, Fleiss' for more, with intervals over facts.

    kappa = (p_o - p_e) / (1 - p_e)

p_o is the share of agreement, p_e what chance alone gives: for Cohen from each annotator's own shares of verdicts, for Fleiss
from the shares of all. `unsure` is a verdict like the others.

Sources: J. Cohen, "A coefficient of agreement for nominal scales", 1960; J. L. Fleiss, "Measuring nominal scale agreement among
many raters", 1971. Where not everybody judged everything, Fleiss' kappa is taken over the variants that two or more judged,
each counting once: p_o is the mean share of agreeing pairs, p_e comes from the mean shares of verdicts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from unsee.metrics.bootstrap import FEW_SUBJECTS, Array, Resampler, percentiles
from unsee.review.decisions import VERDICTS, Decision, standing

FEW_FACTS_MARK = f"fewer than {FEW_SUBJECTS} facts: no verdict"
Votes = Mapping[str, Mapping[str, str]]
"""Annotator -> item -> verdict."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: None where there is none.
        low, high: None where there are fewer than two facts.
        items: variants it is about.
        facts: facts these belong to.
        reason: why there is no value, or what limits it.
    """

    value: float | None
    low: float | None
    high: float | None
    items: int
    facts: int
    reason: str = ""


@dataclass(frozen=True)
class Pair:
    """Two annotators over the variants that both judged."""

    annotators: tuple[str, str]
    agreement: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class Agreement:
    """Everybody, and each pair.

    Attributes:
        annotators: by name.
        statistic: what `kappa` is; None for one annotator.
        kappa: over the variants that two or more judged.
        pairs: of all annotators; with two there is one.
    """

    annotators: tuple[str, ...]
    statistic: Literal["cohen", "fleiss"] | None
    kappa: Estimate
    pairs: tuple[Pair, ...]


def fact_of(item: str) -> str:
    """The fact in the id of a variant, `<fact>/<kind>/<grade>/<number>`."""
    return item.rsplit("/", 3)[0]


def agreement(
    decisions: Iterable[Decision], *, facts: Mapping[str, str] | None = None, seed: int = 0, draws: int = 1000
) -> Agreement:
    """Kappa of all annotators and of each pair.

    Args:
        decisions: of one extension; withdrawn and earlier ones are left out.
        facts: item -> its fact; read from the ids by default.
        seed: of the bootstrap over facts.
        draws: number of resamples.

    Raises:
        ConfigError: fewer than one draw.
    """
    votes: dict[str, dict[str, str]] = defaultdict(dict)
    for decision in standing(decisions):
        votes[decision.annotator][decision.item] = str(decision.verdict)
    names = tuple(sorted(votes))
    owner = {item: fact_of(item) if facts is None else facts[item] for own in votes.values() for item in own}
    sample = _Bootstrap(owner, seed=seed, draws=draws)
    pairs = tuple(_pair(votes, pair, sample) for pair in combinations(names, 2))
    if len(names) < 2:
        return Agreement(names, None, Estimate(None, None, None, 0, 0, "agreement needs two annotators"), ())
    if len(names) == 2:
        return Agreement(names, "cohen", pairs[0].kappa, pairs)
    return Agreement(names, "fleiss", _fleiss(votes, sample), pairs)


class _Bootstrap:
    """Means of items in every draw of facts; all statistics share the draws."""

    def __init__(self, owner: Mapping[str, str], *, seed: int, draws: int) -> None:
        self._owner = owner
        self._sampler = Resampler({"fact": sorted(set(owner.values()))}, draws=draws, seed=seed)

    def facts(self, items: Sequence[str]) -> int:
        return len({self._owner[item] for item in items})

    def means(self, items: Sequence[str], values: Array) -> Array:
        """Means of the columns of `values` [items, columns]: the first row over all items, then one row per draw."""
        index = self._sampler.index["fact"]
        sums = np.zeros((len(index), values.shape[1] + 1))
        np.add.at(sums, [index[self._owner[item]] for item in items], np.column_stack([values, np.ones(len(items))]))
        weights = np.vstack([np.ones(len(index)), self._sampler.weights("fact")])
        totals = weights @ sums
        with np.errstate(invalid="ignore"):
            means: Array = totals[:, :-1] / totals[:, -1:]
        return means

    def estimate(self, items: Sequence[str], values: Array, *, undefined: str) -> Estimate:
        """From a statistic over all items (first) and in every draw; draws in which it has no value are left out."""
        facts = self.facts(items)
        if np.isnan(values[0]):
            return Estimate(None, None, None, len(items), facts, undefined)
        (low,), (high,) = percentiles(values[1:, None])
        apart = facts > 1 and not np.isnan(low)
        mark = FEW_FACTS_MARK if facts < FEW_SUBJECTS else ""
        return Estimate(
            float(values[0]), float(low) if apart else None, float(high) if apart else None, len(items), facts, mark
        )


def _one_hot(verdicts: Iterable[str]) -> Array:
    """[items, verdicts]."""
    return np.array([[verdict == one for one in VERDICTS] for verdict in verdicts], dtype=np.float64)


def _kappa(observed: Array, expected: Array) -> Array:
    """NaN where chance alone explains everything."""
    room = 1 - expected
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: Array = np.where(room > 1e-12, (observed - expected) / room, np.nan)
    return kappa


def _pair(votes: Votes, pair: tuple[str, str], sample: _Bootstrap) -> Pair:
    first, second = (votes[name] for name in pair)
    items = sorted(first.keys() & second.keys())
    if not items:
        absent = Estimate(None, None, None, 0, 0, "no variant was judged by both")
        return Pair(pair, absent, absent)
    one, other = _one_hot(first[item] for item in items), _one_hot(second[item] for item in items)
    same = (one * other).sum(axis=1, keepdims=True)
    means = sample.means(items, np.hstack([same, one, other]))
    width = len(VERDICTS)
    expected = (means[:, 1 : 1 + width] * means[:, 1 + width :]).sum(axis=1)
    undefined = f"both gave every variant the same verdict ({first[items[0]]}), so chance explains all agreement"
    return Pair(
        pair,
        sample.estimate(items, means[:, 0], undefined=""),
        sample.estimate(items, _kappa(means[:, 0], expected), undefined=undefined),
    )


def _fleiss(votes: Votes, sample: _Bootstrap) -> Estimate:
    verdicts: dict[str, list[str]] = defaultdict(list)
    for own in votes.values():
        for item, verdict in own.items():
            verdicts[item].append(verdict)
    items = sorted(item for item, given in verdicts.items() if len(given) > 1)
    if not items:
        return Estimate(None, None, None, 0, 0, "no variant was judged by two annotators")
    counts = np.array([_one_hot(verdicts[item]).sum(axis=0) for item in items])
    raters = counts.sum(axis=1, keepdims=True)
    pairs = (counts * (counts - 1)).sum(axis=1, keepdims=True) / (raters * (raters - 1))
    means = sample.means(items, np.hstack([pairs, counts / raters]))
    kappa = _kappa(means[:, 0], (means[:, 1:] ** 2).sum(axis=1))
    undefined = f"all gave every variant the same verdict ({verdicts[items[0]][0]}), so chance explains all agreement"
    return sample.estimate(items, kappa, undefined=undefined)
