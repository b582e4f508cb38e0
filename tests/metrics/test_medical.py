"""Medical benchmarks: leaks, corrections, clinical ability and the score, from records to rows."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from unsee.metrics import CellInfo, Gate, score
from unsee.metrics.bootstrap import wilson
from unsee.metrics.frames import truth_frame
from unsee.metrics.leaks import planted
from unsee.metrics.medical import MEDICAL_METRICS
from unsee.sample import Sample
from unsee.schemas import RESULTS

from .medical_factory import (
    CELL,
    Says,
    broken,
    cleaned,
    errors,
    injected,
    is_harmful,
    mrn,
    number_of,
    only,
    patients,
    phone,
    pick,
    refusing,
    said,
    sample,
    unsaying,
)
from .record_factory import GOLD, VANILLA, answers, people


def scored(samples: list[Sample], model: Says, **options: object) -> pl.DataFrame:
    others = {"vanilla": said(samples, injected, margin=1.0), "gold": said(samples, cleaned, margin=-3.0)}
    return score(
        said(samples, model, margin=0.5),
        samples,
        **{"cell": CELL, "bootstrap": 200, **others, **options},  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def privacy() -> list[Sample]:
    return patients()


@pytest.fixture(scope="module")
def incorrect() -> list[Sample]:
    return errors()


def five_leak(one: Sample) -> str:
    """The first five patients' record numbers come out when asked for directly, and one in a clinical answer elsewhere."""
    if one.set == "retain" and one.id == "r3/retain/open":
        return f"an enlarged spleen of {mrn(7)}"
    if one.set == "near_retain" and one.id == "p2/near_retain/open":
        return f"an enlarged kidney of {phone(2)} and not of {phone(3)}"
    if not is_harmful(one) or (one.metadata.get("identifier") == "mrn" and one.set == "forget" and number_of(one) < 5):
        return one.answer
    return "a healthy lung"


@pytest.fixture(scope="module")
def leaks(privacy: list[Sample]) -> pl.DataFrame:
    return scored(privacy, five_leak)


def test_leak_rates_by_hand(leaks: pl.DataFrame) -> None:
    asked = only(leaks, "leak_rate", set="forget")
    assert (asked["value"], asked["n"], asked["n_subjects"], asked["higher_is_better"]) == (5 / 40, 40, 20, False)
    kind = only(leaks, "leak_rate", set="forget", group="identifier=mrn")
    low, high = wilson(5, 20)
    assert (kind["value"], kind["n"]) == (0.25, 20)
    assert (kind["ci_low"], kind["ci_high"]) == pytest.approx((low, high)), "every patient leaks wholly or not at all"
    none = only(leaks, "leak_rate", set="forget", group="identifier=phone")
    assert none["value"] == 0.0 and none["ci_high"] == pytest.approx(wilson(0, 20).high), "no interval of a point at 0"
    assert only(leaks, "leak_rate", set="forget", level="direct")["value"] == 5 / 40
    for form in ("rephrased", "prefix"):
        assert only(leaks, "leak_rate", set="test", level=form)["value"] == 0.0
        assert only(leaks, "leak_rate", set="test", level=form, group="identifier=mrn")["n"] == 20
    assert only(leaks, "leak_rate", set="forget", baseline="vanilla")["value"] == pytest.approx(5 / 40 - 1)
    assert only(leaks, "leak_rate", set="forget", baseline="gold")["value"] == pytest.approx(5 / 40)
    assert {line["set"] for line in pick(leaks, "leak_rate")} == {"forget", "test"}


def test_the_worst_class_and_patient(leaks: pl.DataFrame) -> None:
    worst = {
        line["group"]: line for line in leaks.filter(pl.col("metric") == "worst_leak_rate", set="forget").iter_rows(named=True)
    }
    assert set(worst) == {"identifier=mrn", "patient=p0"}
    assert worst["identifier=mrn"]["value"] == 0.25 and worst["identifier=mrn"]["reason"] is None
    assert worst["patient=p0"]["value"] == 0.5 and worst["patient=p0"]["ci_low"] is None
    assert "4 more leak as often" in worst["patient=p0"]["reason"]


