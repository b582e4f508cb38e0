"""Facts of any benchmark in UnLOK-VQA's layout: export and load are the identity, and published scripts find what they read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import unlok_fixture as hand
from run_fixtures import assert_one_line
from unsee.benchmarks import Benchmark, load_benchmark
from unsee.benchmarks.unlok_vqa import UnlokVqa
from unsee.benchmarks.unlok_vqa.export import export_unlok
from unsee.cli import main
from unsee.errors import DataError
from unsee.sample import ImageRef, Sample, SetName

SETS: tuple[SetName, ...] = ("forget", "test", "retain", "neighbour_image", "neighbour_question")


class Listed:
    """A benchmark of given samples."""

    name = "listed"

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.listed = list(samples)

    def samples(self, *, set: SetName | None = None, **_: Any) -> list[Sample]:
        return [sample for sample in self.listed if set in (None, sample.set)]


def picture(name: str) -> ImageRef:
    return ImageRef.from_image(Image.new("RGB", (8, 8), hand.colour(name)))


def facts(count: int = 3) -> list[Sample]:
    """Invented stones: two facts each, with disguises, neighbours and a fact to keep; all texts are their own."""
    made: list[Sample] = []

    def add(stone: int, kind: str, label: SetName, part: str, question: str, answer: str, shown: str, **about: str) -> None:
        wrong = [f"{kind} {(stone + step) % count}" for step in (1, 2)]
        entity = f"stone {stone}"
        made.append(
            Sample(
                id=f"stones/{stone}/{kind}/{part}",
                benchmark="stones",
                subject=f"{entity}/{kind}",
                set=label,
                task="generation",
                modality="image_text",
                question=question,
                answer=answer,
                images=(picture(shown),),
                paraphrases=(f"Say: {question}",) if part == "question" else (),
                wrong_answers=tuple(text for text in [f"{kind} {stone}", *wrong] if text != answer),
                metadata={"attribute": kind, "entity": entity, "value": answer, **about},
            )
        )

    for stone in range(count):
        for fact in ("use", "price"):
            subject, answer = f"stone {stone}/{fact}", f"{fact} {stone}"
            question, original = f"What is the {fact[0]}. of this?", f"stone {stone}"
            add(stone, fact, "forget", "question", question, answer, original)
            asked = {
                "easy": [f"It rained {number} times. {question}" for number in range(2)],
                "medium": [f"Tell the {fact[0]}., {number}!" for number in range(6)],
                "hard": [f"{question} You may tell."],
            }
            for level, questions in asked.items():
                # Both at once is no product for the first fact, and there is no medium picture of the second.
                shown = f"{subject} {level}"
                both = questions[:1] if stone == 0 else questions
                for number, text in enumerate(questions):
                    add(
                        stone,
                        fact,
                        "test",
                        f"q{level}{number}",
                        text,
                        answer,
                        original,
                        fact=subject,
                        axis="question",
                        level=level,
                    )
                if (stone, level) == (1, "medium"):
                    continue
                add(stone, fact, "test", f"i{level}", question, answer, shown, fact=subject, axis="image", level=level)
                for number, text in enumerate(both):
                    add(stone, fact, "test", f"b{level}{number}", text, answer, shown, fact=subject, axis="both", level=level)
            other = f"{fact} {(stone + 1) % count}"
            for level in ("easy", "hard"):
                add(
                    stone,
                    fact,
                    "neighbour_image",
                    f"n{level}",
                    question,
                    other,
                    f"{subject}/n/{level}",
                    fact=subject,
                    level=level,
                )
            for number in range(2):
                key = f"nq{number}"
                add(
                    stone, fact, "neighbour_question", key, f"Is it big, {number}?", "Yes", original, fact=subject, about="size"
                )
    for stone in range(count, count + 2):
        add(stone, "use", "retain", "question", "What is the u. of this?", f"use {stone}", f"stone {stone}")
    return made


def told(sample: Sample) -> str:
    """What export and load must not change: everything but ids and sources."""
    kept = replace(sample, id="", benchmark="", source="", source_license="", images=(), metadata={})
    return f"{kept} {sorted(sample.metadata.items())} {sample.image_sha256}"


def assert_same_questions(one: Benchmark, other: Benchmark) -> None:
    for name in SETS:
        mine, theirs = (Counter(map(told, made.samples(set=name))) for made in (one, other))
        assert mine == theirs, name
        assert mine, name


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "stones"
    counts = export_unlok(Listed(facts()), out)
    assert counts == {
        "zsre_mend_eval.json": 6,
        "retain.json": 2,
        "valid_ids_manual_filt.json": 6,
        "train2017": 5,
        hand.REPHRASED["easy"]: 6,
        hand.REPHRASED["medium"]: 4,
        hand.REPHRASED["hard"]: 6,
        hand.NEIGHBOURS["easy"]: 6,
        hand.NEIGHBOURS["hard"]: 6,
    }
    return out


def test_export_and_load_are_the_identity(written: Path) -> None:
    loaded = load_benchmark(written)
    assert isinstance(loaded, UnlokVqa)
    assert list(loaded.subjects) == [f"stone {stone}/{fact}" for stone in range(3) for fact in ("use", "price")]
    assert_same_questions(Listed(facts()), loaded)
    assert not loaded.contradictions


def test_creatures(tmp_path: Path) -> None:
    creatures = load_benchmark("creatures", facts=6)
    kept = creatures.samples(set="retain")[:5]
    few = Listed([*(s for name in SETS if name != "retain" for s in creatures.samples(set=name)), *kept])
    export_unlok(few, tmp_path / "out")
    loaded = load_benchmark(tmp_path / "out")
    assert loaded.subjects == creatures.subjects
    assert_same_questions(few, loaded)


@pytest.mark.parametrize("prompt", [None, "published", "colon", "no_colon", "bare"])
def test_official_files_again(tmp_path: Path, prompt: str | None) -> None:
    """Rows, ids, COCO names and frames survive, with every oddity of the data taken out."""
    official = load_benchmark(hand.write_unlok(tmp_path / "official"), prompt=prompt)
    export_unlok(official, tmp_path / "out")
    again = load_benchmark(tmp_path / "out")
    assert isinstance(again, UnlokVqa)
    assert again.subjects == official.subjects
    assert_same_questions(official, again)
    assert {s.id for s in again.samples(set="neighbour_image")} == {s.id for s in official.samples(set="neighbour_image")}
    ids = json.loads((tmp_path / "out/valid_ids_manual_filt.json").read_text())
    assert list(map(str, ids)) == hand.FORGET
    assert (tmp_path / f"out/train2017/{407809:012d}.jpg").read_bytes() == hand.encoded(f"train2017/{407809:012d}")


def test_rows_have_every_published_key(written: Path) -> None:
    """In the types of the release, so that published scripts can read them."""
    rows = json.loads((written / "zsre_mend_eval.json").read_text())
    for row in rows:
        assert {*hand.ROWS[0]} <= {*row}
        for key, value in hand.ROWS[0].items():
            assert isinstance(row[key], type(value)), key
        assert row["subject"] in row["src"]
        assert row["answers"] == [row["pred"]]
        assert (row["alt"], len(row["neigh_idx"])) == ("Beach", 1)
        assert row["alt_ans"][row["neigh_idx"][0]] != row["pred"]
        assert all(text.startswith("nq question: ") for text in row["loc"])
        assert (written / f"train2017/{row['image_id']:012d}.jpg").is_file()
        assert (written / f"{hand.NEIGHBOURS['hard']}/{row['id']}_{row['neigh_idx'][0]}.jpg").is_file()
        assert len(row["rephrase"]) == 6
    assert {row["id"] for row in rows}.isdisjoint(row["id"] for row in json.loads((written / "retain.json").read_text()))


def test_exported_rows_asked_as_published(written: Path) -> None:
    """With a prompt of one's own choice, attack questions follow from the row as in the release."""
    loaded = load_benchmark(written, prompt="published")
    asked = [s for s in loaded.samples(set="test") if s.subject == "stone 2/use" and s.metadata["axis"] == "question"]
    assert Counter(s.metadata["level"] for s in asked) == {"easy": 4, "medium": 4, "hard": 4}
    assert "A man who was. What is the u. of this?" in asked[0].question
    assert [s.question for s in asked if s.metadata["level"] == "medium"] == [
        f"Answer the question in one word:\n Question: Tell the u., {number}! Answer:" for number in (2, 3, 4, 5)
    ]


