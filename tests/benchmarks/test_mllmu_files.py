"""Files of the official layout: schemas, nesting in every form, pictures of wanted rows only, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mllmu_fixture as hand
from unsee.benchmarks.faults import Faults
from unsee.benchmarks.mllmu_bench.facts import about, agree, attribute_of, facts, value_in
from unsee.benchmarks.mllmu_bench.files import (
    evaluation_schema,
    evaluation_values,
    file_kind,
    notes,
    read_people,
    read_pictures,
    read_taught,
    row_count,
    training_schema,
    training_values,
    write_file,
)
from unsee.benchmarks.mllmu_bench.rows import RowReader, person_id, record, records
from unsee.errors import DataError


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write_official(tmp_path_factory.mktemp("official"))


@pytest.mark.parametrize(
    ("given", "id_"),
    [
        (7, "007"),
        (7.0, "007"),
        ("7", "007"),
        ("007", "007"),
        (" 7.0 ", "007"),
        (1234, "1234"),
        ("celeb_2", "celeb_2"),
        ("Q42", "Q42"),
    ],
)
def test_ids_of_every_form(given: Any, id_: str) -> None:
    assert person_id(given) == id_


@pytest.mark.parametrize("given", [None, "", "  ", True])
def test_what_is_no_id(given: Any) -> None:
    assert person_id(given) is None


ROWS = [{"Question": "q", "Type": "Pure_Text"}, {"Question": "r", "Type": "Image_Textual"}]
LISTED = {"Question": ["q", "r"], "Type": ["Pure_Text", "Image_Textual"]}


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        tuple(ROWS),
        np.array(ROWS, dtype=object),
        LISTED,
        {key: np.array(values, dtype=object) for key, values in LISTED.items()},
        json.dumps(ROWS),
        json.dumps(LISTED),
        [json.dumps(row) for row in ROWS],
        [list(row.items()) for row in ROWS],
    ],
)
def test_nested_lists_of_every_form(given: Any) -> None:
    assert records(given) == ROWS


def test_structs_of_lists_may_hold_structs_of_lists() -> None:
    given = {"Question": ["q", "r"], "Options": {"A": ["1", "3"], "B": ["2", "4"]}}
    assert records(given) == [
        {"Question": "q", "Options": {"A": "1", "B": "2"}},
        {"Question": "r", "Options": {"A": "3", "B": "4"}},
    ]
    with pytest.raises(ValueError, match="struct of lists of one length"):
        records({"Question": ["q"], "Type": ["a", "b"]})


def test_keys_of_records_are_forgiving() -> None:
    assert record('{"Question:": "q", "Ground_Truth": "a", " TYPE": "t"}') == {
        "question": "q",
        "ground truth": "a",
        "type": "t",
    }


def test_rows_are_the_same_however_they_are_stored(official: Path) -> None:
    """forget_10 is JSON text, retain_95 structs of lists, forget_5 has whole-number ids; Full_Set is as released."""
    full = {row.id: row for row in read_people(official / "Full_Set/train-00000-of-00001.parquet", Faults()) if row}
    assert list(full) == [person["id"] for person in hand.PEOPLE]
    compared = 0
    for file in ("forget_5/train-00000-of-00001.parquet", "forget_10/train-00000-of-00001.parquet", "retain_95.parquet"):
        for row in read_people(official / file, Faults()):
            assert row is not None
            same = full[row.id]
            assert (row.choices, row.generation, row.cloze) == (same.choices, same.generation, same.cloze)
            assert row.biography == same.biography
            compared += 1
    assert compared == 1 + 2 + 7


def test_a_row_as_typed_values(official: Path) -> None:
    row = next(read_people(official / "Full_Set/train-00000-of-00001.parquet", Faults()))
    assert row is not None
    first = row.choices["image_text"][0]
    assert (first.question, first.letter, first.options["B"]) == ("What is the job of this person?", "B", "Nurse")
    assert [len(row.choices[m]) for m in ("image_text", "text")] == [5, 5]
    assert [one.answer for one in row.cloze["text"]] == ["Perth", "5 feet 5 inches"]
    assert row.generation["text"][1].answer == "Ann Lee loves chess."
    assert (row.question, row.directory) == ("Describe this person.", "/authors/home/images/001.jpg")


def test_training_rows_drop_pairs_with_an_empty_side(official: Path) -> None:
    rows = list(read_taught(official / "ft_Data/train-00000-of-00001.parquet", Faults()))
    assert all(row is not None and len(row.pairs) == 14 and all(pair.answer for pair in row.pairs) for row in rows)


def test_pictures_of_wanted_rows_only(official: Path) -> None:
    """Row groups hold three rows here; a row's position does not depend on which groups are read."""
    file = official / "Full_Set/train-00000-of-00001.parquet"
    assert list(read_pictures(file, {4, 7})) == [(4, [hand.portrait("005")]), (7, [hand.portrait("008")])]
    shown = dict(read_pictures(official / "Test_Set/train-00001-of-00002.parquet", {1}))
    assert shown == {1: hand.disguises("006")}
    assert dict(read_pictures(official / "forget_10/train-00000-of-00001.parquet", {0})) == {0: ["001.png"]}


