"""A whole run on official files: those written by hand, and those of our exporter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import mllmu_fixture as hand
from toy import random_model
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.mllmu_bench.export import export_official
from unsee.experiment import read_experiment
from unsee.runs import run


@pytest.fixture(scope="module", params=["by hand", pytest.param("by our exporter", marks=pytest.mark.slow)])
def official(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, world: Any) -> Path:
    folder = tmp_path_factory.mktemp("official")
    if request.param == "by hand":
        return hand.write_official(folder / "files")
    export_official(load_benchmark("people", subjects=20, celebrities=3, general=0, world=world), folder / "files")
    return folder / "files"


def test_a_run(official: Path, tmp_path: Path, one_thread: None) -> None:
    random_model(layers=3).save(tmp_path / "model")
    tables = {
        "name": "official",
        "model": str(tmp_path / "model"),
        "benchmark": {"name": "mllmu-bench", "path": str(official)},
        "learn": {"epochs": 1, "golds": 1},
        "unlearn": {"methods": ["ga"], "controls": [], "forget_ratios": [0.10], "modalities": ["text"], "lora": 2},
        "method": {"ga": {"steps": 2}},
        "answer": {"protocols": ["strict"], "truth_ratio": False},
    }
    done = run(read_experiment(tables=tables), out=tmp_path / "run")
    assert done.failures == ()
    results = done.results
    assert set(results["benchmark"]) == {"mllmu-bench"}
    plain = results.filter(
        (pl.col("metric") == "accuracy")
        & (pl.col("protocol") == "strict")
        & (pl.col("view") == "letter")
        & (pl.col("modality") == "image_text")
        & (pl.col("method") == "ga")
        & pl.col("group").is_null()
        & pl.col("level").is_null()
        & pl.col("baseline").is_null()
    )
    asked = plain.group_by("set").agg(pl.col("n").max(), pl.col("n_subjects").max())
    people = len(load_benchmark(official).subjects)
    assert {name: (n, subjects) for name, n, subjects in asked.iter_rows()} == {
        "forget": (10, 2),
        "test": (30, 2),  # with three pictures each
        "retain": (5 * (people - 2), people - 2),
        "celebrity": (15, 3),
    }
