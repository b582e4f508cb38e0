from __future__ import annotations

import base64
import io
import random
from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE, HOSTILE_NAME
from PIL import Image

from unsee.report.answered import Answers, answers_of, cells_of
from unsee.report.answers import is_right, shown
from unsee.report.gallery import gallery_data
from unsee.report.main_table import Scope
from unsee.report.pictures import PIXELS, PictureStore, data_address
from unsee.report.run_data import RunData, read_run
from unsee.sample import ImageRef, Sample
from unsee.sample_tables import read_samples

SCOPE = Scope(0.15, "mixed")
MODELS = ["Vanilla", "Gold", "Do nothing", "Prompt guard", "GA", "NPO", "IDK"]


@pytest.fixture(scope="module")
def run(small_run: Path) -> RunData:
    return read_run(small_run)


@pytest.fixture(scope="module")
def answers(run: RunData) -> Answers:
    return answers_of(run, read_samples(run.folder / "samples.parquet"), SCOPE)


@pytest.fixture(scope="module")
def data(answers: Answers):
    return gallery_data(answers, focus=("npo", "corrected"))


def test_forget_people_come_first_and_nobody_is_missing(data):
    sets = [data["sets"][person[1]][0] for person in data["people"]]
    assert sets == ["forget"] * 3 + ["near_retain"] * 2 + ["retain"] * 3 + ["celebrity"] * 2
    assert data["texts"][data["people"][0][0]] == HOSTILE_NAME
    assert data["left_out"] == 0


def test_every_question_and_answer_is_there(data, run: RunData):
    questions = [question for person in data["people"] for question in person[3]]
    assert len(questions) == len(read_samples(run.folder / "samples.parquet"))
    assert data["models"] == MODELS
    assert [data["models"][data[name]] for name in ("vanilla", "gold", "focus")] == ["Vanilla", "Gold", "NPO"]
    assert all(len(question[8]) == len(question[9]) == len(MODELS) for question in questions)
    assert {question[9][0] for question in questions} <= {"0", "1"}


def test_right_and_wrong_are_the_metrics(data, run: RunData):
    asked = [s for s in read_samples(run.folder / "samples.parquet") if s.subject == "p001"]
    samples = {(s.question, s.task, s.set): s for s in asked}
    cell = cells_of(run, SCOPE)["npo", "corrected"]
    records = {(r["sample_id"], r["view"]): r for r in run.records(cell).iter_rows(named=True)}
    person = next(p for p in data["people"] if data["texts"][p[0]] == "Bruno Lark")
    for question in person[3]:
        sample = samples[data["texts"][question[0]], data["tasks"][question[3]][0], data["sets"][question[2]][0]]
        record = records[sample.id, "options" if sample.options else "generate"]
        assert question[9][5] == str(int(is_right(sample, record)))
        assert data["texts"][question[8][5]] == shown(sample, record)
    assert len(person[3]) == len(samples) > 18


def test_forgotten_sets_are_named(data):
    assert [data["sets"][number][0] for number in data["forgotten"]] == ["forget", "test"]


def test_texts_and_pictures_are_kept_once(data):
    assert len(set(data["texts"])) == len(data["texts"])
    assert len(set(data["pictures"])) == len(data["pictures"])
    # A portrait per person, and a changed one per person to forget.
    assert len(data["pictures"]) == 10 + 3
    assert all(picture.startswith("data:image/") for picture in data["pictures"])


def test_people_who_stay_are_left_out_first(answers: Answers):
    few = gallery_data(answers, most=100)
    sets = [few["sets"][person[1]][0] for person in few["people"]]
    assert sets[:3] == ["forget"] * 3 and few["left_out"] == 10 - len(sets) > 0
    assert sum(len(person[3]) for person in few["people"]) == 3 * 36


def test_what_was_written_stays_as_it_is(data):
    """Escaping is the page's work; the data hold the words."""
    assert any(HOSTILE in text for text in data["texts"])


def test_the_set_is_what_the_unlearned_cells_say(run: RunData):
    """Vanilla may have answered before there was a request, when everybody was to stay."""

    class Early(RunData):
        def records(self, cell: str) -> pl.DataFrame:
            records = super().records(cell)
            return records.with_columns(pl.lit("retain").alias("set")) if cell.startswith("vanilla") else records

    early = answers_of(Early(**vars(run)), read_samples(run.folder / "samples.parquet"), SCOPE)
    assert {question.set_name for question in early.questions if question.subject == "p000"} == {"forget", "test"}


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
    noise = ImageRef.from_image(Image.frombytes("RGB", (400, 300), random.Random(0).randbytes(400 * 300 * 3)))
    address = data_address(noise)
    assert address is not None and address.startswith("data:image/webp;base64,")
    small = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert max(small.size) == PIXELS and len(address) < 40_000
    assert (data_address(noise, png=True) or "").startswith("data:image/png;base64,")
    plain = ImageRef.from_image(Image.new("RGB", (64, 64)))
    assert data_address(plain) == f"data:image/png;base64,{base64.b64encode(plain.read()).decode()}"


def test_a_picture_that_is_none_is_left_out():
    broken = ImageRef.from_bytes(b"<svg onload=alert(1)>")
    store = PictureStore()
    assert data_address(broken) is None and store.number(broken) is None and store.addresses == []