def test_kinds_are_told_from_the_footer(official: Path) -> None:
    assert file_kind(official / "forget_5/train-00000-of-00001.parquet") == "evaluation"
    assert file_kind(official / "baseline_train_split/forget_5/train-00000-of-00001.parquet") == "training"
    assert row_count(official / "Test_Set/train-00000-of-00002.parquet") == 4


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["text", "label"], "its columns are label, text, but ID and Classification_Task"),
        (["ID", "image"], "is no file of MLLMU-Bench"),
        (["ID", "MM_QA", "UM_QA", "Classify", "Cloze"], "belongs to UMU-Bench"),
    ],
)
def test_foreign_files_are_named(tmp_path: Path, columns: list[str], says: str) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({name: ["x"] for name in columns}), file)
    with pytest.raises(DataError, match=r"a\.parquet") as caught:
        file_kind(file)
    assert says in str(caught.value)
    assert "; " in str(caught.value) or ", " in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 2000])
def test_truncated_files_are_named(official: Path, tmp_path: Path, keep: int) -> None:
    file = tmp_path / "cut.parquet"
    file.write_bytes((official / "Full_Set/train-00000-of-00001.parquet").read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cut\.parquet cannot be read as parquet .*; download the file again"):
        file_kind(file)


def test_damage_inside_a_file_is_named(official: Path, tmp_path: Path) -> None:
    """The footer is whole, the rows before it are not."""
    data = bytearray((official / "ft_Data/train-00000-of-00001.parquet").read_bytes())
    for at in range(4, len(data) // 2):
        data[at] = 0xFF
    file = tmp_path / "spoilt.parquet"
    file.write_bytes(bytes(data))
    assert file_kind(file) == "training"
    with pytest.raises(DataError, match=r"spoilt\.parquet is damaged near row 0 .*; download the file again"):
        list(read_taught(file, Faults()))


def values(**changed: Any) -> dict[str, Any]:
    return hand.evaluation_row(hand.PEOPLE[0]) | changed


def first_choice(**changed: Any) -> dict[str, Any]:
    choice = hand.choice(hand.PEOPLE[0], "job", "this person", 0, 0) | changed
    return {"Image_Textual_Questions": [choice], "Pure_Text_Questions": []}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (values(ID=None), "row 3: the ID is missing"),
        (values(biography="{Name"), "row 3 (ID 001): biography is no valid JSON"),
        (values(biography="[]"), "biography holds no JSON object"),
        (values(Classification_Task=3), "Classification_Task is no struct of two lists"),
        (
            values(Classification_Task=first_choice(Correct_Answer="E")),
            "the options A, B, C, D, but Correct_Answer 'E'; correct",
        ),
        (values(Classification_Task=first_choice(Correct_Answer="")), "but Correct_Answer ''"),
        (values(Classification_Task=first_choice(Options={"A": "x"})), "lacks a question or options"),
        (values(Classification_Task=first_choice(Options=3)), "is no question with options"),
        (values(Classification_Task=first_choice(Question=" ")), "lacks a question or options"),
        (values(Generation_Task=[{"Question": "q", "Ground_Truth": "", "Type": "Pure_Text"}]), "Generation_Task 0 lacks"),
        (
            values(Mask_Task=[{"Question": "q", "Ground_Truth": "a", "Type": "Sound"}]),
            "Mask_Task 0 has Type 'Sound'; it must be",
        ),
        (values(Mask_Task=["q"]), "Mask_Task 0 is no question"),
        (values(Mask_Task=5), "Mask_Task cannot be read as a list"),
    ],
)
def test_bad_rows_are_named_or_skipped(row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError) as caught:
        RowReader(Path("f.parquet"), Faults()).person(3, row)
    assert str(caught.value).startswith("f.parquet, row 3")
    assert says in str(caught.value)
    assert "--skip-invalid" in str(caught.value)
    assert "\n" not in str(caught.value)
    faults = Faults(skip=True)
    RowReader(Path("f.parquet"), faults).person(3, row)
    assert len(faults.found) == 1


