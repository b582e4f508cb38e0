"""`unsee data review --serve` as processes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from run_fixtures import ENVIRONMENT
from unsee.review.decisions import Decision


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


def ask(
    served: Served, path: str = "/decisions", method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Status and content; headers win over the right ones, and are left out where they are empty."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    given = {
        "Host": f"127.0.0.1:{served.port}",
        "X-Unsee-Token": served.token,
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    connection.putrequest(method, path, skip_host=True)
    for name, value in given.items():
        if value:
            connection.putheader(name, value)
    if body is not None and "Content_Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def post(served: Served, made: Decision) -> tuple[int, dict[str, Any]]:
    status, content = ask(served, method="POST", body=made.line.encode())
    return status, json.loads(content)
