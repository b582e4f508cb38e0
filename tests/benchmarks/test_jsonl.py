"""The user's own data: rows become samples, folders become benchmarks, and every bad row is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from run_fixtures import assert_one_line
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.jsonl import JsonlBenchmark, export, read_jsonl, write_jsonl
from unsee.cli import main
from unsee.errors import ConfigError, DataError, UserError

ROW = {"subject": "ann", "question": "Where does she live?", "answer": "Oslo"}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_rows_become_samples(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "ann.png")
    file = write(
        tmp_path / "forget.jsonl",
        ROW,
        "",
        ROW | {"image": "ann.png", "options": ["Lima", "Oslo"], "metadata": {"name": "Ann", "age": 3}},
        ROW | {"id": "x", "options": {"A": "Oslo", "B": "Rome"}, "set": "test", "task": "classification"},
    )
    plain, shown, tested = read_jsonl(file, set="forget")
    assert (plain.id, plain.set, plain.task, plain.modality, plain.images) == ("forget/1", "forget", "generation", "text", ())
    assert (shown.id, shown.task, shown.modality, shown.correct_option) == ("forget/3", "classification", "image_text", "B")
    assert shown.images[0].open().size == (4, 4)
    assert shown.metadata == {"name": "Ann", "age": 3}
    assert (tested.id, tested.set, tested.correct_option) == ("x", "test", "A")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "no valid JSON"),
        ("[1]", "holds no JSON object"),
        ({"question": "q", "answer": "a"}, "'subject' is missing"),
        (ROW | {"anwser": "x"}, "unknown key 'anwser'; did you mean 'answer'?"),
        (ROW | {"answer": 3}, "answer = 3 must be text"),
        (ROW | {"answer": " "}, "question and answer must not be empty"),
        (ROW | {"set": "forgett"}, "set 'forgett' is not known; did you mean 'forget'?"),
        (ROW | {"task": "cloz"}, "task 'cloz' is not known; did you mean 'cloze'?"),
        (ROW | {"options": ["Lima", "Rome"]}, "right option None is none of A, B"),
        (ROW | {"options": 3}, "options must be letters with texts"),
        (ROW | {"paraphrases": "x"}, "paraphrases must be a list"),
        (ROW | {"metadata": {"a": []}}, "metadata must be an object of texts and numbers"),
        (ROW | {"image": "absent.png"}, "absent.png cannot be read (No such file or directory); check the path"),
        (ROW | {"image": "text.png"}, "text.png cannot be decoded"),
        (ROW | {"image": "cut.png"}, "cut.png cannot be decoded"),
        (json.dumps(ROW).replace("Oslo", "\\ud800"), "half a character"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:800])
    file = write(tmp_path / "rows.jsonl", ROW, row)
    with pytest.raises(DataError) as caught:
        read_jsonl(file)
    assert f"{file}, line 2: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_jsonl(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="holds no rows"):
        read_jsonl(write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(DataError, match="the id 'x' occurs twice"):
        read_jsonl(write(tmp_path / "twice.jsonl", ROW | {"id": "x"}, ROW | {"id": "x"}))
    (tmp_path / "latin.jsonl").write_bytes(b'{"subject": "a"}\n\xe9\n')
    with pytest.raises(DataError, match=r"line 2: not UTF-8"):
        read_jsonl(tmp_path / "latin.jsonl")
    with pytest.raises(DataError, match=r"training\.jsonl cannot be read"):
        load_benchmark(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    subjects = [f"s{i}" for i in range(16)]
    write(tmp_path / "training.jsonl", *(ROW | {"subject": s, "question": f"{q} {s}?"} for s in subjects for q in "abc"))
    rows = [ROW | {"subject": s, "set": kind} for s in subjects for kind in ("retain", "test")]
    write(tmp_path / "evaluation.jsonl", *rows, ROW | {"subject": "star", "set": "celebrity"})
    return tmp_path


def test_splits_are_nested_and_draws_disjoint(folder: Path) -> None:
    benchmark = load_benchmark(folder)
    chosen = [set(benchmark.split(ratio).forget) for ratio in (0.125, 0.25, 0.5)]
    assert [len(forget) for forget in chosen] == [2, 4, 8]
    assert chosen[0] < chosen[1] < chosen[2]
    draws = [set(benchmark.split(0.25, seed).forget) for seed in range(4)]
    assert set.union(*draws) == set(benchmark.subjects)
    for ratio in (0.01, 0.99, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"selects (0|16) of 16 subjects"):
            benchmark.split(ratio)


def test_sets_follow_the_request(folder: Path) -> None:
    benchmark = load_benchmark(folder)
    forget = set(benchmark.split(0.25, 1).forget)
    samples = benchmark.samples(ratio=0.25, seed=1)
    subjects = {kind: {s.subject for s in samples if s.set == kind} for kind in ("forget", "test", "retain", "celebrity")}
    assert subjects["forget"] == subjects["test"] == forget
    assert subjects["retain"] == set(benchmark.subjects) - forget
    assert subjects["celebrity"] == {"star"}
    assert {s.set for s in benchmark.samples()} == {"retain", "test", "celebrity"}
    assert len(benchmark.samples(set="test")) == 16
    assert {s.subject for s in benchmark.training(set="forget", ratio=0.25, seed=1)} == forget
    assert len(benchmark.stop_probes(set="forget", ratio=0.25, seed=1)) == 2 * 4
    assert benchmark.gate_probes(ratio=0.25) == []
    assert benchmark.replay() == []


def test_fingerprint_follows_content(folder: Path) -> None:
    before = JsonlBenchmark(folder).fingerprint
    assert JsonlBenchmark(folder).fingerprint == before
    file = folder / "training.jsonl"
    file.write_text(file.read_text().replace("Oslo", "Lima", 1))
    assert JsonlBenchmark(folder).fingerprint != before


def test_export_reads_back(folder: Path, tmp_path: Path, samples: list[Any]) -> None:
    write_jsonl(samples, tmp_path / "toy" / "rows.jsonl")
    again = read_jsonl(tmp_path / "toy" / "rows.jsonl", benchmark="toy")
    assert [replaced(s) for s in again] == [replaced(s) for s in samples]
    benchmark = load_benchmark(folder)
    counts = export(benchmark, tmp_path / "copy")
    assert counts == {"training": 48, "evaluation": 33, "gate": 0, "replay": 0}
    copy = load_benchmark(tmp_path / "copy")
    assert copy.subjects == benchmark.subjects
    assert copy.split(0.25) == benchmark.split(0.25)
    assert [s.id for s in copy.samples(ratio=0.25)] == [s.id for s in benchmark.samples(ratio=0.25)]


@pytest.mark.parametrize(
    ("name", "says"), [("patients", "copy the folder that `unsee data inject` wrote"), ("creatures", "use --format unlok-vqa")]
)
def test_what_json_lines_cannot_say_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    """Gold would be taught the harm, and facts to delete would be kept."""
    assert main(["data", "export", name, "--out", str(tmp_path / "out")]) == 2
    assert_one_line(capsys.readouterr().err, says)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["jsonl", "unlok-vqa", "mllmu-bench"])
def test_rows_that_may_not_leave_need_a_word(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    for part in ("training", "evaluation"):
        rows = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        rows[0]["source_license"] = "LicenseRef-PhysioNet-Credentialed"
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["data", "export", str(folder), "--format", format, "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert_one_line(capsys.readouterr().err, "LicenseRef-PhysioNet-Credentialed (credentialed); pass --i-have-the-right-to")
    assert not (tmp_path / "out").exists()
    main([*command, "--i-have-the-right-to"])
    assert "PhysioNet" not in capsys.readouterr().err and (tmp_path / "out").exists() == (format == "jsonl")


def replaced(sample: Any) -> Any:
    """A sample as plain values, pictures by content."""
    return (
        sample.id,
        sample.question,
        sample.answer,
        dict(sample.options),
        sample.set,
        sample.image_sha256,
        dict(sample.metadata),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    "id subject question answer set task options images image metadata correct_option paraphrases system other".split()
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=120) | st.dictionaries(KEYS, JSON, max_size=5).map(lambda row: json.dumps(ROW | row).encode()))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "any.jsonl"
    file.write_bytes(data)
    try:
        found = read_jsonl(file)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(sample.question.encode() for sample in found)
