"""`unsee data review` and `unsee data filter`: files in and out, and one clear line for every mistake."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from review.toy_garden import toy_extension
from review.votes import judged
from run_fixtures import assert_one_line
from unsee.benchmarks.extended.files import read_extension, write_extension
from unsee.benchmarks.extended.variants import Extension
from unsee.cli import main


@pytest.fixture
def written(extension: Extension, tmp_path: Path) -> list[str]:
    """Files of two annotators."""
    names = {"Ada": "kkkkrrkukkkkkk", "Bo [red]": "kkkrrrkkkkkkkr"}
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, (name, letters) in zip(paths, names.items(), strict=True):
        path.write_text("".join(one.line for one in judged(extension, {name: letters})))
    return [str(path) for path in paths]


def test_a_page_is_written(garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["data", "review", str(garden), "--out", str(out), "--annotator", "Ada", "--seed", "3"]) == 0
    assert f"review: {out}" in capsys.readouterr().out
    assert out.stat().st_size > 20_000 and [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_page_goes_beside_the_files_by_default(tmp_path: Path) -> None:
    write_extension(tmp_path / "made", toy_extension(1))
    assert main(["data", "review", str(tmp_path / "made")]) == 0
    assert (tmp_path / "made/review.html").is_file() and len(read_extension(tmp_path / "made").variants) == 15


def test_what_is_agreed_on_is_kept(
    garden: Path, written: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kept"
    assert main(["data", "filter", str(garden), "--decisions", *written, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "variants: 45 raw, 42 passed the automatic checks, 9 kept" in said
    assert "judged: 14 by 2 (Ada, Bo [red])" in said
    assert re.search(r"question/easy +2 +2 +1\.00 +0\.34 to 1\.00", said)
    assert "Cohen's kappa: 0." in said and "fewer than 20 facts" in said and f"benchmark: {out}" in said
    assert len(read_extension(out).variants) == 9
    assert (
        main(["data", "filter", str(garden), "--decisions", *written, "--out", str(tmp_path / "any"), "--keep-if", "any"]) == 0
    )
    assert len(read_extension(tmp_path / "any").variants) == 12


def test_what_annotators_write_moves_no_cursor(
    garden: Path, extension: Extension, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names stand in tables and lines, reasons in lines."""
    hostile = "Eve\x1b]0;owned\x07\x1b[2J\u202e"
    given = [replace(one, reason=hostile) for one in judged(extension, {hostile: "krr", "Ada": "kkr"})]
    (tmp_path / "a.jsonl").write_text("".join(one.line for one in given))
    command = ["data", "filter", str(garden), "--decisions", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "kept")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count("Eve ]0;owned [2J") >= 3 and all(line.isprintable() for line in said.split("\n"))


def test_nothing_kept_is_said(garden: Path, extension: Extension, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text("".join(one.line for one in judged(extension, {"Ada": "rrr"})))
    command = ["data", "filter", str(garden), "--decisions", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "kept")]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert_one_line(shown.err, "warning: no variant was kept")
    assert "facts without any variant left: 3" in shown.out and "kappa: none: agreement needs two annotators" in shown.out


