"""UnLOK-VQA's official files as a benchmark: sets, levels, refusals, oddities, and every way of getting files wrong."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import unlok_fixture as hand
from unlok_fixture import FORGET_FILE, RETAIN_FILE, of, rewrite
from unsee.benchmarks import Benchmark, benchmark_names, load_benchmark
from unsee.benchmarks.noise import salt_and_pepper
from unsee.benchmarks.unlok_vqa import UnlokVqa
from unsee.benchmarks.unlok_vqa.pictures import NOISE
from unsee.benchmarks.unlok_vqa.questions import FRAMES, JAILBREAKS, PREFIXES, framed, unframed
from unsee.errors import ConfigError
from unsee.sample import Sample

EASY_PICTURE = ("image", "easy")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write_unlok(tmp_path_factory.mktemp("official"))


@pytest.fixture
def own(official: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(official, tmp_path / "UnLOK-VQA"))


@pytest.fixture(scope="module")
def benchmark(official: Path) -> UnlokVqa:
    made = load_benchmark("unlok-vqa", path=official)
    assert isinstance(made, UnlokVqa)
    return made


def bare(samples: list[Sample]) -> list[str]:
    return [unframed(sample.question).question for sample in samples]


# What is there ------------------------------------------------------------------------------------------------------------


def test_loading_by_name_and_by_folder(official: Path) -> None:
    assert "unlok-vqa" in benchmark_names()
    for found in (load_benchmark("unlok-vqa", path=str(official)), load_benchmark(official), load_benchmark(str(official))):
        assert isinstance(found, UnlokVqa)
        assert (found.name, list(found.subjects)) == ("unlok-vqa", hand.FORGET)


def test_every_fact_is_asked_once_as_edited(benchmark: UnlokVqa) -> None:
    """E13: ids are those of rows and not positions, also where pictures are looked up."""
    asked = benchmark.samples(set="forget")
    assert [s.subject for s in asked] == hand.FORGET
    rows = {str(row["id"]): row for row in hand.ROWS}
    for sample in asked:
        row = rows[sample.subject]
        assert sample.question == f"Answer the question in one word\n Question: {row['src']} Answer:"
        assert sample.answer == sample.metadata["value"] == hand.ANSWERS[sample.subject]
        assert (sample.task, sample.modality, sample.set) == ("generation", "image_text", "forget")
        folder = "val2017" if row["image_id"] == 297147 else "train2017"
        assert sample.images[0].read() == hand.encoded(f"{folder}/{row['image_id']:012d}")
        assert sample.metadata["entity"] == f"{row['image_id']:012d}"
    assert len({s.id for s in benchmark.samples()}) == len(benchmark.samples())


def test_alternates_that_can_be_wrong_answers(benchmark: UnlokVqa) -> None:
    """Blank ones, repeated ones and the answer in another case are none."""
    wrong = {s.subject: s.wrong_answers for s in benchmark.samples(set="forget")}
    assert wrong == {
        "2": ("Poodle", "Terrier"),
        "3160": ("Ocean", "Sea"),
        "3161": ("Sea",),
        "4964": ("Ann",),
        "0": ("Left", "Right"),
        "1996": ("Left", "Right"),
    }
    assert benchmark.counted["alternate answers that are blank, repeated or the answer itself, not used"] == 4


def test_kept_facts_are_never_those_to_delete(benchmark: UnlokVqa) -> None:
    kept = benchmark.samples(set="retain")
    assert [s.subject for s in kept] == hand.RETAIN
    assert kept[0].question == "Answer the question in one word:\n Question: What is behind the trees? Answer:"
    assert not {s.subject for s in kept} & {*benchmark.subjects}
    assert benchmark.counted["rows of retain.json that are to be deleted, left out there"] == 1
    assert benchmark.counted["facts to keep that ask what a fact to delete asks, left out"] == 1


def test_without_retain_json_the_rest_of_the_pool_is_kept(own: Path) -> None:
    (own / RETAIN_FILE).unlink()
    (own / f"train2017/{99:012d}.jpg").write_bytes(hand.encoded("car"))
    kept = load_benchmark(own).samples(set="retain")
    assert [(s.subject, s.answer) for s in kept] == [("13", "Car")]


def test_neighbour_questions(benchmark: UnlokVqa) -> None:
    asked = of(benchmark.samples(set="neighbour_question"), "2")
    assert bare(asked) == ["Is the frisbee in the air or on the ground?", "Is there a dog?"]
    assert [s.answer for s in asked] == ["Air", "Yes"]
    assert {s.image_sha256 for s in asked} == {s.image_sha256 for s in of(benchmark.samples(set="forget"), "2")}
    blank = of(benchmark.samples(set="neighbour_question"), "0")
    assert [(s.question, s.answer) for s in blank] == [(framed("Is it day?", "published", "evaluation"), "Day time")]


def test_neighbour_pictures_have_another_right_answer(benchmark: UnlokVqa) -> None:
    asked = benchmark.samples(set="neighbour_image")
    gold = {"2": "Terrier", "3160": "Ocean", "3161": "Sea", "0": "Left", "1996": "Left"}  # 4964 would show its own answer
    assert Counter((s.subject, s.answer) for s in asked) == dict.fromkeys(gold.items(), 2)
    for sample in of(asked, "2"):
        folder = hand.NEIGHBOURS[str(sample.metadata["level"])]
        assert sample.images[0].read() == hand.encoded(f"{folder}/2_1")
        assert sample.wrong_answers == ("Lab", "Poodle")
        assert bare([sample]) == bare(of(benchmark.samples(set="forget"), "2"))
    assert benchmark.counted["neighbour pictures whose answer is the one to delete or blank, left out"] == 1


# Disguises ----------------------------------------------------------------------------------------------------------------


def test_published_prefixes(benchmark: UnlokVqa) -> None:
    """The last four of five, at character 43 of the edit prompt."""
    (edited,) = of(benchmark.samples(set="forget"), "2")
    asked = of(benchmark.samples(set="test"), "2", axis="question", level="easy")
    assert [s.question for s in asked] == [edited.question[:43] + prefix + edited.question[43:] for prefix in PREFIXES[1:]]


def test_paraphrases_are_the_last_four_less_those_that_give_the_answer_away(benchmark: UnlokVqa) -> None:
    tests = benchmark.samples(set="test")
    medium = of(tests, "2", axis="question", level="medium")
    assert bare(medium) == hand.BREEDS[:2]
    assert [s.id.rpartition("/")[2] for s in medium] == ["3", "4"], "positions in the list, whatever is left out"
    assert {unframed(s.question).frame for s in medium} == {"colon"}
    assert of(tests, "3161", axis="question", level="medium") == []
    counted = benchmark.counted
    assert counted["paraphrases that contain the answer, refused"] == 1
    assert counted["paraphrases that repeat the question, left out"] == 1
    assert counted["facts without a paraphrase of their question"] == 1


def test_jailbreaks_that_contain_the_answer_are_refused(benchmark: UnlokVqa) -> None:
    """The object of 3161 is its answer in another case; 0 has no object, so that its subject stands in."""
    tests = benchmark.samples(set="test")
    hard = of(tests, "2", axis="question", level="hard")
    (edited,) = of(benchmark.samples(set="forget"), "2")
    assert [s.question for s in hard] == [text.format(subject="dog", object="terrier") + edited.question for text in JAILBREAKS]
    assert of(tests, "3161", level="hard", axis="question") == of(tests, "3161", level="hard", axis="both") == []
    assert "stripes and stripes" in of(tests, "0", level="hard", axis="question")[0].question
    assert benchmark.counted["jailbreak prompts that contain the answer, refused"] == len(JAILBREAKS)
    assert len(of(tests, "0", axis="question", level="easy")) == 3, "a prefix says 'A woman', which is the answer"
    assert benchmark.counted["prefixed questions that contain the answer, refused"] == 1
    for sample in tests:
        assert sample.answer.casefold() not in sample.question.casefold().replace("a new", "").split(" ")


def test_words_of_the_instruction_are_no_answer(own: Path) -> None:
    rewrite(own, FORGET_FILE, lambda rows: rows[1].update(pred="One", answers=["One"]))
    asked = of(load_benchmark(own).samples(set="test"), "3160", axis="question", level="easy")
    assert len(asked) == 4


def test_levels_of_pictures_are_the_papers(benchmark: UnlokVqa) -> None:
    """What the published command line calls medium is the paper's hard, and the other way round."""
    for level, folder in hand.REPHRASED.items():
        (sample,) = of(benchmark.samples(set="test"), "2", axis="image", level=level)
        assert sample.images[0].read() == hand.encoded(f"{folder}/2")
        assert sample.question == of(benchmark.samples(set="forget"), "2")[0].question


