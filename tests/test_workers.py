"""Cells in processes of this machine: the results of a plain run, also where a worker or all of them die; see workers.py."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from weakref import ref

import psutil
import pytest

from run_fixtures import ENVIRONMENT, assert_one_line, assert_same, contents
from unsee import workers
from unsee.cli import main
from unsee.experiment import Experiment, parse_experiment
from unsee.models import loading
from unsee.models.loading import load_model
from unsee.models.model import Model
from unsee.progress import Advance, Display
from unsee.run_folder import RunFolder
from unsee.runs import Run, run
from unsee.workers import Workers, usual_workers


class Noted(Display):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.stages: set[tuple[str, str]] = set()
        self.over: set[str] = set()

    def stage(self, label: str, *, of: str = "") -> Advance:
        self.stages.add((of, label))
        return super().stage(label)

    def ended(self, of: str) -> None:
        self.over.add(of)


def begin(place: Path, out: Path) -> subprocess.Popen[str]:
    command = ["taskset", "-c", "0,1", sys.executable, "-m", "unsee", "run", str(place / "small.toml"), "--out", str(out)]
    piped = subprocess.PIPE
    return subprocess.Popen(
        [*command, "--workers", "2"], env=ENVIRONMENT, stdout=piped, stderr=piped, text=True, start_new_session=True
    )


def computing(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its workers; what multiprocessing starts beside them is left out."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def wait_for(there: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not there():
        assert time.monotonic() < end and driver.poll() is None, driver.communicate()
        time.sleep(0.005)


class Stopped(Exception):
    """Ends a run where its cells would be computed."""


def test_the_driver_keeps_no_model(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it checks before the first cell is held by every worker again."""
    loaded = []

    def load(*arguments: Any, **options: Any) -> Model:
        model = load_model(*arguments, **options)
        loaded.append(ref(model.network))
        return model

    def compute(*_: object) -> list[str]:
        gc.collect()
        assert loaded and not any(network() for network in loaded)
        raise Stopped

    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(Workers, "compute", compute)
    monkeypatch.setattr(Workers, "connected", lambda *_: nullcontext())
    with pytest.raises(Stopped):
        run(experiment, out=tmp_path / "run", executor=Workers(2))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_results_are_those_of_a_plain_run(
    finished: Run, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: 2)  # one thread each, as the run that theirs is compared with
    shown = Noted()
    done = run(experiment, out=tmp_path / "run", executor=Workers(2), display=shown)
    assert not done.failures
    assert_same(contents(done.folder, experiment), contents(finished.folder, experiment))
    assert RunFolder(done.folder).provenance()["executor"] == {"workers": 2, "threads": 1}
    jobs = {"learning vanilla", *(cell.id for cell in experiment.cells)}
    assert shown.over >= jobs and {of for of, _ in shown.stages} >= jobs
    assert ("learning vanilla", "learning") in shown.stages


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_that_dies_costs_no_cell(finished: Run, experiment: Experiment, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    cell = next(cell for cell in experiment.cells if cell.method == "npo")
    with begin(place, out) as driver:
        wait_for(lambda: (out / "cells" / cell.id).is_dir(), driver)
        computing(driver)[0].kill()
        _, complaint = driver.communicate(timeout=600)
    assert driver.returncode == 1, complaint  # a random model misses its gate
    assert_same(contents(out, experiment), contents(finished.folder, experiment))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_leave_with_the_run(
    how: signal.Signals, finished: Run, experiment: Experiment, place: Path, tmp_path: Path
) -> None:
    """Nobody writes into the folder any more when the next command goes on there."""
    out = tmp_path / "run"
    with begin(place, out) as driver:
        wait_for(lambda: any((out / "cells").glob("*/train.jsonl")), driver)
        left = computing(driver)
        assert len(left) == 2
        driver.send_signal(how)
        _, complaint = driver.communicate(timeout=60)
    assert not psutil.wait_procs(left, timeout=10)[1]
    if how is signal.SIGINT:
        assert_one_line(complaint, "interrupted")
    with begin(place, out) as driver:
        _, complaint = driver.communicate(timeout=600)
    assert driver.returncode == 1, complaint
    assert_same(contents(out, experiment), contents(finished.folder, experiment))


def killed(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.timeout(300)
def test_a_task_whose_worker_always_dies_fails() -> None:
    pool = Workers(1, retries=1)
    with pool.connected(Display()):
        handle = pool._start("doomed", killed)  # type: ignore[arg-type]
        assert pool._next([handle]) == handle
        outcome = pool._outcome(handle)
    assert "its worker died 2 times (killed from outside or out of memory)" in str(outcome.error)


def test_who_has_workers_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedded models on a machine without GPU, as many as cores, memory and cells bear."""
    embedded = parse_experiment({"model": "tiny"})
    assert len(embedded.cells) > 4
    monkeypatch.setattr(workers, "_has_gpu", lambda: False)
    for cores, gib, count in (
        (1, 64.0, 1),
        (2, 24.0, 2),
        (16, 17.0, 4),
        (2, None, 1),
        (2, 3.0, 1),
        (4096, 1e6, len(embedded.cells)),
    ):
        monkeypatch.setattr(workers, "_cores", lambda cores=cores: cores)
        monkeypatch.setattr(workers, "memory_gib", lambda gib=gib: gib)
        assert usual_workers(embedded) == count
    assert usual_workers(parse_experiment({"model": "/some/llava"})) == 1
    monkeypatch.setattr(workers, "_has_gpu", lambda: True)
    assert usual_workers(embedded) == 1


def test_options_that_cannot_work(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", str(place / "small.toml"), "--out", str(tmp_path / "run"), "--workers"]
    assert main([*command, "0"]) == 2
    assert_one_line(capsys.readouterr().err, "workers = 0 is too few; give at least 1")
    assert main([*command, "2", "--executor", "ray"]) == 2
    assert_one_line(capsys.readouterr().err, "leave one out")
    assert not (tmp_path / "run").exists()
