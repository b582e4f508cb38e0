"""What small servers of tests share that speak OpenAI's chat completions; each is a process that prints its port and serves."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatHandler(BaseHTTPRequestHandler):
    """One request; a server derives from it and sets `manner` from its command line."""

    manner = "good"
    lock = threading.Lock()

    def body(self) -> dict[str, Any]:
        """What was posted."""
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, message: dict[str, Any]) -> None:
        """A completion with one message of the assistant."""
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | message}
        self.reply(200, {"id": "x", "object": "chat.completion", "choices": [choice]})

    def reply(self, status: int, value: Any) -> None:
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def serve(handler: type[ChatHandler]) -> None:
    """Serve on loopback for ever: `python SERVER MANNER [PORT]`."""
    handler.manner = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
