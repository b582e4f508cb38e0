"""The harnesses themselves, on the embedded model and three pictures. Where they are not installed, these tests are skipped.

`UNSEE_EVAL_PYTHON` names an interpreter that has them; without it, this one is asked. See docs/utility.md.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import polars as pl
import pytest

from run_fixtures import assert_one_line
from unsee import answer, load_model
from unsee.cli import main
from unsee.errors import ConfigError
from unsee.methods import Scope
from unsee.models.lora import attach
from unsee.sample import ImageRef, Sample
from unsee.utility import HARNESSES

PYTHON = os.environ.get("UNSEE_EVAL_PYTHON", sys.executable)
QUESTION = "What is the name of this person?"
TASK = """task: who_is_it
dataset_path: json
dataset_kwargs:
  data_files:
    test: {questions}
test_split: test
output_type: generate_until
{pictures}: !function who.pictures
doc_to_text: !function who.{text}
doc_to_target: answer
process_results: !function who.right
generation_kwargs:
  until: ["\\n"]
  do_sample: false
  temperature: 0.0
  {tokens}: 16
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 2
"""
HELPERS = """from PIL import Image


def pictures(doc):
    with Image.open(doc["picture"]) as picture:
        return [picture.convert("RGB")]


def asked(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def placed(doc):
    return "<image>" + doc["question"]


def right(doc, results):
    return {"exact_match": float(results[0].strip() == doc["answer"])}
"""


def installed(harness: str) -> None:
    """Skips the test where a harness is not there."""
    try:
        HARNESSES[harness].version(PYTHON)
    except ConfigError as error:
        pytest.skip(f"{error}; UNSEE_EVAL_PYTHON names another one")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model below an adapter that changes what it says."""
    import torch

    model = attach(load_model("tiny"), Scope(rank=2), seed=0)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if ".lora_B" in name:
                weight.normal_(std=0.05, generator=torch.Generator().manual_seed(len(name)))
    return model.save(tmp_path_factory.mktemp("models") / "changed")


@pytest.fixture(scope="module")
def said(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three pictures, and what this package hears the changed model say about them."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    samples = []
    for number, colour in enumerate([(200, 20, 20), (20, 20, 200), (220, 220, 20)]):
        Image.new("RGB", (64, 64), colour).save(folder / f"{number}.png")
        picture = ImageRef.from_path(folder / f"{number}.png")
        about = {"subject": f"s{number}", "set": "general", "task": "generation", "modality": "image_text"}
        samples.append(Sample(id=f"q{number}", benchmark="own", images=(picture,), question=QUESTION, answer="x", **about))
    records = answer(load_model(adapter), samples, truth_ratio=False).filter(view="generate")
    return folder, [row["response"].strip() for row in records.sort("sample_id").iter_rows(named=True)]


def task_folder(folder: Path, harness: str, pictures: Path, answers: list[str]) -> Path:
    """A task in the words of a harness."""
    folder.mkdir()
    rows = [{"picture": str(pictures / f"{n}.png"), "question": QUESTION, "answer": a} for n, a in enumerate(answers)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = {"questions": folder / "questions.jsonl", "pictures": "doc_to_image", "text": "placed", "tokens": "max_gen_toks"}
    if harness == "lmms-eval":
        words |= {"pictures": "doc_to_visual", "text": "asked", "tokens": "max_new_tokens"}
    (folder / "who_is_it.yaml").write_text(TASK.format(**words))
    (folder / "who.py").write_text(HELPERS)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("harness", list(HARNESSES))
def test_a_harness_hears_what_we_hear(harness: str, adapter: Path, said: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Two of three right answers are what the model says to us, so that the harness has to find two thirds."""
    installed(harness)
    pictures, answers = said
    assert all(answers)
    tasks = task_folder(tmp_path / "tasks", harness, pictures, [*answers[:2], "something else"])
    out = tmp_path / "out"
    command = ["utility", str(adapter), "--harness", harness, "--python", PYTHON, "--tasks", "who_is_it"]
    assert main([*command, "--include-path", str(tasks), "--out", str(out), "--device", "cpu"]) == 0
    (row,) = pl.read_parquet(out / "results.parquet").to_dicts()
    assert (row["cell"], row["protocol"], row["task"], row["metric"], row["n"]) == (
        "changed",
        harness,
        "who_is_it",
        "exact_match",
        3,
    )
    assert row["value"] == pytest.approx(2 / 3)
    assert row["ci_low"] < 2 / 3 < row["ci_high"]
    assert row["higher_is_better"] is True
    assert row["reason"].startswith(f"{harness} ") and row["reason"].endswith(", task version 2")
    assert not (out / "changed" / "merged").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("harness", list(HARNESSES))
def test_an_unknown_task_is_one_line(harness: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(harness)
    command = [
        "utility",
        "tiny",
        "--harness",
        harness,
        "--python",
        PYTHON,
        "--tasks",
        "no_such_task",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*command, "--device", "cpu"]) == 2
    assert_one_line(capsys.readouterr().err, "Tasks not found: no_such_task")
    assert [path.name for path in (tmp_path / "o" / "tiny").iterdir()] == [f"{harness}.log"]
