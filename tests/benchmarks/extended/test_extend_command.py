"""`unsee data extend` from files to a benchmark, or one clear line and nothing written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_drawing
from extending import RIGHT, table_flags
from tables_by_hand import own_rows, put, write_own

from run_fixtures import assert_one_line
from toy import random_model
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.extended.files import read_extension
from unsee.cli import main


def extend(*arguments: object) -> int:
    return main(["data", "extend", *map(str, arguments)])


@pytest.mark.parametrize(
    "format", ["okvqa", "vqa-json", "slake", "llava-json", "people-folder", pytest.param("people", marks=pytest.mark.slow)]
)
def test_every_format_becomes_a_benchmark(format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert extend(*table_flags(format, tmp_path / "data"), "--out", out, "--seed", 3) == 0
    said = capsys.readouterr().out
    assert "question/easy: " in said and "neighbour_image/easy: " in said and f"benchmark: {out}" in said
    made = read_extension(out)
    assert made.name == "made" and made.history[0]["options"]["seed"] == 3
    assert made.history[0]["counts"]["raw"] and all(fact.source_license for fact in made.facts)
    assert list(tmp_path.glob(".made*")) == []
    assert load_benchmark(out).samples(set="test")
    assert main(["data", "check", str(out)]) == 0
    right = [RIGHT] if format == "okvqa" else []
    assert main(["data", "export", str(out), "--format", "unlok-vqa", "--out", str(tmp_path / "official"), *right]) == 0
    assert load_benchmark(tmp_path / "official").subjects == load_benchmark(out).subjects


def test_with_generators(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    """A real server, and a program that is a command; each variant says what made it."""
    draw = f"{sys.executable} {toy_drawing.__file__}"
    flags = ["--rewriter", serve("good"), "--rewriter-model", "toy", "--image-editor", draw, "--image-generator", draw]
    given = ["--format", "vqa-json", "--data", shops, "--license", "MIT", "--facts", 1, "--name", "shops"]
    assert extend(*given, *flags, "--out", tmp_path / "made") == 0
    made = read_extension(tmp_path / "made")
    assert made.name == "shops" and made.history[0]["options"]["rewriter"] == "toy"
    grades = {(one.kind, one.grade): one.generator for one in made.variants if one.generator in ("toy", draw)}
    assert grades == {
        ("question", "medium"): "toy",
        ("neighbour_question", "hard"): "toy",
        ("image", "medium"): draw,
        ("image", "hard"): draw,
        ("neighbour_image", "hard"): draw,
    }


@pytest.mark.slow
def test_check_model(tmp_path: Path, shops: Path) -> None:
    """A model that knows nothing fails every variant, with a code by kind."""
    random_model().save(tmp_path / "model")
    given = ["--format", "vqa-json", "--data", shops, "--license", "MIT", "--facts", 1, "--out", tmp_path / "made"]
    assert extend(*given, "--check-model", tmp_path / "model") == 0
    made = read_extension(tmp_path / "made")
    codes = {one.kind: one.failed for one in made.variants}
    assert codes["question"] == codes["image"] == ("unknown_to_model",)
    assert codes["neighbour_question"] == codes["neighbour_image"] == ("neighbour_unknown",)
    assert set(made.history[0]["counts"]["automatic"].values()) == {0}


def test_a_dry_run_writes_nothing(shops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--format", "vqa-json", "--data", shops, "--license", "MIT", "--dry-run"]
    assert extend(*given, "--out", tmp_path / "made") == 0
    assert "facts to delete: 14" in capsys.readouterr().out and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "okvqaa"], "there is no format 'okvqaa'; did you mean 'okvqa'"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        ([], "rows have no licence that says who may use them; pass --i-have-the-right-to"),
        (["--license", "CC-BY-NC-4.0"], "rows have the licence CC-BY-NC-4.0 (non-commercial)"),
        ([RIGHT, "--facts", "99"], "facts = 99, but"),
        ([RIGHT, "--keep", "1.5"], "keep = 1.5 is a share"),
        (["--rewriter", "http://127.0.0.1:9/v1"], "--rewriter URL and --rewriter-model NAME go together"),
        (["--rewriter-sees"], "have no effect without --rewriter"),
        (["--rewriter", "http://127.0.0.1:9/v1", "--rewriter-model", "m"], "there is no rewriter at http://127.0.0.1:9/v1"),
        (["--image-generator", "no-such-program"], "there is no program no-such-program"),
        (["--image-editor", "toy_drawing:nothing"], "module toy_drawing has no function nothing"),
        (
            [RIGHT, "--image-editor", "toy_drawing:fail", "--retries", "0"],
            "failed on 3 pictures in a row (last: raised RuntimeError",
        ),
        ([RIGHT, "--check-model", "no-such-model"], "no-such-model"),
    ],
)
def test_what_cannot_work_is_one_line(
    arguments: list[str], message: str, shops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--format": ["vqa-json"], "--data": [str(shops)]}
    flags = [text for flag, value in given.items() if flag not in arguments for text in (flag, *value)]
    assert extend(*flags, *arguments, "--out", tmp_path / "made") == 2
    assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_there_is_left_alone(shops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = put(tmp_path / "made/mine.txt", "mine")
    assert extend("--format", "vqa-json", "--data", shops, "--license", "MIT", "--out", tmp_path / "made") == 2
    assert_one_line(capsys.readouterr().err, "exists and is not empty; choose a new folder")
    assert file.read_text() == "mine" and list(tmp_path.iterdir()) == [file.parent]


def test_bad_rows_are_counted_with_skip_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = own_rows()
    for row in rows[:14:2]:
        row["image"] = "gone.png"
    given = [
        "--format",
        "vqa-json",
        "--data",
        write_own(tmp_path / "data", rows),
        "--license",
        "MIT",
        "--out",
        tmp_path / "made",
    ]
    assert extend(*given) == 2
    assert_one_line(capsys.readouterr().err, "row 0: its picture gone.png is missing")
    assert extend(*given, "--skip-invalid") == 0
    said = capsys.readouterr().out
    assert said.count("skipped: ") == 6 and "skipped: 2 more" in said
    assert "rows skipped by the reader: 7" in said


def test_hostile_texts_and_ids_stay_data(tmp_path: Path) -> None:
    rows = own_rows()
    for number, row in enumerate(rows):
        row["id"] = f"../../<script>\u2028{number}</script>/"
    rows[0]["question"] = 'What {subject} {0} %s "is" this \u2028 <b>?'
    out = tmp_path / "made"
    assert extend("--format", "vqa-json", "--data", write_own(tmp_path / "data", rows), "--license", "MIT", "--out", out) == 0
    assert {fact.id for fact in read_extension(out).facts} <= {row["id"] for row in rows}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "made"}
