"""Files of medical data sets when something is wrong with them: one line with file, row and remedy, or left out and listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import medical_fixture as hand
from unsee.benchmarks.medical.formats import read_table
from unsee.errors import ConfigError, DataError
from unsee.sample import ImageRef

Spoil = Callable[[Path], object]


def in_json(name: str, number: int, **values: Any) -> Spoil:
    """Change keys of one row; a key that is set to `...` is removed."""

    def spoil(folder: Path) -> None:
        rows = json.loads((folder / name).read_text())
        rows[number] = {key: value for key, value in {**rows[number], **values}.items() if value is not ...}
        hand.put_json(folder / name, rows)

    return spoil


def file(name: str, content: bytes | str) -> Spoil:
    return lambda folder: hand.put(folder / name, content)


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def replaced(name: str, old: str, new: str) -> Spoil:
    return lambda folder: hand.put(folder / name, (folder / name).read_text().replace(old, new, 1))


def packed(folder: Path) -> None:
    for path in sorted(folder.glob("imgs/*/source.jpg")):
        path.unlink()
    hand.put(folder / "imgs.zip", b"PK")


def table(name: str, **values: Any) -> Spoil:
    """A parquet file with one row whose columns are changed; a column that is set to `...` is removed."""

    def spoil(folder: Path) -> None:
        row = {
            **hand.forget_row(1, "p1", "FINDINGS", [("What?", "This.")], hand.png(1)),
            "question": "What?",
            "answer": "This.",
        }
        row = {key: value for key, value in {**row, **values}.items() if value is not ...}
        hand.put_table(folder / name, [row])

    return spoil


def cut_short(name: str) -> Spoil:
    return lambda folder: hand.put(folder / name, (folder / name).read_bytes()[:-40])


def too_large(folder: Path) -> None:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("1", (10_000, 5_001)).save(buffer, format="PNG")
    hand.put(folder / "imgs/xmlab3/source.jpg", buffer.getvalue())


def same_id(folder: Path) -> None:
    in_json("test.json", 0, qid=2)(folder)


RAD = "VQA_RAD Dataset Public.json"
FORGET, TRAIN_TABLE = "patient_level/forget_set_all.parquet", "data/train-00000-of-00002-eb8844602202be60.parquet"
WRONG: dict[str, tuple[str, Spoil, str]] = {
    # (format, what is done to its files, what the message says)
    "missing key": ("slake", in_json("train.json", 2, img_name=...), "train.json, row 2 (ID 2): has no img_name; add it, or"),
    "empty answer": ("slake", in_json("train.json", 0, answer=" "), "row 0 (ID 0): its answer is empty; fill it in or remove"),
    "no text": ("slake", in_json("train.json", 0, question=["a"]), "question holds list ['a'] where a text belongs; put it"),
    "true is no text": ("slake", in_json("train.json", 0, answer=True), "answer holds bool True where a text belongs"),
    "half a character": ("slake", replaced("train.json", '"MRI"', '"a\\ud800"'), "answer holds half a character at 1; write"),
    "same id": ("slake", same_id, "test.json, row 0 (ID 2): OWN/train.json, row 2 (ID 2) has the same id; give it an id"),
    "bad triple": ("slake", in_json("train.json", 0, triple=["a", "b"]), "its triple is no list of three texts; write"),
    "no object": ("slake", lambda f: hand.put_json(f / "test.json", [[1]]), "test.json, row 0: holds no object; write {...}"),
    "picture missing": (
        "slake",
        without("imgs/xmlab2/source.jpg"),
        "row 3 (ID 3): its picture xmlab2/source.jpg is missing (looked in OWN/imgs, OWN); add it or remove the row",
    ),
    "pictures packed": (
        "slake",
        packed,
        "its picture xmlab1/source.jpg is missing (looked in OWN/imgs, OWN); unpack OWN/imgs.zip",
    ),
    "no picture": (
        "slake",
        file("imgs/xmlab3/source.jpg", "GIF89a, no"),
        "test.json, row 0 (ID 5): picture OWN/imgs/xmlab3/source.jpg cannot be decoded (no known picture format); replace",
    ),
    "too large": ("slake", too_large, "has 10000x5001 pixels, more than 50000000; scale it down"),
    "outside": (
        "slake",
        in_json("train.json", 0, img_name="../../secret.png"),
        "'../../secret.png' lies outside of OWN; write",
    ),
    "absolute": ("slake", in_json("train.json", 0, img_name="/etc/passwd"), "its picture '/etc/passwd' lies outside of OWN"),
    "long name": ("slake", in_json("train.json", 0, img_name="x" * 5000), "xxx is missing (looked in"),
    "damaged list": ("slake", replaced("train.json", '"img_id": 2', "oops"), "train.json, line 1, row 3: no valid JSON ("),
    "damaged line": ("slake", file("test.json", '{"qid": 1\n'), "test.json, line 1: no valid JSON ("),
    "deep JSON": ("slake", file("test.json", "[" * 100_000), "test.json: no valid JSON (maximum recursion depth exceeded"),
    "empty file": ("slake", file("test.json", " \n"), "OWN/test.json is empty; fetch the file again, or write [] where"),
    "not UTF-8": ("slake", file("test.json", b'[{"qid": "\xff"}]'), "test.json, line 1: not UTF-8 text; fetch the file again"),
    "two validations": ("slake", file("validate.json", "[]"), "holds both validation.json and validate.json; keep one"),
    "other data set": (
        "slake",
        lambda f: hand.put_json(f / "train.json", [hand.chat("a?", "b")]),
        "has no q_lang; add it, or check",
    ),
    "two JSON files": (
        "vqa-rad",
        lambda f: (hand.put(f / "a.json", "[]"), hand.put(f / "b.json", "[]"), (f / RAD).unlink()),
        "holds several JSON files (a.json, b.json); keep one of them, called VQA_RAD Dataset Public.json",
    ),
    "VQA-RAD picture": (
        "vqa-rad",
        without("VQA_RAD Image Folder/synpic2.jpg"),
        f"{RAD}, row 2 (ID 3): its picture synpic2.jpg",
    ),
    "foreign table": (
        "path-vqa",
        table(TRAIN_TABLE, answer=...),
        "has no column answer (its columns: ID, hierarchy_metadata, im",
    ),
    "cut table": ("path-vqa", cut_short(TRAIN_TABLE), f"{TRAIN_TABLE}, row 0: cannot be read as parquet ("),
    "no table": ("path-vqa", file(TRAIN_TABLE, "PAR1"), f"{TRAIN_TABLE}, row 0: cannot be read as parquet ("),
    "empty cell": (
        "path-vqa",
        table(TRAIN_TABLE, image=None),
        f"{TRAIN_TABLE}, row 0: has no picture; store its encoded bytes",
    ),
    "bad bytes": (
        "path-vqa",
        table(TRAIN_TABLE, image={"bytes": b"x"}),
        "row 0: picture sha256 2d711642b726 cannot be decoded (",
    ),
    "CSV columns": (
        "pmc-vqa",
        replaced("train.csv", "Choice B", "B"),
        "train.csv has no column choice b (its columns: answer,",
    ),
    "CSV comma": ("pmc-vqa", replaced("train.csv", '" D:Mixed, both "', "D:Mixed, both"), "row 0: has 9 values for 8 columns"),
    "CSV quote": ("pmc-vqa", file("test_clean.csv", "a" * 200_000), "test_clean.csv, line 1: no valid CSV (field larger"),
    "no such choice": (
        "pmc-vqa",
        replaced("train.csv", ",B\n", ",E\n"),
        "row 0: its right choice is E, its choices are A, B, C, D",
    ),
    "label disagrees": (
        "pmc-vqa",
        replaced("train.csv", ",B\n", ",A\n"),
        "its answer 'Focal' is not choice A, which the label",
    ),
    "no label": (
        "pmc-vqa",
        replaced("train.csv", "?,Focal", "?,Spotty"),
        "its answer 'Spotty' is not choice B, which the label",
    ),
    "no patient": ("mimic-cxr-vqa", in_json("dataset/test.json", 0, subject_id=None), "row 0 (ID 0): its subject_id is empty"),
    "no type": (
        "mimic-cxr-vqa",
        in_json("dataset/test.json", 0, semantic_type="x"),
        "semantic_type 'x' is none of verify, choose",
    ),
    "no answer": ("mimic-cxr-vqa", in_json("dataset/test.json", 0, answer=...), "has no answer; add it"),
    "turns": ("llava-med", in_json("test.json", 0, conversations=[{"from": "gpt", "value": "x"}]), "its turns are by gpt; let"),
    "no turns": (
        "llava-med",
        in_json("test.json", 0, conversations=...),
        "row 0 (ID 1): has no list of turns as conversations",
    ),
    "asks nothing": ("llava-med", replaced("test.json", "Is it normal?", ""), "one of its human turns asks nothing beside"),
    "metadata": ("medforget", table(FORGET, metadata="{no"), "row 0 (ID 001): its metadata is no valid JSON (Expecting"),
    "no pairs": ("medforget", table(FORGET, metadata="[]"), "its metadata is no list of questions; write"),
    "hierarchy": ("medforget", table(FORGET, hierarchy_metadata="[]"), "its hierarchy_metadata is no object; write"),
    "no patient id": ("medforget", table(FORGET, hierarchy_metadata="{}"), "has no patient_id; add it"),
    "empty list": ("medforget", table(FORGET, metadata='[{"Question": "a", "Answer": [""]}]'), "one of its answers is empty"),
    "foreign columns": ("medforget", table(FORGET, hierarchy_metadata=..., ID=...), "has no column hierarchy_metadata, ID"),
}
WHOLE_FILE = {
    "empty file",
    "damaged list",
    "deep JSON",
    "not UTF-8",
    "two validations",
    "two JSON files",
    "foreign table",
    "cut table",
    "no table",
    "CSV columns",
    "CSV quote",
    "foreign columns",
}
"""Cases in which no row can be told from another; they stop the reading in any case."""


@pytest.mark.parametrize("what", WRONG)
def test_wrong_files(what: str, tmp_path: Path) -> None:
    """One line that names file, row and remedy; with `skip_invalid` the row is listed and the others are read."""
    name, spoil, says = WRONG[what]
    whole = read_table(name, hand.WRITERS[name](tmp_path))
    spoil(tmp_path)
    says = says.replace("OWN", str(tmp_path))
    with pytest.raises(DataError) as caught:
        read_table(name, tmp_path)
    assert says in str(caught.value) and "\n" not in str(caught.value) and "; " in str(caught.value)
    if what in WHOLE_FILE:
        with pytest.raises(DataError):
            read_table(name, tmp_path, skip_invalid=True)
    elif what != "pictures packed":  # then there is nothing left to read
        left = read_table(name, tmp_path, skip_invalid=True)
        assert any(says in line for line in left.skipped) and 0 < len(left.rows) <= len(whole.rows)
        assert all(str(tmp_path) in line for line in left.skipped)


def test_only_the_faulty_rows_go(tmp_path: Path) -> None:
    hand.write_slake(tmp_path)
    (tmp_path / "imgs/xmlab2/source.jpg").unlink()
    left = read_table("slake", tmp_path, skip_invalid=True)
    assert [row.id for row in left.rows] == ["0", "2", "5"]
    assert [line.split(": ")[0] for line in left.skipped] == [
        f"{tmp_path}/train.json, row 3 (ID 3)",
        f"{tmp_path}/validation.json, row 0 (ID 4)",
    ]


def test_nothing_is_left(tmp_path: Path) -> None:
    hand.write_slake(tmp_path)
    packed(tmp_path)
    with pytest.raises(DataError, match=r"no row of SLAKE that can be used; the first fault is in .*train\.json, row 0"):
        read_table("slake", tmp_path, skip_invalid=True)
    for name in ("train", "validation", "test"):
        hand.put(tmp_path / f"{name}.json", "[]")
    with pytest.raises(DataError, match=r"it should hold train\.json, validation\.json and test\.json beside"):
        read_table("slake", tmp_path)


EMPTY = {
    "slake": "holds none of train.json, validation.json, validate.json, test.json; pass",
    "vqa-rad": "holds neither VQA_RAD Dataset Public.json nor parquet files; pass",
    "path-vqa": "holds neither parquet files nor qas/train_vqa.pkl; pass",
    "pmc-vqa": "holds none of train.csv, test_clean.csv, test.csv, train_2.csv, test_2.csv; pass",
    "mimic-cxr-vqa": "holds none of train.json, valid.json, test.json; pass",
    "llava-med": "holds no JSON file; pass",
    "medforget": "forget_set_all.parquet; pass the folder that holds patient_level/",
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_folder_and_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_table(name, tmp_path)
    assert EMPTY[name] in str(caught.value) and str(tmp_path) in str(caught.value)
    with pytest.raises(DataError, match=r"there is no folder .*gone; pass the folder that holds"):
        read_table(name, tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("slake2", {}, "there is no format 'slake2'; did you mean 'slake'?"),
        ("slake", {"langauge": "zh"}, "SLAKE has no option 'langauge'; did you mean 'language'?"),
        ("slake", {"language": "de"}, "language 'de' is none of en, zh, all"),
        ("slake", {"limit": 0}, "limit is 0"),
        ("pmc-vqa", {"version": "v3"}, "no version 'v3'; choose v1 or v2"),
        ("pmc-vqa", {"version": 2}, "version = 2 is a whole number, expected text"),
        ("vqa-rad", {"version": "v1"}, "VQA-RAD has no option 'version'; its files are read in one way, leave it out"),
        ("medforget", {"level": "ward"}, "no level 'ward'; choose one of patient, study"),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_table(name, tmp_path, **options)
    assert says in str(caught.value)


def test_versions_and_levels_that_are_not_there(tmp_path: Path) -> None:
    hand.write_pmc_v1(tmp_path)
    with pytest.raises(DataError, match=r"holds none of train_2\.csv, test_2\.csv"):
        read_table("pmc-vqa", tmp_path, version="v2")
    hand.write_pmc_v2(tmp_path)
    with pytest.raises(ConfigError, match="holds both versions of PMC-VQA; choose one with version"):
        read_table("pmc-vqa", tmp_path)
    hand.write_medforget(tmp_path)
    with pytest.raises(DataError, match=r"there is none of .*study_level/forget_set_all\.parquet; pass"):
        read_table("medforget", tmp_path, level="study")


def test_mimic_files_without_answers(tmp_path: Path) -> None:
    hand.put_json(tmp_path / "dataset/_valid.json", [])
    with pytest.raises(DataError, match=r"_valid\.json holds no answers; run the data set's build_dataset\.sh"):
        read_table("mimic-cxr-vqa", tmp_path)


@pytest.mark.parametrize("name", ["slake", "path-vqa"])
def test_pictures_are_decoded_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By file and by bytes, sound or not, however many rows show them."""
    hand.WRITERS[name](tmp_path)
    hand.put(tmp_path / "imgs/xmlab3/source.jpg", "no picture")
    if name == "slake":
        hand.put_json(tmp_path / "test.json", [hand.slake_row(n, 3, f"What is {n}?", "CT") for n in (5, 6, 7)])
    opened: list[str] = []
    decode = ImageRef.open

    def counted(self: ImageRef, **options: Any) -> Any:
        opened.append(self.sha256)
        return decode(self, **options)

    monkeypatch.setattr(ImageRef, "open", counted)
    made = read_table(name, tmp_path, skip_invalid=True)
    shown = {row.image.sha256 for row in made.rows}
    assert len(opened) == len(set(opened)) == len(shown) + (name == "slake")
    assert len(made.skipped) == (3 if name == "slake" else 0)
