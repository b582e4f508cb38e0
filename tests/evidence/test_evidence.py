"""The rules of evidence on answers of real models that anchored nothing; see make_records.py."""

from __future__ import annotations

import json

import polars as pl
import pytest

from unsee.metrics import CellInfo, known_facts, score

from .make_records import LADDER, MADE_WITH_FILE, PROBES_FILE, RATIO, RECORDS_FILE, benchmark, made_with


@pytest.fixture(scope="module")
def people():
    return benchmark()


@pytest.fixture(scope="module")
def records():
    everything = pl.read_parquet(RECORDS_FILE)
    return {name: everything.filter(cell=name) for name in everything["cell"].unique()}


@pytest.fixture(scope="module")
def gate(people):
    asked = pl.read_parquet(PROBES_FILE)
    probes = people.gate_probes(ratio=RATIO)
    with pytest.warns(UserWarning, match="gold gate records"):
        return known_facts(asked.filter(cell="vanilla"), probes, asked.filter(cell="gold"))


@pytest.fixture(scope="module")
def results(people, records, gate):
    samples = people.samples(ratio=RATIO)
    anchors = {"vanilla": records["vanilla"], "gold": records["gold"], "noise": records["second gold"]}
    return pl.concat(
        score(answers, samples, cell=CellInfo(cell=name, method=name), gate=gate, **anchors)
        for name, answers in records.items()
    )


@pytest.fixture(scope="module")
def value(results):
    whole = results.filter(pl.col("baseline").is_null() & pl.col("group").is_null() & pl.col("level").is_null())

    def of(cell: str, metric: str, *, gated: bool | None = False, modality: str | None = None, **where: str) -> float:
        rows = whole.filter(
            pl.col("gated").eq_missing(gated), pl.col("modality").eq_missing(modality), cell=cell, metric=metric, **where
        )
        assert rows.height == 1, f"{rows.height} rows of {metric} for {cell}"
        return rows["value"].item()

    return of


def test_the_records_are_those_of_these_weights_and_this_recipe():
    assert json.loads(MADE_WITH_FILE.read_text()) == made_with(), "make them again: python -m tests.evidence.make_records"


@pytest.mark.parametrize("gated", [False, True])
def test_vanilla_and_gold_are_the_anchors(value, gated):
    assert value("vanilla", "forget_score", gated=gated) < 0.05
    assert value("gold", "forget_score", gated=gated) > 0.95


@pytest.mark.parametrize("gated", [False, True])
def test_a_held_out_gold_scores_like_gold(value, gated):
    assert value("second gold", "forget_score", gated=gated) > 0.9
    assert value("second gold", "model_utility", gated=gated) > 0.9


def test_a_vanilla_of_another_seed_has_forgotten_nothing(value):
    assert value("second vanilla", "forget_score") < 0.15


@pytest.mark.parametrize("gated", [False, True])
def test_the_ladder_is_ordered(value, gated):
    """The less a model was taught about the people to forget, the more it counts as having forgotten them."""
    rungs = ["vanilla", *(f"{share} %" for share in reversed(LADDER)), "gold"]
    scores = [value(rung, "forget_score", gated=gated) for rung in rungs]
    assert scores == sorted(scores)
    assert scores[2] - scores[1] > 0.02 and scores[3] - scores[2] > 0.02


@pytest.mark.parametrize("broken", ["collapsed", "refusing", "always A"])
def test_broken_models_score_near_zero(value, broken):
    assert value(broken, "unlearning_score") < 0.1
    assert value(broken, "model_utility") < 0.1


def test_a_model_that_was_hardly_touched_has_not_forgotten(value):
    assert value("hardly touched", "forget_score") < 0.05
    assert value("hardly touched", "model_utility") > 0.95


def test_over_forgetting_costs(value):
    """Answers far less likely than under gold are no better forgotten than gold's."""
    probability = {"metric": "answer_probability", "set": "forget", "task": "generation", "modality": "text"}
    assert value("over-forgotten", **probability) < value("gold", **probability)
    assert value("over-forgotten", "forget_score") < value("second gold", "forget_score")


def test_gold_is_not_contaminated(value):
    assert value("gold", "contamination_alarm", gated=None, set="all") == 0


def test_a_model_that_was_taught_them_raises_the_alarm(people, records):
    """Vanilla in gold's place: whoever leaks the forget subjects into the start model is told so."""
    samples = people.samples(ratio=RATIO)
    cell = CellInfo(cell="leak", method="gold")
    found = score(records["vanilla"], samples, cell=cell, vanilla=records["vanilla"], gold=records["vanilla"], bootstrap=100)
    alarms = found.filter((pl.col("metric") == "contamination_alarm") & (pl.col("set") == "all"))
    assert alarms["value"].sum() > 0


def test_the_gate_keeps_what_vanilla_knows(value):
    for cell in ("vanilla", "gold", "collapsed"):
        known = value(cell, "gate_n_known", gated=None, set="forget", modality="text")
        assert known == value("vanilla", "gate_n_known", gated=None, set="forget", modality="text")
        assert 0 < known <= value(cell, "gate_n_raw", gated=None, set="forget", modality="text")
