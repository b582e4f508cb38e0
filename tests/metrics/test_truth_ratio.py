"""Truth ratio and answer probability against hand-computed values."""

from __future__ import annotations

import math

import polars as pl
import pytest

from unsee.metrics.answer_probability import logprob, probability
from unsee.metrics.metric import LOGPROB_FLOOR
from unsee.metrics.truth_ratio import LARGEST_RATIO, truth_ratios, truth_scores

NAN, INF = float("nan"), float("inf")


def frame(*rows: tuple[float | None, list[float] | None]) -> pl.DataFrame:
    schema = {"answer_logprob_mean": pl.Float64, "perturbed_logprobs": pl.List(pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


TWO = frame((math.log(0.5), [math.log(0.1), math.log(0.3)]), (math.log(0.2), [math.log(0.4), math.log(0.4)]))


def test_ratio_is_taken_per_question() -> None:
    ratios = truth_ratios(TWO)
    assert ratios.to_list() == pytest.approx([0.2 / 0.5, 0.4 / 0.2])
    assert ratios.mean() == pytest.approx(1.2)
    pooled = ((0.1 + 0.3 + 0.4 + 0.4) / 4) / ((0.5 + 0.2) / 2)
    assert ratios.mean() != pytest.approx(pooled), "averaging over the set before dividing is another number"


def test_wrong_answers_are_averaged_as_probabilities() -> None:
    # The geometric mean of 0.1 and 0.3 would give sqrt(0.03) / 0.5 = 0.346.
    assert truth_ratios(TWO)[0] == pytest.approx(0.4)


def test_score_is_the_share_of_the_right_answer() -> None:
    assert truth_scores(TWO).to_list() == pytest.approx([1 / 1.4, 1 / 3])


def test_values_stay_in_range_for_broken_models() -> None:
    broken = frame((-500.0, [-1.0]), (-INF, [-1.0]), (NAN, [-1.0]), (-1.0, None), (-1.0, []), (None, [-1.0]), (-1.0, [-INF]))
    assert truth_ratios(broken).to_list() == pytest.approx([LARGEST_RATIO, LARGEST_RATIO, None, None, None, None, 0.0])
    scores = truth_scores(broken).to_list()
    assert scores[:2] == pytest.approx([0.0, 0.0]) and scores[2:6] == [None] * 4 and scores[6] == pytest.approx(1.0)
    assert probability(broken).to_list()[1:3] == [0.0, 0.0]
    assert logprob(broken).to_list()[:3] == [LOGPROB_FLOOR] * 3


def test_probability_by_hand() -> None:
    assert probability(TWO).to_list() == pytest.approx([0.5, 0.2])
    assert logprob(TWO).to_list() == pytest.approx([math.log(0.5), math.log(0.2)])
