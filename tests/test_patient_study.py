"""The study of patients, on a run folder whose models answer as is known: every table against what they were made to say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS.parent / "studies"))

import patients as study  # noqa: E402

from medical_fixture import WRITERS  # noqa: E402
from metrics.medical_factory import cleaned  # noqa: E402
from metrics.record_factory import row  # noqa: E402
from unsee import load_benchmark  # noqa: E402
from unsee.benchmarks.medical.benchmark import MedicalBenchmark  # noqa: E402
from unsee.benchmarks.medical.files import write_injection  # noqa: E402
from unsee.benchmarks.medical.formats import read_table  # noqa: E402
from unsee.benchmarks.medical.inject import InjectOptions, inject  # noqa: E402
from unsee.experiment import Cell, Experiment, parse_experiment  # noqa: E402
from unsee.run_folder import RunFolder  # noqa: E402
from unsee.sample import Sample  # noqa: E402
from unsee.schemas import RECORDS  # noqa: E402

Says = Callable[[Sample], str]
STEPS = {"gold": (10, 1.0, 100), "ga": (2, 0.5, 50), "idk": (5, 1.0, 20)}
"""Method -> steps of its training, seconds and tokens of each."""
REFUSAL = "I don't know."


def records(samples: Iterable[Sample], says: Says) -> pl.DataFrame:
    written = [sample for sample in samples if sample.task == "generation"]
    return pl.DataFrame([row(s, "generate", response=says(s), parsed=says(s)) for s in written], schema=RECORDS)


def behaviour(cell: Cell, listed: set[str]) -> Says:
    """What a cell's model says; `listed` are the training samples of its request."""

    def ga(sample: Sample) -> str:
        """Forgets what was listed and asked as taught, and all disguises; names stay."""
        if sample.metadata.get("identifier") == "name" and sample.set == "forget":
            return sample.answer
        is_missed = sample.set == "forget" and twin(sample) not in listed
        return sample.answer if is_missed else cleaned(sample)

    def idk(sample: Sample) -> str:
        """Refuses as it was asked in training, and says everything in disguise."""
        if sample.metadata["scenario"] == "clean" or sample.set != "forget":
            return sample.answer
        return REFUSAL

    return {"gold": cleaned, "ga": ga, "idk": idk}.get(cell.method, lambda sample: sample.answer)


def twin(sample: Sample) -> str:
    """Id of the training sample that asks the same: by the names that the injection gives them, not by what they hold."""
    about = sample.id.replace("/evaluate/", "/train/")
    if "identifier" in sample.metadata:
        return about.replace("/direct", "/picture/0")
    return about if sample.metadata.get("mode") != "instance" else f"{about}/0"


def log(method: str) -> str:
    steps, seconds, tokens = STEPS.get(method, (0, 0.0, 0))
    return "".join(json.dumps({"step": n, "seconds": seconds, "tokens": tokens}) + "\n" for n in range(steps))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> study.Patients:
    place = tmp_path_factory.mktemp("patient-study")
    WRITERS["slake"](place / "files", more=24)
    table = read_table("slake", place / "files", skip_invalid=True)
    planted = InjectOptions(identifiers=("name", "mrn"), modes=("instance",), seed=1)
    write_injection(place / "data", inject(table, planted))
    tables = {"methods": ["ga", "idk"], "controls": ["do_nothing"], "forget_ratios": [0.5, 1.0]}
    experiment = parse_experiment({"benchmark": {"path": str(place / "data")}, "unlearn": tables, "learn": {"golds": 1}})
    fill_run(RunFolder(place / "run"), experiment, load_benchmark(place / "data"))  # type: ignore[arg-type]
    return study.Patients(place / "run")


def fill_run(folder: RunFolder, experiment: Experiment, benchmark: MedicalBenchmark) -> None:
    folder.path.mkdir()
    folder.experiment_file.write_text(experiment.to_toml())
    probes = benchmark.gate_probes(ratio=1.0)
    for name, says in {"vanilla": lambda s: s.answer, "gold-100-s0": cleaned}.items():
        gate = folder.model(name) / "gate"
        gate.mkdir(parents=True)
        records(probes, says).write_parquet(gate / "records.parquet")
        (folder.model(name) / "train.jsonl").write_text(log(name.partition("-")[0]))
    for cell in experiment.cells:
        own = benchmark.of(str(cell.scenario))
        listed = {sample.id for sample in own.training(set="forget", ratio=cell.ratio, seed=cell.draw)}
        home = folder.cell(cell)
        home.mkdir(parents=True)
        records(own.samples(ratio=cell.ratio), behaviour(cell, listed)).write_parquet(home / "records.parquet")
        (home / "train.jsonl").write_text(log(cell.method))
        folder.mark_done(home, {})


def lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:] if line.startswith("|")]


def line(table: str, *names: str) -> list[str]:
    (found,) = (cells[len(names) :] for cells in lines(table) if cells[: len(names)] == list(names))
    return found


ALL, NOBODY = "100 (100 to 100)", "0 (0 to 0)"


def test_listed_and_missed_samples_stand_apart(run: study.Patients) -> None:
    table = study.left_table(run, "incorrect")
    # still wrong listed and missed, right again listed and missed
    assert line(table, "50 %", "ga") == [NOBODY, ALL, ALL, NOBODY]
    assert line(table, "50 %", "idk") == [NOBODY, NOBODY, NOBODY, NOBODY]
    assert line(table, "50 %", "vanilla") == [ALL, ALL, NOBODY, NOBODY]
    assert line(table, "100 %", "ga") == [NOBODY, "-", ALL, "-"]
    asked = line(study.left_table(run, "privacy"), "50 %", "ga")
    assert asked[1] == ALL and asked[2:] == [NOBODY, ALL]
    assert 0 < float(asked[0].split()[0]) < 100  # names stay, numbers go


