"""Harm woven into medical data sets, unlearned as `unsee run` does it: requests, gold, results, resume, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from medical_fixture import WRITERS
from run_fixtures import assert_one_line
from toy import random_model
from unsee import load_benchmark
from unsee.cli import main
from unsee.errors import ConfigError
from unsee.experiment import Experiment, parse_experiment, read_experiment
from unsee.learned_models import learned_names
from unsee.learning import taught
from unsee.report.answered import answers_of
from unsee.report.main_table import Scope
from unsee.report.run_data import read_run
from unsee.runs import Run, run
from unsee.sample_tables import read_samples

EXPERIMENT = """
name = "medical"
model = {model!r}
[benchmark]
path = {data!r}
[learn]
epochs = 1
golds = 1
replay = 0.0
[unlearn]
methods = ["ga", "correction"]
forget_ratios = [0.5]
lora = 2
[method.ga]
steps = 1
[method.correction]
steps = 1
"""


def injected(folder: Path, format: str) -> Path:
    """The fixture of a layout with harm woven in by the command."""
    WRITERS[format](folder / "files", more=12)
    out = folder / "injected"
    arguments = ["--format", format, "--data", str(folder / "files"), "--out", str(out), "--skip-invalid"]
    arguments += ["--i-have-the-right-to", "--identifiers", "name", "mrn", "--systematic-least", "4"]
    assert main(["data", "inject", *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("medical")
    random_model(layers=3).save(folder / "model")
    return folder


@pytest.fixture(scope="module")
def experiment(place: Path) -> Experiment:
    data = injected(place / "slake", "slake")
    file = place / "medical.toml"
    file.write_text(EXPERIMENT.format(model=str(place / "model"), data=str(data)))
    return read_experiment(file)


@pytest.fixture(scope="module")
def done(place: Path, experiment: Experiment, one_thread: None) -> Run:
    return run(experiment, out=place / "whole")


def test_what_an_injected_folder_presets(experiment: Experiment) -> None:
    assert experiment.unlearn.scenarios == ("privacy", "incorrect")
    assert experiment.unlearn.modalities == ("mixed",)
    wording = experiment.plan("prompt_guard").settings()["wording"]
    assert "{names}" not in wording
    of = {(cell.method, cell.scenario, cell.ratio) for cell in experiment.cells}
    assert ("ga", "privacy", 0.5) in of and ("correction", "incorrect", 0.5) in of
    # Nobody knows what a question for an identifier should have been answered with.
    assert not any(method == "correction" and scenario == "privacy" for method, scenario, _ in of)
    assert len({cell.id for cell in experiment.cells}) == len(experiment.cells)
    plain = parse_experiment({"benchmark": {"name": "patients"}})
    assert plain.unlearn.methods == ("ga", "graddiff", "kl", "idk", "llmu", "correction")
    assert plain.unlearn.forget_ratios == (1.0,)
    assert parse_experiment({"benchmark": {"name": "patients", "scenario": "privacy"}}).unlearn.scenarios == ("privacy",)
    assert parse_experiment({"benchmark": {"name": "people"}}).unlearn.scenarios == ()


def test_one_gold_serves_all_requests(experiment: Experiment) -> None:
    names = [one.name for one in learned_names(experiment, experiment.cells)]
    assert names == ["vanilla", "gold-100-s0"]


def test_gold_is_taught_the_clean_form_of_everything(experiment: Experiment) -> None:
    benchmark = load_benchmark(Path(str(experiment.benchmark.path)))
    everything, clean = taught(benchmark), taught(benchmark, ratio=0.5)
    harmful = [sample for sample in everything if sample.metadata["scenario"] != "clean"]
    assert harmful
    right = {sample.id: sample for sample in clean}
    assert not [sample for sample in clean if sample.metadata["scenario"] != "clean"]
    for sample in harmful:
        if "clean_answer" in sample.metadata:
            assert right[sample.id].answer == sample.metadata["clean_answer"] != sample.answer
        else:
            assert sample.id not in right
    assert {sample.id for sample in everything} - {sample.id for sample in harmful} <= right.keys()


def test_results_of_both_scenarios(done: Run, experiment: Experiment) -> None:
    assert done.failures == ()
    results = done.results
    assert set(results["scenario"].unique()) == {"privacy", "incorrect"}
    whole = results.filter(pl.all_horizontal(pl.col("group", "level", "baseline").is_null()))
    for scenario, metrics in {
        "privacy": {"leak_rate", "volunteered_leak", "ues_r", "closed_accuracy"},
        "incorrect": {"wrong_reproduction", "right_recovery", "abstention", "ues_r"},
    }.items():
        for cell in experiment.cells:
            found = set(whole.filter(cell=cell.id)["metric"]) if cell.scenario == scenario else metrics
            assert metrics <= found, (cell.id, metrics - found)
    clinical = whole.filter(metric="token_recall", set="clinical")["n_subjects"]
    assert clinical.len() and clinical.min() > 0  # type: ignore[operator]
    same = ("set", "metric", "group", "level", "baseline", "modality", "protocol", "view", "value")
    pairs: dict[Any, dict[str, pl.DataFrame]] = {}
    for cell in experiment.cells:
        if cell.method in ("vanilla", "do_nothing"):
            rows = results.filter(pl.col("baseline").is_null(), cell=cell.id).select(same).sort(same[:-1])
            pairs.setdefault(cell.request, {})[cell.method] = rows
    for pair in pairs.values():
        assert_frame_equal(pair["vanilla"], pair["do_nothing"])


def test_an_incomplete_request_lists_a_part_of_the_harm(experiment: Experiment) -> None:
    benchmark = load_benchmark(Path(str(experiment.benchmark.path))).of("privacy")  # type: ignore[attr-defined]
    half, whole = ({s.id for s in benchmark.training(set="forget", ratio=ratio)} for ratio in (0.5, 1.0))
    assert half < whole and abs(2 * len(half) - len(whole)) <= 1
    kept = {sample.id for sample in benchmark.training(set="retain", ratio=0.5)}
    assert whole - half <= kept and not half & kept
    asked = [[s.id for s in benchmark.samples(ratio=ratio)] for ratio in (0.5, 1.0)]
    assert asked[0] == asked[1]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(place: Path, experiment: Experiment, done: Run, one_thread: None) -> None:
    only = [cell.id for cell in experiment.cells if cell.method == "ga" and cell.scenario == "privacy"]
    first = run(experiment, out=place / "parts", only=only)
    assert set(first.results["scenario"].unique()) == {"privacy"}
    second = run(experiment, out=place / "parts")
    assert_frame_equal(second.results, done.results)


def test_a_question_of_both_scenarios_is_shown_as_each_asked_it(done: Run, experiment: Experiment) -> None:
    benchmark = load_benchmark(Path(str(experiment.benchmark.path)))
    asked = {one: {s.id: s for s in benchmark.of(one).samples()} for one in benchmark.scenarios}  # type: ignore[attr-defined]
    shared = asked["privacy"].keys() & asked["incorrect"].keys()
    # A clean question about a patient is one about what lies next to a false rule in the other scenario.
    assert any(asked["privacy"][one].subject != asked["incorrect"][one].subject for one in shared)
    stored = read_samples(done.folder / "samples.parquet")
    for scenario, samples in asked.items():
        shown = answers_of(read_run(done.folder), stored, Scope(0.5, "mixed", scenario)).questions
        assert {one.sample.id for one in shown} == samples.keys()
        for one in shown:
            own = samples[one.sample.id]
            assert (one.set_name, one.subject) == (own.set, own.subject)


def test_the_study_reads_a_run(done: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "studies")
    import patients as study

    made = study.tables(study.Patients(done.folder))
    # A request of one ratio has nothing to be compared with; an untaught model knows no fact, so that shares are dashes.
    assert made.keys() == {"left-privacy", "left-incorrect", "costs", "weak", "hidden", "harder", "classes"}
    gold = len((done.folder / "models/gold-100-s0/train.jsonl").read_text().splitlines())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in made["costs"].splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["privacy", "50 %", "ga"],
        ["incorrect", "50 %", "ga"],
        ["incorrect", "50 %", "correction"],
    ]
    assert {row[4] for row in rows} == {f"{100 / gold:.2g} %"}


@pytest.mark.slow
@pytest.mark.parametrize("format", [name for name in WRITERS if name != "slake"])
def test_every_layout_runs(place: Path, format: str) -> None:
    data = injected(place / format, format)
    tables = {"learn": {"epochs": 1, "golds": 1, "replay": 0.0}, "unlearn": {"methods": ["ga"], "controls": [], "lora": 2}}
    tables |= {"method": {"ga": {"steps": 1}}, "benchmark": {"path": str(data)}}
    done = run(parse_experiment({"name": format, "model": str(place / "model"), **tables}), out=place / f"run-{format}")
    assert done.failures == ()
    assert done.results.filter(metric="ues_r").height


def test_scenarios_of_a_benchmark_without_any_are_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = str(place / "none")
    assert main(["run", "--benchmark", "people", "--set", 'unlearn.scenarios=["privacy"]', "--out", out]) == 2
    assert_one_line(capfd.readouterr().err, "benchmark people has no scenarios")
    with pytest.raises(ConfigError, match="did you mean 'privacy'"):
        load_benchmark("patients").of("privacies")  # type: ignore[attr-defined]
