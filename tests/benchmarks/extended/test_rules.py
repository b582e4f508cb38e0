"""The offline rungs: every grade that rules and the table's own rows give."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from extending import extended, of
from PIL import Image
from tables_by_hand import own_rows, write_own

from unsee.benchmarks.extended.answers import same_answer, states_answer
from unsee.benchmarks.extended.measured import measured_questions
from unsee.benchmarks.extended.rules import CROP, seed_of
from unsee.benchmarks.extended.tables import read_source
from unsee.benchmarks.extended.variants import Extension
from unsee.benchmarks.unlok_vqa.questions import JAILBREAKS, PREFIXES


def test_all_four_kinds_have_their_easy_grade(offline: tuple[Path, Extension]) -> None:
    _, made = offline
    deleted = [fact for fact in made.facts if fact.role == "delete"]
    counts = Counter((one.fact, one.kind, one.grade) for one in made.variants)
    for fact in deleted:
        assert counts[fact.id, "question", "easy"] == counts[fact.id, "question", "hard"] == 4
        assert counts[fact.id, "image", "easy"] == 3
        assert counts[fact.id, "neighbour_question", "easy"] >= 1 and counts[fact.id, "neighbour_image", "easy"] >= 1
    assert len({one.id for one in made.variants}) == len(made.variants)
    assert all(one.id == f"{one.fact}/{one.kind}/{one.grade}/{one.number}" and one.parent == one.fact for one in made.variants)
    assert not of(made, "question", "medium") and not any(one.failed for one in made.variants)


def test_questions_are_the_published_ones(offline: tuple[Path, Extension]) -> None:
    _, made = offline
    facts = {fact.id: fact for fact in made.facts}
    for one in of(made, "question", "easy"):
        assert one.question == PREFIXES[-4:][one.number] + facts[one.fact].question and one.generator == "prefix"
    for one in of(made, "question", "hard"):
        fact = facts[one.fact]
        start = JAILBREAKS[one.number].format(subject=fact.span, object=fact.alternates[0])
        assert one.question == start + fact.question and not states_answer(one.question, fact.answer)


def test_pictures_change_as_they_are_called(offline: tuple[Path, Extension]) -> None:
    _, made = offline
    fact = next(fact for fact in made.facts if fact.role == "delete")
    own = np.asarray(fact.image.open(), dtype=int)
    noise, crop, colour = (one for one in of(made, "image", "easy") if one.fact == fact.id)
    assert [one.generator for one in (noise, crop, colour)] == ["noise", "crop", "colour"]
    pixels = np.asarray(noise.image.open(), dtype=int)
    changed = (pixels != own).any(axis=2)
    assert 0 < changed.mean() < 0.1 and set(np.unique(pixels[changed])) <= {0, 255}
    assert crop.image.open().size == (round(CROP * 48), round(CROP * 36))
    assert colour.image.open().size == (48, 36) and noise.seed == seed_of(0, fact.id, "noise") != crop.seed


def test_neighbours_have_other_answers(offline: tuple[Path, Extension]) -> None:
    _, made = offline
    facts = {fact.id: fact for fact in made.facts}
    truth = {(row.question, row.image.sha256): row.answer for row in source_rows(made)}
    for one in (*of(made, "neighbour_image", "easy"), *of(made, "neighbour_question", "easy")):
        fact = facts[one.fact]
        assert not same_answer(one.answer, fact.answer) and one.source_row and one.generator == "own-table"
        assert truth[one.question, one.image.sha256] == one.answer
        assert (one.question == fact.question) == (one.kind == "neighbour_image")
        assert (one.image.sha256 == fact.image.sha256) == (one.kind == "neighbour_question")


def test_neighbour_pictures_are_lent_before_they_are_kept_or_deleted(tmp_path: Path) -> None:
    """As many rows as lend are enough for every first neighbour picture here."""
    made = extended(write_own(tmp_path / "data", pictures=20), tmp_path / "made")
    role = {fact.image.sha256: fact.role for fact in made.facts}
    shown = of(made, "neighbour_image", "easy")
    lent = {one.image.sha256 for one in shown} - role.keys()
    assert len(lent) == 2 and {row.image.sha256 for row in source_rows(made)} == lent | role.keys()
    assert {one.number for one in shown if one.image.sha256 in role} <= {1}
    assert not [one for one in shown if role.get(one.image.sha256) == "delete"]


def source_rows(made: Extension):
    folder = Path(made.facts[0].source_row.partition(", row ")[0]).parent
    return read_source("vqa-json", folder).table.rows


def test_same_answer_rows_are_hard_pictures(tmp_path: Path) -> None:
    """Another picture with the same question and answer; never one that is kept."""
    rows = own_rows()
    for row in rows[1::2]:
        row["label"] = "Elm Street" if rows.index(row) < 12 else "Oak Street"
    made = extended(write_own(tmp_path / "data", rows), tmp_path / "made")
    kept = {fact.image.sha256 for fact in made.facts if fact.role == "keep"}
    facts = {fact.id: fact for fact in made.facts}
    hard = of(made, "image", "hard")
    assert hard and not of(made, "image", "medium")
    for one in hard:
        assert one.image.sha256 not in kept | {facts[one.fact].image.sha256} and one.answer == facts[one.fact].answer
        assert facts[one.fact].question == "On which street is it?"


def test_other_pictures_of_a_group_are_medium(tmp_path: Path) -> None:
    """Where groups are more than pictures, another group with the same answer is another fact."""
    rows = own_rows()
    for number, row in enumerate(rows):
        row["group"] = f"house {number // 4}"
        if number % 2:
            row["label"] = ("Elm Street", "Oak Street", "Elm Street", "Park Row", "High Road")[number // 4]
    made = extended(write_own(tmp_path / "data", rows), tmp_path / "made")
    assert not of(made, "image", "hard")
    facts = {fact.id: fact for fact in made.facts}
    medium = of(made, "image", "medium")
    assert {facts[one.fact].question for one in medium} == {"On which street is it?"}
    assert len(medium) == sum(fact.role == "delete" and fact.question.startswith("On which") for fact in made.facts)


def test_own_paraphrases_are_medium(tmp_path: Path) -> None:
    rows = own_rows()
    for row in rows[::2]:
        row["paraphrases"] = ["What can be bought here?"]
    made = extended(write_own(tmp_path / "data", rows), tmp_path / "made")
    assert {one.question for one in of(made, "question", "medium")} == {"What can be bought here?"}


@pytest.mark.parametrize(
    ("picture", "answers"),
    [
        (Image.new("RGB", (30, 20), (250, 40, 40)), ["wide", "coloured"]),
        (Image.new("RGB", (20, 30), (250, 250, 250)), ["tall", "black and white", "bright"]),
        (Image.new("RGB", (20, 20), (20, 20, 20)), ["square", "black and white", "dark"]),
        (Image.new("RGB", (20, 20), (120, 125, 120)), ["square"]),
    ],
)
def test_measured_neighbours(picture: Image.Image, answers: list[str]) -> None:
    assert [one.answer for one in measured_questions(picture)] == answers


def test_pictures_without_another_question_get_measured_ones(tmp_path: Path) -> None:
    made = extended(write_own(tmp_path / "data", own_rows()[::2]), tmp_path / "made")
    asked = of(made, "neighbour_question", "easy")
    assert {one.generator for one in asked} == {"measured"}
    assert {one.answer for one in asked if one.question.startswith("Is this picture wide")} == {"wide"}


def test_equal_calls_give_equal_folders(shops: Path, offline: tuple[Path, Extension], tmp_path: Path) -> None:
    folder, made = offline
    extended(shops, tmp_path / "made")
    for file in ("facts.jsonl", "variants.jsonl", "extension.json"):
        assert (tmp_path / "made" / file).read_bytes() == (folder / file).read_bytes()
    assert extended(shops, tmp_path / "other", seed=1).variants != made.variants