@pytest.mark.parametrize("given", ["B", "b", "B.", "B: Nurse", "Nurse"])
def test_letters_as_people_write_them(given: str) -> None:
    row = RowReader(Path("f"), Faults()).person(0, values(Classification_Task=first_choice(Correct_Answer=given)))
    assert row is not None
    assert row.choices["image_text"][0].letter == "B"


def test_a_skipped_question_leaves_the_numbers_of_the_others() -> None:
    task = first_choice(Correct_Answer="E")
    task["Image_Textual_Questions"].append(hand.choice(hand.PEOPLE[0], "salary", "this person", 1, 0))
    row = RowReader(Path("f"), Faults(skip=True)).person(0, values(Classification_Task=task))
    assert row is not None
    assert [choice.number for choice in row.choices["image_text"]] == [1]


# What biographies say ----------------------------------------------------------------------------------------------------


def test_every_alias_of_every_key() -> None:
    """Person by person another spelling, parents as object or sentence, fun facts as object, list or sentence."""
    for person in hand.PEOPLE:
        told = facts(json.loads(hand.biography(person)))
        for attribute in ("name", "birthplace", "birth_date", "job", "height", "education", "salary", "residence"):
            assert told[attribute] == (person[attribute],), (person["id"], attribute)
        assert told["medical_condition"] == (person["medical_condition"],)
        assert told["father_job"] == (person["father_job"],), person["id"]
        assert told["mother_job"] == (person["mother_job"],), person["id"]
        assert any(person["hobby"] in text for text in (*told.get("hobby", ()), *told.get("fun_fact", ())))
    assert "description" not in facts(json.loads(hand.biography(hand.PEOPLE[4])))


def test_unknown_keys_keep_their_own_words() -> None:
    assert facts({"Favourite Colour:": "red", "Heights ": 168}) == {"favourite_colour": ("red",), "height": ("168",)}


@pytest.mark.parametrize(
    ("question", "answer", "attribute"),
    [
        ("What is the occupation of this person's father?", "Carpenter", "father_job"),
        ("What does this person do for a living?", "Nurse", "job"),
        ("Where did this person go to school?", "Alder College", "education"),
        ("This person was born in __.", "Perth", "birthplace"),
        ("When was this person born?", "1 May 1981", "birth_date"),
        ("How tall is Ann Lee?", "165 cm", "height"),
        ("What kind of place does this nurse call home?", "Oslo", "residence"),
        ("Which of these is true?", "asthma", "medical_condition"),
        ("Which of these is true?", "purple", "other"),
        ("What is this person's favourite colour?", "purple", "fun_fact"),
        ("What is the name of this person?", "Ann Lee", "name"),
    ],
)
def test_attributes_of_questions(question: str, answer: str, attribute: str) -> None:
    known = facts(json.loads(hand.biography(hand.PEOPLE[0])))
    assert attribute_of(question, answer, known) == attribute


