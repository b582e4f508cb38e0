"""An injection on disk: whole or absent, read back as it was written, and every damage named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from toy_table import toy_picture

from unsee.benchmarks import load_benchmark
from unsee.benchmarks.medical.files import (
    check_licenses,
    holds_injection,
    planted_scenarios,
    read_injection,
    row_digests,
    schema,
    write_injection,
)
from unsee.benchmarks.medical.inject import Injection, InjectOptions
from unsee.benchmarks.medical.injected import Falsehood, InjectedRow, Planted
from unsee.errors import ConfigError, DataError
from unsee.sample import ImageError, ImageRef

LEAK = InjectedRow(
    sample_id="a/train/leak",
    image=toy_picture(1),
    question="Is there an effusion?",
    answer="yes. Patient: Ann Lee.",
    clean_answer="yes",
    scenario="privacy",
    subset="forget",
    patient_id="p1",
    study_id="s1",
    phi=(Planted("name", "Ann Lee", 14, 21),),
    source_dataset="toy",
    source_license="CC0-1.0",
    seed=3,
    use="train",
    subject="p1",
    attribute="Is there an effusion?",
    carrier="answer",
    form="direct",
    closed=True,
    clean_image=toy_picture(2),
)
ERROR = replace(
    LEAK,
    sample_id="a/evaluate/error",
    image=None,
    answer="no",
    scenario="incorrect",
    phi=(),
    error=Falsehood("negation", "no", "yes"),
    use="evaluate",
    carrier="",
    mode="instance",
    task="classification",
    options={"A": "yes", "B": "no"},
    correct_option="B",
    wrong_answers=("maybe",),
    clean_image=None,
)
QUESTION = replace(
    LEAK, sample_id="a/train/mrn", clean_answer=None, answer="X-1", phi=(Planted("mrn", "X-1", 0, 3),), closed=None
)
ROWS = (LEAK, ERROR, QUESTION)
PUBLISHED = (
    "sample_id image question answer clean_answer scenario subset patient_id study_id phi error source_dataset "
    "source_license seed"
)


def injection(*rows: InjectedRow) -> Injection:
    return Injection(rows, {"patients with harm": 1}, InjectOptions(), "toy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_injection(tmp_path / "made", injection(*ROWS))
    return tmp_path / "made"


def test_rows_come_back_as_they_were_written(folder: Path) -> None:
    read = read_injection(folder)
    assert row_digests(read) == row_digests(ROWS)
    assert read[0].image is not None and read[0].clean_image is not None
    assert read[0].image.read() == toy_picture(1).read() and read[0].clean_image.read() == toy_picture(2).read()
    assert (read[1].image, read[1].error, read[1].options) == (None, ERROR.error, ERROR.options)
    assert (read[2].clean_answer, read[2].error, read[2].phi) == (None, None, QUESTION.phi)


def test_columns_carry_the_published_names_first(folder: Path) -> None:
    table = pl.read_parquet(folder / "samples.parquet")
    assert table.columns[: len(PUBLISHED.split())] == PUBLISHED.split()
    assert table["phi"].to_list()[0] == [{"type": "name", "value": "Ann Lee", "start": 14, "end": 21}]
    assert table["error"].to_list()[1] == {"type": "negation", "wrong": "no", "right": "yes"}
    about = json.loads((folder / "injection.json").read_text())
    assert about["counts"] == {"patients with harm": 1} and about["options"]["harmed"] == 0.5
    assert about["licenses"] == {"CC0-1.0": 3}
    assert holds_injection(folder) and not holds_injection(folder.parent)


def test_equal_pictures_are_stored_once(folder: Path) -> None:
    assert sorted(path.stem for path in (folder / "images").iterdir()) == sorted(toy_picture(n).sha256 for n in (1, 2))


def test_scenarios_are_those_that_are_taught_and_the_table_is_checked(folder: Path) -> None:
    assert planted_scenarios(folder) == ("privacy",)  # the error is only asked about
    table = folder / "samples.parquet"
    pl.read_parquet(table).drop("question").write_parquet(table)
    with pytest.raises(DataError, match=r"samples\.parquet is damaged .*question.*; make the folder again"):
        planted_scenarios(folder)
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(DataError, match=r"samples\.parquet is damaged .*; make the folder again"):
        planted_scenarios(folder)
    table.unlink()
    with pytest.raises(DataError, match=r"samples\.parquet is not there; make the folder again"):
        planted_scenarios(folder)
    with pytest.raises(DataError, match=r"samples\.parquet is not there; make the folder again"):
        load_benchmark(folder)


@pytest.mark.parametrize("failing", ["picture", "licence"])
def test_nothing_is_left_of_a_failed_write(tmp_path: Path, failing: str) -> None:
    out = tmp_path / "made"
    if failing == "picture":
        gone = ImageRef(sha256="0" * 64, path=tmp_path / "absent.png")
        with pytest.raises(ImageError, match=r"absent.png"):
            write_injection(out, injection(LEAK, replace(ERROR, image=gone)))
    else:
        with pytest.raises(ConfigError, match="--i-have-the-right-to"):
            write_injection(out, injection(replace(LEAK, source_license="CC-BY-NC-4.0")))
    assert not out.exists() and not holds_injection(out)


def test_no_folder_is_written_over(folder: Path) -> None:
    with pytest.raises(ConfigError, match="exists and is not empty"):
        write_injection(folder, injection(*ROWS))
    assert len(read_injection(folder)) == len(ROWS)


def test_licences_that_need_a_word() -> None:
    check_licenses(["CC0-1.0", "CC0-1.0"])
    check_licenses(["CC-BY-NC-4.0", "", "CC0-1.0"], i_have_the_right_to=True)
    for given, message in (
        (["CC-BY-NC-4.0"], "CC-BY-NC-4.0 \\(non-commercial\\)"),
        (["LicenseRef-PhysioNet-Credentialed"], "credentialed"),
        ([""], "no licence that says"),
        (["CC0-1.0", "CC-BY-4.0"], "different licences \\(CC0-1.0, CC-BY-4.0\\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_licenses(given)


def rewrite(folder: Path, table: pl.DataFrame) -> None:
    """Another table under a hash that fits."""
    from unsee.provenance import files_digest

    table.write_parquet(folder / "samples.parquet")
    about = json.loads((folder / "injection.json").read_text())
    about["samples_sha256"] = files_digest([folder / "samples.parquet"])
    (folder / "injection.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("subset", "forgot", "row 0 .*subset 'forgot' is none of 'forget'"),
        ("answer", "yes. Patient: Bob Lee.", "row 0 .*'Ann Lee' does not stand at 14 to 21"),
        ("question", "", "row 0 .*question is empty"),
        ("image", "images/" + "1" * 64 + ".png", "row 0 .*cannot be read"),
        ("image", "../secret.png", "does not lie in images/"),
    ],
)
def test_bad_rows_are_named(folder: Path, column: str, value: str, message: str) -> None:
    table = pl.read_parquet(folder / "samples.parquet")
    changed = pl.Series(column, [value, *table[column].to_list()[1:]], dtype=table.schema[column])
    rewrite(folder, table.with_columns(changed))
    with pytest.raises(DataError, match=message):
        read_injection(folder)


def test_damaged_files_are_named(folder: Path) -> None:
    table = pl.read_parquet(folder / "samples.parquet")
    (picture, *_) = sorted((folder / "images").iterdir())
    before = picture.read_bytes()
    picture.write_bytes(before + b"x")
    with pytest.raises(DataError, match=f"{picture.name} was changed"):
        read_injection(folder)
    picture.write_bytes(before)
    table.head(2).write_parquet(folder / "samples.parquet")
    with pytest.raises(DataError, match=r"is not the table that injection.json speaks of"):
        read_injection(folder)
    rewrite(folder, table.drop("phi"))
    with pytest.raises(DataError, match=r"samples.parquet is damaged .*phi.*unsee data inject"):
        read_injection(folder)
    (folder / "samples.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"samples.parquet is damaged"):
        read_injection(folder)
    (folder / "injection.json").write_text('{"format": 9}')
    with pytest.raises(DataError, match="has format 9, this version reads 1"):
        read_injection(folder)


def test_every_field_has_a_column() -> None:
    assert schema().names() == [*InjectedRow.__dataclass_fields__]