def test_volunteered_leaks_by_hand(leaks: pl.DataFrame) -> None:
    """On own pictures only the patient's own identifiers count; on others' any planted one."""
    near = only(leaks, "volunteered_leak", set="near_retain")
    assert (near["value"], near["n"]) == (1 / 40, 40)
    assert only(leaks, "volunteered_leak", set="near_retain", group="identifier=phone")["value"] == 1 / 40
    assert only(leaks, "volunteered_leak", set="near_retain", group="identifier=mrn")["value"] == 0.0
    assert only(leaks, "volunteered_leak", set="retain")["value"] == 1 / 40
    assert only(leaks, "volunteered_leak", set="clinical")["value"] == 0.0
    forget = only(leaks, "volunteered_leak", set="forget")
    assert (forget["value"], forget["n"]) == (0.0, 20), "questions for an identifier are not ordinary ones"
    assert only(leaks, "volunteered_leak", set="forget", baseline="vanilla")["value"] == -1.0
    assert not pick(leaks, "volunteered_leak", set="test")


def test_identifiers_are_known_from_leaking_answers_alone(privacy: list[Sample]) -> None:
    leaking = [one for one in privacy if one.metadata.get("carrier") == "answer"]
    assert planted(truth_frame(leaking))["p3"] == {("mrn", mrn(3))}
    assert planted(truth_frame(privacy))["p3"] == {("mrn", mrn(3)), ("phone", phone(3))}
    two = replace(leaking[0], metadata={**leaking[0].metadata, "phi": json.dumps([["mrn", "MRN-1"], ["ssn", "000-1"]])})
    assert planted(truth_frame([two])) == {"p0": {("mrn", "MRN-1"), ("ssn", "000-1")}}


def test_an_unreadable_answer_can_leak(privacy: list[Sample]) -> None:
    records = said(privacy, injected).with_columns(pl.lit(None, dtype=pl.String).alias("parsed"))
    table = score(records, privacy, cell=CELL, bootstrap=20)
    assert only(table, "leak_rate", set="forget")["value"] == 1.0
    assert only(table, "volunteered_leak", set="forget")["value"] == 1.0
    assert only(table, "closed_accuracy", set="retain")["value"] == 0.0 == only(table, "token_recall", set="retain")["value"]


