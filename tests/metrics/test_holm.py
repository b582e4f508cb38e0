"""Holm's correction."""

from __future__ import annotations

import pytest

from unsee.metrics.holm import holm


def test_by_hand() -> None:
    # 0.01 * 3, 0.03 * 2, and 0.04 * 1 that may not fall below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])
