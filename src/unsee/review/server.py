"""The review page on this machine only, with every decision on disk before the next one is shown.

A request gets something only if it names this machine as its host, comes from no other page, and holds the token of this run;
everything else gets a status without content.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from unsee.benchmarks.extended.files import ABOUT
from unsee.benchmarks.extended.variants import Extension
from unsee.errors import ConfigError, DataError
from unsee.review.decisions import DecisionLog, decision_of, extension_digest, standing
from unsee.review.page import Pictures, check_reviewable, render_page
from unsee.sample import ImageError

LARGEST = 64 * 1024
"""Bytes of a request's body."""
PATIENCE = 30
"""Seconds that a connection may be silent."""
TOKEN = "X-Unsee-Token"
_LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one annotator.

    Attributes:
        url: the page's address, token included.
        log: where decisions go.
    """

    daemon_threads = True

    def __init__(
        self,
        extension: Extension,
        folder: Path | str,
        *,
        decisions: Path | str,
        annotator: str,
        seed: int = 0,
        failed: bool = False,
        port: int = 0,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Args:
            extension: what is judged.
            folder: where it was read from; the page says so when it goes away.
            decisions: JSON lines to add to; made where it is missing. What the annotator decided there is taken up.
            annotator: who judges.
            seed: of the annotator's order.
            failed: also have variants judged that failed automatic checks.
            port: 0 for any free one.
            report: told about trouble, once each time it begins.

        Raises:
            ConfigError: no name, one that is too long, or a port that cannot be used.
            DataError: there is no variant to judge, or the file of decisions holds something else or cannot be written.
        """
        if not annotator.strip():
            raise ConfigError("--serve needs --annotator NAME, under which decisions are written")
        check_reviewable(extension, annotator=annotator, failed=failed)
        self.folder, self.annotator = Path(folder), annotator.strip()
        self.digest = extension_digest(extension)
        self.log = DecisionLog(Path(decisions))
        if any(one.extension != self.digest for one in self.log.decisions):
            raise DataError(f"{decisions} holds decisions about another extension; name another file with --decisions")
        self.pictures = Pictures(extension)
        self._items = {variant.id for variant in extension.variants}
        self._report = report or _to_stderr
        self._lock = threading.Lock()
        self._trouble = ""
        self.token = secrets.token_urlsafe(24)
        self.page = render_page(
            extension,
            pictures=self.pictures,
            addresses=[f"pictures/{number}" for number in range(len(self.pictures.listed))],
            annotator=self.annotator,
            seed=seed,
            failed=failed,
            served=str(decisions),
        ).encode()
        try:
            super().__init__((_LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--port {port} cannot be used ({error}); leave it out for any free port") from error
        self.hosts = {f"{name}:{self.server_port}" for name in (_LOOPBACK, "localhost")}

    @property
    def url(self) -> str:
        return f"http://{_LOOPBACK}:{self.server_port}/?token={self.token}"

    def own_decisions(self) -> dict[str, Any]:
        """What the annotator decided so far, and what is wrong."""
        with self._lock:
            rows = [one for one in standing(self.log.decisions) if one.annotator == self.annotator]
        return {"decisions": [json.loads(row.line) for row in rows], "warning": self._gone()}

    def accept(self, body: bytes) -> dict[str, Any]:
        """Write a decision to disk.

        Raises:
            DataError: it is none, or not this annotator's about a variant of this extension.
            OSError: it cannot be written.
        """
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise DataError("the request is no JSON") from error
        decision = decision_of(value, where="the request")
        if (decision.annotator, decision.extension) != (self.annotator, self.digest) or decision.item not in self._items:
            raise DataError("the decision is of another annotator, extension or variant")
        with self._lock:
            try:
                self.log.add(decision)
            except OSError as error:
                self._complain(f"decisions cannot be written to {self.log.path} ({error.strerror}).")
                raise
            self._trouble = self._gone()
        return {"saved": decision.item, "warning": self._trouble}

    def picture(self, number: int) -> tuple[bytes, str] | None:
        """A picture and its kind; None where it is gone, changed or cannot be decoded."""
        image = self.pictures.listed[number]
        try:
            data = image.read()
        except ImageError:
            self._gone()
            return None
        if hashlib.sha256(data).hexdigest() != image.sha256:
            return None
        return self.pictures.shown(number)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is nobody's fault; anything else is ours and told in full."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def _gone(self) -> str:
        """A line about the folder where it is no longer there."""
        if (self.folder / ABOUT).is_file():
            return ""
        line = f"The folder {self.folder} is gone, so pictures cannot be shown; decisions go on being saved to {self.log.path}."
        self._complain(line)
        return line

    def _complain(self, line: str) -> None:
        if line != self._trouble:
            self._trouble = line
            self._report(line)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ReviewServer
    timeout = PATIENCE

    def do_GET(self) -> None:
        if not self._let_in():
            return
        match urlsplit(self.path).path.split("/")[1:]:
            case [""]:
                self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
            case ["decisions"]:
                self._send_json(HTTPStatus.OK, self.server.own_decisions())
            case ["pictures", number] if number.isascii() and number.isdigit() and len(number) < 9:
                known = int(number) < len(self.server.pictures.listed)
                found = self.server.picture(int(number)) if known else None
                if found is None:
                    self._send(HTTPStatus.NOT_FOUND)
                else:
                    self._send(HTTPStatus.OK, found[0], f"image/{found[1]}")
            case _:
                self._send(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._let_in():
            return
        if urlsplit(self.path).path != "/decisions":
            self._send(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._send(HTTPStatus.LENGTH_REQUIRED)
            return
        if len(length) > 9 or int(length) > LARGEST:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        try:
            self._send_json(HTTPStatus.OK, self.server.accept(body))
        except DataError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": f"The server refused a decision: {error}."})
        except OSError as error:
            line = f"Decisions cannot be written to {self.server.log.path} ({error.strerror})."
            self._send_json(HTTPStatus.INSUFFICIENT_STORAGE, {"error": line})

    def _let_in(self) -> bool:
        """Whether the request names this machine, comes from no other page and holds the token; answers it otherwise."""
        server, headers = self.server, self.headers
        origin = headers.get("Origin")
        given = headers.get(TOKEN) or "".join(parse_qs(urlsplit(self.path).query).get("token", [])[:1])
        right = (
            len(headers.get_all("Host", [])) == 1
            and headers["Host"].lower() in server.hosts
            and (origin is None or origin.lower() in {f"http://{host}" for host in server.hosts})
            and secrets.compare_digest(given.encode(errors="replace"), server.token.encode())
        )
        if not right:
            self._send(HTTPStatus.FORBIDDEN)
        return right

    def _send_json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes = b"", kind: str = "") -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request gets no content either."""
        self._send(HTTPStatus(code))

    def version_string(self) -> str:
        return "unsee"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: their addresses hold the token."""


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def serve(server: ReviewServer) -> None:
    """Serve until Ctrl-C.

    Raises:
        KeyboardInterrupt: always in the end; every decision is on disk.
    """
    with server:
        server.serve_forever(poll_interval=0.2)
