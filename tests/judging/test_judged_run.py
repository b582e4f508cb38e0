"""`unsee score RUN --judge URL` on a whole run, killed, interrupted and continued."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from judging.conftest import Server
from judging.server import data_of, score_of
from run_fixtures import ENVIRONMENT, assert_one_line, unsee
from unsee.chat import ChatClient
from unsee.errors import ConfigError, DataError
from unsee.experiment import Experiment
from unsee.judging import judge_run
from unsee.run_folder import RunFolder
from unsee.run_results import rescore
from unsee.runs import Run
from unsee.schemas import JUDGEMENTS

Serve = Callable[..., Server]


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(finished.folder, tmp_path / "run"))


def client(server: Server) -> ChatClient:
    return ChatClient(server.url, "toy-judge", timeout=10.0)


def written(run: Path) -> pl.DataFrame:
    """Every answer that can be judged, read without the code under test."""
    records = pl.concat([pl.read_parquet(file) for file in sorted(run.glob("cells/*/records.parquet"))])
    return records.filter((pl.col("task") == "generation") & (pl.col("view") == "generate"))


@pytest.mark.slow
def test_the_command_judges_scores_and_reports(run: Path, serve: Serve) -> None:
    server = serve()
    done = unsee("score", str(run), "--judge", server.url, "--judge-model", "toy-judge")
    assert done.returncode == 0, done.stderr
    answers = written(run)
    asked = answers.select("sample_id", "response").n_unique()
    assert f"{answers.height} answers judged by toy-judge, {asked} questions put to it" in done.stdout
    assert len(server.bodies) == asked
    judgements = pl.concat([pl.read_parquet(file) for file in sorted(run.glob("cells/*/judgements.parquet"))])
    assert judgements.schema == JUDGEMENTS and judgements.height == answers.height
    assert judgements["score"].to_list() == [score_of(said) for said in judgements["response"]]
    results = pl.read_parquet(run / "results.parquet").filter(pl.col("baseline").is_null() & pl.col("group").is_null())
    means = results.filter((pl.col("metric") == "judge_factuality") & pl.col("level").is_null() & ~pl.col("gated"))
    expected = answers.with_columns(pl.col("response").map_elements(score_of, return_dtype=pl.Int64).alias("score"))
    place = ["cell", "set", "modality", "protocol"]
    by_hand = {row[:4]: row[4] for row in expected.group_by(place).agg(pl.col("score").mean()).rows()}
    assert {tuple(row): value for *row, value in means.select(*place, "value").rows()} == pytest.approx(by_hand)
    assert {"judge_failures", "judge_agreement", "factuality"} <= set(results["metric"])
    told = json.loads((run / "provenance.json").read_text())["judge"]
    assert told == {"model": "toy-judge", "url": server.url, "rubric_version": 1}
    again = unsee("score", str(run), "--judge", server.url, "--judge-model", "toy-judge")
    assert again.returncode == 0 and "0 questions put to it" in again.stdout
    assert len(server.bodies) == asked
    server.stop()
    without = unsee("score", str(run))
    assert without.returncode == 0 and "judged by" not in without.stdout
    assert pl.read_parquet(run / "results.parquet").filter(pl.col("metric") == "judge_factuality").height > 0


@pytest.mark.slow
def test_failures_are_told_and_are_in_no_mean(run: Path, serve: Serve) -> None:
    done = unsee("score", str(run), "--judge", serve("rubbish").url, "--judge-model", "toy-judge", "--judge-sets", "forget")
    assert done.returncode == 0
    forgotten = written(run).filter(pl.col("set") == "forget").height
    assert f"{forgotten} answers have no judgement (unreadable) and enter no mean" in done.stderr
    results = pl.read_parquet(run / "results.parquet")
    failures = results.filter(pl.col("metric") == "judge_failures")
    assert failures["value"].sum() == forgotten and set(failures["set"]) == {"forget"}
    means = results.filter(pl.col("metric") == "judge_factuality")
    assert means.height and means["value"].null_count() == means.height
    assert means["reason"].str.contains("no usable judgement: .* unreadable").all()


def killed(run: Path, server: Server, number: int) -> tuple[int, str]:
    """Start judging, stop it by a signal once five replies are on disk; exit code and stderr."""
    arguments = ["score", str(run), "--judge", server.url, "--judge-model", "toy-judge"]
    command = [sys.executable, "-m", "unsee", *arguments]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    file = run / "judge" / "replies.jsonl"
    end = time.monotonic() + 60
    while not file.is_file() or file.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=10)
    return process.returncode, complaint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_said_before_a_kill_is_not_asked_again(run: Path, serve: Serve, number: int) -> None:
    server = serve("slow")
    code, complaint = killed(run, server, number)
    if number == signal.SIGINT:
        assert code == 130
        assert_one_line(complaint, "interrupted; finished work is kept")
    file = run / "judge" / "replies.jsonl"
    kept = file.read_bytes().count(b"\n")
    asked = written(run).select("sample_id", "response").n_unique()
    assert 5 <= kept < asked
    time.sleep(0.5)  # requests under way come to their end
    before = len(server.bodies)
    with file.open("ab") as stream:
        stream.write(b'{"key": "cut sho')
    done = judge_run(run, client=client(server))
    assert done.asked == asked - kept and len(server.bodies) - before == asked - kept
    assert before - kept <= 5  # four under way when it was stopped, one on its way to the file
    assert done.answers == written(run).height and not done.failures
    rows = [line for line in file.read_bytes().split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
    assert len(rows) == asked == len({json.loads(row)["key"] for row in rows})


def test_sets_judged_one_after_the_other_add_up(run: Path, serve: Serve, experiment: Experiment) -> None:
    server, folder = serve(), RunFolder(run)
    judge_run(run, client=client(server), sets=("forget",))
    judge_run(run, client=client(server), sets=("retain",))
    for cell in experiment.cells:
        judgements = folder.judgements(cell)
        assert judgements is not None and set(judgements["set"]) == {"forget", "retain"}
    judge_run(run, client=ChatClient(server.url, "another", timeout=10.0), sets=("forget",))
    judgements = folder.judgements(experiment.cells[0])
    assert judgements is not None and set(judgements["judge"]) == {"another"} and set(judgements["set"]) == {"forget"}


def test_the_judge_sees_no_method_and_no_picture(run: Path, serve: Serve) -> None:
    """What is sent are three texts; nothing tells which model or modality an answer came from."""
    server = serve()
    judge_run(run, client=client(server), sets=("forget",))
    for body in server.bodies:
        assert set(data_of(body["messages"][-1]["content"])) == {"question", "correct_answer", "model_answer"}
        assert set(body) - {"path", "authorization"} == {"model", "messages", "temperature", "max_tokens"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--judge", "http://127.0.0.1:9/v1", "--judge-model", "m"), "there is no judge at http://127.0.0.1:9/v1"),
        (("--judge", "http://127.0.0.1:9/v1"), "--judge needs --judge-model"),
        (("--judge-model", "m"), "have no effect without --judge URL"),
        (("--judge", "127.0.0.1:9", "--judge-model", "m"), "is no web address"),
        (("--judge", "http://h/v1", "--judge-model", "m", "--judge-sets", "forgot"), "did you mean 'forget'?"),
        (("--judge", "http://h/v1", "--judge-model", "m", "--judge-sets", "clinical"), "this run has them in celebrity, "),
        (("--judge", "http://h/v1", "--judge-model", "m", "--judge-key-env", "NO_KEY_HERE"), "NO_KEY_HERE is not set"),
    ],
)
def test_mistakes_are_one_line(finished: Run, arguments: tuple[str, ...], message: str) -> None:
    done = unsee("score", str(finished.folder), *arguments)
    assert done.returncode == 2
    assert_one_line(done.stderr, message)


def test_folders_without_anything_to_judge(tmp_path: Path, finished: Run) -> None:
    asking = ChatClient("http://127.0.0.1:9/v1", "m")
    with pytest.raises(DataError, match="is no run folder"):
        judge_run(tmp_path, client=asking)
    shutil.copy(finished.folder / "experiment.toml", tmp_path)
    with pytest.raises(DataError, match="has no finished cell to judge"):
        judge_run(tmp_path, client=asking)
    with pytest.raises(ConfigError, match="--judge-sets names 'all'"):
        judge_run(tmp_path, client=asking, sets=("all",))


def test_nothing_is_sent_without_the_flag(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    rescore(run)
    assert "judge_factuality" not in pl.read_parquet(run / "results.parquet")["metric"].unique()
