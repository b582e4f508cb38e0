"""docs/bring-your-own-model.md: its rows load, its commands work on a model folder, and dry runs refuse what runs would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from doc_pages import blocks, commands, read
from run_fixtures import assert_one_line
from unsee.benchmarks.jsonl import read_jsonl
from unsee.cli import main

PAGE = read("docs/bring-your-own-model.md")


@pytest.fixture
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the page takes for granted: DIR, my-people, and rows of its questions."""
    data = tmp_path / "my-people"
    shutil.copytree(place / "model", tmp_path / "DIR")
    shutil.copytree(place / "people8", data)
    shutil.copytree(data / "pictures", tmp_path / "pictures")
    lines = (data / "training.jsonl").read_text().splitlines(keepends=True)
    for name, rows in (("forget", lines[:4]), ("retain", lines[4:8]), ("questions", lines[:3])):
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rows_of_the_page_load(tmp_path: Path) -> None:
    (code,) = [block.code for block in blocks(PAGE) if block.language == "json"]
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures/ann.png")
    (tmp_path / "forget.jsonl").write_text(code)
    shown, chosen = read_jsonl(tmp_path / "forget.jsonl", set="forget")
    assert (shown.modality, shown.task, shown.set) == ("image_text", "generation", "forget")
    assert (chosen.modality, chosen.task, chosen.correct_option) == ("text", "classification", "A")


@pytest.mark.slow
def test_commands_of_the_page_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the page's order, with few steps; the run itself is planned."""
    shorter = {
        "learn": ["--epochs", "1"],
        "unlearn": ["--set", "steps=2"],
        "run": ["--ratios", "0.25", "--dry-run"],
    }
    done = []
    for words, in_block in commands(PAGE, "unsee"):
        if in_block:
            done.append(words[0])
            assert main([*words, *shorter.get(words[0], [])]) == 0, (words, capsys.readouterr())
    assert done == ["models", "learn", "unlearn", "answer", "attack", "run"]
    made = ("runs/vanilla/config.json", "runs/unlearn/adapter_config.json", "runs/answer/records.parquet")
    assert all((here / name).is_file() for name in (*made, "runs/attack/attacks.parquet"))


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_missing_retain_samples_are_one_line(here: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unlearn", "--model", "DIR", "--forget", "forget.jsonl", *flags]) == 2
    assert_one_line(capsys.readouterr().err, "method npo needs retain samples and none are given")
    assert not (here / "runs").exists()
