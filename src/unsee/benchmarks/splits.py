"""Forget requests over a list of subjects without relatives: nested in ratio, disjoint between draws."""

from __future__ import annotations

import random
from collections.abc import Sequence

from unsee.benchmarks.base import Split
from unsee.errors import ConfigError

DRAWS = 4
"""So many seeds in a row share nobody up to a ratio of one in so many."""


def nested_split(
    subjects: Sequence[str], ratio: float, seed: int = 0, *, shuffled: bool = True, kept: Sequence[str] = ()
) -> Split:
    """Forget `round(ratio * N)` subjects in a row of a shuffled order, each draw beginning elsewhere.

    Args:
        shuffled: whether the order is drawn by the seed; otherwise it is the subjects' own (a sequential split).
        kept: further subjects, which are never forgotten.

    Raises:
        ConfigError: the ratio selects nobody or everybody.
    """
    total = len(subjects)
    count = round(ratio * total) if 0 < ratio < 1 else 0
    if not 0 < count < total:
        fitting = f"use {1 / total:.4g} to {(total - 1) / total:.4g}" if total > 1 else "one subject cannot be split"
        raise ConfigError(f"a forget ratio of {ratio:g} selects {count} of {total} subjects; {fitting}")
    order = list(range(total))
    if shuffled:
        random.Random(f"split/{seed // DRAWS}").shuffle(order)
    first = seed % DRAWS * total // DRAWS
    forget = {order[(first + i) % total] for i in range(count)}
    return split_by([subjects[i] for i in sorted(forget)], (*subjects, *kept))


def split_by(forget: Sequence[str], subjects: Sequence[str]) -> Split:
    """The request to forget these subjects and to keep all others."""
    gone = frozenset(forget)
    return Split(forget=tuple(forget), near_retain=(), retain=tuple(one for one in subjects if one not in gone))