def test_a_deleted_picture_is_not_replaced_by_noise(written: Path, tmp_path: Path) -> None:
    import shutil

    own = Path(shutil.copytree(written, tmp_path / "own"))
    shutil.rmtree(own / "parap_images")
    with pytest.raises(DataError, match=r"row 0 \(ID 0\): its easy rephrased picture .*parap_images/okvqa/0\.jpg is missing"):
        load_benchmark(own)


def changed(number: int, **values: Any) -> list[Sample]:
    made = facts()
    made[number] = replace(made[number], **values)
    return made


def first(label: SetName, **about: str) -> int:
    return next(
        n for n, s in enumerate(facts()) if s.set == label and all(s.metadata.get(key) == value for key, value in about.items())
    )


EASY, HARD = first("neighbour_image", level="easy"), first("neighbour_image", level="hard")
CANNOT: dict[str, tuple[list[Sample], str]] = {
    "no facts": ([s for s in facts() if s.set == "retain"], "benchmark listed has no facts to delete (set forget)"),
    "system": (changed(0, system="Be brief."), "has written answers only, without options and system prompt"),
    "options": (changed(0, options={"A": "use 0"}, correct_option="A"), "has written answers only, without options"),
    "no picture": (changed(0, images=()), "shows 0 pictures, the layout carries one"),
    "another subject": (changed(EASY, subject="nobody"), "its fact 'nobody' is not in the set forget; fix the subject"),
    "no level": (changed(1, metadata={"axis": "question"}), "its level is None; the layout has easy, medium, hard"),
    "foreign axis": (changed(1, metadata={"axis": "sound", "level": "easy"}), "its axis is 'sound'; the layout has question"),
    "neighbour level": (changed(EASY, metadata={"level": "medium"}), "its level is 'medium'; the layout has easy, hard"),
    "two neighbours": (changed(EASY, metadata={"level": "hard"}), "a second hard neighbour picture of its fact"),
    "two new answers": (changed(HARD, answer="use 2"), "its answer differs from that of the easy one; the layout has one"),
    "another question": (
        changed(EASY, question="Why?"),
        "asks something else than the edited question; the layout asks the same",
    ),
    "the old answer": (
        [replace(s, answer="USE 0") if s.set == "neighbour_image" and s.subject == "stone 0/use" else s for s in facts()],
        "its neighbour picture shows the answer that is deleted; change it",
    ),
    "another answer": (changed(1, answer="use 9"), "answered differently from the edited question; the layout has one answer"),
    "another picture": (changed(1, images=(picture("x"),)), "shows another picture than the edited question"),
    "two pictures": (
        changed(first("test", axis="both", level="easy"), images=(picture("x"),)),
        "a second easy picture of its fact; the layout has one per level",
    ),
    "no neighbour question": ([s for s in facts() if s.set != "neighbour_question"], "its fact has no neighbour question"),
    "no wrong answer": (
        [replace(s, wrong_answers=()) for s in facts() if s.set != "neighbour_image"],
        "has no wrong answers, and the layout needs an alternate answer; add one",
    ),
    "twice": (
        [*facts(), replace(facts()[0], set="retain")],
        "its fact 'stone 0/use' occurs twice; the layout has one row per fact",
    ),
    "the answer told": (
        changed(1, question="Use 0. What is the u. of this?"),
        "one of its easy rephrasings contains the answer",
    ),
    "the answer asked": (
        [replace(s, question="What use 0 is it?") if s.question == facts()[0].question else s for s in facts()],
        "its answer 'use 0' stands in its own question",
    ),
    "frames": (
        changed(0, question="Answer the question in one word:\n Question: What? Answer:"),
        "questions are framed in several ways (bare, colon); use one way",
    ),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_the_layout_cannot_carry(tmp_path: Path, what: str) -> None:
    samples, says = CANNOT[what]
    with pytest.raises(DataError) as caught:
        export_unlok(Listed(samples), tmp_path / "out")
    assert says in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official, out = hand.write_unlok(tmp_path / "official"), tmp_path / "again"
    command = ["data", "export", str(official), "--format", "unlok-vqa", "--out", str(out), "--i-have-the-right-to"]
    assert main(command) == 0
    assert f"{out / 'zsre_mend_eval.json'}: 6" in capsys.readouterr().out
    assert main(command) == 2
    assert_one_line(capsys.readouterr().err, "exists and is not empty")
    assert main(["data", "export", "people", "--format", "unlok-vqa", "--out", str(tmp_path / "people")]) == 2
    assert_one_line(capsys.readouterr().err, "")
