"""The results table as a whole."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unsee.errors import DataError
from unsee.metrics import ALL_METRICS, METRICS, CellInfo, Gate, score
from unsee.metrics.edit_scores import EDIT_SCORES
from unsee.metrics.medical import MEDICAL_METRICS
from unsee.sample import Sample
from unsee.schemas import RECORDS, RESULTS

from .record_factory import GOLD, VANILLA, answers, forgot, people, row

CELL = CellInfo(cell="ga-0.05", benchmark="toy", method="ga", forget_ratio=0.05, seed=3)
BOUNDS = {metric.name: metric.bounds for metric in ALL_METRICS}


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return people(forget=20, retain=25, near=20, celebrity=20, seed=5, small=True)


@pytest.fixture(scope="module")
def gate(samples: list[Sample]) -> Gate:
    facts = {(s.subject, str(s.metadata["attribute"]), s.modality) for s in samples if s.set == "forget"}
    return Gate.of(sorted(facts)[::3])


@pytest.fixture(scope="module")
def result(samples: list[Sample], gate: Gate) -> pl.DataFrame:
    return score(
        answers(samples, forgot(0.5), seed=3),
        samples,
        cell=CELL,
        vanilla=answers(samples, VANILLA, seed=1),
        gold=answers(samples, GOLD, seed=2),
        noise=answers(samples, GOLD, seed=4),
        gate=gate,
        bootstrap=200,
    )


def pick(result: pl.DataFrame, **where: object) -> pl.DataFrame:
    for name, value in where.items():
        result = result.filter(pl.col(name).is_null() if value is None else pl.col(name) == value)
    return result


def test_schema_and_cell_columns(result: pl.DataFrame) -> None:
    assert result.schema == RESULTS
    assert set(result["cell"]) == {"ga-0.05"} and set(result["seed"]) == {3} and set(result["model"]) == {None}


def test_no_value_without_a_number_or_a_reason(result: pl.DataFrame) -> None:
    silent = result.filter(pl.col("value").is_null() & pl.col("reason").is_null())
    assert silent.is_empty()
    assert result.filter(pl.col("value").is_not_null() & ~pl.col("value").is_finite()).is_empty()


def test_every_metric_has_a_row_and_every_row_a_metric(result: pl.DataFrame) -> None:
    known = {metric.name for metric in ALL_METRICS}
    assert set(result["metric"]) <= known
    elsewhere = {metric for metric in known if metric.startswith(("judge_", "attack_"))}
    elsewhere |= {info.name for info in (*EDIT_SCORES, *MEDICAL_METRICS)}
    told = "raised in gold's cell; from judgements, attacks, edits and medical benchmarks"
    assert known - set(result["metric"]) == {"contamination_alarm"} | elsewhere, told
    assert result["metric_version"].null_count() == 0


def test_rows_are_unique(result: pl.DataFrame) -> None:
    keys = ["set", "task", "modality", "protocol", "view", "level", "group", "metric", "baseline", "gated"]
    assert not result.select(keys).is_duplicated().any()


def test_plain_values_stay_in_bounds_and_in_their_intervals(result: pl.DataFrame) -> None:
    for line in result.filter(pl.col("value").is_not_null() & pl.col("baseline").is_null()).iter_rows(named=True):
        low, high = BOUNDS[line["metric"]]
        assert low - 1e-9 <= line["value"] <= high + 1e-9, line
        if line["ci_low"] is not None:
            assert line["ci_low"] - 1e-9 <= line["ci_high"], line


def test_accuracy_equals_the_count_by_hand(samples: list[Sample], result: pl.DataFrame) -> None:
    records = answers(samples, forgot(0.5), seed=3)
    right = {s.id: s.correct_option for s in samples}
    asked = records.filter((pl.col("view") == "options") & (pl.col("set") == "retain") & (pl.col("modality") == "text"))
    by_hand = [right[i] == parsed for i, parsed in asked.select("sample_id", "parsed").iter_rows()]
    line = pick(
        result,
        metric="accuracy",
        view="options",
        set="retain",
        modality="text",
        group=None,
        baseline=None,
        gated=False,
    ).row(0, named=True)
    assert line["value"] == pytest.approx(sum(by_hand) / len(by_hand)) and line["n"] == len(by_hand) == 25


def test_differences_are_paired(result: pl.DataFrame) -> None:
    where = {"set": "forget", "task": "cloze", "modality": "text", "metric": "cloze_accuracy", "group": None, "gated": False}
    plain = pick(result, **where, baseline=None)["value"][0]
    difference = pick(result, **where, baseline="vanilla").row(0, named=True)
    assert difference["value"] < 0 < plain
    assert difference["ci_low"] <= difference["value"] <= difference["ci_high"]


def test_a_model_does_not_differ_from_itself(samples: list[Sample]) -> None:
    records = answers(samples, VANILLA, seed=1)
    same = score(records, samples, cell=CELL, vanilla=records, gold=records, bootstrap=50)
    differences = same.filter(pl.col("baseline").is_not_null())
    assert differences.height > 0
    assert differences.select(pl.col("value", "ci_low", "ci_high").abs().max()).row(0) == (0.0, 0.0, 0.0)
    assert same.filter(pl.col("metric") == "distance_to_gold")["value"].max() == 0.0


def test_directions_depend_on_the_set(result: pl.DataFrame) -> None:
    def direction(**where: object) -> set[bool | None]:
        return set(pick(result, **where)["higher_is_better"])

    assert direction(metric="accuracy", set="forget", baseline=None) == {False}
    assert direction(metric="accuracy", set="retain", baseline=None) == {True}
    assert direction(metric="truth_ratio", set="forget", baseline=None) == {True}
    assert direction(metric="truth_ratio", set="retain", baseline=None) == {False}
    assert direction(metric="accuracy", set="forget", baseline="gold") == {None}, "gold is a target, not a bound"
    assert direction(metric="distance_to_gold") == {False} and direction(metric="forget_quality") == {True}


def test_levels_relations_and_attributes_have_rows(result: pl.DataFrame) -> None:
    levels = pick(result, set="test", metric="accuracy", gated=False)["level"]
    assert {"near"} <= set(levels)
    groups = set(result["group"].drop_nulls())
    assert {"relation=look_alike", "relation=namesake", "attribute=job"} <= groups


def test_gated_rows_count_gated_facts_only(samples: list[Sample], result: pl.DataFrame, gate: Gate) -> None:
    where = {"set": "forget", "task": "classification", "modality": "text", "view": "options", "metric": "accuracy"}
    n = {flag: pick(result, **where, group=None, baseline=None, gated=flag)["n"][0] for flag in (False, True)}
    facts = {tuple(fact) for fact in gate.facts.select("subject", "attribute", "modality").iter_rows()}
    asked = [s for s in samples if (s.set, s.task, s.modality) == ("forget", "classification", "text")]
    assert n[False] == len(asked)
    assert n[True] == sum((s.subject, s.metadata["attribute"], s.modality) in facts for s in asked) < n[False]
    unprobed = pick(result, set="celebrity", metric="accuracy", gated=True)
    assert unprobed["value"].null_count() == unprobed.height > 0
    assert all("did not probe" in reason for reason in unprobed["reason"])
    assert pick(result, metric="gate_n_scored")["value"].sum() == len(facts)


def test_few_subjects_are_marked_and_keep_their_value(samples: list[Sample]) -> None:
    few = [s for s in samples if s.set == "retain" and int(s.subject.rsplit("-", 1)[1]) < 19]
    table = score(answers(few, 0.9, seed=1), few, cell=CELL, bootstrap=50)
    marked = pick(table, metric="accuracy", group=None, baseline=None)
    assert marked.height and marked["value"].null_count() == 0
    assert set(marked["reason"]) == {"fewer than 20 subjects: no verdict"}
    enough = score(answers(samples, 0.9, seed=1), samples, cell=CELL, bootstrap=50)
    assert set(pick(enough, metric="accuracy", set="retain", group=None, baseline=None)["reason"]) == {None}


def test_an_absent_reference_is_shown_as_absent(samples: list[Sample]) -> None:
    table = score(answers(samples, 0.9, seed=1), samples, cell=CELL, bootstrap=20)
    for name in ("vanilla", "gold"):
        rows = pick(table, metric="accuracy", set="forget", baseline=name)
        assert rows.height and rows["value"].null_count() == rows.height and name in rows["reason"][0]
    assert "gold" in pick(table, metric="forget_quality")["reason"][0]


def test_one_seed_gives_one_table(samples: list[Sample]) -> None:
    records, vanilla = answers(samples, forgot(0.5), seed=3), answers(samples, VANILLA, seed=1)
    first = score(records, samples, cell=CELL, vanilla=vanilla, bootstrap=50)
    shuffled = score(records.sample(fraction=1.0, shuffle=True, seed=1), samples, cell=CELL, vanilla=vanilla, bootstrap=50)
    keys = ["set", "task", "modality", "view", "level", "group", "metric", "baseline"]
    assert_frame_equal(first, score(records, samples, cell=CELL, vanilla=vanilla, bootstrap=50))
    assert_frame_equal(first.sort(keys), shuffled.sort(keys), abs_tol=1e-12)
    other = score(records, samples, cell=CELL, vanilla=vanilla, bootstrap=50, seed=1)
    assert (other["value"] - first["value"]).abs().max() < 0.05 and not other.equals(first)


def test_a_collapsed_model_is_called_so(samples: list[Sample]) -> None:
    for manner in ("refuse", "always_a", "collapsed"):
        table = score(answers(samples, VANILLA, seed=1, manner=manner), samples, cell=CELL, bootstrap=20)  # type: ignore[arg-type]
        flag = pick(table, metric="collapsed").row(0, named=True)
        assert flag["value"] == 1.0 and "collapsed" in flag["reason"]
    sound = pick(score(answers(samples, VANILLA, seed=1), samples, cell=CELL, bootstrap=20), metric="collapsed")
    assert sound["value"][0] == 0.0


def test_unparsable_letters_are_wrong_and_counted_apart(samples: list[Sample]) -> None:
    table = score(answers(samples, VANILLA, seed=1, manner="refuse"), samples, cell=CELL, bootstrap=20)
    where = {"set": "retain", "task": "classification", "modality": "text", "view": "letter", "group": None, "baseline": None}
    assert pick(table, **where, metric="accuracy")["value"][0] == 0.0
    assert pick(table, **where, metric="unparsable_rate")["value"][0] == 1.0


def test_broken_numbers_do_not_leave_their_range(samples: list[Sample]) -> None:
    records = answers(samples, VANILLA, seed=1)
    for broken in (float("nan"), -float("inf"), -1e6):
        damaged = records.with_columns(
            pl.when(pl.col("answer_logprob_mean").is_not_null()).then(pl.lit(broken)).alias("answer_logprob_mean")
        )
        table = score(damaged, samples, cell=CELL, vanilla=records, gold=records, bootstrap=20)
        numbers = table["value"].drop_nulls()
        assert numbers.is_finite().all() and numbers.is_not_nan().all()
        probability = pick(table, metric="answer_probability", baseline=None, set="retain")["value"]
        assert probability.max() == 0.0


def test_likelihoods_are_counted_once_per_question(samples: list[Sample], result: pl.DataFrame) -> None:
    views = set(pick(result, metric="answer_probability", set="retain")["view"])
    assert views == {"options", "generate"}


def test_sets_come_from_the_samples(samples: list[Sample]) -> None:
    """One vanilla model is answered once and scored for several requests, whose sets differ."""
    records = answers(samples, VANILLA, seed=1)
    relabelled = records.with_columns(pl.lit("retain").alias("set"), pl.lit("nobody").alias("subject"))
    assert_frame_equal(score(records, samples, cell=CELL, bootstrap=20), score(relabelled, samples, cell=CELL, bootstrap=20))


def test_wrong_records_are_refused(samples: list[Sample]) -> None:
    records = answers(samples, VANILLA, seed=1)
    with pytest.raises(DataError, match="not among the samples"):
        score(records, samples[:5], cell=CELL)
    with pytest.raises(DataError, match="recorded twice"):
        score(pl.concat([records, records[:1]]), samples, cell=CELL)
    with pytest.raises(DataError, match="two samples have the id"):
        score(records, [*samples, samples[0]], cell=CELL)


def test_no_records_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(DataError, match="nothing to score"):
        score(pl.DataFrame(schema=RECORDS), samples, cell=CELL)


def test_without_likelihoods_forget_quality_says_why(samples: list[Sample]) -> None:
    nothing = [
        pl.lit(None, dtype=RECORDS["perturbed_logprobs"]).alias("perturbed_logprobs"),
        pl.lit(None, dtype=pl.Float64).alias("answer_logprob_mean"),
    ]
    records = answers(samples, VANILLA, seed=1).with_columns(nothing)
    table = score(records, samples, cell=CELL, gold=records, bootstrap=20)
    rows = pick(table, metric="forget_quality")
    assert set(rows["set"]) == {"forget", "test"} and all("truth ratios" in reason for reason in rows["reason"])
    assert table.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()


def test_protocols_stay_apart_and_strict_makes_the_scores(samples: list[Sample]) -> None:
    strict = answers(samples, VANILLA, seed=1)
    official = answers(samples, VANILLA, seed=1, manner="always_a").with_columns(pl.lit("official").alias("protocol"))
    both = pl.concat([strict, official])
    table = score(both, samples, cell=CELL, vanilla=both, gold=both, bootstrap=20)
    where = {"set": "retain", "modality": "text", "view": "letter", "metric": "accuracy", "group": None, "baseline": None}
    assert pick(table, **where, protocol="strict")["value"][0] > 0.8 > pick(table, **where, protocol="official")["value"][0]
    assert set(pick(table, metric="model_utility")["protocol"]) == {"strict"}


def test_missing_records_warn(samples: list[Sample]) -> None:
    with pytest.warns(UserWarning, match="have no record"):
        score(answers(samples[:40], VANILLA, seed=1), samples, cell=CELL, bootstrap=20)


def test_records_of_a_few_samples_are_enough(samples: list[Sample]) -> None:
    one = next(s for s in samples if s.task == "generation")
    records = pl.DataFrame([row(one, "generate", parsed=one.answer)], schema=RECORDS)
    table = score(records, [one], cell=CELL, bootstrap=20)
    assert pick(table, metric="rouge_l", group=None, baseline=None)["value"].to_list() == [1.0]
    assert table.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()


def test_names_are_unique_and_described() -> None:
    names = [metric.name for metric in ALL_METRICS]
    assert len(names) == len(set(names)) and all(metric.description for metric in ALL_METRICS)
    assert {metric.name for metric in METRICS} <= set(names)
