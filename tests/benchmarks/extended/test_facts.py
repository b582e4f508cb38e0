"""Which facts are deleted and kept, what else might be answered, and when two answers are one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tables_by_hand import own_rows, write_okvqa, write_own

from unsee.benchmarks.extended.answers import distinct_answers, same_answer, states_answer, type_of
from unsee.benchmarks.extended.asking import Asker
from unsee.benchmarks.extended.facts import POLAR, TIES, TOLD, Chosen, choose_facts, span_of
from unsee.benchmarks.extended.rows import Rows
from unsee.benchmarks.extended.tables import Source, read_source
from unsee.benchmarks.medical.table import VqaTable
from unsee.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def sports(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source("okvqa", write_okvqa(tmp_path_factory.mktemp("okvqa")))


def chosen(source: Source, **options: object) -> Chosen:
    return choose_facts(source, **({"facts": None, "keep": 0.2, "seed": 0} | options))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Horses", "a horse", True),
        ("two", "2", True),
        ("berries", "Berry", True),
        ("buses", "bus", True),
        ("houses", "house", True),
        ("men", "man", True),
        ("leaves", "leaf", True),
        ("glass", "gla", False),
        ("tennis", "tenni", False),
        ("two", "three", False),
        ("two dogs", "2 dog", True),
        ("red bus", "bus", False),
        ("5 ft 5 in", "165 cm", True),
        ("?", "!", False),
    ],
)
def test_same_answers(one: str, other: str, same: bool) -> None:
    assert same_answer(one, other) == same_answer(other, one) == same


def test_answers_inside_texts() -> None:
    assert states_answer("Are there Horses?", "horse") and states_answer("He has 2 dogs", "two dogs")
    assert not states_answer("A label", "lab") and not states_answer("the two red dogs", "two dogs")
    assert distinct_answers(["cats", "cat", "", "dog", "two", "2"], without=["Dogs"]) == ["cats", "two"]
    assert [type_of(text) for text in ("Yes.", "seven", "May 1990", "tea", "green tea")] == [
        "yes or no",
        "number",
        "date",
        "word",
        "words",
    ]


def test_kept_facts_share_no_picture_with_deleted_ones(sports: Source) -> None:
    for seed in range(8):
        made = chosen(sports, seed=seed)
        pictures = {role: {fact.image.sha256 for fact in made.facts if fact.role == role} for role in ("delete", "keep")}
        assert pictures["keep"] and pictures["delete"] and not pictures["keep"] & pictures["delete"]
        assert len([fact for fact in made.facts if fact.role == "keep"]) >= 0.2 * len(sports.table.rows)
    again = chosen(sports)
    assert again.facts == chosen(sports).facts != chosen(sports, seed=3).facts


def test_groups_stay_together(sports: Source) -> None:
    """Two pictures of one group, and one picture in two groups."""
    rows = [replace(row, group=f"group {int(row.group) % 4}") for row in sports.table.rows]
    for seed in range(6):
        made = chosen(Source(VqaTable("grouped", tuple(rows))), seed=seed)
        groups = {role: {made.rows[fact.id].group for fact in made.facts if fact.role == role} for role in ("delete", "keep")}
        assert not groups["keep"] & groups["delete"]
    assert Rows(rows).identified and not Rows(sports.table.rows).identified


def test_what_is_never_deleted(sports: Source) -> None:
    """Yes or no, and answers that stand in their own question; both may be kept."""
    made = chosen(sports, keep=0.05)
    asked = {fact.question for fact in made.deleted}
    assert "Can you play it alone?" not in asked and "Is this tennis or golf?" not in asked
    assert made.counts[POLAR] == 1 and made.counts[TOLD] == 1 and made.counts[TIES] == 2


def test_alternates_are_never_the_answer(sports: Source) -> None:
    made = chosen(sports)
    for fact in made.facts:
        assert len(distinct_answers(fact.alternates, without=[fact.answer])) == len(fact.alternates)
    by_question = {(fact.question, fact.answer): fact.alternates for fact in made.facts}
    others = next(
        texts for (question, answer), texts in by_question.items() if (question, answer) == ("What sport is this?", "rugby")
    )
    assert {"tennis", "soccer", "hockey", "golf"} <= set(others)
    counted = next(texts for (question, _), texts in by_question.items() if question == "How many people are there?")
    assert set(counted) <= {"two", "three", "4"} and counted


def test_what_annotators_said_beside_the_answer_is_no_wrong_answer(sports: Source) -> None:
    rows = list(sports.table.rows)
    beside = replace(rows[1], id="beside", image=rows[4].image, group=rows[4].group, answer="felt", also_right=())
    made = chosen(Source(VqaTable("ball", (*rows, beside))))
    ball = next(fact for fact in made.facts if fact.answer == "rubber")
    assert ball.also_right == ("felt", "plastic", "wool", "cork", "air", "skin")
    assert ball.alternates and not {*ball.alternates} & {*ball.also_right}


def test_a_second_answer_to_a_question_is_right_too(tmp_path: Path) -> None:
    """Of rows that ask the same about a picture one is kept, and the other's answer is not called wrong anywhere."""
    rows = [row for row in own_rows() if "question" in row]
    rows += [row | {"answer": "cakes"} for row in rows if row["answer"] == "bread"]
    rows += [{"image": "shop 7.png", "question": "What is baked on Sundays?", "answer": "cakes"}]
    for seed in range(4):
        made = chosen(read_source("vqa-json", write_own(tmp_path / str(seed), rows)), keep=0.05, seed=seed)
        bakery = next(fact for fact in made.facts if fact.answer == "bread")
        assert bakery.also_right == ("cakes",) and "cakes" not in bakery.alternates
        asker = Asker("made", (), made.facts, pictures=1, seed=seed)
        assert not [sample for sample in asker.gate(bakery, "forget") if "cakes" in sample.options.values()]


def test_own_options_come_first(tmp_path: Path) -> None:
    made = chosen(read_source("vqa-json", write_own(tmp_path)))
    street = next(fact for fact in made.facts if fact.question == "On which street is it?" and fact.answer == "Park Row")
    assert street.alternates[:4] == ("Elm Street", "Oak Street", "Mill Lane", "High Road")


def test_numbers_that_cannot_be(sports: Source) -> None:
    with pytest.raises(ConfigError, match=r"facts = 99, but OK-VQA has .* that can be deleted"):
        chosen(sports, facts=99)
    with pytest.raises(ConfigError, match="keep = 1 is a share"):
        chosen(sports, keep=1)
    with pytest.raises(ConfigError, match="facts = 0 is too small"):
        chosen(sports, facts=0)
    one = Source(VqaTable("one", sports.table.rows[:2]))
    with pytest.raises(DataError, match="all rows are about one picture or group"):
        chosen(one)
    polar = Source(VqaTable("polar", tuple(replace(row, answer="no") for row in sports.table.rows)))
    with pytest.raises(DataError, match=r"no question of polar can be deleted .*yes-or-no"):
        chosen(polar)


def test_similar_questions(sports: Source) -> None:
    near = Rows([replace(row, question=text) for row, text in zip(sports.table.rows, QUESTIONS, strict=False)])
    row = sports.table.rows[0]
    assert [one.question for one in near.similar_question(replace(row, question=QUESTIONS[0]))] == [QUESTIONS[1]]


QUESTIONS = (
    "What is the man holding in one hand?",
    "What is the man holding in his hand?",
    "Who is the man in the hat?",
    "Why?",
)


def test_spans() -> None:
    assert span_of("Which breed of dog is this?") == "breed" and span_of("?") == "this"
