"""Answers put to a judge that is a process of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from judging.conftest import Server
from judging.server import data_of, score_of
from metrics.record_factory import VANILLA, answers, people
from unsee.chat import MAX_TOKENS, ChatClient, ChatError, ReplyCache
from unsee.errors import DataError
from unsee.judging import judge
from unsee.sample import Sample
from unsee.schemas import JUDGEMENTS

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Every question is worded in its own way, as those of a benchmark are."""
    made = people(forget=3, retain=2, near=0, celebrity=0, small=True)
    return [replace(sample, question=f"{sample.question} ({sample.id})") for sample in made]


@pytest.fixture(scope="module")
def records(samples: list[Sample]) -> pl.DataFrame:
    return answers(samples, VANILLA)


def client(server: Server, **options: object) -> ChatClient:
    return ChatClient(server.url, "toy-judge", **{"timeout": 10.0, "retries": 3, **options})  # type: ignore[arg-type]


def written(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.task == "generation"]


def test_every_written_answer_gets_its_score(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    server = serve()
    steps: list[tuple[int, int]] = []
    made = judge(records, samples, client=client(server), progress=lambda done, total: steps.append((done, total)))
    assert made.schema == JUDGEMENTS
    assert set(made["sample_id"]) == {sample.id for sample in written(samples)}
    by_id = {sample.id: sample for sample in samples}
    for row in made.iter_rows(named=True):
        assert row["score"] == score_of(row["response"]) and row["failure"] is None
        assert row["justification"] == f"judged {len(row['response'])} characters"
        assert (row["judge"], row["rubric_version"], row["task"], row["view"]) == ("toy-judge", 1, "generation", "generate")
        sample = by_id[row["sample_id"]]
        assert (row["set"], row["modality"], row["subject"]) == (sample.set, sample.modality, sample.subject)
    assert steps[0] == (0, made.height) and steps[-1] == (made.height, made.height) and steps == sorted(steps)
    bodies = server.bodies
    assert {(b["model"], b["temperature"], b["max_tokens"], b["path"]) for b in bodies} == {
        ("toy-judge", 0.0, MAX_TOKENS, "/v1/chat/completions")
    }
    assert MAX_TOKENS == 700
    sent = {tuple(data_of(body["messages"][-1]["content"]).values()) for body in bodies}
    assert sent == {(by_id[i].question, by_id[i].answer, said) for i, said in made.select("sample_id", "response").rows()}


def test_nothing_is_asked_twice(serve: Serve, samples: list[Sample], records: pl.DataFrame, tmp_path: Path) -> None:
    server, file = serve(), tmp_path / "judge" / "replies.jsonl"
    twin = records.with_columns(pl.lit("twin").alias("cell"))
    both = pl.concat([records, twin])
    with ReplyCache(file) as cache:
        first = judge(both, samples, client=client(server), cache=cache)
    assert first.height == 2 * len(written(samples)) and len(server.bodies) == len(written(samples))
    server.stop()
    with ReplyCache(file) as cache:  # no server is needed for what is known
        assert_frame_equal(judge(both, samples, client=client(server), cache=cache), first)
        other = ChatClient(server.url, "another-judge", retries=0, timeout=5.0)
        with pytest.raises(ChatError, match="there is no judge at"):
            judge(both, samples, client=other, cache=cache)


def test_chosen_sets_only(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    made = judge(records, samples, client=client(serve()), sets=("test",))
    assert set(made["set"]) == {"test"} and made.height == 6


@pytest.mark.parametrize(("manner", "failure"), [("rubbish", "unreadable"), ("range", "out_of_range"), ("refusal", "refusal")])
def test_unusable_replies_are_failures_and_kept(
    serve: Serve, samples: list[Sample], records: pl.DataFrame, tmp_path: Path, manner: str, failure: str
) -> None:
    server = serve(manner)
    with ReplyCache(tmp_path / "replies.jsonl") as cache:
        made = judge(records, samples, client=client(server), cache=cache)
        assert made["score"].null_count() == made.height and set(made["failure"]) == {failure}
        asked = len(server.bodies)
        assert_frame_equal(judge(records, samples, client=client(server), cache=cache), made)
    assert len(server.bodies) == asked == made.height


def test_a_score_in_a_code_fence_counts(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    made = judge(records, samples, client=client(serve("fenced")))
    assert made["score"].to_list() == [score_of(said) for said in made["response"]]


def test_busy_servers_are_asked_again(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    server = serve("flaky")
    made = judge(records, samples, client=client(server, workers=8), sets=("retain",))
    assert made["failure"].null_count() == made.height == 4
    assert len(server.bodies) == 3 * 4


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        ("401", "refuses a request without key; name one by --judge-key-env .status 401"),
        ("404", "has no model 'toy-judge', or its API begins elsewhere"),
        ("500", r"gave no answer to 3 questions in a row \(last: status 500: .*not today.*\)"),
        ("400", "3 questions in a row"),
        ("html", "no chat completion"),
        ("empty", "reply is empty"),
        ("hang", "did not answer within 0.5 s"),
    ],
)
def test_a_judge_that_never_answers_ends_it(
    serve: Serve, samples: list[Sample], records: pl.DataFrame, manner: str, message: str
) -> None:
    asking = client(serve(manner), timeout=0.5 if manner == "hang" else 10.0, retries=0, workers=1)
    with pytest.raises(ChatError, match=message) as caught:
        judge(records, samples, client=asking)
    assert str(caught.value).isprintable()


def test_threads_end_with_the_work(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    with pytest.raises(ChatError, match="in a row"):
        judge(records, samples, client=client(serve("500"), retries=0, workers=6))
    end = time.monotonic() + 20
    while any("(work)" in thread.name for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any("(work)" in thread.name for thread in threading.enumerate())


def test_one_question_without_an_answer_is_a_failure_and_asked_again(
    serve: Serve, samples: list[Sample], records: pl.DataFrame
) -> None:
    server, cache = serve("hang_one"), ReplyCache()
    made = judge(records, samples, client=client(server, timeout=0.5, retries=1), cache=cache)
    assert made.filter(pl.col("failure") == "no_answer").height == 1
    assert made["score"].null_count() == 1
    most_often = max(server.bodies, key=server.bodies.count)
    assert server.bodies.count(most_often) == 2  # once, and once more
    assert len(cache) == made.height - 1
    server.stop()
    healed = judge(records, samples, client=client(serve()), cache=cache)
    assert healed["failure"].null_count() == healed.height


def test_a_refused_connection_is_told_at_once(serve: Serve, samples: list[Sample], records: pl.DataFrame) -> None:
    server = serve()
    server.stop()
    with pytest.raises(ChatError, match=rf"there is no judge at {server.url} \(.*refused.*\); start it or check the URL"):
        judge(records, samples, client=client(server, retries=100))


def test_keys_go_where_they_are_sent_and_nowhere_else(
    serve: Serve, samples: list[Sample], records: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-yours")
    monkeypatch.setenv("TOY_KEY", "sk-toy\n")
    server = serve()
    judge(records, samples, client=client(server), sets=("test",))
    judge(records, samples, client=client(server, key_env="TOY_KEY"), sets=("retain",))
    sent = [body["authorization"] for body in server.bodies]
    assert set(sent) == {"Bearer none", "Bearer sk-toy"}
    with pytest.raises(ChatError, match="refuses the key in TOY_KEY") as caught:
        judge(records, samples, client=client(serve("401"), key_env="TOY_KEY"))
    assert "sk-toy" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost:8000", {}, "'localhost:8000' is no web address; give one such as http://localhost:8000/v1"),
        ("", {}, "is no web address"),
        ("http://", {}, "is no web address"),
        ("http://host:port/v1", {}, "is no web address"),
        ("http://[::1/v1", {}, "is no web address"),
        ("file:///etc/passwd", {}, "is no web address"),
        ("http://a/v1", {"model": " "}, "model has no name"),
        ("http://a/v1", {"timeout": 0.0}, "give positive numbers"),
        ("http://a/v1", {"timeout": float("nan")}, "give positive numbers"),
        ("http://a/v1", {"key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY is not set"),
        ("http://a/v1", {"key_env": "BAD_KEY"}, "BAD_KEY holds characters that no key has"),
    ],
)
def test_arguments_that_cannot_work(
    url: str, options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.setenv("BAD_KEY", "sk secret")
    with pytest.raises(ChatError, match=message):
        ChatClient(url, **{"model": "m", **options})  # type: ignore[arg-type]


def test_credentials_of_an_address_are_not_shown() -> None:
    assert ChatClient("https://me:secret@judge.example/v1", "m").shown_url == "https://judge.example/v1"


def test_the_client_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ChatError, match=r"install it with pip install 'unsee\[judge\]'"):
        ChatClient("http://a/v1", "m")


def test_a_record_without_its_sample_is_named(samples: list[Sample], records: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="is recorded but not among the samples"):
        judge(records, samples[:1], client=ChatClient("http://127.0.0.1:9/v1", "m"))


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path) -> None:
    from unsee.chat import Reply

    file = tmp_path / "replies.jsonl"
    with ReplyCache(file) as cache:
        cache.put("a", Reply("one\ntwo"))
        cache.put("b", Reply("no", refused=True))
        cache.put("nobody", Reply(None, problem="gone"))
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        with ReplyCache(file) as cache:
            kept = len(cache)
            assert kept == whole[:cut].count(b"\n") or whole[:cut].endswith(b"}")
            cache.put("c", Reply("three"))
        with ReplyCache(file) as cache:
            assert len(cache) == kept + 1 and cache.get("c") == Reply("three")
    file.write_bytes(whole)
    with ReplyCache(file) as cache:
        assert (cache.get("a"), cache.get("b")) == (Reply("one\ntwo"), Reply("no", refused=True))
        assert cache.get("nobody") is None and len(cache) == 2
