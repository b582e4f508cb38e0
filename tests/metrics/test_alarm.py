"""The contamination alarm."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unsee.metrics import CellInfo, score
from unsee.metrics.alarm import prior_intervals, prior_only
from unsee.metrics.frames import question_of
from unsee.sample import Sample

from .record_factory import GOLD, answers, people


def question(subject: str, answer: str, options: str, *, set: str = "retain", task: str = "classification") -> Sample:
    letters = dict(zip("ABCD", options.split())) if task == "classification" else {}
    return Sample(
        id=f"{subject}/{task}",
        benchmark="toy",
        subject=subject,
        set=set,  # type: ignore[arg-type]
        task=task,  # type: ignore[arg-type]
        modality="text",
        question="What?",
        answer=answer,
        options=letters,
        correct_option=next((letter for letter, text in letters.items() if text == answer), None),
        metadata={"attribute": "job"},
    )


def priors(*samples: Sample) -> dict[str, float]:
    frame = prior_only(samples)
    found = dict(zip(frame["question"], frame["prior"]))
    return {sample.id: found[question_of(sample)] for sample in samples}


def test_guesser_takes_the_option_that_is_most_often_right_for_others() -> None:
    found = priors(
        question("a", "nurse", "nurse pilot judge baker", set="forget"),
        question("b", "nurse", "nurse pilot judge baker"),
        question("c", "pilot", "nurse pilot judge baker"),
        question("d", "nurse", "nurse pilot judge baker"),
        question("e", "judge", "judge baker welder potter"),
    )
    # Without a's own answer: nurse 2, pilot 1, judge 1. For c nurse is right more often than pilot.
    assert found["a/classification"] == 1.0 and found["c/classification"] == 0.0
    # For e nothing on offer is ever right for others: one of four by lot.
    assert found["e/classification"] == pytest.approx(1 / 4)


def test_writing_guesser_says_the_most_frequent_answer() -> None:
    found = priors(
        question("a", "nurse", "", set="forget", task="cloze"),
        question("b", "nurse", "", task="cloze"),
        question("c", "pilot", "", task="cloze"),
    )
    # For a: nurse once, pilot once among the others, so by lot; for c: nurse twice.
    assert found == pytest.approx({"a/cloze": 0.5, "b/cloze": 0.5, "c/cloze": 0.0})


def test_balanced_answers_are_guessed_blindly() -> None:
    """Where answers are balanced, one's own is never the most frequent of the others', but a blind guess may hit it."""
    jobs = "nurse nurse pilot pilot judge judge".split()
    frame = prior_only([question(str(i), job, "", set="forget", task="cloze") for i, job in enumerate(jobs)])
    assert frame["prior"].to_list() == [0.0] * 6
    assert frame["chance"].to_list() == pytest.approx([1 / 5] * 6)


def test_intervals_hold_prior_and_chance() -> None:
    frame = prior_intervals(prior_only(people(seed=1)))
    assert set(frame["set"]) == {"forget", "test"}
    for guesser in ("prior", "chance"):
        assert (frame["low"] <= frame[guesser]).all() and (frame[guesser] <= frame["high"]).all()
    options = frame.filter(pl.col("task") == "classification")
    assert (options["high"] < 0.75).all(), "an alarm that nothing can raise is none"
    whole, single = (options.filter(pl.col("attribute").is_null() == null)["high"].max() for null in (True, False))
    assert whole < 0.45 < single, "few questions about one attribute show less than all together"


def test_a_question_with_three_pictures_is_one_for_alarm_and_forget_quality() -> None:
    once = people(forget=8, retain=12, seed=2)
    again = [replace(s, id=f"{s.id}/{copy}") for s in once if s.set == "test" and s.modality == "image_text" for copy in (1, 2)]
    model, gold = ({"records": answers(once, GOLD, seed=seed)} for seed in (3, 4))
    for one in (model, gold):
        records = one["records"]
        ids = [(sample.id, sample.id.rpartition("/")[0]) for sample in again]
        copies = pl.DataFrame(ids, schema=["sample_id", "of"], orient="row").join(records, left_on="of", right_on="sample_id")
        one["thrice"] = pl.concat([records, copies.select(records.columns)])

    def found(key: str, samples: list[Sample]) -> pl.DataFrame:
        cell = CellInfo(cell="g", method="gold")
        result = score(model[key], samples, cell=cell, gold=gold[key], bootstrap=20)
        counted = pl.col("metric").is_in(["prior_only_accuracy", "contamination_alarm", "forget_quality"])
        return result.filter(counted, pl.col("baseline").is_null())

    assert_frame_equal(found("thrice", once + again), found("records", once))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clean_gold_raises_no_alarm(seed: int) -> None:
    samples = people(seed=seed)
    result = score(answers(samples, GOLD, seed=seed), samples, cell=CellInfo(cell="g", method="gold"), bootstrap=20)
    total = result.filter((pl.col("metric") == "contamination_alarm") & (pl.col("set") == "all"))
    assert total["value"].to_list() == [0.0]


def test_a_leak_spread_over_few_subjects_raises_the_alarm_for_all_attributes() -> None:
    samples = people(forget=9, seed=3)
    leaky = answers(samples, GOLD | {"forget": 0.6, "test": 0.6}, seed=4)
    result = score(leaky, samples, cell=CellInfo(cell="g", method="gold"), bootstrap=20)
    raised = result.filter((pl.col("metric") == "contamination_alarm") & (pl.col("set") != "all") & (pl.col("value") > 0))
    assert raised.filter((pl.col("task") == "classification") & pl.col("group").is_null()).height >= 4


def test_a_leak_of_one_attribute_in_one_modality_raises_the_alarm_there() -> None:
    samples = people(seed=3)
    knows, clean = answers(samples, 1.0, seed=4), answers(samples, GOLD, seed=5)
    leaked = [s.id for s in samples if s.metadata["attribute"] == "job" and s.modality == "text"]
    leaky = pl.concat([clean.filter(~pl.col("sample_id").is_in(leaked)), knows.filter(pl.col("sample_id").is_in(leaked))])
    result = score(leaky, samples, cell=CellInfo(cell="g", method="gold"), bootstrap=20)
    raised = result.filter((pl.col("metric") == "contamination_alarm") & (pl.col("set") != "all") & (pl.col("value") > 0))
    assert raised.filter(pl.col("task") == "classification").height > 0
    assert set(raised["group"]) <= {"attribute=job", None} and set(raised["modality"]) == {"text"}
    assert raised.filter(pl.col("group") == "attribute=job").height > 0
    assert raised["reason"].null_count() == 0
