"""What docs/adding.md walks through, built from the page's own code blocks and used as a reader would use it, offline.

A package is "installed" by laying its modules and the entry points of its pyproject.toml into a folder on the module path, as
`pip install` does: nothing has to be built or downloaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from doc_pages import ROOT, blocks, commands, read
from toy import random_model, toy_samples
from unsee.errors import ConfigError
from unsee.methods import Method, load_method, method_names

PAGE = read("docs/adding.md")
FILES = {block.file: block.code for block in blocks(PAGE) if block.file}


def install(folder: Path, *, package: str, modules: dict[str, str], pyproject: str) -> Path:
    """Lay a package into `folder` with the metadata that `pip install` would write."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    groups = tomllib.loads(pyproject)["project"]["entry-points"]
    lines = [line for group, names in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, code in modules.items():
        (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module path with the page's method and benchmark packages."""
    folder = tmp_path_factory.mktemp("site")
    install(
        folder,
        package=tomllib.loads(FILES["pyproject.toml"])["project"]["name"],
        modules={"louder_package.py": FILES["louder_package.py"]},
        pyproject=FILES["pyproject.toml"],
    )
    for package in ("towns", "middle", "unsure"):
        file = f"{package}_package.py"
        points = next(code for language, code in blocks(PAGE) if language == "toml" and f'"{package}_package:' in code)
        install(folder, package=f"{package}-package", modules={file: FILES[file]}, pyproject=points)
    return folder


def python(site: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run python in a process of its own that finds the packages."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def unsee(site: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return python(site, "-m", "unsee", *arguments, cwd=cwd)


def test_the_method_is_listed(site: Path) -> None:
    listed = unsee(site, "list", "methods")
    assert listed.returncode == 0, listed.stderr
    assert any(line.split()[:1] == ["louder"] for line in listed.stdout.splitlines())


def test_the_attack_and_the_defence_are_there(site: Path, workplace: Path) -> None:
    """The attack looks into the middle of a model; the defence is listed beside the built-in ones."""
    out = workplace / "attacked"
    given = ("--data", "forget.jsonl", "--attack", "lens-middle", "--budget", "5", "--out", str(out))
    done = unsee(site, "attack", "--model", "model", *given, cwd=workplace)
    assert done.returncode == 0, done.stderr
    made = pl.read_parquet(out / "attacks.parquet").filter(attack="lens_middle")
    assert made.height == 6 and set(made["layers"]) == {5}
    listed = unsee(site, "list")
    assert {"lens_middle", "unsure"} <= {line.split()[0] for line in listed.stdout.splitlines() if line.strip()}


def test_the_attack_of_the_page_by_hand(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers 14 to 18 of 32 are 1 to 5 of 8; layers 1 and 2 say 0 3 2 1 and 3 0 1 2, and the deeper one is tried first."""
    from unsee.answering.lens import read_lens
    from unsee.attacks import load_attack

    monkeypatch.syspath_prepend(str(site))
    assert load_attack("lens_middle").chosen(8) == (1, 2, 3, 4, 5)  # type: ignore[attr-defined]
    layers = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.4, 0.1, 0.2, 0.3], [0.3, 0.2, 0.1, 0.4], [0.1, 0.6, 0.2, 0.1]])
    seen = read_lens(layers[:, None].log(), torch.tensor([2]), "top")
    record = {"view": "lens", "answer_ids": [2]} | {f"layer_{name}": rows for name, rows in seen._asdict().items()}
    found = load_attack("lens_middle", layers=[1, 2]).candidates(toy_samples()[0], [record], budget=3, read=str)
    assert found.candidates == ("3", "0", "1") and found.hit is None and found.layers == 2
    sys.modules.pop("middle_package", None)


def test_the_benchmark_is_listed(site: Path) -> None:
    listed = unsee(site, "list", "benchmarks")
    assert any(line.split()[:1] == ["towns"] for line in listed.stdout.splitlines()), listed.stderr


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model and something to forget."""
    folder = tmp_path_factory.mktemp("work")
    random_model().save(folder / "model")
    rows = [{"subject": s.subject, "question": s.question, "answer": s.answer} for s in toy_samples() if not s.images][:6]
    (folder / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


UNLEARN = ("unlearn", "--model", "model", "--forget", "forget.jsonl")


def test_the_command_line_unlearns_with_it(site: Path, workplace: Path) -> None:
    """The page's own options, and a louder method changes the weights more."""
    from safetensors.torch import load_file

    words = next(words for words, _ in commands(PAGE, "unsee") if words[0] == "unlearn")
    options = [part for at, word in enumerate(words) if word in ("--method", "--set") for part in words[at : at + 2]]
    done = unsee(site, *UNLEARN, *options, "--lora", "none", "--out", "changed", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "2 steps (finished)" in done.stdout
    before, after = (load_file(workplace / name / "model.safetensors") for name in ("model", "changed"))
    assert before.keys() == after.keys()
    assert any((before[name].float() - after[name].float()).abs().max() > 1e-5 for name in before)


def test_its_options_are_checked(site: Path, workplace: Path) -> None:
    wrong = unsee(site, *UNLEARN, "--method", "louder", "--set", "volum=3", "--out", "never", cwd=workplace)
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1
    assert "did you mean 'volume'" in wrong.stderr
    assert not (workplace / "never").exists()


@pytest.mark.parametrize("name", ["lauder", "loudr"])
def test_a_typo_of_its_name_is_answered_with_the_name(site: Path, workplace: Path, name: str) -> None:
    wrong = unsee(site, *UNLEARN, "--method", name, "--out", "never", cwd=workplace)
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1
    assert "did you mean 'louder'" in wrong.stderr


def test_an_experiment_takes_it(site: Path) -> None:
    """The page's `unsee run` line, read and not computed."""
    words = next(words for words, _ in commands(PAGE, "unsee") if words[0] == "run" and "louder" in words)
    script = """
import sys
from unsee.cli import COMMANDS
from unsee.command_line import parse
from unsee.experiment import read_experiment
given = parse(COMMANDS["run"], sys.argv[1:], program="unsee run").keywords
read = read_experiment(given["experiment"], tables={"unlearn": {"methods": list(given["methods"])}}, overrides=given["set_"])
print(given["name"], [cell.id.split("-")[0] for cell in read.cells].count("louder"), read.plan("louder").method.volume)
"""
    done = python(site, "-c", script, *words[1:], cwd=ROOT)
    assert done.stdout.split() == ["louder", "9", "3.0"], done.stderr


def test_the_test_of_the_page_passes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    space: dict[str, Any] = {}
    exec(FILES["test_louder.py"], space)
    space["test_loss_by_hand"]()
    monkeypatch.setattr(sys.modules["louder_package"].Louder, "loss", lambda *_: {"forget": torch.zeros(2)})
    with pytest.raises(AssertionError):
        space["test_loss_by_hand"]()
    sys.modules.pop("louder_package")


def test_the_benchmark_is_a_benchmark(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page says to keep."""
    from unsee.benchmarks import load_benchmark

    monkeypatch.syspath_prepend(str(site))
    towns = load_benchmark("towns", subjects=20)
    small, large = towns.split(0.1), towns.split(0.3)
    assert len(small.forget) == 2 and set(small.forget) < set(large.forget)
    assert set(large.forget) | set(large.retain) == set(towns.subjects)
    scored, taught = towns.samples(ratio=0.3), towns.training(ratio=0.3)
    assert {s.set for s in scored} == {s.set for s in taught} == {"forget", "retain"}
    assert {s.subject for s in towns.training(set="forget", ratio=0.3)} == set(large.forget)
    others = towns.gate_probes(ratio=0.3) + towns.stop_probes(set="forget", ratio=0.3)
    every = [*scored, *taught, *others]
    assert len({s.id for s in every}) == len(every)
    assert [s.id for s in towns.samples()] == [s.id for s in scored]
    wordings = [{s.question.replace(s.subject, "") for s in part} for part in (scored, taught, others)]
    assert not wordings[0] & wordings[1] and not wordings[0] & wordings[2]
    assert all(s.options[str(s.correct_option)] == s.answer for s in scored)
    assert load_benchmark("towns", subjects=20).fingerprint == towns.fingerprint
    assert load_benchmark("towns", subjects=20, seed=1).fingerprint != towns.fingerprint
    with pytest.raises(ConfigError, match="choose another"):
        towns.split(0.01)
    sys.modules.pop("towns_package", None)


def test_the_rows_of_the_page_are_a_benchmark(tmp_path: Path) -> None:
    from PIL import Image

    from unsee.benchmarks import load_benchmark

    rows = next(block.code for block in blocks(PAGE) if block.code.startswith('{"subject"'))
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures/ann.png")
    (tmp_path / "training.jsonl").write_text(rows)
    (tmp_path / "evaluation.jsonl").write_text(rows)
    loaded = load_benchmark(tmp_path)
    assert loaded.subjects == ("ann",) and len(loaded.samples()) == 2
    picture, options = loaded.training()
    assert (picture.modality, picture.answer) == ("image_text", "Oslo")
    assert (options.task, options.correct_option, options.metadata["attribute"]) == ("classification", "A", "job")


def test_the_metric_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Added to METRICS as the page says, it is a row of the results with its direction."""
    from metrics.record_factory import VANILLA, answers, people
    from unsee.metrics import CellInfo, score, scoring

    space: dict[str, Any] = {}
    exec(FILES["src/unsee/metrics/admits_ignorance.py"], space)
    metric = space["ADMITS_IGNORANCE"]
    monkeypatch.setattr(scoring, "METRICS", (*scoring.METRICS, metric))
    monkeypatch.setattr(scoring, "_BY_NAME", {**scoring._BY_NAME, metric.name: metric})
    samples = people(forget=3, retain=3, near=0, celebrity=0, seed=1, small=True)
    asked = [s for s in samples if s.task == "generation" and s.set == "forget"]
    records = answers(samples, VANILLA, seed=1)
    silent = pl.col("sample_id").is_in([s.id for s in asked[:1]])
    records = records.with_columns(pl.when(silent).then(pl.lit("I do not know.")).otherwise("response").alias("response"))
    results = score(records, samples, cell=CellInfo(cell="x"), bootstrap=20)
    where = {"metric": "admits_ignorance", "set": "forget", "task": "generation"}
    rows = results.filter([pl.col(key) == value for key, value in where.items()] + [pl.col("baseline").is_null()])
    whole = rows.filter(pl.col("modality") == asked[0].modality, pl.col("level").is_null(), pl.col("group").is_null())
    share = 1 / sum(s.modality == asked[0].modality for s in asked)
    assert whole["value"].to_list() == [pytest.approx(share)]
    assert set(rows["higher_is_better"]) == {True}


@pytest.fixture
def broken_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = (
        '[project.entry-points."unsee.methods"]\nbroken = "broken_package:Missing"\nwrong = "broken_package:NOT_A_METHOD"\n'
    )
    install(tmp_path, package="broken-package", modules={"broken_package.py": "NOT_A_METHOD = 3\n"}, pyproject=points)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_broken_package_is_named(broken_package: None) -> None:
    with pytest.raises(ConfigError, match="broken of package broken-package cannot be imported"):
        load_method("broken")
    with pytest.raises(ConfigError, match="not a subclass"):
        load_method("wrong")


def test_in_python(site: Path, monkeypatch: pytest.MonkeyPatch, model, samples) -> None:
    """In this process: typed options, and an adapter that moves."""
    from unsee.training_options import TrainOptions
    from unsee.unlearning import unlearn

    monkeypatch.syspath_prepend(str(site))
    assert "louder" in method_names()
    method = load_method("louder", volume=3)
    assert isinstance(method, Method) and method.volume == 3.0
    changed = unlearn(model, forget=samples[:4], method=method, options=TrainOptions(learning_rate=1e-3))
    moved = [weight for name, weight in changed.network.named_parameters() if "lora_B" in name]
    assert moved and all(weight.abs().max() > 0 for weight in moved)
    sys.modules.pop("louder_package", None)
