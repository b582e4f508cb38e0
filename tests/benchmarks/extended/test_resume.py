"""`unsee data extend` killed and started again gives the same files, byte by byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unsee.benchmarks.extended.work import work_path

HARNESS = Path(__file__).with_name("killed_extends.py")
KILLED = -9


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def sessions(arguments: list[str], plan: list[tuple[str, float]]) -> list[tuple[int, str, float]]:
    """(exit code, complaint, seconds) of each session of the same command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HARNESS.parent), *sys.path])}
    command = [sys.executable, str(HARNESS), json.dumps(arguments), json.dumps(plan)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=True)
    return [tuple(one) for one in json.loads(run.stdout)]


@pytest.mark.slow
def test_killed_at_ten_random_moments(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    """Twice each in five folders; the first of them also inside a write."""
    url = serve("slow")
    flags = f"--rewriter {url} --rewriter-model toy --image-generator toy_drawing:draw --image-editor toy_drawing:draw"
    common = [
        "data",
        "extend",
        "--format",
        "vqa-json",
        "--data",
        str(shops),
        "--license",
        "MIT",
        "--facts",
        "6",
        *flags.split(),
    ]
    whole = tmp_path / "whole/made"
    ((code, complaint, seconds),) = sessions([*common, "--out", str(whole)], [("finish", 0)])
    assert code == 0, complaint
    rng, kills = random.Random(0), 0
    for number in range(5):
        out = tmp_path / f"killed {number}/made"
        plan: list[tuple[str, float]] = [("kill", rng.uniform(0.05, 0.8) * seconds), ("kill", rng.uniform(0.05, 0.5) * seconds)]
        done = sessions([*common, "--out", str(out)], [*([("write", 5)] if number == 0 else []), *plan, ("finish", 0)])
        kills += [code for code, _, _ in done].count(KILLED)
        # A session that was faster than the kill leaves nothing to the next one, which says so.
        assert done[-1][0] == 0 or "exists and is not empty" in done[-1][1], done
        assert contents(out) == contents(whole)
        assert not work_path(out).exists() and not list(out.parent.glob(".*.part"))
    assert kills >= 6


@pytest.mark.slow
def test_killed_in_the_last_writes(shops: Path, tmp_path: Path) -> None:
    """Inside the folder's own files, and after it stands but before the work is removed."""
    common = ["data", "extend", "--format", "vqa-json", "--data", str(shops), "--license", "MIT", "--facts", "2"]
    whole, killed = tmp_path / "whole/made", tmp_path / "killed/made"
    plan = [("write", 3), ("write", 12), ("rename", 0), ("finish", 0)]
    assert [code for code, _, _ in sessions([*common, "--out", str(whole)], [("finish", 0)])] == [0]
    done = sessions([*common, "--out", str(killed)], plan)
    assert [code for code, _, _ in done] == [KILLED, KILLED, KILLED, 0], done
    assert contents(killed) == contents(whole) and not work_path(killed).exists()
    ((code, complaint, _),) = sessions([*common, "--out", str(killed)], [("finish", 0)])
    assert code == 2 and "exists and is not empty; choose a new folder" in complaint
