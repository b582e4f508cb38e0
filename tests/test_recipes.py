"""Recipes for models of usual size: five facts each, and a plan from the model's shape alone that fits what they say."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import skeletons
from doc_pages import ROOT
from run_fixtures import assert_one_line
from unsee.cli import main
from unsee.memory_plan import MARGIN, parse_memory
from unsee.models import checkpoints

DATA = {
    "llava_1_5_7b": ["--benchmark", "people", "--set", "benchmark.subjects=20"],
    "idefics2_8b": ["--benchmark", "people", "--set", "benchmark.subjects=20"],
    "qwen2_5_vl_3b": ["--benchmark", "people", "--set", "benchmark.subjects=20"],
    "llava_med": ["--benchmark", "patients", "--set", "benchmark.patients=12"],
}
"""Recipes, and embedded data of the same kind as the files they want."""


@pytest.mark.parametrize("name", DATA)
def test_a_recipe_has_its_five_facts(name: str) -> None:
    text = (ROOT / "examples" / f"{name}.toml").read_text()
    facts = re.findall(r"^# (Paper|Hardware|Time|Expected|Command): \S", text, re.MULTILINE)
    assert facts == ["Paper", "Hardware", "Time", "Expected", "Command"]
    assert "an estimate, not measured" in text
    expected = " ".join(text[text.index("# Expected: ") : text.index("# Command: ")].replace("\n# ", " ").split())
    assert re.search(r"https://\S+", expected) or "not published" in expected, (
        "a range has a source, or it is said that none has"
    )
    assert "What can be checked" not in expected or "has no source, its bounds hold by definition" in expected
    assert f"unsee run examples/{name}.toml --model MODEL" in text


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", DATA)
def test_a_dry_run_fits_the_hardware(name: str, tmp_path: Path, capsys, monkeypatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    getattr(skeletons, name)(folder)
    if name.startswith("qwen"):
        monkeypatch.setattr(checkpoints, "load_processor", skeletons.QwenWithoutVideo)
    recipe = ROOT / "examples" / f"{name}.toml"
    command = ["run", str(recipe), "--model", str(folder), "--out", str(tmp_path / "out"), "--dry-run", *DATA[name]]
    assert main(command) == 0
    shown = capsys.readouterr().out
    totals = [parse_memory(size) for size in re.findall(r"together\s+([\d.,]+ [GM]iB)", shown)]
    assert len(totals) >= 4 and "cells to compute" in shown
    hardware = re.search(r"# Hardware: one GPU with (\d+ GiB); the memory plan is ([\d.]+ GiB)", recipe.read_text())
    assert hardware is not None
    assert max(totals) <= (1 - MARGIN) * parse_memory(hardware[1])
    assert max(totals) == pytest.approx(parse_memory(hardware[2]), rel=0.1)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_processor_without_its_package_says_what_to_install(place: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "model"
    command = ["unlearn", "--benchmark", str(place / "people8"), "--forget-ratio", "0.25", "--out", str(tmp_path / "out")]
    folder.mkdir()
    skeletons.qwen2_5_vl_3b(folder)
    assert main([*command, "--model", str(folder), "--dry-run", "--memory", "24GiB"]) == 2
    shown = capsys.readouterr().err
    assert_one_line(shown, "torchvision: from the index that torch came from")
    assert "requires the Torchvision library" in shown
