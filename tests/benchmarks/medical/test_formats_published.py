"""Medical data sets in their published layouts: rows, groups, splits, licences and the oddities of their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import medical_fixture as hand
from unsee.benchmarks.medical.formats import FORMATS, read_table
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.sample import ImageRef


def by_id(table: VqaTable) -> dict[str, VqaRow]:
    return {row.id: row for row in table.rows}


def sha(number: int) -> str:
    return ImageRef.from_bytes(hand.png(number)).sha256


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_a_whole_table(name: str, tmp_path: Path) -> None:
    """Ids are unique and the same the second time; every row says where it stands, and its picture can be read."""
    table = read_table(name, hand.WRITERS[name](tmp_path, more=2))
    again = read_table(name, tmp_path)
    assert table.rows == again.rows and not table.skipped
    assert len({row.id for row in table.rows}) == len(table.rows) > 2
    assert table.name == FORMATS[name].title and table.licenses == (FORMATS[name].license,)
    for row in table.rows:
        assert row.image.open().size == (8, 8)
        assert row.source == table.name and ", row " in row.where and str(tmp_path) in row.where
        assert row.question == row.question.strip() and row.answer == row.answer.strip() and row.answer


def test_limit(tmp_path: Path) -> None:
    folder = hand.write_slake(tmp_path)
    whole = read_table("slake", folder)
    assert read_table("slake", folder, limit=2).rows == whole.rows[:2]


# SLAKE ---------------------------------------------------------------------------------------------------------------------


def test_slake(tmp_path: Path) -> None:
    table = read_table("slake", hand.write_slake(tmp_path))
    rows = by_id(table)
    assert list(rows) == ["0", "2", "3", "4", "5"]
    assert [row.split for row in table.rows] == ["train", "train", "train", "validation", "test"]
    assert [row.group for row in table.rows] == ["1", "1", "2", "2", "3"]
    assert rows["0"].answer == "MRI" and rows["3"].answer == "2"
    assert rows["2"].question == "Is the liver healthy?"
    assert [row.closed for row in table.rows] == [False, True, False, False, True]
    assert [row.kind for row in table.rows] == ["modality", "abnormality", "count", "knowledge", "modality"]
    assert (rows["3"].modality, rows["3"].region) == ("X-ray", "chest heart")
    assert rows["0"].triple is None and rows["4"].triple == ("vhead", "belongto", "Digestive System")
    assert rows["4"].facts == {"language": "en", "base_type": "kvqa"}


@pytest.mark.parametrize(("language", "ids"), [("zh", ["1"]), ("all", ["0", "1", "2", "3", "4", "5"])])
def test_slake_by_language(language: str, ids: list[str], tmp_path: Path) -> None:
    assert list(by_id(read_table("slake", hand.write_slake(tmp_path), language=language))) == ids


@pytest.mark.parametrize(("prefix", "validation"), [("", "validation.json"), ("imgs/", "validate.json")])
def test_slake_of_older_copies(prefix: str, validation: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    new = read_table("slake", hand.write_slake(tmp_path / "new"))
    old = read_table("slake", hand.write_slake(tmp_path / "old", prefix=prefix, validation=validation))
    assert [(row.id, row.split, row.image.sha256) for row in old.rows] == [(r.id, r.split, r.image.sha256) for r in new.rows]


def test_slake_names_with_the_folder(tmp_path: Path) -> None:
    hand.write_slake(tmp_path)
    row = hand.slake_row(7, 3, "Is this an MRI?", "Yes", img_name="imgs/xmlab3/source.jpg")
    hand.put_json(tmp_path / "test.json", [row])
    assert by_id(read_table("slake", tmp_path))["7"].image.sha256 == sha(3)


# VQA-RAD -------------------------------------------------------------------------------------------------------------------


def test_vqa_rad_links_paraphrases(tmp_path: Path) -> None:
    """Linked rows with the same answer about the same picture are one; others stay apart but in one group."""
    table = read_table("vqa-rad", hand.write_vqa_rad(tmp_path))
    rows = by_id(table)
    assert list(rows) == ["1", "3", "4", "5", "6", "7"]
    assert rows["1"].rephrased == ("Is there an infarct?",) and rows["1"].question == "Are regions of the brain infarcted?"
    assert all(rows[id_].rephrased == () for id_ in ("3", "4", "5", "6", "7"))
    assert {id_: row.group for id_, row in rows.items()} == {
        "1": "synpic1.jpg",
        "3": "synpic2.jpg",
        "4": "synpic2.jpg",
        "5": "synpic2.jpg",
        "6": "synpic3.jpg",
        "7": "synpic3.jpg",
    }
    assert rows["7"].image.sha256 == sha(4)


def test_vqa_rad_values(tmp_path: Path) -> None:
    rows = by_id(read_table("vqa-rad", hand.write_vqa_rad(tmp_path)))
    assert [row.answer for row in rows.values()] == ["yes", "2", "no", "yes", "left", "left"]
    assert [row.closed for row in rows.values()] == [True, False, True, True, True, True]
    assert [row.split for row in rows.values()] == ["train", "train", "test", "test", "test", "test"]
    assert [row.kind for row in rows.values()] == ["presence", "count", "presence", "presence", "attribute", "attribute"]
    assert rows["1"].region == "head" and rows["4"].region == "abdomen"
    assert rows["5"].facts["question_relation"] == "Inversion" and "question_relation" not in rows["1"].facts


def test_vqa_rad_pair_that_crosses_the_splits(tmp_path: Path) -> None:
    """What is asked in the test split is not for training, whichever of a pair stands first."""
    hand.write_vqa_rad(tmp_path)
    pair = [hand.rad_row(8, "x", "synpic1.jpg", "Why?", "Old", "para"), hand.rad_row(9, "x", "synpic1.jpg", "How?", "old")]
    pair[0]["phrase_type"] = "test_para"
    hand.put_json(tmp_path / "VQA_RAD Dataset Public.json", pair)
    (row,) = read_table("vqa-rad", tmp_path).rows
    assert (row.id, row.question, row.rephrased, row.split) == ("9", "How?", ("Why?",), "test")


def test_vqa_rad_chain_of_links(tmp_path: Path) -> None:
    """Pictures a-b and b-c linked: all three are one group, called by the first."""
    hand.write_vqa_rad(tmp_path)
    ends = [("p", 3), ("q", 2), ("p", 2), ("q", 1)]
    rows = [hand.rad_row(n, link, f"synpic{img}.jpg", f"Question {n}?", "yes") for n, (link, img) in enumerate(ends)]
    hand.put_json(tmp_path / "VQA_RAD Dataset Public.json", rows)
    assert read_table("vqa-rad", tmp_path).groups == ("synpic3.jpg",)


def test_vqa_rad_of_the_mirror(tmp_path: Path) -> None:
    rows = list(read_table("vqa-rad", hand.write_tables(tmp_path)).rows)
    assert [row.split for row in rows] == ["train", "train", "train", "validation", "test"]
    assert [row.answer for row in rows] == ["yes", "a nodule", "liver", "left", "no"]
    assert [row.group for row in rows] == [sha(1), sha(1), sha(2), sha(3), sha(4)]
    assert [row.closed for row in rows] == [True, None, None, None, True]
    assert rows[1].id == "data/train-00000-of-00002-eb8844602202be60/1"


# PathVQA -------------------------------------------------------------------------------------------------------------------


def test_path_vqa_of_the_mirror(tmp_path: Path) -> None:
    """Answers keep their case."""
    rows = read_table("path-vqa", hand.write_tables(tmp_path)).rows
    assert [row.answer for row in rows] == ["Yes", "A Nodule", "liver", "left", "no"]
    assert rows[0].image is rows[1].image  # one picture in memory, however many rows show it


def test_path_vqa_pickles(tmp_path: Path) -> None:
    rows = read_table("path-vqa", hand.write_path_pickles(tmp_path)).rows
    assert [row.id for row in rows] == ["train/0", "train/1", "val/0", "test/0"]
    assert [row.split for row in rows] == ["train", "train", "validation", "test"]
    assert [row.answer for row in rows] == ["in the canals of Hering", "yes", "3", "the bile ducts"]
    assert [row.closed for row in rows] == [False, True, False, False]
    assert rows[0].group == rows[1].group == sha(15) and rows[0].kind == "where"


# PMC-VQA -------------------------------------------------------------------------------------------------------------------


def test_pmc_vqa_v1(tmp_path: Path) -> None:
    """The misspelt header is read, letters before choices go, and the checked part of the test file stands for the whole."""
    rows = read_table("pmc-vqa", hand.write_pmc_v1(tmp_path)).rows
    assert [row.id for row in rows] == ["train/0", "train/1", "test_clean/0"]
    assert rows[0].options == ("Diffuse", "Focal", "None", "Mixed, both") and rows[0].answer == "Focal"
    assert rows[1].options == ("D", "C", "A") and rows[1].answer == "C"
    assert rows[2].options == ("H&E", "PAS", "IHC") and rows[2].answer == "H&E"
    assert [row.split for row in rows] == ["train", "train", "test"] and all(row.closed for row in rows)
    assert rows[0].group == rows[1].group == sha(1)


def test_pmc_vqa_v2(tmp_path: Path) -> None:
    rows = read_table("pmc-vqa", hand.write_pmc_v2(tmp_path)).rows
    assert [row.answer for row in rows] == ["MRI", "none"] and [row.split for row in rows] == ["train", "test"]
    assert rows[0].options == ("CT", "MRI", "US", "PET")
    assert rows[0].facts == {"caption": "A scan, with\nnotes"} and rows[1].facts == {}


def test_pmc_vqa_of_both_versions(tmp_path: Path) -> None:
    hand.write_pmc_v2(hand.write_pmc_v1(tmp_path))
    assert [row.id for row in read_table("pmc-vqa", tmp_path, version="v2").rows] == ["train_2/0", "test_2/0"]
    assert len(read_table("pmc-vqa", tmp_path, version="v1").rows) == 3


# MIMIC-CXR-VQA -------------------------------------------------------------------------------------------------------------


def test_mimic_cxr_vqa(tmp_path: Path) -> None:
    table = read_table("mimic-cxr-vqa", hand.write_mimic(tmp_path))
    assert [row.id for row in table.rows] == ["train/0", "train/1", "train/2", "valid/0", "test/0"]
    assert [row.group for row in table.rows] == ["10000032", "10000032", "11000001", "10000032", "12000002"]
    assert [row.study for row in table.rows][:2] == ["50414267", "50414267"]
    assert [row.answer for row in table.rows] == ["yes", "left lung, right lung", "none", "ap", "no"]
    assert [row.closed for row in table.rows] == [True, False, False, True, True]
    assert [row.split for row in table.rows] == ["train", "train", "train", "validation", "test"]
    assert {row.modality for row in table.rows} == {"X-ray"} and table.rows[1].kind == "anatomy"


def test_mimic_pictures_by_ids(tmp_path: Path) -> None:
    """Without image_path the picture lies where MIMIC-CXR-JPG puts it; a path may begin with files/."""
    hand.write_mimic(tmp_path)
    bare, long = hand.mimic_row(0, 12000002, 50000002, "A?", "no"), hand.mimic_row(1, 12000002, 50000002, "B?", "no")
    long["image_path"] = f"files/{bare.pop('image_path')}"
    hand.put_json(tmp_path / "dataset/test.json", [bare, long])
    rows = by_id(read_table("mimic-cxr-vqa", tmp_path))
    assert rows["test/0"].image == rows["test/1"].image and rows["test/0"].image.sha256 == sha(12000002 % 97)


# LLaVA-Med -----------------------------------------------------------------------------------------------------------------


def test_llava_med(tmp_path: Path) -> None:
    rows = read_table("llava-med", hand.write_llava(tmp_path)).rows
    assert [row.id for row in rows] == ["train/0/0", "train/0/1", "train/1/0", "test/0/0"]
    assert [row.question for row in rows] == ["Is this a CT?", "What is seen?", "What is shown?", "Is it normal?"]
    assert rows[1].answer == "A nodule.\nIt is large."
    assert [row.group for row in rows] == [sha(1), sha(1), sha(2), sha(2)]
    assert [row.closed for row in rows] == [False, False, None, True]
    assert (rows[2].modality, rows[2].region) == ("X-ray", "chest") and rows[0].modality == ""
    assert rows[3].split == "test"


def test_llava_med_of_own_data(tmp_path: Path) -> None:
    """A licence for all rows, and one that a row names itself."""
    hand.put_json(hand.write_llava(tmp_path) / "test.json", [hand.chat("Is it old?", "no", image="2.jpg", license="CC0-1.0")])
    table = read_table("llava-med", tmp_path, license="CC-BY-4.0")
    assert table.licenses == ("CC-BY-4.0", "CC0-1.0")


def test_llava_med_as_lines(tmp_path: Path) -> None:
    hand.put(tmp_path / "1.jpg", hand.png(1))
    system = {"from": "system", "value": "Be brief."}
    row = hand.chat("Is it\n<image>\nnormal?", "no", image="1.jpg")
    row["conversations"].insert(0, system)
    hand.put(tmp_path / "own.jsonl", json.dumps(row) + "\n\n")
    (made,) = read_table("llava-med", tmp_path).rows
    assert (made.question, made.answer, made.split) == ("Is it normal?", "no", "train")


# MedForget -----------------------------------------------------------------------------------------------------------------


def test_medforget(tmp_path: Path) -> None:
    rows = read_table("medforget", hand.write_medforget(tmp_path)).rows
    assert [row.id for row in rows] == ["forget/0/0", "forget/0/1", "forget/1/0", "retain/0/0"]
    assert [row.group for row in rows] == ["p1", "p1", "p1", "p2"] and rows[0].study == "sp1"
    assert rows[2].answer == "Effusion left." and rows[1].closed is True and rows[0].closed is None
    assert rows[0].facts == {
        "medforget_set": "forget",
        "institution_id": "I1",
        "section_name": "FINDINGS",
        "hierarchy_level": "section",
    }
    assert rows[2].kind == "impression" and {row.split for row in rows} == {"train"}


def test_medforget_by_level(tmp_path: Path) -> None:
    hand.write_medforget(tmp_path)
    by_section = read_table("medforget", tmp_path, level="section").rows
    assert [row.facts["medforget_set"] for row in by_section] == ["forget", "forget", "retain", "retain"]
    assert read_table("medforget", tmp_path / "section_level").rows[0].question == by_section[0].question


@pytest.mark.parametrize("stored", [None, {"bytes": None, "path": None}])
def test_medforget_pictures_by_path(stored: dict[str, None] | None, tmp_path: Path) -> None:
    row = hand.forget_row(5, "p1", "FINDINGS", [("What?", "This.")], b"") | {"image": stored}
    hand.put_table(tmp_path / "patient_level/forget_set_all.parquet", [row])
    hand.put(tmp_path / "files/5.jpg", hand.png(5))
    assert read_table("medforget", tmp_path).rows[0].image.sha256 == sha(5)
