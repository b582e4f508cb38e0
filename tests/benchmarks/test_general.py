"""The set `general`: closed and open questions about pictures that no model was ever shown."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unsee.answering import answer
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.people import People, people
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.benchmarks.portrait_art import IDENTITY, SCENE, portrait
from unsee.benchmarks.visual import GENERAL_QUESTIONS, VISUAL_QUESTIONS, visible
from unsee.metrics import CellInfo, Gate, score
from unsee.models.loading import load_model
from unsee.models.worlds import World, figure_scene, load_world, visible_values
from unsee.sample import Sample

VALUES = {**IDENTITY, **SCENE}


@pytest.fixture(scope="module")
def shipped() -> World:
    return load_world()


@pytest.fixture(scope="module")
def benchmark(shipped: World) -> People:
    return people(8, celebrities=2, world=shipped)


@pytest.fixture(scope="module")
def general(benchmark: People) -> list[Sample]:
    return benchmark.samples(set="general")


def test_two_closed_and_two_open_questions_about_each_picture(general: list[Sample]) -> None:
    assert len({sample.id for sample in general}) == len(general) == 60 * 4
    for number in range(60):
        asked = general[4 * number : 4 * number + 4]
        assert [sample.task for sample in asked] == ["classification"] * 2 + ["generation"] * 2
        assert len({sample.metadata["attribute"] for sample in asked}) == 4
        assert len({(sample.subject, sample.image_sha256, sample.modality) for sample in asked}) == 1
    assert len({sample.subject for sample in general}) == len({sample.image_sha256 for sample in general}) == 60


def test_answers_are_what_the_picture_shows(general: list[Sample], shipped: World) -> None:
    """Recomputed from face and scene; a frozen picture is found by its bytes."""
    pictures = {
        shipped.picture(figure, index).sha256: (figure, index)
        for figure in shipped.with_role("held_out")
        for index in shipped.picture_indices(figure)
    }
    for sample in general:
        figure, index = pictures[sample.image_sha256]
        assert figure.id == sample.subject
        scene = figure_scene(figure, index)
        shown = (*figure.face.words, scene.expression, scene.clothing, scene.clothing_color, scene.background)
        place = list(VALUES).index(str(sample.metadata["attribute"]))
        assert sample.answer == sample.metadata["value"] == shown[place]


def test_frozen_pictures_show_the_scenes_that_answers_are_read_from(shipped: World) -> None:
    for figure in shipped.with_role("held_out")[:3]:
        for index in shipped.picture_indices(figure):
            drawn = np.asarray(portrait(figure.face, figure_scene(figure, index), size=PICTURE_SIZE), dtype=float)
            frozen = np.asarray(shipped.picture(figure, index).open().convert("RGB"), dtype=float)
            assert np.abs(drawn - frozen).mean() < 1
            assert visible_values(figure, index) == visible(figure.face, figure_scene(figure, index))


def test_everything_visible_is_asked_equally_often(general: list[Sample]) -> None:
    counts = Counter((sample.task, sample.metadata["attribute"]) for sample in general)
    assert counts == {(task, key): 12 for task in ("classification", "generation") for key in VALUES}
    assert set(VALUES) == set(VISUAL_QUESTIONS)


def test_options_and_wrong_answers(general: list[Sample]) -> None:
    for sample in general:
        values = VALUES[str(sample.metadata["attribute"])]
        assert len({sample.answer, *sample.wrong_answers}) == len(sample.wrong_answers) + 1
        assert set(sample.wrong_answers) <= set(values)
        if sample.task == "classification":
            assert list(sample.options) == list("ABCD")
            assert set(sample.options.values()) == {sample.answer, *sample.wrong_answers}
            assert sample.options[str(sample.correct_option)] == sample.answer
        else:
            assert not sample.options and sample.correct_option is None
            assert len(sample.wrong_answers) == min(4, len(values) - 1)
    letters = Counter(sample.correct_option for sample in general if sample.options)
    assert letters == dict.fromkeys("ABCD", 30)


def test_nothing_of_it_is_taught_replayed_or_probed(benchmark: People, general: list[Sample]) -> None:
    wordings = {text for sample in general for text in (sample.question, *sample.paraphrases)}
    assert wordings == {frame.format(k=key) for frames in GENERAL_QUESTIONS.values() for frame in frames for key in VALUES}
    other = [
        *benchmark.replay(),
        *benchmark.training(),
        *benchmark.gate_probes(),
        *benchmark.stop_probes(set="forget", ratio=0.125),
        *benchmark.stop_probes(set="retain", ratio=0.125),
        *(sample for sample in benchmark.samples() if sample.set != "general"),
    ]
    assert not wordings & {text for sample in other for text in (sample.question, *sample.paraphrases)}
    assert not wordings & {text for roles in VISUAL_QUESTIONS.values() for texts in roles.values() for text in texts}
    assert not {s.image_sha256 for s in general} & {s.image_sha256 for s in other if s.images}
    assert not {s.subject for s in general} & {s.subject for s in other}
    options = {tuple(sorted(sample.options.values())) for sample in general if sample.options}
    assert not options & {tuple(sorted(sample.options.values())) for sample in other if sample.options}


def test_tuning_asks_about_other_pictures(shipped: World, general: list[Sample]) -> None:
    tuning = load_benchmark("people-tuning", subjects=8, celebrities=0, world=shipped).samples(set="general")
    assert len(tuning) == 15 * 4
    assert not {s.subject for s in tuning} & {s.subject for s in general}
    assert {s.subject for s in tuning} <= {figure.id for figure in shipped.with_role("held_out")}


def test_the_set_does_not_depend_on_people_or_request(shipped: World, benchmark: People, general: list[Sample]) -> None:
    assert benchmark.samples(set="general", ratio=0.25, seed=3) == general
    assert people(12, celebrities=0, world=shipped).samples(set="general") == general
    assert people(8, celebrities=2, general=20, world=shipped).samples(set="general") == general[:80]
    other = people(8, celebrities=2, seed=1, world=shipped).samples(set="general")
    assert [s.id for s in other] != [s.id for s in general]
    everything = benchmark.samples(ratio=0.25)
    assert [sample for sample in everything if sample.set == "general"] == general
    for task in ("classification", "generation"):
        assert benchmark.samples(set="general", task=task) == [sample for sample in general if sample.task == task]
    assert benchmark.samples(set="general", task="cloze") == benchmark.samples(set="general", modality="text") == []


def test_the_shipped_model_passes_and_its_score_is_a_utility(general: list[Sample], benchmark: People) -> None:
    """About 0.97 closed and 0.95 open over all sixty pictures; without pictures it would be a quarter and nearly nothing."""
    asked = general[:80]
    records = answer(load_model("tiny"), asked, truth_ratio=False)
    gate = Gate.of([("p000", "job", "text")])
    results = score(records, asked, cell=CellInfo(cell="x"), vanilla=records, gate=gate, bootstrap=50)
    rows = results.filter(results["baseline"].is_null() & results["group"].is_null())
    values = {
        (row["metric"], row["view"]): row["value"]
        for row in rows.filter((rows["set"] == "general") & ~rows["gated"].fill_null(False)).iter_rows(named=True)
    }
    assert values["accuracy", "options"] > 0.85
    assert values["rouge_l", "generate"] > 0.85 and values["factuality", "generate"] > 0.85
    (utility,) = results.filter(
        (results["metric"] == "model_utility") & results["modality"].is_null() & ~results["gated"]
    ).iter_rows(named=True)
    assert (utility["value"], utility["n_subjects"]) == (1.0, 20)
    components = results.filter((results["metric"] == "utility_component") & ~results["gated"])
    named = {(row["task"], row["view"], row["group"]) for row in components.iter_rows(named=True)}
    assert ("classification", "options", "metric=accuracy") in named
    assert ("generation", "generate", "metric=factuality") in named
