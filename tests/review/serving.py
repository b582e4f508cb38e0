"""`unsee data review --serve` as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from run_fixtures import ENVIRONMENT


class Served(NamedTuple):
    """A running server."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]


@contextmanager
def servers() -> Iterator[Callable[..., Served]]:
    """Starts servers for a folder, a file of decisions and an annotator; all end with the block."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, decisions: Path, annotator: str = "Ada") -> Served:
        command = [sys.executable, "-m", "unsee", "data", "review", str(folder), "--serve"]
        process = subprocess.Popen(
            [*command, "--decisions", str(decisions), "--annotator", annotator],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        return Served(process, process.stdout.readline().removeprefix("review: ").strip())

    yield start
    for process in running:
        process.kill()
        process.communicate()
