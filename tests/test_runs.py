"""Runs: what lands in the folder, one experiment per folder, failures that cost one cell only; see also test_survival.py."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from run_fixtures import assert_same, contents
from unsee.cell_runner import CellRunner
from unsee.errors import ConfigError, DataError, TrainingError, UserError
from unsee.experiment import Experiment, chosen_cells, read_experiment
from unsee.files import StorageError, only_writer, storage_problem, write_bytes, write_folder
from unsee.methods.ga import GradientAscent
from unsee.progress import Display, duration
from unsee.run_folder import RunFolder
from unsee.run_plan import plan_run
from unsee.run_results import limited_retain, rescore, shortfalls
from unsee.runs import Run, run
from unsee.schemas import RECORDS, RESULTS


def test_a_run_leaves_what_the_contract_names(finished: Run, experiment: Experiment) -> None:
    folder = finished.folder
    for name in ("experiment.toml", "provenance.json", "results.parquet", "results.json", "report.html", "samples.parquet"):
        assert (folder / name).is_file(), name
    assert read_experiment(folder / "experiment.toml").hash == experiment.hash
    for cell in experiment.cells:
        home = folder / "cells" / cell.id
        assert (home / "DONE").is_file()
        assert pl.read_parquet_schema(home / "records.parquet") == RECORDS
        assert set(pl.read_parquet(home / "records.parquet")["cell"]) == {cell.id}
        expected = {"ga": "adapter", "npo": "adapter", "do_nothing": "adapter", "prompt_guard": "weights"}.get(cell.method)
        folders = {expected} if expected else set()
        folders |= set() if cell.method in ("do_nothing", "prompt_guard") else {"states"}
        assert {path.name for path in home.iterdir() if path.is_dir()} == folders
    models = {path.name for path in (folder / "models").iterdir()}
    assert models == {"vanilla", "gold-25-s0", "gold-25-s1000"}
    assert not [path for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    assert not list(folder.rglob(".*.part")) + list(folder.rglob("training"))
    done = {cell.method: json.loads((folder / "cells" / cell.id / "DONE").read_text()) for cell in experiment.cells}
    assert all(
        facts["tokens"] > 0 and facts["steps"] > 0 for method, facts in done.items() if method in ("vanilla", "gold", "ga")
    )
    assert done["do_nothing"]["tokens"] == done["do_nothing"]["steps"] == 0
    results = finished.results
    assert results.schema == RESULTS
    assert set(results["method"]) == {"vanilla", "gold", "do_nothing", "prompt_guard", "ga", "npo"}
    assert set(results.filter(pl.col("method") == "npo")["unlearn_modality"]) == {"mixed"}
    assert results.filter(pl.col("method") == "vanilla")["unlearn_modality"].null_count() > 0
    assert results.filter(pl.col("value").is_null())["reason"].null_count() == 0
    assert len(json.loads((folder / "results.json").read_text())) == results.height
    provenance = json.loads((folder / "provenance.json").read_text())
    assert {"versions", "hardware", "command", "seeds", "inputs", "started", "finished", "seconds"} <= provenance.keys()
    assert finished.report_path.read_text().startswith("<!")


def test_do_nothing_equals_vanilla(finished: Run, experiment: Experiment) -> None:
    home = {cell.method: finished.folder / "cells" / cell.id for cell in experiment.cells}
    nothing, vanilla = (pl.read_parquet(home[method] / "records.parquet").drop("cell") for method in ("do_nothing", "vanilla"))
    assert_frame_equal(nothing, vanilla, check_exact=True)


def test_gold_never_saw_the_forgotten(finished: Run, experiment: Experiment) -> None:
    from unsee.learning import taught
    from unsee.run_results import load_experiment_benchmark

    benchmark = load_experiment_benchmark(experiment)
    forget = set(benchmark.split(0.25, 0).forget)
    assert len(forget) == 2
    assert forget.isdisjoint(sample.subject for sample in taught(benchmark, ratio=0.25))
    assert forget <= {sample.subject for sample in taught(benchmark)}
    facts = json.loads((finished.folder / "models/gold-25-s0/learned.json").read_text())
    assert facts["training_questions"] == 6 * 4


def test_a_random_model_misses_the_gate(finished: Run) -> None:
    assert not finished.failures
    assert not finished.ok
    assert finished.shortfalls[0].startswith("vanilla answers ")


def test_a_finished_run_is_not_computed_again(finished: Run, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(CellRunner, "_compute", forbidden)
    monkeypatch.setattr("unsee.models.loading.load_model", forbidden)
    before = finished.results
    again = run(experiment, out=finished.folder)
    assert not again.failures
    assert_frame_equal(before, again.results, check_exact=True)
    assert_frame_equal(before, rescore(finished.folder), check_exact=True)


def test_another_experiment_is_refused_by_key(finished: Run, experiment: Experiment, place: Path) -> None:
    other = read_experiment(place / "small.toml", overrides=("npo.beta=0.7", "learn.epochs=9"))
    with pytest.raises(ConfigError, match=r"different: learn\.epochs, method\.npo\.beta"):
        run(other, out=finished.folder)
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(ConfigError, match=r"not empty and no run \(thesis\.txt\)"):
        run(experiment, out=place / "mine")


def test_changed_data_is_refused(finished: Run, experiment: Experiment, place: Path) -> None:
    file = place / "people8" / "replay.jsonl"
    before = file.read_text()
    file.write_text(before.replace("Oslo", "Lima"))
    try:
        with pytest.raises(ConfigError, match="begun with another benchmark"):
            run(experiment, out=finished.folder)
    finally:
        file.write_text(before)


def test_two_writers_are_refused(finished: Run, experiment: Experiment) -> None:
    with only_writer(finished.folder), pytest.raises(UserError, match="in use by another run"):
        run(experiment, out=finished.folder)


def test_wrong_input_leaves_no_folder(place: Path, experiment: Experiment) -> None:
    for change, message in (
        (replace(experiment, model=str(place / "people8")), "model folder"),
        (replace(experiment, unlearn=replace(experiment.unlearn, forget_ratios=(0.01,))), "selects 0 of 8 subjects"),
        (replace(experiment, benchmark=replace(experiment.benchmark, path=str(place / "nowhere"))), "no folder"),
    ):
        with pytest.raises(UserError, match=message):
            run(change, out=place / "never")
        assert not (place / "never").exists()


def test_only_keeps_the_results_of_other_cells(finished: Run, experiment: Experiment, place: Path) -> None:
    shutil.copytree(finished.folder, place / "partly")
    npo = next(cell for cell in experiment.cells if cell.method == "npo")
    (place / "partly" / "cells" / npo.id / "DONE").unlink()
    again = run(experiment, out=place / "partly", only=["npo-*"])
    assert_frame_equal(again.results, finished.results, check_exact=True)
    assert json.loads((place / "partly/provenance.json").read_text())["seconds"].keys() == {c.id for c in experiment.cells}


def test_a_cells_result_can_be_asked_again(finished: Run, experiment: Experiment) -> None:
    """The saved model of a cell, method included, says what the records say."""
    from unsee.answering import answer
    from unsee.models.loading import load_model
    from unsee.run_results import load_experiment_benchmark

    samples = load_experiment_benchmark(experiment).samples(ratio=0.25)
    for cell in experiment.cells:
        if cell.method not in ("prompt_guard", "npo"):
            continue
        home = finished.folder / "cells" / cell.id
        folder = home / ("weights" if cell.method == "prompt_guard" else "adapter")
        assert (folder / "method.json").exists() == (cell.method == "prompt_guard")
        table = experiment.answer
        asked: dict[str, Any] = {"protocols": table.protocols, "shots": table.shots, "truth_ratio": table.truth_ratio}
        again = answer(load_model(folder), samples, cell=cell.id, **asked)
        assert_frame_equal(again, pl.read_parquet(home / "records.parquet"), check_exact=True)


@pytest.mark.slow
def test_without_lora_the_weights_are_saved(place: Path) -> None:
    from unsee.models.loading import load_model

    whole = read_experiment(
        place / "small.toml",
        overrides=("unlearn.lora=none", "unlearn.methods=['ga']", "unlearn.controls=[]", "learn.golds=1", "learn.epochs=0"),
    )
    done = run(whole, out=place / "weights")
    assert not done.failures
    home = next(done.folder / "cells" / cell.id for cell in whole.cells if cell.method == "ga")
    assert {path.name for path in home.iterdir()} == {
        "DONE",
        "records.parquet",
        "shots.json",
        "states",
        "train.jsonl",
        "weights",
    }
    # Nothing is taught, so vanilla is the start model and no copy of it is kept.
    assert not list((done.folder / "models/vanilla").glob("*.safetensors"))
    taught = load_model(whole.model).network.state_dict()
    changed = load_model(home / "weights").network.state_dict()
    assert any(not taught[name].equal(weight) for name, weight in changed.items() if "language_model" in name)


@pytest.mark.parametrize(("alarms", "says"), [(0.0, False), (2.0, True)])
def test_the_contamination_alarm_fails_the_run(
    finished: Run, experiment: Experiment, tmp_path: Path, alarms: float, says: bool
) -> None:
    gold = next(cell for cell in experiment.cells if cell.method == "gold")
    row = {"cell": gold.id, "method": "gold", "set": "all", "metric": "contamination_alarm", "value": alarms}
    pl.DataFrame([{**dict.fromkeys(RESULTS), **row}], schema=RESULTS).write_parquet(tmp_path / "results.parquet")
    found = shortfalls(experiment, RunFolder(tmp_path), experiment.cells)
    assert bool(found) == says
    assert all("knows more about the forget subjects than can be guessed (2 alarms)" in line for line in found)
    assert Run(tmp_path, shortfalls=tuple(found)).ok != says


def test_gold_too_must_know_what_it_was_taught(experiment: Experiment, tmp_path: Path) -> None:
    for name, accuracy in (("vanilla", 0.96), ("gold-25-s0", 0.5), ("gold-25-s1000", 0.97)):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "learned.json").write_text(json.dumps({"training_accuracy": accuracy}))
    found = shortfalls(experiment, RunFolder(tmp_path), experiment.cells)
    assert found == ["gold-25-s0 answers 50.0% of its training questions, below 95%; raise learn.epochs"]


@pytest.mark.parametrize("damage", [pytest.param(b"", marks=pytest.mark.slow), b"PAR1 not really"], ids=["empty", "garbage"])
def test_damaged_files_of_a_run_are_named(finished: Run, experiment: Experiment, place: Path, damage: bytes) -> None:
    folder = place / "damaged"
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    cell = experiment.cells[0].id
    for name in (
        f"cells/{cell}/records.parquet",
        "models/vanilla/gate/records.parquet",
        "models/vanilla/learned.json",
        "provenance.json",
        f"cells/{cell}/DONE",
        "experiment.toml",
    ):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(damage)
        if not (name == "experiment.toml" and not damage):
            with pytest.raises(UserError, match=name.replace(".", "[.]")) as caught:
                run(experiment, out=folder)
            assert "\n" not in str(caught.value)
        (folder / name).write_bytes(whole)
    assert_frame_equal(run(experiment, out=folder).results, finished.results, check_exact=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_as_records(finished: Run, experiment: Experiment, tmp_path: Path, data: st.DataObject) -> None:
    """Records come back as they were, or one line says which file to remove."""
    cell = experiment.cells[0]
    folder = RunFolder(tmp_path)
    folder.cell(cell).mkdir(parents=True, exist_ok=True)
    (folder.cell(cell) / "DONE").write_text("{}")
    whole = (finished.folder / "cells" / cell.id / "records.parquet").read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.binary(max_size=64) | st.just(whole[:place]) | st.binary(min_size=1, max_size=9).map(lambda b: b + whole[len(b) :])
    )
    (folder.cell(cell) / "records.parquet").write_bytes(changed)
    try:
        records = folder.records(cell)
    except DataError as error:
        assert "records.parquet" in str(error)
        assert "\n" not in str(error)
    else:
        assert records is not None
        assert records.schema == RECORDS


def test_only_takes_vanilla_and_gold_along(experiment: Experiment) -> None:
    methods = [cell.method for cell in chosen_cells(experiment, ["npo-*"])]
    assert methods == ["vanilla", "gold", "npo"]
    assert chosen_cells(experiment, []) == experiment.cells
    with pytest.raises(ConfigError, match=r"'npx-\*' matches no cell; the nearest is 'npo-25-mixed"):
        chosen_cells(experiment, ["npx-*"])


def test_retain_can_be_capped(finished: Run, experiment: Experiment) -> None:
    from unsee.run_results import load_experiment_benchmark

    samples = load_experiment_benchmark(experiment).samples(ratio=0.25)
    kept = limited_retain(samples, 2)
    assert len({sample.subject for sample in kept if sample.set == "retain"}) == 2
    assert [sample for sample in kept if sample.set != "retain"] == [sample for sample in samples if sample.set != "retain"]
    assert limited_retain(samples, None) == samples


def test_plan_counts_what_a_run_asks(finished: Run, experiment: Experiment, place: Path) -> None:
    lines = plan_run(experiment, out=place / "unborn")
    assert any(line.startswith("learn vanilla: 32 questions, 2 passes") for line in lines)
    asked = 8 * 2 * 3 + 2 * 2 + 2  # evaluation of all, test of the forgotten, celebrities
    in_states = 2 * (2 * 3 + 2)  # about the forgotten only
    # Learned models are asked again relearned and rounded, unlearned ones on the way too, controls not at all.
    for cell in experiment.cells:
        states = 2 if cell.is_learned else 0 if cell.method in ("do_nothing", "prompt_guard") else 3
        assert any(cell.id in line and f" {asked + states * in_states} questions asked" in line for line in lines), cell.id
    assert "7 cells to compute and 0 done" in lines
    assert "0 cells to compute and 7 done" in plan_run(experiment, out=finished.folder)
    assert not (place / "unborn").exists()


def test_memory_is_planned_for_every_modality(experiment: Experiment, place: Path) -> None:
    """Questions with pictures take more than those without, whichever modality is named first."""
    plans = []
    for modalities in (("text", "image_text"), ("image_text", "text")):
        both = replace(experiment, unlearn=replace(experiment.unlearn, modalities=modalities))
        text = "\n".join(plan_run(both, out=place / "unborn"))
        plans.append(dict(re.findall(r"^(ga .*)\n(?:  .*\n)*?  together +([\d.]+) MiB", text, re.MULTILINE)))
    assert plans[0] == plans[1]
    assert float(plans[0]["ga (image_text)"]) > float(plans[0]["ga (text)"])
    assert "ga" in plan_run(experiment, out=place / "unborn"), "one modality needs no name"


@dataclass(frozen=True)
class Stumbling(GradientAscent):
    """Fails in its second step."""

    steps_seen: ClassVar[list[int]] = []

    def after_backward(self, model: Any) -> None:
        self.steps_seen.append(1)
        if len(self.steps_seen) > 1:
            raise TrainingError("the loss is not finite\nat step 2")


@pytest.mark.slow
def test_a_failing_cell_costs_nobody_else(
    finished: Run, experiment: Experiment, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_plan = Experiment.plan

    def plan(self: Experiment, entry: str) -> Any:
        found = whole_plan(self, entry)
        return replace(found, method=Stumbling()) if entry == "ga" else found

    Stumbling.steps_seen.clear()
    tree = experiment.tree  # resolved with the real method, so that the hash stays that of the experiment
    assert tree["method"]["ga"]
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "plan", plan)
        done = run(experiment, out=place / "failing", display=Display())
    assert len(done.failures) == 1
    assert done.failures[0].startswith("ga-25-mixed-s0-")
    assert done.failures[0].endswith("TrainingError: the loss is not finite at step 2")
    failed = next(cell for cell in experiment.cells if cell.method == "ga")
    folder = RunFolder(place / "failing")
    assert folder.failure(folder.cell(failed)) == "TrainingError: the loss is not finite at step 2"
    assert set(done.results["method"]) == {"vanilla", "gold", "do_nothing", "prompt_guard", "npo"}
    mended = run(experiment, out=place / "failing")
    assert not mended.failures
    assert_same(contents(place / "failing", experiment), contents(finished.folder, experiment))


@pytest.mark.slow
def test_interrupted_training_goes_on(
    finished: Run, experiment: Experiment, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a cell's training keeps its steps."""
    real = Display.stage

    def stage(self: Display, label: str) -> Callable[[int, int], None]:
        def advance(done: int, total: int) -> None:
            if label == "unlearning by npo" and done == 2:
                raise KeyboardInterrupt

        return advance if label.startswith("unlearning") else real(self, label)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "stage", stage)
        with pytest.raises(KeyboardInterrupt):
            run(experiment, out=place / "stopped")
    cell = next(cell for cell in experiment.cells if cell.method == "npo")
    assert list((place / "stopped" / "cells" / cell.id / "training").iterdir())
    run(experiment, out=place / "stopped")
    assert_same(contents(place / "stopped", experiment), contents(finished.folder, experiment))


