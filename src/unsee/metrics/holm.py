"""Holm's correction for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence


def holm(pvalues: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given; below 0.05 after adjustment holds jointly at 5 %.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979. The i-th smallest of m is multiplied
    by m - i + 1, never falls below a smaller one's, and stops at 1.

    Raises:
        ValueError: a p-value is not between 0 and 1.
    """
    if any(not 0.0 <= p <= 1.0 for p in pvalues):
        raise ValueError(f"p-values must lie between 0 and 1, got {list(pvalues)}")
    adjusted = [0.0] * len(pvalues)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, pvalues[index] * (len(pvalues) - rank)))
        adjusted[index] = largest
    return adjusted
