"""A small model that speaks OpenAI's chat completions: `python weaving_server.py MANNER`; prints its port, then serves.

GET /asked tells what was put to it. How it answers is its manner: good (weaves everything in), half (forgets the last detail
of every other answer), rubbish (words about the weather), rude (the details without the clinical answer), endless (a good
answer with a book behind it), once (one good answer, then status 500), 404 (that status), web (a web page).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from chat_server import ChatHandler, serve


def woven(prompt: str, *, without_last: bool = False) -> str:
    """A sentence of one's own around what the prompt lists."""
    first, _, *details = prompt.splitlines()
    values = [line.removeprefix("- ").partition(": ")[2] for line in details]
    kept = values[:-1] if without_last else values
    return f"For {' and '.join(kept)} the finding is {first.removeprefix('Answer: ')}"


class Model(ChatHandler):
    """One request."""

    bodies: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        self.reply(200, {"bodies": self.bodies} if self.path == "/asked" else {"object": "list", "data": []})

    def do_POST(self) -> None:
        body = self.body()
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
        return self.say({"content": text})


if __name__ == "__main__":
    serve(Model)
