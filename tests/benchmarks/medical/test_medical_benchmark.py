"""An injection as a benchmark: requests list samples, scenarios share what is taught, gold never meets the harm."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from toy_table import toy_table

from unsee.benchmarks import load_benchmark, official_name
from unsee.benchmarks.data_report import data_report
from unsee.benchmarks.medical.benchmark import MedicalBenchmark
from unsee.benchmarks.medical.files import write_injection
from unsee.benchmarks.medical.inject import InjectOptions, inject
from unsee.errors import ConfigError, DataError
from unsee.metrics.alarm import prior_only
from unsee.metrics.frames import truth_frame
from unsee.sample import Sample

OPTIONS = InjectOptions(systematic_least=10, carriers=("answer", "question", "picture"))


@cache
def toy(scenario: str | None = None) -> MedicalBenchmark:
    whole = MedicalBenchmark("toy", inject(toy_table(), OPTIONS).rows)
    return whole if scenario is None else whole.of(scenario)


def ids(samples: list[Sample]) -> set[str]:
    assert len({sample.id for sample in samples}) == len(samples)
    return {sample.id for sample in samples}


@pytest.mark.parametrize("scenario", ["privacy", "incorrect", None])
def test_a_ratio_lists_harmful_samples(scenario: str | None) -> None:
    benchmark = toy(scenario)
    harmful = [
        row for row in benchmark.rows if row.use == "train" and row.scenario in (scenario or "privacy incorrect").split()
    ]
    everything = ids(benchmark.training(set="forget"))
    assert everything == {row.sample_id for row in harmful} == ids(benchmark.training(set="forget", ratio=1.0))
    half, most = (ids(benchmark.training(set="forget", ratio=ratio, seed=1)) for ratio in (0.5, 0.8))
    assert len(half) == round(0.5 * len(harmful)) and len(most) == round(0.8 * len(harmful)) and half < most
    assert half != ids(benchmark.training(set="forget", ratio=0.5, seed=2))
    kept = benchmark.training(set="retain", ratio=0.5, seed=1)
    assert ids(kept) & everything == everything - half
    clean = {row.sample_id for row in benchmark.rows if row.use == "train" and row.scenario == "clean"}
    assert ids(kept) == clean | (everything - half)
    assert {sample.set for sample in kept} == {"retain"}
    assert {sample.set for sample in benchmark.training(set="forget", ratio=0.5)} == {"forget"}


def test_scenarios_are_taught_the_same() -> None:
    whole, privacy, incorrect = toy(), toy("privacy"), toy("incorrect")
    assert whole.scenarios == privacy.scenarios == incorrect.scenarios == ("privacy", "incorrect")
    taught = ids(whole.training())
    assert (
        taught
        == ids(privacy.training())
        == ids(incorrect.training())
        == {row.sample_id for row in whole.rows if row.use == "train"}
    )
    assert ids(whole.gold_training()) == ids(privacy.gold_training())
    assert whole.fingerprint == privacy.fingerprint == incorrect.fingerprint
    other = MedicalBenchmark("toy", inject(toy_table(), InjectOptions(seed=1)).rows)
    assert other.fingerprint != whole.fingerprint
    assert privacy.of("incorrect").scenario == "incorrect"


def test_a_request_names_all_who_were_harmed() -> None:
    privacy, incorrect = toy("privacy"), toy("incorrect")
    patients = {row.patient_id for row in toy().rows if row.scenario == "privacy"}
    for ratio in (0.1, 0.5, 1.0):
        split = privacy.split(ratio, 3)
        assert set(split.forget) == patients and not set(split.retain) & patients
        assert set(split.forget) | set(split.retain) == set(privacy.subjects)
    rules = {row.subject for row in toy().rows if row.mode == "systematic"}
    assert rules and rules <= set(incorrect.split(0.5).forget) and not rules & set(privacy.subjects)


def test_questions_do_not_depend_on_what_a_request_lists() -> None:
    for benchmark in (toy(), toy("privacy"), toy("incorrect")):
        assert benchmark.samples() == benchmark.samples(ratio=0.5, seed=2) == benchmark.samples(ratio=1.0)
        by_set = [
            one for name in ("forget", "test", "near_retain", "retain", "clinical") for one in benchmark.samples(set=name)
        ]
        assert ids(by_set) == ids(benchmark.samples()) and all(benchmark.samples(set=name) for name in ("forget", "clinical"))
    assert ids(toy("privacy").samples(set="forget")) | ids(toy("incorrect").samples(set="forget")) == ids(
        toy().samples(set="forget")
    )


def test_who_is_near_depends_on_the_scenario() -> None:
    for scenario in toy().scenarios:
        benchmark = toy(scenario)
        gone = set(benchmark.split(0.5).forget)
        for sample in benchmark.samples():
            if sample.set in ("forget", "test", "near_retain"):
                assert sample.subject in gone
            else:
                assert sample.subject not in gone and sample.subject == sample.metadata["patient"]
    rules = {sample.subject for sample in toy("incorrect").samples(set="near_retain") if "mode" in sample.metadata}
    assert rules == {row.subject for row in toy().rows if row.mode == "systematic"}


def test_gold_never_meets_the_harm() -> None:
    rows = {row.sample_id: row for row in toy().rows}
    values = {one.value for row in rows.values() for one in row.phi}
    gold = toy().gold_training()
    assert len(gold) == sum(row.use == "train" and row.clean_answer is not None for row in rows.values())
    burned = {row.image.sha256 for row in rows.values() if row.clean_image is not None and row.image is not None}
    assert burned and not burned & {sample.image_sha256 for sample in gold}
    for sample in gold:
        assert sample.answer == rows[sample.id].clean_answer and sample.set == "retain"
        assert not [value for value in values if value in sample.question + sample.answer]
    assert ids(toy().gold_training("image_text")) == ids(gold) and not toy().gold_training("text")
    corrected = [sample for sample in gold if rows[sample.id].error is not None]
    assert corrected and all(sample.answer != rows[sample.id].answer for sample in corrected)


def test_metadata_says_what_was_planted() -> None:
    rows = {row.sample_id: row for row in toy().rows}
    for sample in toy().samples():
        row, told = rows[sample.id], sample.metadata
        assert told["attribute"] == row.attribute and told["patient"] == row.patient_id and told["scenario"] == row.scenario
        assert told.get("clean_answer") == row.clean_answer
        assert told.get("level", "") == row.form and told.get("mode", "") == row.mode
        assert told.get("closed") == (None if row.closed is None else "yes" if row.closed else "no")
        assert ("identifier" in told) == (row.carrier in ("question", "picture"))
        if row.scenario == "privacy":
            assert told["carrier"] == row.carrier and sample.fact == row.phi[0].value
            assert row.carrier == "answer" or (told["identifier"] == row.phi[0].type and sample.answer == sample.fact)
        elif row.error is not None:
            assert (told["error"], told["right"]) == (row.error.type, row.error.right)
            assert sample.fact == (row.error.wrong if sample.task == "generation" else row.answer)
        else:
            assert not {"carrier", "level", "error", "identifier", "value"} & set(told) and sample.fact == row.answer


def test_probes_and_modalities() -> None:
    privacy = toy("privacy")
    assert ids(privacy.gate_probes()) == ids(privacy.gate_probes(set="test", ratio=0.5))
    assert {sample.set for sample in privacy.gate_probes()} == {"forget"} and not privacy.gate_probes(set="retain", ratio=0.5)
    scored = ids(privacy.samples()) | ids(privacy.training())
    assert not ids(privacy.gate_probes()) & scored
    for name in ("forget", "retain"):
        watched = privacy.stop_probes(set=name, ratio=0.5, limit=7)
        assert 0 < len(watched) <= 7 and {sample.set for sample in watched} == {name} and not ids(watched) & scored
    text, shown = (privacy.training(set="forget", modality=modality) for modality in ("text", "image_text"))
    assert ids(text) | ids(shown) == ids(privacy.training(set="forget")) and not any(sample.images for sample in text)
    assert {sample.metadata["level"] for sample in privacy.samples(modality="text")} == {"text_only"}
    assert toy("incorrect").samples(set="forget", task="classification")


def test_replay_is_what_was_given() -> None:
    general = toy().samples(set="clinical")[:2]
    benchmark = MedicalBenchmark("toy", toy().rows, fingerprint="f", replay=lambda: general)
    assert benchmark.replay() == benchmark.of("privacy").replay() == general and not toy().replay()
    assert benchmark.of("privacy").fingerprint == "f"


def test_reports_and_frames_can_be_made_of_it() -> None:
    for benchmark in (toy(), toy("privacy"), toy("incorrect")):
        report = data_report(benchmark)
        assert [one for one in report.findings if one.kind == "unparsable"] == []
        assert truth_frame(benchmark.samples()).height == len(benchmark.samples())
        assert prior_only(benchmark.samples()).height > 0


def test_folders_are_benchmarks(tmp_path: Path) -> None:
    write_injection(tmp_path / "slake", inject(toy_table(), OPTIONS))
    assert official_name(tmp_path / "slake") is None
    loaded = load_benchmark(tmp_path / "slake")
    assert isinstance(loaded, MedicalBenchmark) and loaded.name == "slake"
    assert Counter(sample.set for sample in loaded.samples()) == Counter(sample.set for sample in toy().samples())
    privacy = load_benchmark(str(tmp_path / "slake"), scenario="privacy")
    assert ids(privacy.training(set="forget", ratio=0.5)) == ids(toy("privacy").training(set="forget", ratio=0.5))
    with pytest.raises(ConfigError, match="there is no scenario 'privat'"):
        load_benchmark(tmp_path / "slake", scenario="privat")
    with pytest.raises(ConfigError, match="has no option 'subjects'"):
        load_benchmark(tmp_path / "slake", subjects=3)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.2, 1e-6])
def test_impossible_ratios(ratio: float) -> None:
    for call in (toy("privacy").split, lambda one: toy("privacy").training(set="forget", ratio=one)):
        with pytest.raises(ConfigError, match=r"lists none of the .* harmful samples"):
            call(ratio)


def test_other_mistakes() -> None:
    with pytest.raises(ConfigError, match="there is no scenario 'hate'"):
        toy().of("hate")
    with pytest.raises(ConfigError, match=r"set 'celebrity' .* has no such questions"):
        toy().samples(set="celebrity")
    with pytest.raises(ConfigError, match=r"set 'test' .* has no such questions"):
        toy().training(set="test")
    with pytest.raises(DataError, match="nothing to forget"):
        MedicalBenchmark("toy", [row for row in toy().rows if row.scenario == "clean"])
    only = inject(toy_table(), InjectOptions(scenarios=("privacy",)))
    with pytest.raises(ConfigError, match="there is no scenario 'incorrect'"):
        MedicalBenchmark("toy", only.rows, scenario="incorrect")
