"""KS forget quality."""

from __future__ import annotations

import polars as pl
import pytest

from unsee.metrics.forget_quality import forget_quality

LOW, HIGH = pl.Series([0.1, 0.2, 0.3, 0.4]), pl.Series([1.1, 1.2, 1.3, 1.4])


def test_equal_ratios_cannot_be_told_apart() -> None:
    assert forget_quality(LOW, LOW) == (pytest.approx(1.0), None)


def test_disjoint_ratios_by_hand() -> None:
    # D = 1 with 4 and 4 values: two of the C(8, 4) = 70 orderings are as extreme.
    value, reason = forget_quality(LOW, HIGH)
    assert value == pytest.approx(2 / 70) and reason is None


def test_without_gold_there_is_no_value_but_a_reason() -> None:
    value, reason = forget_quality(LOW, None)
    assert value is None and reason is not None and "gold" in reason


def test_without_ratios_there_is_no_value_but_a_reason() -> None:
    value, reason = forget_quality(pl.Series([None, None], dtype=pl.Float64), LOW)
    assert value is None and reason is not None and "truth ratios" in reason
