"""From judgements to values: means, failures, agreement of the two judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import pytest

from metrics.record_factory import VANILLA, answers, people
from unsee.metrics import CellInfo, score
from unsee.metrics.judge_scores import attach, cohen_kappa
from unsee.sample import Sample
from unsee.schemas import JUDGEMENTS, RESULTS


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return people(forget=24, retain=24, near=0, celebrity=0, small=True)


@pytest.fixture(scope="module")
def records(samples: list[Sample]) -> pl.DataFrame:
    return answers(samples, VANILLA | {"forget": 0.5, "retain": 0.5})


def judged(records: pl.DataFrame, verdict: Callable[[dict[str, Any]], int | str]) -> pl.DataFrame:
    """Judgements of every written answer; a word instead of a score is a failure."""
    written = records.filter((pl.col("task") == "generation") & (pl.col("view") == "generate"))
    rows = []
    for row in written.iter_rows(named=True):
        made = verdict(row)
        outcome = {"score": None, "failure": made} if isinstance(made, str) else {"score": made, "failure": None}
        rows.append({name: row.get(name) for name in JUDGEMENTS} | outcome | {"judge": "toy", "rubric_version": 1})
    return pl.DataFrame(rows, schema=JUDGEMENTS)


def results(records: pl.DataFrame, samples: list[Sample], judgements: pl.DataFrame | None, **options: Any) -> pl.DataFrame:
    return score(attach(records, judgements), samples, cell=CellInfo(cell="x"), bootstrap=200, **options)


def rows(table: pl.DataFrame, metric: str, **place: Any) -> list[dict[str, Any]]:
    wanted = {"metric": metric, "baseline": None, "group": None, "level": None, **place}
    return [row for row in table.iter_rows(named=True) if all(row[name] == value for name, value in wanted.items())]


def test_kappa_by_hand() -> None:
    # 20 both right, 15 both wrong, 5 only the judge, 10 only the offline judge: p_o = 0.7, p_e = 0.5, kappa = 0.4
    assert cohen_kappa(np.array([15.0, 10.0, 5.0, 20.0])) == pytest.approx(0.4)
    # 45 / 15 / 25 / 15: p_o = 0.6, p_e = 0.54; 25 / 35 / 5 / 35: p_o = 0.6, p_e = 0.46
    tables = np.array([[15.0, 15.0, 25.0, 45.0], [35.0, 35.0, 5.0, 25.0]])
    assert cohen_kappa(tables) == pytest.approx([(0.6 - 0.54) / 0.46, (0.6 - 0.46) / 0.54])
    assert cohen_kappa(np.array([[3.0, 0.0, 0.0, 4.0], [0.0, 2.0, 2.0, 0.0]])) == pytest.approx([1.0, -1.0])
    # Judges that say one thing of everything agree by chance alone; an empty table says nothing.
    assert np.isnan(cohen_kappa(np.array([[0.0, 0.0, 0.0, 9.0], [9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))).all()
    assert cohen_kappa(np.array([0.0, 4.0, 0.0, 4.0])) == 0.0


def test_failures_are_counted_and_enter_no_mean(samples: list[Sample], records: pl.DataFrame) -> None:
    """Scores by hand: 9 with a picture, 4 by name; every fourth judgement by name failed."""

    def verdict(row: dict[str, Any]) -> int | str:
        number = int(row["subject"].rpartition("-")[2])
        if row["modality"] == "image_text":
            return 9
        return ("unreadable" if number % 8 else "no_answer") if number % 4 == 0 else 4

    table = results(records, samples, judged(records, verdict))
    assert table.schema == RESULTS
    for name in ("forget", "test", "retain"):
        (seen,) = rows(table, "judge_factuality", set=name, modality="image_text")
        (told,) = rows(table, "judge_factuality", set=name, modality="text")
        assert (seen["value"], seen["n"], seen["n_subjects"]) == (9.0, 24, 24)
        assert (told["value"], told["ci_low"], told["ci_high"], told["n"], told["n_subjects"]) == (4.0, 4.0, 4.0, 18, 18)
        assert seen["higher_is_better"] is (name == "retain")
        (none,) = rows(table, "judge_failures", set=name, modality="image_text")
        (some,) = rows(table, "judge_failures", set=name, modality="text")
        assert (none["value"], none["n"], none["reason"]) == (0.0, 24, None)
        assert (some["value"], some["n"], some["reason"]) == (6.0, 24, "3 no answer, 3 unreadable")
        assert some["higher_is_better"] is False
    assert not rows(table, "judge_factuality", modality=None)


def test_means_have_intervals_over_subjects_and_differences_to_vanilla(samples: list[Sample], records: pl.DataFrame) -> None:
    before = attach(records, judged(records, lambda row: 8))
    table = results(records, samples, judged(records, lambda row: 2 if row["subject"].endswith("1") else 6), vanilla=before)
    (plain,) = rows(table, "judge_factuality", set="retain", modality="text")
    low = [number for number in range(24) if str(number).endswith("1")]
    assert plain["value"] == pytest.approx((2 * len(low) + 6 * (24 - len(low))) / 24)
    assert 4 < plain["ci_low"] < plain["value"] < plain["ci_high"] <= 6
    (less,) = rows(table, "judge_factuality", set="retain", modality="text", baseline="vanilla")
    assert less["value"] == pytest.approx(plain["value"] - 8)


def test_agreement_with_the_offline_judge(samples: list[Sample], records: pl.DataFrame) -> None:
    """A judge that gives 7 where the offline judge says right and 6 elsewhere agrees fully; its opposite fully disagrees."""
    truth = {sample.id: str(sample.metadata["value"]) for sample in samples}

    def right(row: dict[str, Any]) -> bool:
        return truth[row["sample_id"]] in row["response"]

    verdicts: dict[float, Callable[[dict[str, Any]], int]] = {
        1.0: lambda row: 7 if right(row) else 6,
        -1.0: lambda row: 6 if right(row) else 7,
    }
    for kappa, verdict in verdicts.items():
        table = results(records, samples, judged(records, verdict))
        (whole,) = rows(table, "judge_agreement", set="all", modality=None)
        shares = [right(row) for row in judged(records, lambda row: 1).iter_rows(named=True)]
        assert 0.2 < np.mean(shares) < 0.8
        if kappa == 1.0:
            assert (whole["value"], whole["ci_low"], whole["ci_high"]) == (1.0, 1.0, 1.0)
        else:
            p = float(np.mean(shares))
            assert whole["value"] == pytest.approx(-2 * p * (1 - p) / (1 - 2 * p * (1 - p)))
        assert (whole["n"], whole["n_subjects"], whole["higher_is_better"]) == (144, 48, None)
        assert {row["modality"] for row in rows(table, "judge_agreement", set="all")} == {None, "image_text", "text"}
        assert {row["set"] for row in rows(table, "judge_agreement")} == {"all", "forget", "test", "retain"}


def test_agreement_resamples_subjects(samples: list[Sample], records: pl.DataFrame) -> None:
    table = results(records, samples, judged(records, lambda row: 1 + crc32(row["response"].encode()) % 10))
    (whole,) = rows(table, "judge_agreement", set="all", modality=None)
    assert -1 <= whole["ci_low"] < whole["value"] < whole["ci_high"] <= 1


def test_constant_judges_have_no_agreement(samples: list[Sample]) -> None:
    silent = answers(samples, VANILLA, manner="refuse")
    table = results(silent, samples, judged(silent, lambda row: 1))
    for row in rows(table, "judge_agreement"):
        assert row["value"] is None and "each judge says the same of every answer" in row["reason"]


def test_a_stratum_without_a_usable_judgement_says_so(samples: list[Sample], records: pl.DataFrame) -> None:
    verdict: Callable[[dict[str, Any]], int | str] = lambda row: "refusal" if row["set"] == "test" else 10  # noqa: E731
    table = results(records, samples, judged(records, verdict))
    (row,) = rows(table, "judge_factuality", set="test", modality="text")
    assert (row["value"], row["reason"]) == (None, "no usable judgement: 24 refusal")
    assert not rows(table, "judge_agreement", set="test")


def test_nothing_judged_leaves_no_rows(samples: list[Sample], records: pl.DataFrame) -> None:
    table = results(records, samples, None)
    assert not table.filter(pl.col("metric").str.starts_with("judge_")).height


def test_judgements_of_other_responses_do_not_count(samples: list[Sample], records: pl.DataFrame) -> None:
    """A cell computed again may answer otherwise; what was said of the old answer says nothing of the new one."""
    made = judged(records, lambda row: 10)
    stale = made.with_columns(
        pl.when(pl.col("modality") == "text").then(pl.lit("something else")).otherwise("response").alias("response")
    )
    joined = attach(records, stale)
    assert joined.drop("judge_score", "judge_failure").equals(records)
    kept = joined.filter(pl.col("judge_score").is_not_null())
    assert set(kept["modality"]) == {"image_text"} and kept.height == made.height // 2


def test_sets_that_were_not_judged_have_no_rows(samples: list[Sample], records: pl.DataFrame) -> None:
    made = judged(records, lambda row: 3).filter(pl.col("set") == "forget")
    table = results(records, samples, made)
    assert {row["set"] for row in rows(table, "judge_factuality")} == {"forget"}
    assert {row["set"] for row in rows(table, "judge_failures")} == {"forget"}
