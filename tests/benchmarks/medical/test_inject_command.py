"""`unsee data inject` on files in SLAKE's layout: a folder that is a benchmark, or one clear line and nothing written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from toy_table import toy_table

from medical_fixture import write_pmc_v1, write_pmc_v2
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.medical.benchmark import MedicalBenchmark
from unsee.cli import main


@pytest.fixture(scope="module")
def slake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy table as a copy of SLAKE; every picture is a group of its own there."""
    folder = tmp_path_factory.mktemp("slake")
    table = toy_table(8)
    parts: dict[str, list[dict[str, object]]] = {"train": [], "validation": [], "test": []}
    for number, row in enumerate(table.rows):
        place = f"xmlab{row.study}"
        path = folder / "imgs" / place / "source.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True)
            path.write_bytes(row.image.read())
        parts["test" if row.split == "test" else "train"].append(
            {
                "img_id": int(row.study[1:]),
                "img_name": f"{place}/source.jpg",
                "question": row.question,
                "answer": row.answer,
                "q_lang": "en",
                "location": "Lung",
                "modality": row.modality.replace("X-ray", "X-Ray"),
                "answer_type": "CLOSED" if row.closed else "OPEN",
                "base_type": "vqa",
                "content_type": row.kind.title(),
                "triple": ["vhead", "_", "_"],
                "qid": number,
            }
        )
    for name, rows in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def inject(*arguments: object) -> int:
    return main(["data", "inject", "--format", "slake", *map(str, arguments)])


def test_files_become_a_benchmark(slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert inject("--data", slake, "--out", out, "--identifiers", "name", "mrn", "--modes", "instance", "--seed", 3) == 0
    said = capsys.readouterr().out
    assert "128 questions about 16 patients or pictures, CC-BY-4.0" in said and f"benchmark: {out}" in said
    assert "patients with harm: 6" in said and "patients never taught: 4" in said
    loaded = load_benchmark(out)
    assert isinstance(loaded, MedicalBenchmark) and loaded.scenarios == ("privacy", "incorrect")
    assert {row.source_license for row in loaded.rows} == {"CC-BY-4.0"} and {row.seed for row in loaded.rows} == {3}
    assert main(["data", "check", str(out)]) in (0, 1)
    assert "training:" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inject("--data", slake, "--out", tmp_path / "made", "--scenario", "privacy", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "training samples, privacy: " in said and "incorrect" not in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--identifiers", "mnr"], "there is no identifier 'mnr'; did you mean 'mrn'"),
        (["--rules", "laterlity"], "there is no rule 'laterlity'"),
        (["--harmed", "2"], "harmed = 2 is a share of patients"),
        (["--rewriter", "http://127.0.0.1:9/v1"], "--rewriter URL and --rewriter-model NAME go together"),
        (["--rewriter", "nowhere", "--rewriter-model", "m"], "is no web address"),
        (["--harmd", "0.5"], "unknown option '--harmd'"),
        (["--set", "langauge=zh"], "SLAKE has no option 'langauge'; did you mean 'language'"),
        (["--set", "language=de"], "language 'de' is none of en, zh, all"),
        (["--set", "language"], "has no key or no value"),
        (["--limit", "0"], "limit is 0"),
        (["--format", "slakee"], "there is no format 'slakee'; did you mean 'slake'"),
    ],
)
def test_bad_flags_are_one_line(
    slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert inject("--data", slake, "--out", tmp_path / "made", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_options_of_a_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pmc_v1(tmp_path / "pmc", more=12)
    write_pmc_v2(tmp_path / "pmc")
    arguments = ["data", "inject", "--format", "pmc-vqa", "--data", str(tmp_path / "pmc"), "--out", str(tmp_path / "made")]
    arguments += ["--i-have-the-right-to", "--skip-invalid", "--scenario", "privacy", "--dry-run"]
    assert main(arguments) == 2
    assert "holds both versions of PMC-VQA; choose one with version (--set version=v1 or v2)" in capsys.readouterr().err
    assert main([*arguments, "--set", "version=v1"]) == 0
    everything = capsys.readouterr().out
    assert main([*arguments, "--set", "version=v1", "--limit", "30"]) == 0
    assert "PMC-VQA: 30 questions" in capsys.readouterr().out and "PMC-VQA: 30 questions" not in everything


def test_a_rewriter_that_is_down(slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        assert inject("--data", slake, "--out", tmp_path / "made", "--rewriter", url, "--rewriter-model", "m") == 2
    said = capsys.readouterr().err
    assert "there is no rewriter at" in said and said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_taken(slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert inject("--data", slake, "--out", tmp_path) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_rows_that_cannot_be_used(slake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(slake, copy)
    next(copy.rglob("source.jpg")).write_bytes(b"no picture")
    assert inject("--data", copy, "--out", tmp_path / "made") == 2
    said = capsys.readouterr().err
    assert "source.jpg" in said and said.count("\n") == 1 and not (tmp_path / "made").exists()
    assert inject("--data", copy, "--out", tmp_path / "made", "--skip-invalid", "--scenario", "privacy") == 0
    assert "rows skipped by the reader: 8" in capsys.readouterr().out
