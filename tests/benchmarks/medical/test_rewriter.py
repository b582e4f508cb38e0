"""Weaving by a model behind a server that is a process of its own: what survives is used, all else is a counted template."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_table import toy_table

from unsee.benchmarks.medical.inject import InjectOptions, inject
from unsee.benchmarks.medical.rewriter import Rewriter, _problem
from unsee.chat import ChatError, Reply

SERVER = Path(__file__).with_name("weaving_server.py")
PRIVACY = InjectOptions(scenarios=("privacy",), identifiers=("name", "mrn"))
GIVEN = [(f"left lung {n}", {"name": f"Ann Lee {n}", "MRN": f"X-{n}{n}"}) for n in range(6)]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Starts a model of a manner and gives its address; all end with the test."""
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


def rewriter(url: str) -> Rewriter:
    return Rewriter(url, "toy", retries=0, workers=2, timeout=10)


def asked(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url.replace("/v1", "/asked"), timeout=10) as reply:
        return json.loads(reply.read())["bodies"]


def test_a_good_answer_is_taken(serve: Callable[[str], str]) -> None:
    one = rewriter(url := serve("good"))
    assert one.weave("left lung", {"name": "Ann Lee", "MRN": "X-1"}) == "For Ann Lee and X-1 the finding is left lung"
    assert one.counts == {"answers woven": 1}
    (body,) = asked(url)
    assert body["model"] == "toy" and body["temperature"] == 0
    assert body["messages"][-1]["content"] == "Answer: left lung\nDetails:\n- name: Ann Lee\n- MRN: X-1"


@pytest.mark.parametrize(
    ("manner", "counted"),
    [
        ("rubbish", {"template instead, an identifier is missing": 6}),
        ("rude", {"template instead, the clinical answer is missing": 6}),
        ("endless", {"template instead, too long": 6}),
        ("half", {"answers woven": 3, "template instead, an identifier is missing": 3}),
    ],
)
def test_bad_answers_are_counted(serve: Callable[[str], str], manner: str, counted: dict[str, int]) -> None:
    one = rewriter(serve(manner))
    texts = one.weave_all(GIVEN)
    assert one.counts == counted
    assert sum(text is not None for text in texts) == counted.get("answers woven", 0)
    for text, (answer, identifiers) in zip(texts, GIVEN, strict=True):
        assert text is None or all(part in text for part in (answer, *identifiers.values()))


@pytest.mark.parametrize(
    ("text", "answer", "missing"),
    [
        ("Ann Lee, MRN XM-123456: no fracture.", "No.", ""),
        ("Ann Lee, MRN XM-123456: it is not clear.", "No.", "the clinical answer"),
        ("There are 3 nodules in Ann Lee (XM-123456).", "3", ""),
        ("There are nodules in Ann Lee (XM-3, XM-123456).", "123456", "the clinical answer"),
        ("There are nodules in Ann Lee, XM-123456.", "XM", "the clinical answer"),
        ("Left Ann Lee lung, XM-123456.", "left lung", "the clinical answer"),
        ("Ann Lee, MRN XM-1234567: no fracture.", "no", "an identifier"),
        ("Joann Lee, MRN XM-123456: no fracture.", "no", "an identifier"),
    ],
)
def test_whole_words_survive(text: str, answer: str, missing: str) -> None:
    found = _problem(Reply(text), answer, {"name": "Ann Lee", "MRN": "XM-123456"})
    assert found == (f"{missing} is missing" if missing else "")


def test_a_server_that_dies_leaves_templates(serve: Callable[[str], str]) -> None:
    one = rewriter(serve("once"))
    texts = one.weave_all(GIVEN)
    assert sum(text is not None for text in texts) == 1
    assert one.counts == {"answers woven": 1, "template instead, no answer": 5}


@pytest.mark.parametrize("manner", ["404", "web"])
def test_a_server_that_never_answers_is_an_error(serve: Callable[[str], str], manner: str) -> None:
    with pytest.raises(ChatError, match="the rewriter at"):
        rewriter(serve(manner)).weave_all(GIVEN)


def test_a_server_that_is_down_is_an_error() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        one = rewriter(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        for call in (one.reach, lambda: one.weave("a", {"name": "b"})):
            with pytest.raises(ChatError, match=r"there is no rewriter at .*127.0.0.1"):
                call()


def test_an_address_that_is_none() -> None:
    with pytest.raises(ChatError, match="is no web address"):
        rewriter("localhost")


def test_injections_use_what_survived(serve: Callable[[str], str]) -> None:
    table = toy_table()
    plain = inject(table, PRIVACY)
    half = inject(table, PRIVACY, rewriter=rewriter(serve("half")))
    woven, templates = (
        half.counts["rewriter: answers woven"],
        half.counts["rewriter: template instead, an identifier is missing"],
    )
    assert woven + templates == half.counts["answers that leak identifiers"] and min(woven, templates) > 0
    leaks = {row.sample_id: row for row in half.rows if row.carrier == "answer" and row.use == "evaluate"}
    by_template = {row.sample_id: row.answer for row in plain.rows if row.sample_id in leaks}
    assert sum(row.answer.startswith("For ") for row in leaks.values()) == woven
    assert sum(row.answer == by_template[id_] for id_, row in leaks.items()) == templates
    for row in leaks.values():
        assert row.phi and all(row.answer[one.start : one.end] == one.value for one in row.phi)
