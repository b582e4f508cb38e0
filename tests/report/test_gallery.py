from __future__ import annotations

import base64
import io
import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE_NAME
from PIL import Image

from unsee.report.answers import is_right, shown
from unsee.report.gallery import MAX_QUESTIONS, _data_uri, cells_of, gallery
from unsee.report.main_table import Scope
from unsee.report.run_data import RunData, read_run
from unsee.sample import ImageRef, Sample
from unsee.sample_tables import read_samples

SCOPE = Scope(0.15, "mixed")


@pytest.fixture(scope="module")
def run(small_run: Path) -> RunData:
    return read_run(small_run)


@pytest.fixture(scope="module")
def people(run: RunData):
    return gallery(run, read_samples(run.folder / "samples.parquet"), SCOPE)


def test_forget_people_come_first(people):
    assert [p.set_name for p in people] == ["forget"] * 3 + ["near_retain"] * 2 + ["retain"] * 3 + ["celebrity"] * 2
    assert people[0].name == HOSTILE_NAME


def test_every_model_answers_every_question(people):
    order = ["Vanilla", "Gold", "Do nothing", "Prompt guard", "GA", "NPO", "IDK"]
    for person in people:
        assert 0 < len(person.questions) <= MAX_QUESTIONS
        assert all([reply.title for reply in question.replies] == order for question in person.questions)
        for title, right, asked in person.tally:
            assert right == sum(r.right for q in person.questions for r in q.replies if r.title == title)
            assert asked == len(person.questions)


def test_questions_are_of_every_kind(people):
    questions = people[0].questions
    assert {q.task for q in questions} == {"classification", "generation", "cloze"}
    assert {q.set_name for q in questions} == {"forget", "test"}
    assert len({q.level for q in questions if q.level}) == 2


def test_test_questions_show_their_own_picture(people):
    for question in people[0].questions:
        assert (question.picture is not None or question.same_picture) <= (question.set_name == "test")
        if question.picture is not None:
            assert question.picture != people[0].picture


def test_a_picture_is_in_the_page_once(people):
    for person in people:
        pictures = [q.picture for q in person.questions if q.picture is not None]
        assert len(set(pictures)) == len(pictures)
    questions = people[0].questions
    assert any(question.same_picture for question in questions)
    for last, question in pairwise(questions):
        if question.same_picture:
            assert last.picture is not None or last.same_picture


def test_the_set_is_what_the_unlearned_cells_say(run: RunData, tmp_path: Path):
    """Vanilla may have answered before there was a request, when everybody was to stay."""

    class Early(RunData):
        def records(self, cell: str) -> pl.DataFrame:
            records = super().records(cell)
            return records.with_columns(pl.lit("retain").alias("set")) if cell.startswith("vanilla") else records

    early = Early(**vars(run))
    people = gallery(early, read_samples(run.folder / "samples.parquet"), SCOPE)
    assert [p.set_name for p in people][:3] == ["forget"] * 3


def test_cells_of_a_request(run: RunData):
    cells = cells_of(run, SCOPE)
    assert [method for method, _ in cells][:4] == ["vanilla", "gold", "do_nothing", "prompt_guard"]
    assert cells["npo", "corrected"] == "npo-15-mixed-s0-00c0ffee"
    assert list(cells_of(run, Scope(0.05, "mixed"))) == []


@pytest.mark.parametrize(
    ("task", "said", "right"),
    [
        ("classification", "B", True),
        ("classification", "A", False),
        ("classification", None, False),
        ("cloze", "The Nurse.", True),
        ("cloze", "nurseling", False),
        ("generation", "Ada works as a nurse.", True),
        ("generation", "Ada does not work as a nurse.", False),
        ("generation", "Ada is a nurse or a pilot.", False),
        ("generation", None, False),
    ],
)
def test_right_and_wrong(task, said: str | None, right: bool):
    sample = Sample(
        id="1", benchmark="b", subject="s", set="forget", task=task, modality="text", question="What is __?",
        answer="Ada works as a nurse." if task == "generation" else "nurse",
        options={"A": "pilot", "B": "nurse"} if task == "classification" else {},
        correct_option="B" if task == "classification" else None,
        wrong_answers=("pilot",), metadata={"value": "nurse"},
    )  # fmt: skip
    record = {"parsed": said, "response": said}
    assert is_right(sample, record) is right
    assert shown(sample, record) == ({"A": "A: pilot", "B": "B: nurse"}.get(said or "", said) or "")


def test_heavy_pictures_are_scaled_down_and_small_ones_kept():
    noise = Image.frombytes("RGB", (400, 300), random.Random(0).randbytes(400 * 300 * 3))
    uri = _data_uri(ImageRef.from_image(noise))
    assert uri is not None and uri.startswith("data:image/webp;base64,")
    small = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert max(small.size) == 160 and len(uri) < 40_000
    plain = ImageRef.from_image(Image.new("RGB", (64, 64)))
    assert _data_uri(plain) == f"data:image/png;base64,{base64.b64encode(plain.read()).decode()}"


def test_a_picture_that_is_none_is_left_out():
    assert _data_uri(ImageRef.from_bytes(b"<svg onload=alert(1)>")) is None
