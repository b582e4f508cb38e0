"""Two ways to unlearn compared where both keep as much, not where both have taken as many steps.

A path is a list of means from the start to the end. At the first place where its retain score falls to a share of the start's,
every value is interpolated between the two neighbouring points. A path that never falls so far is taken at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from answers import Array, Means, retain_score


def at_retain(path: Sequence[Means], level: float) -> Means:
    """Values where the retain score first falls to `level` of the start's; those of the end in draws in which it never does.

    Args:
        path: at least two points, the start first.
        level: for example 0.95.
    """
    kept = np.stack([retain_score(point) for point in path])
    kept = kept / kept[0]
    draws = kept.shape[1]
    below = kept <= level
    first = np.where(below.any(axis=0), below.argmax(axis=0), 0)
    reached = first > 0
    after, before = np.maximum(first, 1), np.maximum(first, 1) - 1
    each = np.arange(draws)
    drop = kept[before, each] - kept[after, each]
    share = np.divide(kept[before, each] - level, drop, out=np.zeros(draws), where=drop > 0)

    def between(values: Array) -> Array:
        value = values[before, each] + share * (values[after, each] - values[before, each])
        return np.where(reached, value, values[-1])

    shared = set(path[0]).intersection(*path[1:])
    return {column: between(np.stack([point[column] for point in path])) for column in path[0] if column in shared}