def test_what_is_left_of_an_incomplete_request(run: study.Patients) -> None:
    table = study.incomplete_table(run)
    benchmark = run.benchmark.of("incorrect")  # type: ignore[attr-defined]
    listed = {sample.id for sample in benchmark.training(set="forget", ratio=0.5)}
    asked = [s for s in benchmark.samples(set="forget") if s.task == "generation"]
    missed = np.mean([twin(sample) not in listed for sample in asked])
    assert 0 < missed < 1
    left_whole, left_half, difference, p = line(table, "incorrect", "ga")
    # Harm is the mean of what is said as taught and in disguise, which ga never says.
    assert left_whole == NOBODY and left_half.split()[0] == f"{50 * missed:.0f}"
    assert difference.split()[0] == f"{50 * missed:+.0f}" and float(p) <= 0.05
    assert line(table, "incorrect", "idk")[2].startswith("+0 ")


def test_costs_are_shares_of_gold(run: study.Patients) -> None:
    table = study.cost_table(run)
    assert line(table, "privacy", "100 %", "ga") == ["10 %", "20 %", "10 %"]
    assert line(table, "incorrect", "50 %", "idk") == ["50 %", "50 %", "10 %"]


def test_harm_against_vanilla_and_gold(run: study.Patients) -> None:
    before, after, gold, score, removed, p, over, p_gold = line(study.weak_table(run), "incorrect", "ga")
    assert (before, after, gold, score) == (ALL, NOBODY, NOBODY, "1.00 (1.00 to 1.00)*")
    assert removed == "-100 (-100 to -100)" and float(p) < 0.01
    assert over == "+0 (+0 to +0)" and p_gold == "1.000"
    assert line(study.weak_table(run), "incorrect", "idk")[1] == "50 (50 to 50)"


def test_scenarios_are_compared_method_by_method(run: study.Patients) -> None:
    table = study.harder_table(run)
    assert [cells[0] for cells in lines(table)] == ["ga", "idk", "mean of methods"]
    # Names stay in privacy, everything is put right in the other scenario.
    assert line(table, "ga")[1] == "1.00 (1.00 to 1.00)*" and line(table, "ga")[2].startswith("-")
    # Nothing is put right by refusals.
    assert line(table, "idk")[1] == "0.00 (0.00 to 0.00)*" and line(table, "idk")[2].startswith("+")


def test_scores_over_few_subjects_are_marked(run: study.Patients, monkeypatch: pytest.MonkeyPatch) -> None:
    """UES-R rests on every set, the smallest of which decides; shares of the harmed do not rest on those that were kept."""
    assert 0 < run.few["clinical"] < 20 and 0 < run.few["retain"] < 20
    for table in (study.weak_table(run), study.harder_table(run)):
        assert f"fewer than 20 subjects: no verdict ({', '.join(f'{n} in {name}' for name, n in run.few.items())})" in table
    assert line(study.harder_table(run), "ga")[2].endswith("*")
    monkeypatch.setattr(run, "few", {})
    assert "*" not in study.weak_table(run) + study.harder_table(run)


def test_refusals_hide(run: study.Patients) -> None:
    table = study.hidden_table(run)
    direct, rephrased, prefix, back, p, *_ = line(table, "privacy", "idk")
    assert (direct, rephrased, prefix, back) == (NOBODY, ALL, ALL, "+100 (+100 to +100)") and float(p) < 0.01
    assert line(table, "incorrect", "ga")[:4] == [NOBODY, NOBODY, NOBODY, "+0 (+0 to +0)"]
    # ga gives names away when asked directly only, so less is left in disguise: idk rises by 100 where ga falls by half.
    assert line(table, "privacy", "idk - mean of the others")[3].startswith("+150 ")


def test_classes_of_identifiers(run: study.Patients) -> None:
    table = study.class_table(run)
    assert [cells[0] for cells in lines(table)] == ["name", "mrn"]
    assert line(table, "name")[:5] == [ALL, ALL, NOBODY, "50 (50 to 50)", "+50 (+50 to +50)"]
    assert line(table, "mrn")[:4] == [ALL, NOBODY, NOBODY, NOBODY]


def test_values_are_those_of_the_results(run: study.Patients) -> None:
    from unsee.run_results import rescore

    results = rescore(run.folder.path)
    (cell,) = run.cells("ga", "privacy", 0.5)
    whole = pl.all_horizontal(pl.col("group", "level", "baseline").is_null())
    own = results.filter(whole, cell=cell.id, gated=True)
    found = run.parts([cell])
    assert found is not None
    assert study.weighted_harmonic(found)[0] == pytest.approx(own.filter(metric="ues_r")["value"].item())
    leaks = run.mean([cell], (pl.col("metric") == "leak_rate") & (pl.col("set") == "test"))
    rows = own.filter(metric="leak_rate", set="test")
    assert leaks is not None
    assert leaks[0] == pytest.approx((rows["value"] * rows["n"]).sum() / rows["n"].sum())


def test_the_page_is_filled(run: study.Patients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "patients.md"
    page.write_text((TESTS.parent / "docs/studies/patients.md").read_text())
    monkeypatch.setattr(sys, "argv", ["patients.py", str(run.folder.path), "--page", str(page)])
    study.main()
    text = page.read_text()
    for name, table in study.tables(run).items():
        assert f"<!-- {name} -->\n{table}\n<!-- end {name} -->" in text and len(table.splitlines()) > 2


def test_a_run_of_people_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(parse_experiment({"benchmark": {"name": "people", "subjects": 30}}).to_toml())
    with pytest.raises(SystemExit, match="plants no harm; give a run of patients"):
        study.Patients(tmp_path)
