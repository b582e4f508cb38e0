"""Intervals over subjects."""

from __future__ import annotations

import numpy as np
import pytest

from unsee.errors import ConfigError
from unsee.metrics.bootstrap import Resampler, estimate, percentiles, wilson


def resampler(size: int, *, draws: int = 500, seed: int = 0) -> Resampler:
    return Resampler({"forget": [f"s{i:03}" for i in range(size)]}, draws=draws, seed=seed)


def test_value_weighs_questions_and_draws_keep_subjects_together() -> None:
    # Two subjects with 1 of 2 and 3 of 4 right: 4/6; a draw holds the first twice, both, or the second twice.
    found = estimate(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]]), resampler(2).weights("forget"))
    assert found.value[0] == pytest.approx(4 / 6)
    assert (found.low[0], found.high[0]) == pytest.approx((1 / 2, 3 / 4))
    assert (found.questions[0], found.subjects[0]) == (6, 2)


def test_every_draw_has_as_many_subjects_as_there_are() -> None:
    assert (resampler(7).weights("forget").sum(axis=1) == 7).all()


def test_draws_depend_on_the_seed_and_the_family_alone() -> None:
    assert (resampler(7).weights("forget") == resampler(7).weights("forget")).all()
    assert (resampler(7).weights("forget") != resampler(7, seed=1).weights("forget")).any()
    both = Resampler({"forget": [f"s{i:03}" for i in range(7)], "retain": ["x", "y"]}, draws=500)
    assert (both.weights("forget") == resampler(7).weights("forget")).all()


def test_interval_over_questions_would_be_too_narrow() -> None:
    """Twenty subjects of fifty equal answers are twenty observations, not a thousand."""
    right = np.array([[50.0 * (i % 2)] for i in range(20)])
    found = estimate(right, np.full((20, 1), 50.0), resampler(20, draws=2000).weights("forget"))
    assert found.high[0] - found.low[0] == pytest.approx(4 * np.sqrt(0.25 / 20), rel=0.15)


def test_coverage_on_a_toy_is_near_95_percent() -> None:
    generator = np.random.default_rng(0)
    covered, runs, subjects, questions = 0, 300, 40, 5
    weights = resampler(subjects, draws=400).weights("forget")
    for _ in range(runs):
        ability = generator.beta(2, 2, size=(subjects, 1))
        right = generator.binomial(questions, ability).astype(float)
        found = estimate(right, np.full((subjects, 1), float(questions)), weights)
        covered += found.low[0] <= 0.5 <= found.high[0]
    assert 0.90 <= covered / runs <= 0.98


def test_one_subject_has_no_interval() -> None:
    found = estimate(np.array([[3.0]]), np.array([[4.0]]), resampler(1).weights("forget"))
    assert found.value[0] == 0.75 and np.isnan(found.low[0]) and np.isnan(found.high[0])


def test_a_proportion_of_subjects_gets_wilsons_interval() -> None:
    sums, counts, weights = np.zeros((20, 1)), np.full((20, 1), 5.0), resampler(20).weights("forget")
    assert estimate(sums, counts, weights).high[0] == 0.0
    proportion = estimate(sums, counts, weights, np.array([True]))
    assert (proportion.low[0], proportion.high[0]) == pytest.approx((0.0, 0.161125), abs=1e-5)


def test_wilson_by_hand() -> None:
    # z^2 = 3.841459: centre 0.5, half width 1.959964 / (1 + z^2/20) * sqrt(0.25/20 + z^2/1600).
    assert wilson(10, 20) == pytest.approx((0.29930, 0.70070), abs=1e-5)
    with pytest.raises(ValueError, match="no proportion"):
        wilson(3, 2)


def test_draws_without_anybody_are_left_out() -> None:
    draws = np.array([[np.nan, 1.0], [2.0, 1.0], [2.0, 1.0]])
    low, high = percentiles(draws)
    assert low.tolist() == high.tolist() == [2.0, 1.0]


def test_no_draws_is_refused() -> None:
    with pytest.raises(ConfigError, match="bootstrap=0"):
        resampler(3, draws=0)