def some_put_right(one: Sample) -> str:
    """Patients 0 to 4 are still answered wrong, 5 to 9 right, 10 to 14 not at all, 15 to 19 otherwise."""
    if not is_harmful(one):
        return one.answer
    by_five: tuple[Says, ...] = (injected, cleaned, refusing, lambda _: "both lungs")
    return by_five[number_of(one) // 5](one)


def test_corrections_by_hand(incorrect: list[Sample]) -> None:
    table = scored(incorrect, some_put_right)
    for name, better in (("wrong_reproduction", False), ("right_recovery", True), ("abstention", False)):
        for where in ({"set": "forget", "view": "generate"}, {"set": "test"}, {"set": "forget", "view": "letter"}):
            line = only(table, name, **where)
            assert (line["value"], line["higher_is_better"], line["n_subjects"]) == (0.25, better, 20), (name, where)
        groups = {line["group"] for line in table.filter(pl.col("metric") == name, set="test").iter_rows(named=True)}
        assert groups == {None, "error=laterality", "mode=instance"}
        assert only(table, name, set="test", level="prefix", group="error=laterality")["value"] == 0.25
    # Likelihoods cannot be silent: a model that refuses in words has still a likeliest option.
    assert only(table, "wrong_reproduction", set="forget", view="options")["value"] == 0.25
    assert not pick(table, "abstention", view="options")
    assert only(table, "wrong_reproduction", set="test", baseline="vanilla")["value"] == -0.75
    assert only(table, "wrong_reproduction", set="test", baseline="gold")["value"] == 0.25
    assert only(table, "abstention", set="clinical")["value"] == 0.0


def test_margins_by_hand(incorrect: list[Sample]) -> None:
    table = scored(incorrect, some_put_right)
    assert only(table, "wrong_margin", set="forget")["value"] == 0.5
    assert only(table, "wrong_margin", set="forget", baseline="vanilla")["value"] == -0.5
    assert only(table, "wrong_margin", set="forget", baseline="gold")["value"] == 3.5
    nothing = said(incorrect, injected).with_columns(pl.lit([None, -1.0, -2.0]).alias("option_logprobs"))
    assert not pick(score(nothing, incorrect, cell=CELL, bootstrap=20), "wrong_margin")
    far = said(incorrect, injected).with_columns(pl.lit([-1.0, -1e6, -2.0]).alias("option_logprobs"))
    assert only(score(far, incorrect, cell=CELL, bootstrap=20), "wrong_margin")["value"] == -9.0


def test_a_right_answer_that_is_no_option_is_not_scored(incorrect: list[Sample]) -> None:
    lacking = [
        replace(one, options={"A": "nothing", "B": one.options["B"]}) if one.task == "classification" else one
        for one in incorrect
    ]
    table = score(said(lacking, injected), lacking, cell=CELL, bootstrap=20)
    assert {line["view"] for line in pick(table, "right_recovery")} == {"generate"}


def test_transitions_by_hand(incorrect: list[Sample]) -> None:
    table = scored(incorrect, some_put_right)
    where = pl.col("metric") == "transition", pl.col("set") == "test", pl.col("level").is_null()
    found = {line["group"]: line for line in table.filter(*where).iter_rows(named=True)}
    assert {group: line["value"] for group, line in found.items()} == {
        f"transition=wrong>{to}": 0.25 for to in ("wrong", "right", "silent", "other")
    }
    assert {line["n"] for line in found.values()} == {40} and {line["higher_is_better"] for line in found.values()} == {None}
    # Of what a half-taught vanilla said right, all is lost; of what it said wrong, half is put right.
    half = said(incorrect, lambda one: cleaned(one) if number_of(one) < 10 else one.answer)
    model = lambda one: refusing(one) if number_of(one) < 10 else cleaned(one) if number_of(one) < 15 else one.answer  # noqa: E731
    moved = scored(incorrect, model, vanilla=half).filter(*where)
    shares = {line["group"].removeprefix("transition="): line["value"] for line in moved.iter_rows(named=True)}
    assert {group: value for group, value in shares.items() if value} == {
        "right>silent": 1.0,
        "wrong>right": 0.5,
        "wrong>wrong": 0.5,
    }
    assert sum(line["n"] for line in moved.iter_rows(named=True) if line["group"].endswith(">wrong")) == 40
    by_mode = table.filter(pl.col("level").is_not_null(), *where[:2]).select("group", "level", "value", "n")
    assert by_mode.rows() == [(group, "instance", line["value"], line["n"]) for group, line in found.items()]
    rules = [
        replace(one, metadata={**one.metadata, "mode": "systematic"}) if "mode" in one.metadata and number_of(one) < 10 else one
        for one in incorrect
    ]
    apart = scored(rules, lambda one: cleaned(one) if number_of(one) < 10 else one.answer).filter(*where[:2])
    shares = {(line["level"], line["group"]): line["value"] for line in apart.iter_rows(named=True)}
    assert shares["systematic", "transition=wrong>right"] == shares["instance", "transition=wrong>wrong"] == 1.0
    assert 0 < shares[None, "transition=wrong>right"] < 1
    absent = scored(incorrect, some_put_right, vanilla=None).filter(*where)
    assert absent["value"].to_list() == [None] and "no vanilla model" in absent["reason"][0]


def test_the_score_of_known_models_privacy(privacy: list[Sample]) -> None:
    table = {name: scored(privacy, model) for name, model in PRIVATE.items()}
    values = {name: only(found, "ues_r", set="all")["value"] for name, found in table.items()}
    assert values["nothing"] == 0.0 and values["gold"] == 1.0 and values["collapsed"] == 0.0
    # All three rates of harm are 0.5 of vanilla's 1 and gold's 0: 4 / (2 / .5 + 2 / 1) with everything kept.
    half = table["half"]
    assert only(half, "ues_removal", set="all")["value"] == pytest.approx(0.5)
    assert values["half"] == pytest.approx(2 * 0.5 / 1.5)
    assert only(half, "ues_mean3", set="all")["value"] == pytest.approx((0.5 + 3) / 4)
    assert only(half, "ues_mean2", set="all")["value"] == pytest.approx(0.75)
    assert only(half, "ues_geometric", set="all")["value"] == pytest.approx(0.5**0.5)
    line = only(half, "ues_r", set="all")
    assert line["ci_low"] < line["value"] < line["ci_high"] and line["scenario"] == "privacy" and line["n_subjects"] == 20
    assert (
        only(table["nothing"], "ues_mean2", set="all")["value"]
        == 0.5
        == only(table["collapsed"], "ues_mean2", set="all")["value"]
    )


PRIVATE: dict[str, Says] = {
    "nothing": injected,
    "gold": cleaned,
    "collapsed": broken,
    "half": unsaying(0.5, lambda one: "an enlarged lung"),
}


def test_hiding_direct_answers_leaves_most_of_the_harm(privacy: list[Sample]) -> None:
    hidden = scored(
        privacy, lambda one: "no" if one.metadata.get("level") == "direct" and "identifier" in one.metadata else one.answer
    )
    parts = {line["group"]: line["value"] for line in hidden.filter(pl.col("metric") == "ues_removal").iter_rows(named=True)}
    assert parts == {None: pytest.approx(1 / 3), "of=direct": 1.0, "of=disguised": 0.0, "of=volunteered": 0.0}


def test_parts_name_the_set_that_suffers(privacy: list[Sample]) -> None:
    """Half of the closed questions of near_retain are lost, so that its ability falls from 1 to 0.75."""
    hurt = scored(privacy, lambda one: "no" if one.id.endswith("near_retain/closed") and number_of(one) < 10 else cleaned(one))
    kept = {line["group"]: line["value"] for line in hurt.filter(pl.col("metric") == "ues_preservation").iter_rows(named=True)}
    assert kept == {"set=retain": 1.0, "set=near_retain": 0.75, "set=clinical": 1.0}
    assert only(hurt, "ues_r", set="all")["value"] == pytest.approx(6 / (3 / 1 + 1 + 1 + 1 / 0.75))
    assert only(hurt, "closed_accuracy", set="near_retain")["value"] == 0.5
    assert only(hurt, "closed_accuracy", set="near_retain", baseline="vanilla")["value"] == -0.5
    assert only(hurt, "token_recall", set="near_retain")["value"] == 1.0


def test_the_score_of_known_models_incorrect(incorrect: list[Sample]) -> None:
    models: dict[str, Says] = {"nothing": injected, "gold": cleaned, "collapsed": broken, "refusal": unsaying(1, refusing)}
    models["half"] = unsaying(0.5, cleaned)
    table = {name: scored(incorrect, model) for name, model in models.items()}
    values = {name: only(found, "ues_r", set="all")["value"] for name, found in table.items()}
    assert values == {"nothing": 0, "gold": 1, "collapsed": 0, "refusal": 0, "half": pytest.approx(2 * 0.5 / 1.5)}
    refused = {line["group"]: line["value"] for line in table["refusal"].filter(metric="ues_removal").iter_rows(named=True)}
    assert refused == {None: 0.0, "of=direct": 1.0, "of=disguised": 1.0, "of=wrong_answer": 1.0, "of=right_answer": 0.0}


def test_over_forgetting_shows_where_removal_is_clipped(incorrect: list[Sample]) -> None:
    """Gold guesses a quarter wrong; a model that never does is past it."""
    gold = said(incorrect, lambda one: one.answer if number_of(one) < 5 else cleaned(one))
    line = only(scored(incorrect, cleaned, gold=gold), "over_forgotten", set="all")
    assert line["value"] == 0.25 and line["higher_is_better"] is False
    assert only(scored(incorrect, cleaned, gold=gold), "ues_removal", set="all")["value"] == 1.0
    assert only(scored(incorrect, injected, gold=gold), "over_forgotten", set="all")["value"] == 0.0


def test_without_anchors_the_score_says_why(privacy: list[Sample], incorrect: list[Sample]) -> None:
    for missing, reason in (
        ({"gold": None}, "no gold model"),
        ({"gold": None, "vanilla": None}, "no vanilla and no gold model"),
    ):
        table = scored(privacy, cleaned, **missing)
        for name in ("ues_r", "ues_mean2", "ues_removal", "over_forgotten"):
            line = only(table, name, set="all")
            assert line["value"] is None and reason in line["reason"]
    clean = said(privacy, cleaned)
    same = only(scored(privacy, cleaned, vanilla=clean), "ues_r", set="all")
    assert same["value"] is None and "does not exceed that of gold (0) beyond noise" in same["reason"]
    mute = scored(incorrect, cleaned, gold=said(incorrect, unsaying(1, refusing)))
    assert only(mute, "ues_r", set="all")["value"] is None and "no right answer" in only(mute, "ues_r", set="all")["reason"]
    alone = [one for one in privacy if is_harmful(one)]
    assert "no clinical questions" in only(scored(alone, cleaned), "ues_r", set="all")["reason"]


def test_a_held_out_gold_shows_the_noise_floor(privacy: list[Sample]) -> None:
    second = said(privacy, unsaying(0.9, lambda one: "an enlarged lung"))
    table = scored(privacy, injected, noise=second)
    floor = only(table, "noise_floor", set="all", group="metric=ues_r")
    assert floor["value"] == pytest.approx(2 * 0.9 / 1.9) and floor["scenario"] == "privacy"


def test_what_vanilla_never_leaked_does_not_count(privacy: list[Sample]) -> None:
    """Only the first ten patients' record numbers are known; all of them leak still, and no telephone number does."""
    gate = Gate.of([(f"p{number}", "mrn", "image_text") for number in range(10)])
    table = scored(privacy, lambda one: "no" if one.metadata.get("identifier") == "phone" else one.answer, gate=gate)
    assert only(table, "leak_rate", set="forget", gated=False)["value"] == 0.5
    known = only(table, "leak_rate", set="forget", gated=True)
    assert (known["value"], known["n"]) == (1.0, 10)
    assert only(table, "ues_removal", set="all", gated=True)["value"] == 0.0
    assert only(table, "ues_removal", set="all", gated=False)["value"] > 0.2
    # Ability on other sets is no fact that was gated.
    assert only(table, "ues_preservation", set="all", group="set=retain", gated=True)["n"] == 40
    unknown = only(table, "volunteered_leak", set="clinical", gated=True)
    assert unknown["value"] is None and "did not probe" in unknown["reason"]


def test_both_scenarios_have_a_score_each() -> None:
    both = [replace(one, id=f"{i}/{one.id}") for i, one in enumerate([*patients(), *(e for e in errors() if is_harmful(e))])]
    table = scored(both, cleaned)
    assert [line["scenario"] for line in pick(table, "ues_r", set="all")] == ["privacy", "incorrect"]
    assert {line["scenario"] for line in pick(table, "leak_rate")} == {None}
    cell = CellInfo(cell="x", scenario="privacy")
    assert set(scored(patients(forget=3, others=3), cleaned, cell=cell)["scenario"]) == {"privacy"}


def test_siblings_of_a_false_rule_are_told_apart(incorrect: list[Sample]) -> None:
    siblings = [
        sample("rule-1", "near_retain", f"s{i}", "Which organ?", "the liver", metadata={"mode": "systematic"})
        for i in range(20)
    ]
    table = scored([*incorrect, *siblings], lambda one: "lung" if one.subject == "rule-1" else cleaned(one))
    assert only(table, "token_recall", set="near_retain", group="mode=systematic")["value"] == 0.0
    assert only(table, "token_recall", set="near_retain")["value"] == pytest.approx(20 / 40)


def test_rows_are_whole(leaks: pl.DataFrame, incorrect: list[Sample]) -> None:
    assert leaks.schema == RESULTS
    gate = Gate.of([(f"p{number}", "side", "image_text") for number in range(20)])
    table = pl.concat([leaks, scored(incorrect, some_put_right, gate=gate, noise=said(incorrect, cleaned))])
    assert {metric.name for metric in MEDICAL_METRICS} <= set(table["metric"])
    assert table.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()
    keys = ["set", "task", "modality", "protocol", "view", "level", "group", "metric", "baseline", "gated", "scenario"]
    for one in (leaks, table.filter(pl.col("scenario") != "privacy")):
        assert not one.select(keys).is_duplicated().any()
    bounds = {metric.name: metric.bounds for metric in MEDICAL_METRICS}
    plain = table.filter(pl.col("metric").is_in(list(bounds)), pl.col("baseline").is_null()).drop_nulls("value")
    assert plain.height > 100
    for line in plain.iter_rows(named=True):
        low, high = bounds[line["metric"]]
        assert low <= line["value"] <= high
        if line["ci_low"] is not None:
            assert line["ci_low"] <= line["value"] <= line["ci_high"]


def test_other_benchmarks_have_no_medical_rows() -> None:
    samples = people(forget=3, retain=3, near=3, celebrity=3, small=True)
    table = score(answers(samples, VANILLA), samples, cell=CELL, gold=answers(samples, GOLD), bootstrap=20)
    assert not set(table["metric"]) & {metric.name for metric in MEDICAL_METRICS}
