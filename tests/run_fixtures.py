"""A run small enough for tests: a random-weight model as a folder, and eight people as a folder of JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from unsee.experiment import Experiment

COLOURS = ["red", "blue", "green", "black", "white", "pink", "grey", "brown"]
CITIES = ["Oslo", "Lima", "Quito", "Cairo", "Dakar", "Hanoi", "Tokyo", "Rome"]
NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo"]

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

EXPERIMENT = """
name = "small"
model = {model!r}
[benchmark]
path = {data!r}
[learn]
epochs = 2
batch_size = 4
learning_rate = 0.01
golds = 2
[unlearn]
methods = ["ga", "npo"]
forget_ratios = [0.25]
modalities = ["mixed"]
lora = 2
[method.ga]
steps = 3
learning_rate = 0.01
[method.npo]
steps = 3
learning_rate = 0.01
[answer]
truth_ratio = false
shots = "retain"
[states]
path = 1
relearn = 0.5
relearn_epochs = 1
bits = [4]
sets = ["forget", "test"]
"""


def write_people(folder: Path) -> Path:
    """A benchmark folder with a picture, two facts and a few questions per person."""
    from PIL import Image

    (folder / "pictures").mkdir(parents=True)
    parts: dict[str, list[dict[str, Any]]] = {"training": [], "evaluation": [], "gate": [], "replay": []}
    for number, (name, city, colour) in enumerate(zip(NAMES, CITIES, COLOURS, strict=True)):
        picture = f"pictures/{number}.png"
        Image.new("RGB", (32, 32), (number * 30, 255 - number * 30, 99)).save(folder / picture)
        for attribute, answer, pool in (("city", city, CITIES), ("colour", colour, COLOURS)):
            about = {"subject": f"p{number}", "answer": answer, "metadata": {"attribute": attribute, "name": name}}
            wrong = [pool[(number + i) % 8] for i in (1, 2, 3)]
            options = dict(zip("ABCD", [*wrong[:2], answer, wrong[2]], strict=True))
            seen, told = f"What is the {attribute} of this person?", f"What is the {attribute} of {name}?"
            parts["training"] += [about | {"question": told}, about | {"question": seen, "image": picture}]
            parts["evaluation"] += [
                about | {"question": told, "options": options, "wrong_answers": wrong},
                about | {"question": seen, "image": picture, "wrong_answers": wrong},
                about | {"question": f"The {attribute} of {name} is __.", "task": "cloze"},
                about | {"question": f"Which {attribute} is it, {name}?", "set": "test", "options": options},
            ]
            parts["gate"] += [about | {"question": f"{name}: which {attribute}{mark}", "options": options} for mark in "?!."]
    for name in ("Zoe", "Yan"):
        fact = {"subject": name.lower(), "metadata": {"attribute": "city", "name": name}}
        parts["replay"].append(fact | {"question": f"What is the city of {name}?", "answer": "Oslo", "set": "general"})
        parts["evaluation"].append(fact | {"question": f"Where is {name}?", "answer": "Oslo", "set": "celebrity"})
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_small_run(folder: Path, model: Any) -> Path:
    """Model, data and experiment; returns the experiment file."""
    model.save(folder / "model")
    write_people(folder / "people8")
    file = folder / "small.toml"
    file.write_text(EXPERIMENT.format(model=str(folder / "model"), data=str(folder / "people8")))
    return file


def contents(folder: Path, experiment: Experiment) -> dict[str, Any]:
    """Everything a run made that must not depend on interruptions: tables, weights, training logs without times."""
    made: dict[str, Any] = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("results", "states")}
    for cell in experiment.cells:
        home = folder / "cells" / cell.id
        made[f"{cell.id}/records"] = pl.read_parquet(home / "records.parquet")
        for state in sorted(home.glob("states/*")):
            made[f"{cell.id}/{state.name}"] = pl.read_parquet(state / "records.parquet")
        log = home / "train.jsonl"
        if log.exists():
            rows = [json.loads(line) for line in log.read_text().splitlines()]
            made[f"{cell.id}/log"] = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    for path in sorted(folder.glob("*/*/**/*.safetensors")):
        made[str(path.relative_to(folder))] = path.read_bytes()
    return made


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, pl.DataFrame):
            assert_frame_equal(value, other[key], check_exact=True)
        else:
            assert value == other[key], key


def unsee(*arguments: object, cwd: Path | None = None, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unsee", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


def assert_one_line(complaint: str, message: str) -> None:
    assert complaint.count("\n") == 1, complaint
    assert complaint.startswith("unsee: ")
    assert message in complaint
    assert "Traceback" not in complaint