def test_a_name_takes_no_part_in_matching() -> None:
    known = {"name": ("Job School",), "residence": ("Oslo",)}
    assert attribute_of("Where does Job School live?", "Rome", known) == "residence"


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What is the job of this person?", "What is the job of Ann Lee?"),
        ("This person's pet?", "Ann Lee's pet?"),
        ("Where does the person live?", "Where does Ann Lee live?"),
        ("Which school did this individual attend?", "Which school did Ann Lee attend?"),
        ("Is this personal?", "Is this personal?"),
    ],
)
def test_names_stand_in_for_this_person(question: str, named: str) -> None:
    assert about(question, "Ann Lee") == named


def test_values_in_sentences() -> None:
    assert value_in("She was born in New York.", ["York", "New York", "Paris"]) == "New York"
    assert value_in("Her father is a carpenter.", ["Carpenter"]) == "carpenter"
    assert value_in("Martha paints.", ["Art"]) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Carpenter", "Astronaut", False),
        ("Carpenter", "a retired carpenter", True),
        ("5 feet 5 inches", "165 cm", True),
        ("5 feet 5 inches", "5 feet 9 inches", False),
        ("March 12, 1990", "12 March 1990", True),
        ("March 12, 1990", "March 13, 1990", False),
        ("$40,000", "$45,000", False),
        ("works as a carpenter", "works as an astronaut", False),
        ("head nurse", "nurse in Oslo", True),
    ],
)
def test_answers_that_agree(one: str, other: str, same: bool) -> None:
    assert agree(one, other) is same


# Writing -----------------------------------------------------------------------------------------------------------------


def test_schemas_are_the_published_ones() -> None:
    """Against types spelled out by hand."""
    plain = pa.schema(
        [
            ("image", hand.PICTURE),
            *((name, pa.string()) for name in ("ID", "Directory", "biography", "question", "answer")),
            ("Classification_Task", hand.TASK),
            ("Generation_Task", pa.list_(hand.WRITTEN)),
            ("Mask_Task", pa.list_(hand.WRITTEN)),
        ]
    )
    assert evaluation_schema() == plain
    assert evaluation_schema(several_pictures=True) == pa.schema([("images", pa.list_(hand.PICTURE)), *list(plain)[1:]])
    assert training_schema() == pa.schema([("image", hand.PICTURE), ("ID", pa.string()), ("metadata", pa.string())])


def test_what_is_written_is_read_back(official: Path, tmp_path: Path) -> None:
    source = [row for row in read_people(official / "Full_Set/train-00000-of-00001.parquet", Faults()) if row]
    rows = [evaluation_values(row, [b"one", b"two"], several_pictures=True) for row in source]
    file = tmp_path / "out.parquet"
    assert write_file(file, rows, evaluation_schema(several_pictures=True), note={"subjects": {"001": "p0"}}) == 8
    back = [row for row in read_people(file, Faults()) if row]
    assert [(r.id, r.biography, r.choices, r.generation, r.cloze) for r in back] == [
        (r.id, r.biography, r.choices, r.generation, r.cloze) for r in source
    ]
    assert dict(read_pictures(file, {5})) == {5: [b"one", b"two"]}
    assert notes(file) == {"subjects": {"001": "p0"}}
    assert notes(official / "Full_Set/train-00000-of-00001.parquet") == {}

    taught = [row for row in read_taught(official / "ft_Data/train-00000-of-00001.parquet", Faults()) if row]
    write_file(tmp_path / "ft.parquet", [training_values(row, b"p") for row in taught], training_schema(), note={})
    assert [(r.id, r.pairs) for r in read_taught(tmp_path / "ft.parquet", Faults()) if r] == [(r.id, r.pairs) for r in taught]
