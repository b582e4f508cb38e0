"""Every layout on a small folder written by hand, and what is wrong with a row in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tables_by_hand import OKVQA, encoded, own_rows, put, write_llava, write_okvqa, write_own, write_slake

from run_fixtures import write_people
from unsee.benchmarks.extended.tables import format_names, read_source
from unsee.benchmarks.extended.tables.okvqa import TIED, most_common
from unsee.errors import ConfigError, DataError


def test_okvqa(tmp_path: Path) -> None:
    """Both splits, pictures under their names of 2014 and 2017, and the most common of ten answers."""
    table = read_source("okvqa", write_okvqa(tmp_path)).table
    assert [(row.id, row.question, row.group) for row in table.rows] == [
        (str(10 * image + number), question, str(image)) for number, (image, question, _) in enumerate(OKVQA)
    ]
    answers = [row.answer for row in table.rows]
    assert answers[:4] == ["tennis", "rubber", "soccer", "two"]
    assert [row.facts.get(TIED) for row in table.rows[:4]] == [None, 2, None, 2]
    assert {row.kind for row in table.rows} == {"Sports and Recreation"}
    assert [row.image.path.name for row in table.rows[5:7]] == ["000000000136.jpg", "COCO_val2014_000000000139.jpg"]
    assert table.licenses == ("CC-BY-4.0 AND LicenseRef-COCO-pictures",)


def test_the_most_common_answer() -> None:
    assert most_common(["b", "a", "A", "b", "a"]) == ("a", 1, ("b",))
    assert most_common(["b", "a", "A", "B"]) == ("b", 2, ("A",))  # tied: the one given first


def test_own_rows(tmp_path: Path) -> None:
    """Keys under several names; a group that rows name, lists of answers, options as an object."""
    rows = [
        {"image": "shop 0.png", "question": "What?", "answers": ["bun", {"answer": "roll"}, "roll"], "group": "g", "id": 7},
        {"picture": "shop 1.png", "prompt": "Who?", "target": 3, "options": {"A": "3", "B": "4"}, "license": "MIT"},
    ]
    first, second = read_source("vqa-json", write_own(tmp_path, rows), license="CC0-1.0").table.rows
    assert (first.id, first.answer, first.group, first.license) == ("7", "roll", "g", "CC0-1.0")
    assert (second.id, second.answer, second.options, second.license) == ("shops/1", "3", ("3", "4"), "MIT")
    assert second.group == second.image.sha256


def test_slake_and_llava(tmp_path: Path) -> None:
    slake = read_source("slake", write_slake(tmp_path / "slake")).table
    assert len(slake.rows) == 24 and slake.licenses == ("CC-BY-4.0",) and slake.rows[0].answer == "Liver"
    llava = read_source("llava-json", write_llava(tmp_path / "llava")).table
    assert [(row.question, row.answer) for row in llava.rows[:2]] == [
        ("What fruit is this?", "Apple"),
        ("Which colour is the bowl?", "red"),
    ]
    assert {row.source for row in llava.rows} == {"LLaVA chat JSON"}


def test_a_folder_of_json_lines_as_a_table(tmp_path: Path) -> None:
    """Free questions about pictures; a sentence that was asked for gives way to the fact in it."""
    folder = write_people(tmp_path / "people8")
    row = {
        "subject": "p9",
        "question": "In one sentence: Who lives here?",
        "answer": "Ida lives here.",
        "image": "pictures/0.png",
        "paraphrases": ["In one sentence: Whose house is it?"],
        "metadata": {"attribute": "owner", "value": "Ida"},
    }
    with (folder / "evaluation.jsonl").open("a") as stream:
        stream.write(json.dumps(row) + "\n")
    source = read_source("people", folder)
    assert len(source.table.rows) == 17 and not source.further
    last = source.table.rows[-1]
    assert (last.question, last.answer, last.rephrased) == ("Who lives here?", "Ida", ("Whose house is it?",))
    assert (last.group, last.kind, last.license) == ("p9", "owner", "")
    assert {row.answer for row in source.table.rows[:2]} == {"Oslo", "red"}


@pytest.mark.slow
def test_the_embedded_benchmark_as_a_table() -> None:
    """One row per person and attribute, asked for the bare fact; test pictures only lend themselves."""
    source = read_source("people", None)
    first = source.table.rows[0]
    assert source.table.name == "people" and source.table.licenses == ("Apache-2.0",)
    assert "sentence" not in first.question.casefold() and first.kind == first.facts["asks"]
    assert len({(row.group, row.kind) for row in source.table.rows}) == len(source.table.rows)
    assert source.further and {row.split for row in source.further} == {"test"}
    assert not {row.id for row in source.table.rows} & {row.id for row in source.further}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": None}, r"shops.jsonl, row 0.*question is empty; fill it in or remove the row"),
        ({"image": "gone.png"}, r"row 0.*its picture gone.png is missing .*add it or remove the row"),
        ({"image": "../../secret.png"}, r"row 0.*lies outside of"),
        ({"image": "bad.png"}, r"row 0.*cannot be decoded"),
        ({"answer": ["", None]}, r"row 0.*answer holds no answer that is not empty"),
        ({"choices": "A"}, r"row 0.*choices is no list"),
        ({"answer": {"a": 1}}, r"row 0.*answer holds dict"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    rows = own_rows()
    rows[0] |= change
    put(tmp_path / "images/bad.png", b"no picture")
    folder = write_own(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        read_source("vqa-json", folder)
    table = read_source("vqa-json", folder, skip_invalid=True).table
    assert len(table.rows) == len(rows) - 1 and len(table.skipped) == 1


def test_missing_columns_name_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no answer \(none of the keys answer, answers, .*; its keys: image, question\)"):
        read_source("vqa-json", write_own(tmp_path, [{"image": "shop 0.png", "question": "What?"}]))


def test_okvqa_without_its_parts(tmp_path: Path) -> None:
    write_okvqa(tmp_path)
    (tmp_path / "val2014/COCO_val2014_000000000164.jpg").unlink()
    with pytest.raises(DataError, match=r"ID 1649\).*its picture COCO_val2014_000000000164.jpg or 000000000164.jpg is in none"):
        read_source("okvqa", tmp_path)
    put(tmp_path / "val2014/COCO_val2014_000000000164.jpg", encoded(164, "JPEG"))
    file = tmp_path / "mscoco_val2014_annotations.json"
    content = json.loads(file.read_text())
    content["annotations"] = content["annotations"][1:]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="no annotations file answers question_id 1396"):
        read_source("okvqa", tmp_path)
    file.write_text("{}")
    with pytest.raises(DataError, match="holds no object with a list of annotations"):
        read_source("okvqa", tmp_path)
    write_okvqa(tmp_path)
    (tmp_path / "OpenEnded_mscoco_val2014_questions.json").unlink()
    with pytest.raises(DataError, match=r"row 0 \(ID 1396\): no questions file asks it; add that file, or remove the row"):
        read_source("okvqa", tmp_path)
    table = read_source("okvqa", tmp_path, skip_invalid=True).table
    assert (len(table.rows), len(table.skipped)) == (6, len(OKVQA) - 6)
    for name in tmp_path.glob("*annotations*"):
        name.unlink()
    with pytest.raises(DataError, match=r"holds no \*annotations\*.json"):
        read_source("okvqa", tmp_path)


def test_what_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="there is no format 'okvq'; did you mean 'okvqa'"):
        read_source("okvq", ".")
    with pytest.raises(ConfigError, match="format slake is read from a folder; give it with --data DIR"):
        read_source("slake", None)
    assert format_names() == ("okvqa", "vqa-json", "slake", "llava-json", "people")
