"""Rewriters as processes of their own, and an extension of the hand-made shops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from extending import extended
from tables_by_hand import write_own

from unsee.benchmarks.extended.variants import Extension

SERVER = Path(__file__).with_name("rewording_server.py")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Starts a rewriter of a manner and gives its address; all end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[subprocess.Popen[str]] = []

    def start(manner: str) -> str:
        process = subprocess.Popen([sys.executable, str(SERVER), manner], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        running.append(process)
        return f"http://127.0.0.1:{int(process.stdout.readline())}/v1"

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="session")
def offline(shops: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Extension]:
    """The shops' extension by rules alone, and its folder."""
    out = tmp_path_factory.mktemp("offline") / "made"
    return out, extended(shops, out)
