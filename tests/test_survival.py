"""Runs that survive: kill -9 at any moment, Ctrl-C, a full disk and a read-only one; the same results in the end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from run_fixtures import assert_one_line, assert_same, contents
from unsee.cli import main
from unsee.experiment import Experiment, read_experiment
from unsee.runs import Run

HARNESS = Path(__file__).parent / "interrupted_runs.py"
KILLED, INTERRUPTED, FAILED = -signal.SIGKILL, 130, 1
"""Exit codes; a random model misses its gate, so even an undisturbed run ends with 1."""


@pytest.fixture(scope="module")
def undisturbed(finished: Run, experiment: Experiment) -> dict[str, Any]:
    """What a run makes that nobody disturbs."""
    return contents(finished.folder, experiment)


def sessions(place: Path, out: Path, *plan: tuple[str, float]) -> list[tuple[int, str]]:
    """Exit code and complaint of each session, one after the other in the same folder; `place` may be an experiment file."""
    toml = place if place.is_file() else place / "small.toml"
    command = [sys.executable, str(HARNESS), str(toml), str(out), json.dumps(plan)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=True).stdout
    return [(code, complaint) for code, complaint in json.loads(shown)]


@pytest.mark.slow
def test_killed_and_interrupted_gives_the_same_results(
    undisturbed: dict[str, Any], experiment: Experiment, place: Path
) -> None:
    out = place / "killed"
    codes, complaints = zip(*sessions(place, out, ("write", 40), ("kill", 0.5), ("interrupt", 0.8)), strict=True)
    assert codes == (KILLED, KILLED, INTERRUPTED)
    assert_one_line(complaints[-1], "interrupted; finished work is kept, run the same command again to go on")
    assert not (out / "results.parquet").exists()
    assert sessions(place, out, ("finish", 0))[0][0] == FAILED
    assert_same(contents(out, experiment), undisturbed)


@pytest.mark.slow
def test_killed_inside_a_write_leaves_old_or_new(place: Path, tmp_path: Path) -> None:
    """What bears its final name is whole, whatever lies aside."""
    import polars as pl
    from safetensors import safe_open

    out = tmp_path / "run"
    codes = sessions(place, out, ("write", 1), ("write", 2), ("write", 12), ("write", 110))
    assert [code for code, _ in codes] == [KILLED] * 4
    assert list(out.rglob(".*.part"))
    assert (out / "models/vanilla/model.safetensors").exists()
    for file in (path for path in out.rglob("*") if path.is_file()):
        if any(part.name.endswith(".part") for part in (file, *file.parents)):
            continue
        if file.suffix == ".json":
            json.loads(file.read_text())
        if file.suffix == ".parquet":
            pl.read_parquet(file)
        if file.suffix == ".safetensors":
            with safe_open(file, framework="numpy") as stored:
                assert list(stored.keys())
    read_experiment(out / "experiment.toml")


@pytest.mark.slow
def test_killed_at_ten_random_moments_gives_the_same_results(
    undisturbed: dict[str, Any], experiment: Experiment, place: Path
) -> None:
    moments = random.Random(20241)
    kills, number = 0, 0
    while kills < 10:
        out = place / f"hunted-{number}"
        plan = [("kill", moments.uniform(0.15, 0.9)) for _ in range(10 - kills)]
        codes = [code for code, _ in sessions(place, out, ("write", moments.randrange(3, 90)), *plan)]
        assert set(codes) <= {KILLED, FAILED}, codes
        # A session after the last cell has nothing left to be killed in.
        kills += codes[1:].count(KILLED)
        assert sessions(place, out, ("finish", 0))[0][0] == FAILED
        assert_same(contents(out, experiment), undisturbed)
        number += 1


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own; needs the right to mount, which a build machine's root must have."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if made is None or made.returncode:
        reason = f"cannot mount a file system: {made.stderr.strip() if made else 'no mount command'}"
        if os.geteuid() == 0 and os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_and_a_read_only_one(
    undisturbed: dict[str, Any],
    experiment: Experiment,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One clear line each, finished work is kept, and with room again the run goes on to the same results."""
    with mounted(tmp_path / "disk", "size=4m") as disk:
        out = disk / "run"
        command = ["run", str(place / "small.toml"), "--out", str(out)]
        assert main(command) == 2
        assert_one_line(capsys.readouterr().err, "the disk is full; free some space; finished work is kept")
        vanilla = out / "models/vanilla/model.safetensors"
        kept = vanilla.read_bytes(), vanilla.stat().st_mtime_ns
        assert json.loads((out / "models/vanilla/learned.json").read_text())["seed"] == 0

        remount(disk, "size=64m")
        assert main(command) == FAILED
        complaint = capsys.readouterr().err
        assert all(line.startswith("unsee: gate missed: ") for line in complaint.splitlines()), complaint
        assert (vanilla.read_bytes(), vanilla.stat().st_mtime_ns) == kept
        assert_same(contents(out, experiment), undisturbed)

        remount(disk, "ro")
        assert main(command) == 2
        assert_one_line(capsys.readouterr().err, "the file system is read-only; choose another folder with --out")
        assert_same(contents(out, experiment), undisturbed)


def test_a_new_run_on_a_read_only_disk_is_one_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mounted(tmp_path / "disk", "ro") as disk:
        for command in (
            ["run", str(place / "small.toml")],
            ["learn", str(place / "people8"), "--model", str(place / "model"), "--epochs", "0"],
            ["answer", "--model", str(place / "model"), "--data", str(place / "people8/gate.jsonl")],
            ["unlearn", "--model", str(place / "model"), "--method", "ga", "--forget", str(place / "people8/gate.jsonl")],
            ["data", "export", "people", "--subjects", "8"],
        ):
            assert main([*command, "--out", str(disk / "out")]) == 2
            assert_one_line(capsys.readouterr().err, "the file system is read-only; choose another folder with --out")


def test_a_file_in_the_way_is_one_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file in the way")
    for out in (tmp_path / "out", tmp_path / "out" / "inner"):
        assert main(["run", str(place / "small.toml"), "--out", str(out)]) == 2
        assert_one_line(capsys.readouterr().err, "a file stands where a folder is needed; choose another folder with --out")
    assert (tmp_path / "out").read_text() == "a file in the way"
