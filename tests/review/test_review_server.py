"""A real server process: who gets in, what is written and when, and what a kill leaves."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from review.serving import Served, ask, post, servers
from review.votes import decision
from run_fixtures import assert_one_line
from unsee.benchmarks.extended.variants import Extension
from unsee.review.decisions import Decision, extension_digest, read_decisions, standing
from unsee.review.server import LARGEST

Serve = Callable[..., Served]


@pytest.fixture
def made(extension: Extension) -> Callable[..., Decision]:
    """A decision of Ada about the n-th variant."""
    digest = extension_digest(extension)
    return lambda number=0, letter="k", **more: decision(extension.variants[number].id, "Ada", letter, extension=digest, **more)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decisions of the server that several tests share."""
    return tmp_path_factory.mktemp("shared") / "a.jsonl"


@pytest.fixture(scope="module")
def served(garden: Path, path: Path) -> Iterator[Served]:
    with servers() as start:
        yield start(garden, path)


def test_nobody_else_gets_anything(served: Served, path: Path, made: Callable[..., Decision]) -> None:
    port, good = served.port, made().line.encode()
    strangers = [
        {"X_Unsee_Token": ""},
        {"X_Unsee_Token": "x" * len(served.token)},
        {"X_Unsee_Token": served.token[:-1]},
        {"X_Unsee_Token": "\xfc"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{port + 1}"},
        {"Origin": f"https://127.0.0.1:{port}"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": f"127.0.0.1.evil.example:{port}"},
        {"Host": ""},
    ]
    for headers in strangers:
        for place, method, body in (("/", "GET", None), ("/pictures/0", "GET", None), ("/decisions", "POST", good)):
            assert ask(served, place, method, body, **headers) == (403, b""), (headers, place)
    assert ask(served, f"/?token={served.token}x", X_Unsee_Token="") == (403, b"")
    assert read_decisions(path) == ()
    # The same requests by the page itself.
    for headers in ({}, {"Origin": f"http://127.0.0.1:{port}"}, {"Host": f"localhost:{port}"}):
        assert ask(served, "/", **headers)[0] == 200 and ask(served, "/pictures/0", **headers)[0] == 200
    assert ask(served, f"/?token={served.token}", X_Unsee_Token="")[0] == 200
    assert ask(served, method="POST", body=good)[0] == 200


def test_it_listens_on_this_machine_only(served: Served) -> None:
    outside = [one[4][0] for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in {one for one in outside if not one.startswith("127.")} or {"127.0.0.2"}:
        with pytest.raises(OSError), socket.create_connection((address, served.port), timeout=2):
            pass


def test_paths_that_are_no_pages(served: Served) -> None:
    for path in (
        "/extension.json",
        "/../garden/extension.json",
        "/pictures/../facts.jsonl",
        "/pictures/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/pictures/",
        "/pictures/99999999999999999999",
        "/pictures/999",
        "/pictures/-1",
        "/pictures/%C2%B2",
        "/pictures/0/x",
        "/decisions/",
        "/favicon.ico",
    ):
        assert ask(served, path) == (404, b""), path
    for method in ("DELETE", "PUT", "HEAD", "OPTIONS", "TRACE"):
        assert ask(served, method=method) == (501, b"")
    assert ask(served, "/", method="POST", body=b"{}") == (404, b"")


def test_bodies_that_are_no_decisions(served: Served, path: Path, made: Callable[..., Decision]) -> None:
    before = read_decisions(path)
    good = json.loads(made().line)
    wrong: list[object] = [
        [],
        good | {"verdict": "maybe"},
        good | {"annotator": "Bo"},
        good | {"item": "nobody"},
        good | {"extension": "0" * 64},
        good | {"reason": "x" * 3_000},
        {key: value for key, value in good.items() if key != "time"},
    ]
    for value in wrong:
        status, content = ask(served, method="POST", body=json.dumps(value).encode())
        assert status == 400 and json.loads(content)["error"].startswith("The server refused a decision: ")
    assert ask(served, method="POST", body=b"\xff{" * 9)[0] == 400
    assert ask(served, method="POST", body=b"[" * LARGEST)[0] == 400
    for length in ("-5", "many", "", "5 5"):
        assert ask(served, method="POST", Content_Length=length)[0] == 411
    for length in (str(LARGEST + 1), "9" * 400):
        assert ask(served, method="POST", Content_Length=length)[0] == 413
    for rubbish in (b"\x16\x03\x01 rubbish\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(rubbish)
            with suppress(ConnectionResetError):
                assert b"<" not in line.recv(1_000)
    assert read_decisions(path) == before and post(served, made())[0] == 200


def test_every_decision_is_on_disk_at_once(serve: Serve, garden: Path, tmp_path: Path, made: Callable[..., Decision]) -> None:
    path = tmp_path / "a.jsonl"
    elsewhere = decision(made(0).item, "Bo", "r", extension=made(0).extension)
    path.write_text(elsewhere.line)
    served = serve(garden, path)
    for number in range(4):
        assert post(served, made(number, second=number)) == (200, {"saved": made(number).item, "warning": ""})
        assert read_decisions(path)[-1] == made(number, second=number)
    assert post(served, made(1, "x", second=9))[0] == 200
    content = json.loads(ask(served)[1])
    assert {row["item"] for row in content["decisions"]} == {made(number).item for number in (0, 2, 3)}
    assert {one.annotator for one in standing(read_decisions(path))} == {"Ada", "Bo"}


def test_interrupting_it_is_no_mistake(serve: Serve, garden: Path, tmp_path: Path, made: Callable[..., Decision]) -> None:
    served = serve(garden, tmp_path / "a.jsonl")
    assert post(served, made())[0] == 200
    idle = socket.create_connection(("127.0.0.1", served.port))
    served.process.send_signal(signal.SIGINT)
    complaint = served.process.communicate(timeout=20)[1]
    idle.close()
    assert served.process.returncode == 130
    assert_one_line(complaint, "interrupted; finished work is kept, run the same command again to go on")
    assert read_decisions(tmp_path / "a.jsonl") == (made(),)


def test_a_kill_costs_at_most_the_decision_under_way(
    serve: Serve, garden: Path, tmp_path: Path, made: Callable[..., Decision]
) -> None:
    path, saved, sent = tmp_path / "a.jsonl", [], []
    served = serve(garden, path)

    def judge() -> None:
        for number in range(10_000):
            one = made(number % 45, "kru"[number % 3], second=number % 3_000, reason="r" * (number % 500))
            sent.append(one)
            try:
                if post(served, one)[0] != 200:
                    return
            except (OSError, http.client.HTTPException):
                return
            saved.append(one)

    judging = threading.Thread(target=judge)
    judging.start()
    while len(saved) < 25:
        time.sleep(0.01)
    served.process.kill()
    judging.join(timeout=20)
    kept = read_decisions(path)
    assert kept[: len(saved)] == tuple(saved) and len(kept) <= len(saved) + 1 == len(sent)
    again = serve(garden, path)
    wanted = {one.item: one.verdict for one in standing(kept)}
    assert {row["item"]: row["verdict"] for row in json.loads(ask(again)[1])["decisions"]} == wanted


def test_a_folder_that_vanishes(serve: Serve, garden: Path, tmp_path: Path, made: Callable[..., Decision]) -> None:
    folder, path = tmp_path / "copy", tmp_path / "a.jsonl"
    shutil.copytree(garden, folder)
    served = serve(folder, path)
    assert ask(served, "/pictures/0")[0] == 200
    folder.rename(tmp_path / "elsewhere")
    assert ask(served, "/pictures/0") == (404, b"")
    line = f"The folder {folder} is gone, so pictures cannot be shown; decisions go on being saved to {path}."
    for number in range(3):
        assert post(served, made(number)) == (200, {"saved": made(number).item, "warning": line})
    assert len(read_decisions(path)) == 3
    (tmp_path / "elsewhere").rename(folder)
    assert post(served, made(4))[1]["warning"] == "" and ask(served, "/pictures/0")[0] == 200
    served.process.send_signal(signal.SIGINT)
    complaint = served.process.communicate(timeout=20)[1].splitlines()
    assert complaint[0] == f"unsee: {line}" and len(complaint) == 2


def test_a_file_of_decisions_that_vanishes(serve: Serve, garden: Path, tmp_path: Path, made: Callable[..., Decision]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / "a.jsonl"
    served = serve(garden, path)
    assert post(served, made(0))[0] == 200
    place.rename(tmp_path / "elsewhere")
    status, content = post(served, made(1, second=1))
    assert (status, content["error"]) == (507, f"Decisions cannot be written to {path} (No such file or directory).")
    place.mkdir()
    assert post(served, made(1, second=1))[0] == 200
    assert read_decisions(path) == (made(0), made(1, second=1))


def test_a_changed_picture_is_not_shown(serve: Serve, garden: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(garden, folder)
    served = serve(folder, tmp_path / "a.jsonl")
    before = ask(served, "/pictures/0")
    assert before[0] == 200 and before[1].startswith(b"\x89PNG")
    for picture in (folder / "images").iterdir():
        picture.write_bytes(b"<script>alert(1)</script>")
    assert ask(served, "/pictures/0") == (404, b"")
