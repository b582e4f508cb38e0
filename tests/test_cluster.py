"""Cells on a Ray cluster: the results of a plain run, also where a machine dies; see cluster.py."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from run_fixtures import ENVIRONMENT, assert_one_line, assert_same, contents
from unsee import cluster
from unsee.cli import main
from unsee.cluster import Cluster
from unsee.errors import ConfigError
from unsee.experiment import Experiment
from unsee.progress import Display
from unsee.runs import Run, run

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two machines with a core each, and a head that computes nothing."""
    from ray.cluster_utils import Cluster as Machines

    # Ray gives workers the lowest priority, so that on a busy machine they would hardly run at all.
    for name, value in {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}.items():
        monkeypatch.setenv(name, value)
    made = Machines(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def working_on(prefix: str, machine: Any) -> bool:
    """Whether a machine of the test's cluster has a worker at a task of that name; Ray names processes by their tasks."""
    raylet = psutil.Process(next(iter(machine.all_processes["raylet"])).process.pid)
    return any(line.startswith(f"ray::{prefix}") for child in raylet.children(recursive=True) for line in child.cmdline()[:1])


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_machine_that_dies_costs_no_cell(
    machines: Any, finished: Run, experiment: Experiment, place: Path, tmp_path: Path
) -> None:
    """The cell that was under way there is computed again, and all is as in a plain run."""
    out = tmp_path / "run"
    cell = next(cell for cell in experiment.cells if cell.method == "npo")
    command = [sys.executable, "-m", "unsee", "run", str(place / "small.toml"), "--out", str(out)]
    command += ["--executor", "ray", "--address", machines.address]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        first, second = machines.worker_nodes
        end = time.monotonic() + 600
        victim = None
        while victim is None:
            assert time.monotonic() < end and driver.poll() is None, driver.communicate()
            victim = next((machine for machine in (first, second) if working_on(cell.id, machine)), None)
            time.sleep(0.01)
        while not (out / "cells" / cell.id).is_dir():
            time.sleep(0.01)
        assert not (out / "cells" / cell.id / "DONE").exists()
        machines.remove_node(victim, allow_graceful=False)
        shown, complaint = driver.communicate(timeout=600)
    assert driver.returncode == 1, complaint  # a random model misses its gate
    assert all(line.startswith("unsee: gate missed: ") for line in complaint.splitlines()), complaint
    jobs = {"learning vanilla", "learning gold-25-s0", "learning gold-25-s1000", *(one.id for one in experiment.cells)}
    titles = [line.partition(": ")[2].partition(" (")[0] for line in shown.splitlines() if f" of {len(jobs)}: " in line]
    assert len(titles) == len(jobs) and set(titles) == jobs
    assert_same(contents(out, experiment), contents(finished.folder, experiment))


@needs_ray
def test_what_a_cell_asks_for_must_be_there(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no machine of the cluster has 4096 CPUs and 0 GPUs for a cell"):
        run(experiment, out=tmp_path / "run", executor=Cluster(cpus_per_cell=4096))
    assert not (tmp_path / "run").exists()


def test_without_ray_it_is_one_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["run", str(place / "small.toml"), "--out", str(tmp_path / "run"), "--executor", "ray"]) == 2
    assert_one_line(capsys.readouterr().err, "pip install 'unsee[ray]'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (None, r"Ray does not start on this machine \(no room\); .*--workers"),
        ("10.0.0.1:6379", r"no Ray cluster answers at 10.0.0.1:6379 \(no room\); start one with `ray start --head`"),
    ],
)
def test_where_ray_is_not_to_be_had(address: str | None, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise RuntimeError("no room\nTraceback")

    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    monkeypatch.setattr(cluster, "_ray", lambda: SimpleNamespace(init=init))
    with pytest.raises(ConfigError, match=says), Cluster(address=address).connected(Display()):
        pass


def test_options_that_cannot_work(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, message in (
        (["--address", "auto"], "--address has no effect without --executor ray"),
        (["--executor", "ray", "--cpus-per-cell", "0"], "cpus_per_cell = 0 is too few"),
        (["--executor", "ray", "--gpus-per-cell", "1.5"], "gpus_per_cell = 1.5 cannot be given"),
    ):
        assert main(["run", str(place / "small.toml"), "--out", str(tmp_path / "run"), *flags]) == 2
        assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "run").exists()