def test_annotators_who_never_met(
    garden: Path, extension: Extension, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What each of them kept is kept, and that there is no kappa is said once per pair."""
    for name, letters in (("Ada", "kkr"), ("Bo", "...kr")):
        (tmp_path / name).write_text("".join(one.line for one in judged(extension, {name: letters})))
    files = [str(tmp_path / name) for name in ("Ada", "Bo")]
    assert main(["data", "filter", str(garden), "--decisions", *files, "--out", str(tmp_path / "kept")]) == 0
    said = capsys.readouterr().out
    assert "Cohen's kappa: none: no variant was judged by both\nAda and Bo: no variant was judged by both\n" in said
    assert len(read_extension(tmp_path / "kept").variants) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["review", "absent"], "absent/extension.json cannot be read (No such file or directory)"),
        (["review", "{garden}", "--out", "{tmp}"], "is a folder; --out names the page"),
        (["review", "{garden}", "--out", "{tmp}/x.html", "--annotator", "x" * 101], "a name has at most 100"),
        (["review", "{garden}", "--decisions", "a.jsonl"], "have no effect without --serve"),
        (["review", "{garden}", "--serve", "--out", "x"], "--out has no effect with --serve"),
        (["review", "{garden}", "--serve", "--annotator", "Ada"], "--serve needs --decisions FILE and --annotator NAME"),
        (["review", "{garden}", "--serve", "--annotator", " ", "--decisions", "{tmp}/d"], "--serve needs --annotator NAME"),
        (
            ["review", "{garden}", "--serve", "--annotator", "A", "--decisions", "{tmp}/no/d"],
            "cannot be written (No such file or directory)",
        ),
        (
            ["review", "{garden}", "--serve", "--annotator", "A", "--decisions", "{garden}/extension.json"],
            "is no JSON; decisions are lines that `unsee data review` wrote",
        ),
        (
            ["review", "{garden}", "--serve", "--annotator", "A", "--decisions", "{tmp}/d", "--port", "{taken}"],
            "cannot be used",
        ),
        (
            ["review", "{garden}", "--serve", "--annotator", "A", "--decisions", "{tmp}/d", "--port", "99999"],
            "--port 99999 cannot be used",
        ),
        (["filter", "{garden}", "--decisions", "absent.jsonl", "--out", "{tmp}/x"], "decisions absent.jsonl cannot be read"),
        (["filter", "{garden}", "--decisions", "{garden}/facts.jsonl", "--out", "{tmp}/x"], "line 1 is no decision"),
        (["filter", "{garden}", "--out", "{tmp}/x"], "--decisions must be given"),
        (["filter", "{garden}", "--decisions", "{garden}/facts.jsonl", "--out", "{garden}"], "exists and is not empty"),
        (["filter", "{garden}", "--decisions", "a", "--out", "{tmp}/x", "--keep-if", "most"], "invalid choice 'most'"),
    ],
)
def test_mistakes_are_one_line(
    garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(garden.iterdir())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        places = {"garden": garden, "tmp": tmp_path, "taken": taken.getsockname()[1]}
        assert main(["data", *(argument.format(**places) for argument in arguments)]) == 2
    assert_one_line(capsys.readouterr().err, message)
    assert sorted(garden.iterdir()) == before and not (tmp_path / "x").exists()


def test_decisions_about_other_things(
    garden: Path, extension: Extension, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "kept"
    good = judged(extension, {"Ada": "kk"})
    path.write_text("".join(one.line for one in good) + good[0].line.replace("fact-0/", "fact-7/"))
    command = ["data", "filter", str(garden), "--decisions", str(path), "--out", str(out)]
    assert main(command) == 2
    assert_one_line(capsys.readouterr().err, "a.jsonl, line 3: there is no variant 'fact-7/question/easy/0'")
    assert not out.exists()
    assert main([*command, "--skip-invalid"]) == 0
    assert_one_line(capsys.readouterr().err, "1 decision about variants that are not there left out")
    other = tmp_path / "other"
    write_extension(other, toy_extension(2))
    assert main(["data", "filter", str(other), *command[3:-1], str(tmp_path / "x"), "--skip-invalid"]) == 2
    assert_one_line(capsys.readouterr().err, "was decided about another extension")
    serve = ["data", "review", str(other), "--serve", "--annotator", "Ada", "--decisions", str(path)]
    assert main(serve) == 2
    assert_one_line(capsys.readouterr().err, "holds decisions about another extension")


def test_a_cut_line_is_told(garden: Path, written: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(written[0])
    path.write_bytes(path.read_bytes()[:-30])
    assert main(["data", "filter", str(garden), "--decisions", *written, "--out", str(tmp_path / "kept")]) == 0
    assert_one_line(capsys.readouterr().err, "1 line cut short passed over")


def test_nothing_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    made = toy_extension(1)
    failed = tuple(dataclasses.replace(variant, failed=("empty",)) for variant in made.variants)
    for number, (variants, hint) in enumerate((((), "unsee data extend"), (failed, "--failed"))):
        folder = tmp_path / str(number)
        write_extension(folder, dataclasses.replace(made, variants=variants))
        assert main(["data", "review", str(folder)]) == 2
        assert_one_line(capsys.readouterr().err, hint)
    assert main(["data", "review", str(tmp_path / "1"), "--failed"]) == 0