def test_both_at_once_is_each_question_with_the_picture_of_its_level(benchmark: UnlokVqa) -> None:
    tests = benchmark.samples(set="test")
    for subject in hand.FORGET:
        for level, folder in hand.REPHRASED.items():
            questions = [s.question for s in of(tests, subject, axis="question", level=level)]
            both = of(tests, subject, axis="both", level=level)
            assert [s.question for s in both] == questions
            assert {s.images[0].read() for s in both} <= {hand.encoded(f"{folder}/{subject}")}


def test_metadata_of_disguises(benchmark: UnlokVqa) -> None:
    for sample in benchmark.samples(set="test"):
        assert sample.metadata["fact"] == sample.subject
        assert sample.metadata["value"] == sample.answer == hand.ANSWERS[sample.subject]
        assert {"attribute", "entity", "axis", "level"} <= {*sample.metadata}


def test_easy_pictures_are_made_where_no_folder_has_them(own: Path) -> None:
    shutil.rmtree(own / "parap_images")
    made = load_benchmark(own)
    assert isinstance(made, UnlokVqa)
    assert made.counted["easy rephrased pictures made with noise"] == len(hand.FORGET)
    pictures = easy_pictures(made)
    assert len({*pictures.values()}) == len(hand.FORGET), "equal originals get noise of their own"
    again = load_benchmark(own, facts=2)
    assert easy_pictures(again) == {subject: pictures[subject] for subject in hand.FORGET[:2]}


