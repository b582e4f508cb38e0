"""Recorded tries of a search for settings belong to the weights and the recipe they were made with."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

PERF = Path(__file__).parents[1] / "perf"


def test_tries_on_record_are_those_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PERF)
    tune, settings = importlib.import_module("tune"), importlib.import_module("tuned_settings")
    record = tmp_path / "tuned.json"
    shutil.copyfile(tune.RECORD, record)

    def kept() -> set[str]:
        return set(settings.Search(record, tune.about("tiny-1", 60)).record["tries"])

    assert kept() == set(tune.METHODS)
    monkeypatch.setattr(tune, "TAUGHT", replace(tune.TAUGHT, gradient_checkpointing=True))  # decides nothing
    assert kept() == set(tune.METHODS)
    monkeypatch.setattr(tune, "TAUGHT", replace(tune.TAUGHT, epochs=3))
    assert kept() == set()
