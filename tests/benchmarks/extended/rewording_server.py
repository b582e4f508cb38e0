"""A small rewriter that speaks OpenAI's chat completions: `python rewording_server.py MANNER [PORT]`.

GET /asked tells what was put to it. How it answers is its manner: good (usable lines), poor (each kind of line that a check
must find), slow (good, after a tenth of a second), empty (no words), down (status 500), once (one good reply, then status 500),
page (a web page instead of a completion).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from chat_server import ChatHandler, serve


def told(prompt: str) -> tuple[str, str]:
    """The question and the answer of a request; "" where the answer is not told."""
    question, *rest = prompt.splitlines()
    answer = next((line.partition(": ")[2] for line in rest if line.startswith("Right answer: ")), "")
    return question.partition(": ")[2], answer


def written(task: str, prompt: str, manner: str) -> str:
    question, answer = told(prompt)
    if task.startswith("You reword"):
        if manner == "poor":
            return (
                f"I'm sorry, I cannot help with that.\n{question.upper()}\nTell me, please, what do you\nWhat is tennis here?"
            )
        wordings = (f"Look at it: {question}", f"Please say. {question}", f"Tell me this. {question}", f"In a word: {question}")
        return "\n".join(f"{number}. {text}" for number, text in enumerate(wordings, start=1))
    if "other answers of the same kind" in task:
        return f"- chess\n- {answer.upper()}\n- darts\n- {'very ' * 20}long"
    if manner == "poor":
        return f'"What is near?" | The {answer.upper()}!\nWho is there? | '
    return "Is it day or night? | day\nWho is there? | nobody\nWhat else? | too many"


class Rewriter(ChatHandler):
    """One request."""

    bodies: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        self.reply(200, {"bodies": self.bodies} if self.path == "/asked" else {"object": "list", "data": []})

    def do_POST(self) -> None:
        body = self.body()
        with self.lock:
            self.bodies.append(body)
            number = len(self.bodies)
        if self.manner == "down" or (self.manner == "once" and number > 1):
            return self.reply(500, {"error": {"message": "not today"}})
        if self.manner == "page":
            return self.send(200, b"<html><body>Please log in.</body></html>", "text/html")
        if self.manner == "slow":
            time.sleep(0.1)
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        text = "" if self.manner == "empty" else written(body["messages"][0]["content"], prompt, self.manner)
        return self.say({"content": text})


if __name__ == "__main__":
    serve(Rewriter)
