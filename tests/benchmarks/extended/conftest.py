"""Rewriters as processes of their own, and an extension of the hand-made shops."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tables_by_hand import write_own
from unsee.benchmarks.extended.extend import ExtendOptions, Generators, extend
from unsee.benchmarks.extended.files import write_extension
from unsee.benchmarks.extended.tables import read_source
from unsee.benchmarks.extended.variants import Extension
from unsee.benchmarks.extended.work import work_for

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


def asked(url: str) -> list[dict[str, Any]]:
    """What was put to a rewriter."""
    with urllib.request.urlopen(url.replace("/v1", "/asked"), timeout=10) as reply:
        return json.loads(reply.read())["bodies"]


def extended(data: Path, out: Path, generators: Generators | None = None, *, format: str = "vqa-json", **options: Any) -> Extension:
    """The extension of a folder, written to `out`."""
    source = read_source(format, data, license="CC-BY-4.0")
    with work_for(out) as work:
        made = extend(source, ExtendOptions(**options), work=work, name="made", generators=generators)
        write_extension(out, made)
    return made


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="session")
def offline(shops: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Extension]:
    """The shops' extension by rules alone, and its folder."""
    out = tmp_path_factory.mktemp("offline") / "made"
    return out, extended(shops, out)
