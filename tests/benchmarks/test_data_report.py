"""The data report: counts, letters, guessing, contradictions, pictures, and what makes the check say no."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import mllmu_fixture as hand
from toy import toy_samples
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.data_report import DataReport, SetCount, data_report, samples_report
from unsee.benchmarks.data_tables import print_report
from unsee.benchmarks.jsonl import write_jsonl
from unsee.benchmarks.mllmu_bench.folder import ConfigCount
from unsee.cli import main
from unsee.sample import Sample


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write_official(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def report(official: Path) -> DataReport:
    return data_report(load_benchmark(official), ratio=0.10)


@pytest.fixture
def own(official: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(official, tmp_path / "own"))


def printed(report: DataReport) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=100))
    return stream.getvalue()


def found(report: DataReport, kind: str) -> list[tuple[str, str]]:
    return [(finding.where, finding.text) for finding in report.findings if finding.kind == kind]


def test_counts_against_the_paper(report: DataReport) -> None:
    """Two people forgotten, six kept, three celebrities; a test question counts once, though asked with three pictures."""
    people = {"forget": 2, "test": 2, "retain": 6, "celebrity": 3}
    for count in report.counts:
        each = {"classification": 5, "generation": 2, "cloze": 2}[count.task]
        whole = each * people[count.set]
        assert count == SetCount(
            count.set,
            count.task,
            {"image_text": whole, "text": whole},
            whole * (4 if count.set == "test" else 2),
            people[count.set],
            each,
        )
    assert len(report.counts) == 4 * 3
    assert report.training == {"image_text": 112, "text": 112}
    assert found(report, "wrong count") == []


def test_files_beside_the_release(report: DataReport) -> None:
    assert ConfigCount("Test_Set", 2, 8, 500) in report.configs
    assert ConfigCount("baseline_train_split/forget_15", 1, 3, 75) in report.configs
    assert len(report.configs) == 10 + 6


def test_letters_by_hand(report: DataReport) -> None:
    """Persons 001 and 006: letters from (id + turn) mod 4, once with a picture and once, a turn later, by name."""
    turns = [(int(id_) + turn) % 4 for id_ in hand.FORGET[10] for start in (0, 1) for turn in range(start, start + 5)]
    assert report.letters["forget"] == {letter: turns.count(number) for number, letter in enumerate("ABCD")}
    assert report.letters["forget"].total() == 20
    assert report.letters["test"].total() == 20, "each question once"


def test_guessing(report: DataReport) -> None:
    """Every answer of the fixture occurs once, so frequency tells nothing; blind guesses of four options are right in 25 %."""
    by_set = {(p.set, p.task, p.modality): p for p in report.priors}
    assert {key[0] for key in by_set} == {"forget", "test", "retain"}
    assert by_set["retain", "classification", "text"].chance == 0.25
    assert by_set["retain", "classification", "text"].questions == 30
    skewed = [
        replace(s, set="retain", metadata={"attribute": "job"}, answer=a, options={"A": a, "B": "never"}, correct_option="A")
        for s, a in zip(toy_samples(), ["nurse"] * 39 + ["pilot"], strict=True)
        if s.task == "classification"
    ]
    (prior, *_) = samples_report("own", skewed).priors
    assert prior.prior == 1.0


def test_pictures_by_size(report: DataReport) -> None:
    assert report.pictures == {"forget": {"16x16": 2}, "test": {"8x8": 6}, "retain": {"16x16": 6}, "celebrity": {"16x16": 3}}


def test_contradictions_are_found_by_id(report: DataReport) -> None:
    assert found(report, "contradiction") == [("001", "father_job is 'Carpenter' (forget) and 'Astronaut' (training)")]
    assert not report.ok


def test_one_question_with_two_answers() -> None:
    samples = toy_samples()
    asked = next(s for s in samples if s.task == "generation" and s.modality == "text")
    report = samples_report("own", [*samples, replace(asked, id="x", answer="something else")])
    assert [where for where, _ in found(report, "contradiction")] == [asked.subject]
    assert "is answered by" in found(report, "contradiction")[0][1]
    assert samples_report("own", samples).ok


def test_options_that_read_alike() -> None:
    samples = toy_samples()
    number, first = next((i, s) for i, s in enumerate(samples) if s.options)
    wrong = next(letter for letter in first.options if letter != first.correct_option)
    samples[number] = replace(first, options={**first.options, wrong: first.answer.upper()})
    report = samples_report("own", samples)
    assert found(report, "contradiction")[0] == (
        first.id,
        f"two options read {first.answer!r}, so one right answer counts as wrong",
    )


def test_cloze_questions_need_a_blank() -> None:
    samples = toy_samples()
    number, first = next((i, s) for i, s in enumerate(samples) if s.task == "cloze")
    samples[number] = replace(first, question="The fact of this person is nurse.")
    assert [where for where, _ in found(samples_report("own", samples), "unparsable")] == [first.id]


def test_duplicates_are_told_and_no_fault() -> None:
    samples = toy_samples()
    shared = next(s for s in samples if s.images)
    other = next(i for i, s in enumerate(samples) if s.images and s.subject != shared.subject)
    samples[other] = replace(samples[other], images=shared.images)
    report = samples_report("own", [*samples, replace(shared, id="again")])
    told = dict(found(report, "duplicate"))
    assert (
        f"2 subjects share the picture {str(shared.image_sha256)[:12]}" in told[f"{shared.subject}, {samples[other].subject}"]
    )
    assert told[shared.subject].endswith("2 times")
    assert report.ok


def _without(kind: str, number: int) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        del rows[number][kind][0]

    return change


def test_wrong_counts_are_found_by_id(own: Path) -> None:
    hand.rewrite(own / "Full_Set/train-00000-of-00001.parquet", _without("Mask_Task", 3))
    report = data_report(load_benchmark(own))
    assert found(report, "wrong count") == [("004", "1 questions of retain / cloze / image_text instead of 2")]


def test_skipped_rows_are_listed(own: Path) -> None:
    hand.rewrite(own / "Full_Set/train-00000-of-00001.parquet", lambda rows: rows[2].update(biography="{"))
    hand.rewrite(own / "ft_Data/train-00000-of-00001.parquet", lambda rows: rows[7].update(image={"bytes": b"x", "path": None}))
    report = data_report(load_benchmark(own, skip_invalid=True))
    told = found(report, "unparsable")
    assert report.skipped == len(told) == 2
    assert "row 2 (ID 003)" in told[0][0]
    assert "row 7 (ID 008)" in told[1][0]
    assert "2 faults were skipped" in printed(report)


def test_people_are_as_they_should_be(world: Any) -> None:
    report = data_report(load_benchmark("people", subjects=16, celebrities=4, general=4, world=world), ratio=0.25)
    assert report.ok, report.findings
    assert {count.expected for count in report.counts if count.set != "general"} == {5, 2}
    assert {count.expected for count in report.counts if count.set == "general"} == {None}
    assert sum(sum(count.questions.values()) for count in report.counts if count.set == "celebrity") == 4 * 18


def test_tables_fit_a_terminal(report: DataReport) -> None:
    shown = printed(report)
    for text in (
        "Files",
        "Questions",
        "Right letters",
        "Guessing without knowing the subject",
        "Pictures",
        "5 + 5",
        "contradiction: 1",
    ):
        assert text in shown
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=80))
    assert "\u2026" not in stream.getvalue()


def test_long_lists_are_cut_and_markup_is_text() -> None:
    samples: list[Sample] = [
        replace(s, id=f"[red]{i}", subject=f"[bold]{i}[/bold]", question="no blank")
        for i, s in enumerate(toy_samples())
        if s.task == "cloze"
    ] * 4
    shown = printed(samples_report("own", [replace(s, id=f"{s.id}/{i}") for i, s in enumerate(samples)]))
    assert "unparsable: 32" in shown
    assert "and 12 more" in shown
    assert "[red]" in shown


def test_exit_codes(official: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 where the check says no, 0 where it does not, 2 for what cannot be read."""
    assert main(["data", "check", str(official)]) == 1
    assert "001: father_job is" in capsys.readouterr().out

    def agree(rows: list[dict[str, Any]]) -> None:
        rows[0]["metadata"] = rows[0]["metadata"].replace(hand.LIES["father_job"], hand.FATHERS[0])

    hand.rewrite(own / "ft_Data/train-00000-of-00001.parquet", agree)
    assert main(["data", "check", str(own), "--forget-ratio", "0.15"]) == 0
    assert "8 subjects, fingerprint" in capsys.readouterr().out
    hand.rewrite(own / "Full_Set/train-00000-of-00001.parquet", lambda rows: rows[2].update(biography="{"))
    assert main(["data", "check", str(own)]) == 2
    assert main(["data", "check", str(own), "--skip-invalid"]) == 1
    assert "row 2 (ID 003): biography is no valid JSON" in capsys.readouterr().out
    write_jsonl(toy_samples(), tmp_path / "rows.jsonl")
    assert main(["data", "check", str(tmp_path / "rows.jsonl")]) == 0
    assert "40 rows about 8 subjects, no fault found" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path)]) == 2
