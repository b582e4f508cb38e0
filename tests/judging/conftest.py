"""Judges as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("server.py")


@dataclass
class Server:
    """A running judge."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Every question put to it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/count", timeout=10) as reply:
            return json.loads(reply.read())["bodies"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts a judge of a manner, on a port if one is given; all end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[Server] = []

    def start(manner: str = "good", port: int = 0) -> Server:
        process = subprocess.Popen([sys.executable, str(SERVER), manner, str(port)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        running.append(Server(process, int(process.stdout.readline())))
        return running[-1]

    yield start
    for server in running:
        server.stop()
