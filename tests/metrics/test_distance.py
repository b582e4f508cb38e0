"""Distance to gold by hand."""

from __future__ import annotations

import polars as pl
import pytest

from unsee.metrics.distance import distances


def test_absolute_and_signed_parts() -> None:
    values = pl.DataFrame(
        {
            "metric": ["answer_logprob", "answer_logprob", "answer_logprob", "accuracy"],
            "value": [-1.0, -6.0, -2.0, 1.0],
            "gold": [-3.0, -3.0, None, 0.0],
            "vanilla": [-0.5, -0.5, -0.5, 1.0],
        }
    )
    found = distances(values, ("vanilla",))
    absolute = found.filter(pl.col("metric") == "distance_to_gold")
    assert absolute["value"].to_list() == pytest.approx([2.0, 3.0])
    assert absolute["vanilla"].to_list() == pytest.approx([2.5, 2.5])
    signed = found.filter(pl.col("metric") == "signed_distance_to_gold")
    assert signed["value"].to_list() == pytest.approx([2.0, -3.0]), "under-forgotten, then over-forgotten"
    assert found["gold"].null_count() == found.height
