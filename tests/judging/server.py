"""A small judge that speaks OpenAI's chat completions: `python server.py MANNER [PORT]`; prints its port, then serves.

GET /count tells how many questions were put. How it answers is its manner:

    good            a score from 1 to 10 by the hash of the answer
    slow            the same after a fifth of a second
    flaky           each question gets 429, then 500, then a good answer
    rubbish         words without a score; fenced: a score in a code fence; range: 11; refusal: the API's own refusal
    hang            never answers; hang_one: never answers the first question
    html            a web page; empty: no words; 401, 404, 400, 500: that status
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chat_server import ChatHandler, serve

HANG_SECONDS = 120


def score_of(answer: str) -> int:
    """What the good judge gives."""
    return 1 + hashlib.sha256(answer.encode()).digest()[0] % 10


def data_of(prompt: str) -> dict[str, str]:
    """The texts between the marks, found as a reader of the prompt would: after the last BEGIN."""
    lines = prompt.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith("BEGIN "))
    assert lines[start + 2] == lines[start].replace("BEGIN", "END")
    return json.loads(lines[start + 1])


class Judge(ChatHandler):
    """One request."""

    asked: Counter[str] = Counter()
    bodies: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        if self.path == "/count":
            return self.reply(200, {"count": self.asked.total(), "bodies": self.bodies})
        if self.manner == "hang":
            time.sleep(HANG_SECONDS)
        return self.reply(200, {"object": "list", "data": [{"id": "toy-judge", "object": "model"}]})

    def do_POST(self) -> None:
        body = self.body()
        prompt = body["messages"][-1]["content"]
        with self.lock:
            first = not self.asked
            self.asked[prompt] += 1
            times = self.asked[prompt]
            self.bodies.append(body | {"path": self.path, "authorization": self.headers["Authorization"]})
        if self.manner == "hang" or (self.manner == "hang_one" and (first or self.asked[prompt] > 1)):
            time.sleep(HANG_SECONDS)
        if self.manner == "slow":
            time.sleep(0.2)
        if self.manner.isdigit():
            return self.reply(int(self.manner), {"error": {"message": "not today \x1b[31m", "code": None}})
        if self.manner == "flaky" and times < 3:
            return self.reply(429 if times == 1 else 500, {"error": {"message": "later"}})
        if self.manner == "html":
            return self.send(200, b"<html>judge</html>", "text/html")
        answer = data_of(prompt)["model_answer"]
        verdict = json.dumps({"Factuality Score": score_of(answer), "Justification": f"judged {len(answer)} characters"})
        message: dict[str, Any] = {"content": verdict}
        if self.manner == "rubbish":
            message["content"] = "All good, ten out of ten!"
        elif self.manner == "fenced":
            message["content"] = f"Here it is:\n```json\n{verdict}\n```"
        elif self.manner == "range":
            message["content"] = '{"Factuality Score": 11, "Justification": "beyond right"}'
        elif self.manner == "refusal":
            message |= {"content": None, "refusal": "I will not judge this."}
        elif self.manner == "empty":
            message["content"] = ""
        return self.say(message)


if __name__ == "__main__":
    serve(Judge)