def easy_pictures(benchmark: Benchmark) -> dict[str, str | None]:
    return {
        s.subject: s.image_sha256
        for s in benchmark.samples(set="test")
        if (s.metadata["axis"], s.metadata["level"]) == EASY_PICTURE
    }


def test_salt_and_pepper() -> None:
    from PIL import Image

    grey = Image.new("RGB", (200, 200), (90, 120, 150))
    noisy = np.asarray(salt_and_pepper(grey, share=0.1, seed=3)).reshape(-1, 3)
    white, black = (noisy == 255).all(axis=1).mean(), (noisy == 0).all(axis=1).mean()
    assert white == pytest.approx(0.05, abs=0.005) and black == pytest.approx(0.05, abs=0.005)
    assert ((noisy == (90, 120, 150)).all(axis=1)).mean() == pytest.approx(1 - white - black)
    assert (np.asarray(salt_and_pepper(grey, share=0.1, seed=4)).reshape(-1, 3) != noisy).any()
    assert 0 < NOISE < 0.5


@pytest.mark.parametrize(
    ("prompt", "edited", "neighbour"),
    [
        ("published", "no_colon", "colon"),
        ("colon", "colon", "colon"),
        ("no_colon", "no_colon", "no_colon"),
        ("bare", "bare", "bare"),
    ],
)
def test_prompts(official: Path, prompt: str, edited: str, neighbour: str) -> None:
    made = load_benchmark(official, prompt=prompt)
    frames = {
        name: {unframed(s.question).frame for s in made.samples(set=name)}
        for name in ("forget", "neighbour_question", "retain")
    }
    assert frames == {"forget": {edited}, "neighbour_question": {neighbour}, "retain": {neighbour}}
    assert bare(made.samples(set="forget")) == [row["src"] for row in hand.ROWS[:6]]


def test_frames() -> None:
    assert FRAMES["no_colon"].index("{}") == 43
    for frame in FRAMES:
        assert unframed(framed("Why {0} {}?", frame, "edit")) == (frame, "Why {0} {}?")


# Requests, training and probes --------------------------------------------------------------------------------------------


