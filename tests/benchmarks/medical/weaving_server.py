"""A small model that speaks OpenAI's chat completions: `python weaving_server.py MANNER`; prints its port, then serves.

GET /asked tells what was put to it. How it answers is its manner: good (weaves everything in), half (forgets the last detail
of every other answer), rubbish (words about the weather), rude (the details without the clinical answer), endless (a good
answer with a book behind it), once (one good answer, then status 500), 404 (that status), web (a web page).
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def woven(prompt: str, *, without_last: bool = False) -> str:
    """A sentence of one's own around what the prompt lists."""
    first, _, *details = prompt.splitlines()
    values = [line.removeprefix("- ").partition(": ")[2] for line in details]
    kept = values[:-1] if without_last else values
    return f"For {' and '.join(kept)} the finding is {first.removeprefix('Answer: ')}"


class Model(BaseHTTPRequestHandler):
    """One request."""

    manner = "good"
    lock = threading.Lock()
    bodies: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        self.reply(200, {"bodies": self.bodies} if self.path == "/asked" else {"object": "list", "data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.bodies.append(body)
            number = len(self.bodies)
        if self.manner == "404" or (self.manner == "once" and number > 1):
            return self.reply(404 if self.manner == "404" else 500, {"error": {"message": "not today"}})
        if self.manner == "web":
            return self.send(200, b"<html></html>", "text/html")
        prompt = body["messages"][-1]["content"]
        text = woven(prompt, without_last=self.manner == "half" and number % 2 == 0)
        if self.manner == "rubbish":
            text = "It rains.\nTomorrow too."
        elif self.manner == "rude":
            text = text.partition(" the finding is ")[0]
        elif self.manner == "endless":
            text += " And so on." * 100
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return self.reply(200, {"id": "x", "object": "chat.completion", "choices": [choice]})

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


def main() -> None:
    Model.manner = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