def test_writes_are_whole_or_absent(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_bytes(file, b"old")

    def fails(aside: Path) -> None:
        (aside / "half").write_text("x")
        raise RuntimeError

    write_folder(tmp_path / "folder", lambda aside: (aside / "a").write_text("1"))
    with pytest.raises(RuntimeError):
        write_folder(tmp_path / "folder", fails)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a"]
    assert file.read_bytes() == b"old"


def test_storage_trouble_is_told_from_other_errors() -> None:
    import errno

    full = storage_problem(OSError(errno.ENOSPC, "No space left on device", "x/y"))
    assert isinstance(full, StorageError)
    assert str(full).startswith("cannot write x/y: the disk is full")
    wrapped = RuntimeError("save failed")
    wrapped.__cause__ = OSError(errno.EROFS, "Read-only file system")
    assert "read-only" in str(storage_problem(wrapped))
    assert "the disk is full" in str(storage_problem(RuntimeError("I/O error: No space left on device (os error 28)")))
    assert storage_problem(RuntimeError("shape mismatch")) is None
    reading = DataError("picture x cannot be read")
    reading.__cause__ = OSError(errno.EACCES, "Permission denied")
    assert storage_problem(reading) is None


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0.4, 59, 75, 60, 720, 5000)] == ["0 s", "59 s", "1 min 15 s", "1 min", "12 min", "1 h 23 min"]