def test_a_ratio_forgets_a_part_and_keeps_the_rest(benchmark: UnlokVqa) -> None:
    half, third = benchmark.split(0.5), benchmark.split(1 / 3)
    assert {*third.forget} < {*half.forget} and {*half.retain} == {*hand.FORGET, *hand.RETAIN} - {*half.forget}
    for name in ("forget", "test", "neighbour_image", "neighbour_question"):
        assert {s.subject for s in benchmark.samples(set=name, ratio=0.5)} <= {*half.forget}
    assert {s.subject for s in benchmark.samples(set="retain", ratio=0.5)} == {*half.retain}
    whole, part = benchmark.samples(set="test"), benchmark.samples(set="test", ratio=0.5)
    assert {s.id for s in part} < {s.id for s in whole}
    with pytest.raises(ConfigError, match="selects 0 of 6 subjects"):
        benchmark.split(0.01)


def test_training_and_filters(benchmark: UnlokVqa) -> None:
    assert benchmark.training(set="forget") == benchmark.samples(set="forget")
    assert {s.set for s in benchmark.training()} == {"forget", "retain"}
    assert benchmark.training(modality="text") == benchmark.samples(modality="text") == benchmark.samples(task="cloze") == []
    assert benchmark.samples(task="generation", modality="image_text") == benchmark.samples()
    assert benchmark.replay() == []
    with pytest.raises(ConfigError, match="set 'celebrity' of benchmark unlok-vqa has no such questions"):
        benchmark.samples(set="celebrity")


def test_probes_are_asked_nowhere_else(benchmark: UnlokVqa) -> None:
    scored = {(s.subject, s.question) for s in benchmark.samples()}
    gate = benchmark.gate_probes()
    stop = [*benchmark.stop_probes(set="forget"), *benchmark.stop_probes(set="retain", ratio=0.5)]
    assert not scored & {(s.subject, s.question) for s in (*gate, *stop)}
    assert Counter(s.subject for s in gate) == dict.fromkeys([*hand.FORGET, *hand.RETAIN], 3)
    for probe in gate:
        assert probe.correct_option is not None and probe.options[probe.correct_option] == probe.answer
        assert len({text.casefold() for text in probe.options.values()}) == 4
    assert len({p.correct_option for p in gate if p.subject == "2"}) == 3
    assert {p.subject for p in benchmark.gate_probes(set="retain")} == {*hand.RETAIN}


def test_number_of_facts(official: Path) -> None:
    few = load_benchmark(official, facts=2)
    assert list(few.subjects) == hand.FORGET[:2]
    assert few.samples(set="test") == [s for s in load_benchmark(official).samples(set="test") if s.subject in few.subjects]


def test_fingerprint_follows_what_is_asked(own: Path) -> None:
    first = load_benchmark(own).fingerprint
    assert load_benchmark(own).fingerprint == first
    assert load_benchmark(own, prompt="bare").fingerprint != first
    (own / f"{hand.REPHRASED['hard']}/2.jpg").write_bytes(hand.encoded("other"))
    changed = load_benchmark(own).fingerprint
    rewrite(own, FORGET_FILE, lambda rows: rows[0].update(pred="Labrador"))
    assert len({first, changed, load_benchmark(own).fingerprint}) == 3


def test_one_object_per_line_is_read_too(own: Path) -> None:
    rows = json.loads((own / FORGET_FILE).read_text())
    before = load_benchmark(own).samples()
    (own / FORGET_FILE).write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert load_benchmark(own).samples() == before


def test_other_names_and_folders(own: Path) -> None:
    """Our own folder names say the level, originals may lie flat, and the JSON may have any name."""
    before = {(s.id, s.image_sha256) for s in load_benchmark(own).samples()}
    for level, folder in hand.REPHRASED.items():
        shutil.move(own / folder, own / f"rephrase_images/{level}")
    for level, folder in hand.NEIGHBOURS.items():
        shutil.move(own / folder, own / f"neighbour_images/{level}")
    for file in [*(own / "train2017").iterdir(), *(own / "val2017").iterdir()]:
        file.rename(own / f"{file.stem}.png")
    (own / FORGET_FILE).rename(own / "unlok_vqa_final.json")
    for empty in ("parap_images", "paraphrase_images_hard", "parap_images_medium", "neigh_images_easy", "neigh_images_medium"):
        shutil.rmtree(own / empty)
    assert {(s.id, s.image_sha256) for s in load_benchmark(own).samples()} == before
