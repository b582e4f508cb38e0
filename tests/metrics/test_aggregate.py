"""The composed scores, on models they were not anchored on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from unsee.metrics import CellInfo, score
from unsee.metrics.aggregate import forgetting, harmonic_mean, kept
from unsee.sample import Sample

from .record_factory import GOLD, VANILLA, answers, forgot, people

Scores = Callable[[pl.DataFrame], dict[str, float]]


def one(value: float) -> np.ndarray:
    return np.array([value])


@pytest.mark.parametrize(
    ("value", "floor", "expected"),
    [
        (0.9, 0.0, 0.0),  # as vanilla
        (0.6, 0.0, 0.5),  # half way
        (0.3, 0.0, 1.0),  # as gold
        (0.0, 0.0, 0.5),  # half a gap past gold
        (1.0, 0.0, 0.0),  # more than vanilla
        (0.9, 0.2, 0.0),  # the floor does not help vanilla
        (0.6, 0.2, 0.625),  # 1 - (0.5 - 0.2) / 0.8
        (0.24, 0.2, 1.0),  # a tenth of a gap past gold, inside the floor
        (0.36, 0.2, 1.0),  # and the same on the other side
    ],
)
def test_forgetting_by_hand(value: float, floor: float, expected: float) -> None:
    assert forgetting(one(value), one(0.9), one(0.3), floor)[0] == pytest.approx(expected)


def test_kept_by_hand() -> None:
    assert kept(one(0.6), one(0.9), 0.25)[0] == pytest.approx(0.35 / 0.65)
    assert kept(one(0.2), one(0.9), 0.25)[0] == 0.0 and kept(one(1.0), one(0.9), 0.25)[0] == 1.0
    assert np.isnan(kept(one(0.2), one(0.25), 0.25)[0])


def test_harmonic_mean_by_hand() -> None:
    parts = [np.array([0.5, 0.0, np.nan]), np.array([1.0, 1.0, 0.4])]
    assert harmonic_mean(parts).tolist() == pytest.approx([2 / 3, 0.0, 0.4])


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return people(seed=7)


@pytest.fixture(scope="module")
def scores(samples: list[Sample]) -> Scores:
    """Composed scores of records, anchored on one vanilla and one gold."""
    vanilla, gold = answers(samples, VANILLA, seed=1), answers(samples, GOLD, seed=2)

    def of(records: pl.DataFrame) -> dict[str, float]:
        result = score(records, samples, cell=CellInfo(cell="c"), vanilla=vanilla, gold=gold, bootstrap=200)
        return composed(result)

    return of


def composed(result: pl.DataFrame) -> dict[str, float]:
    whole = result.filter((pl.col("set") == "all") & pl.col("modality").is_null() & pl.col("group").is_null())
    return dict(whole.select("metric", "value").iter_rows())


def test_do_nothing_forgets_nothing(samples: list[Sample], scores: Scores) -> None:
    found = scores(answers(samples, VANILLA, seed=1))
    assert found["forget_score"] == 0.0 and found["unlearning_score"] == 0.0 and found["model_utility"] == 1.0


def test_a_vanilla_of_another_seed_scores_near_zero(samples: list[Sample], scores: Scores) -> None:
    found = scores(answers(samples, VANILLA, seed=11))
    assert found["unlearning_score"] < 0.15 and found["model_utility"] > 0.95


def test_a_held_out_gold_scores_near_one(samples: list[Sample], scores: Scores) -> None:
    found = scores(answers(samples, GOLD, seed=12))
    assert found["forget_score"] > 0.95 and found["unlearning_score"] > 0.95


def test_the_ladder_is_ordered(samples: list[Sample], scores: Scores) -> None:
    ladder = [scores(answers(samples, forgot(share), seed=13))["unlearning_score"] for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert ladder == sorted(ladder) and min(np.diff(ladder)) > 0.02


@pytest.mark.parametrize("manner", ["refuse", "always_a", "collapsed"])
def test_broken_models_score_near_zero(samples: list[Sample], scores: Scores, manner: str) -> None:
    knows = GOLD if manner == "refuse" else VANILLA
    found = scores(answers(samples, knows, seed=14, manner=manner))  # type: ignore[arg-type]
    assert found["model_utility"] < 0.02 and found["unlearning_score"] < 0.02


def test_over_forgetting_is_penalised(samples: list[Sample], scores: Scores) -> None:
    """Pushing the right answers below the wrong ones is not "as if never seen", though accuracy falls further."""
    over = scores(answers(samples, GOLD, seed=15, suppressed=("forget", "test")))
    gold = scores(answers(samples, GOLD, seed=15))
    assert over["forget_score"] < gold["forget_score"] - 0.3 and over["model_utility"] > 0.9


def test_what_is_told_by_name_is_not_forgotten(samples: list[Sample]) -> None:
    vanilla, gold = answers(samples, VANILLA, seed=1), answers(samples, GOLD, seed=2)
    other_gold, other_vanilla = answers(samples, GOLD, seed=3), answers(samples, VANILLA, seed=4)
    half = pl.concat(
        [other_gold.filter(pl.col("modality") == "image_text"), other_vanilla.filter(pl.col("modality") == "text")]
    )
    result = score(half, samples, cell=CellInfo(cell="c"), vanilla=vanilla, gold=gold, bootstrap=200)
    assert composed(result)["forget_score"] < 0.2
    forgets = result.filter((pl.col("metric") == "forget_score") & pl.col("modality").is_not_null())
    by_modality = dict(forgets.select("modality", "value").iter_rows())
    assert by_modality["image_text"] > 0.9 and by_modality["text"] < 0.2


def test_components_whose_anchors_agree_are_left_out_with_a_reason(samples: list[Sample]) -> None:
    vanilla, gold = answers(samples, VANILLA, seed=1, letter_skill=0.0), answers(samples, GOLD, seed=2)
    result = score(gold, samples, cell=CellInfo(cell="c"), vanilla=vanilla, gold=gold, bootstrap=200)
    letters = result.filter((pl.col("metric") == "forget_component") & (pl.col("view") == "letter"))
    assert letters.height == 4 and letters["value"].null_count() == 4
    assert all("do not differ" in reason for reason in letters["reason"])
    whole = result.filter((pl.col("metric") == "forget_score") & pl.col("modality").is_null())
    assert whole["value"][0] == pytest.approx(1.0) and "components left out" in whole["reason"][0]


def test_without_anchors_there_is_no_score_but_a_reason(samples: list[Sample]) -> None:
    records = answers(samples, VANILLA, seed=1)
    result = score(records, samples, cell=CellInfo(cell="c"), vanilla=records, bootstrap=50)
    rows = result.filter((pl.col("metric") == "forget_score") & pl.col("modality").is_null())
    assert rows["value"].to_list() == [None] and "no gold" in rows["reason"][0]
    assert composed(result)["model_utility"] == 1.0
