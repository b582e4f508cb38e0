"""The benchmark `creatures`: sets, disguises, neighbours, requests."""

import io
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from unsee.attacks.base import BUDGETS
from unsee.benchmarks import benchmark_names, load_benchmark
from unsee.benchmarks.base import taught_facts
from unsee.benchmarks.creatures import Creatures, creature_world, creatures
from unsee.benchmarks.creatures.facts import ATTRIBUTES, POOLS
from unsee.benchmarks.creatures.guessing import answer_pools
from unsee.benchmarks.creatures.questions import PREAMBLES, SENTENCES, wordings
from unsee.benchmarks.creatures.scenes import NEW_STYLES, TAUGHT_PICTURES, taught_scene
from unsee.benchmarks.creatures.variants import NOISE, disguises, neighbour_scenes, rephrased_scene
from unsee.benchmarks.creatures.visible import VISIBLE_VALUES, visible
from unsee.benchmarks.data_report import data_report
from unsee.benchmarks.data_tables import print_report
from unsee.errors import ConfigError
from unsee.methods import load_method
from unsee.methods.input_rephrasing import PREFIXES
from unsee.metrics.answer_prior import answer_counts, prior_success
from unsee.metrics.text_scores import contains_normalised
from unsee.sample import ImageRef

WORLD = creature_world()
LEVELS = ("easy", "medium", "hard")
AXES = ("question", "image", "both")
EVERY = [(name, half) for name in ("creatures", "creatures-paper", "creatures-tuning") for half in ("A", "B", "never")]


@pytest.fixture
def drawn(monkeypatch):
    """Replaces drawing by a reference made from look and scene."""

    def fake(look, scene):
        return ImageRef.from_bytes(repr((look, scene)).encode())

    monkeypatch.setattr("unsee.benchmarks.creatures.benchmark.creature_picture", fake)
    return lambda species, scene: fake(species.look, scene)


# Facts to delete


def test_presets():
    assert {"creatures", "creatures-paper", "creatures-tuning"} <= set(benchmark_names())
    sizes = {(name, half): len(load_benchmark(name, half=half).subjects) for name, half in EVERY}
    assert [sizes["creatures", half] for half in ("A", "B", "never")] == [100, 100, 100]
    assert [sizes["creatures-paper", half] for half in ("A", "B", "never")] == [500, 500, 324]
    assert [sizes["creatures-tuning", half] for half in ("A", "B", "never")] == [60, 60, 60]
    assert len(load_benchmark("creatures", facts=7).subjects) == 7


def test_larger_requests_contain_smaller_ones_and_draws_are_disjoint():
    nested = [set(creatures(facts).subjects) for facts in (1, 20, 100, 500, 756)]
    assert all(small < large for small, large in pairwise(nested))
    draws = [set(creatures(189, seed=seed).subjects) for seed in range(4)]
    assert len(set.union(*draws)) == 756
    assert creatures(100, seed=4).subjects != creatures(100, seed=0).subjects == creatures(100).subjects


@pytest.mark.parametrize("seed", range(6))
def test_facts_are_spread_over_species_and_attributes(seed):
    parts = [subject.split("/") for subject in creatures(100, seed=seed).subjects]
    assert len({species for species, _ in parts}) == 100
    assert {WORLD.by_id[species].role for species, _ in parts} == {"A"}
    assert set(Counter(attribute for _, attribute in parts).values()) <= {16, 17}


def test_ratios_take_a_part_of_the_facts():
    benchmark = creatures(100)
    splits = [benchmark.split(ratio, 1) for ratio in (0.05, 0.10, 0.5)]
    assert [len(split.forget) for split in splits] == [5, 10, 50]
    assert all(set(small.forget) < set(large.forget) for small, large in pairwise(splits))
    whole = set(splits[0].forget) | set(splits[0].retain)
    assert all(set(split.forget) | set(split.retain) == whole for split in splits)
    assert not set(splits[2].forget) & set(splits[2].retain)
    with pytest.raises(ConfigError, match="selects 0 of 100"):
        benchmark.split(0.001)


def test_tuning_facts_occur_in_no_reported_set(drawn):
    def entities(name, half):
        benchmark = load_benchmark(name, half=half)
        samples = [*benchmark.samples(), *benchmark.gate_probes(), *benchmark.training(), *benchmark.training(set="forget")]
        return {sample.metadata["entity"] for sample in samples}

    tuning = entities("creatures-tuning", "A") | entities("creatures-tuning", "never")
    reported = set().union(*(entities("creatures-paper", half) for half in ("A", "B", "never")))
    assert len(tuning) > 20 and not tuning & reported


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"facts": 0}, "facts = 0, but half A of benchmark creatures has 756; give 1 to 756"),
        ({"facts": 757}, "facts = 757"),
        ({"facts": 325, "half": "never"}, "half never of benchmark creatures has 324"),
        ({"facts": 2.5}, "facts of benchmark creatures is 2.5; give a whole number"),
        ({"facts": True}, "give a whole number"),
        ({"half": "C"}, "there is no half 'C'"),
        ({"fact": 3}, "has no option 'fact'"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(ConfigError, match=message):
        load_benchmark("creatures", **options)


def test_wrong_sets_are_told():
    benchmark = creatures(3)
    for name in ("celebrity", "near_retain", "general"):
        with pytest.raises(ConfigError, match="has no such questions"):
            benchmark.samples(set=name)
    with pytest.raises(ConfigError, match="no set 'forgot'"):
        benchmark.samples(set="forgot")
    with pytest.raises(ConfigError, match="has no such questions"):
        benchmark.training(set="test")
    assert benchmark.samples(modality="text") == benchmark.samples(task="cloze") == []


# Samples


@pytest.mark.parametrize(("name", "half"), EVERY)
def test_samples_say_what_they_are(name, half, drawn):
    benchmark = load_benchmark(name, half=half, facts=12)
    samples = benchmark.samples()
    assert len({sample.id for sample in samples}) == len(samples)
    counts = Counter(sample.set for sample in samples)
    assert (counts["forget"], counts["test"], counts["neighbour_image"], counts["neighbour_question"]) == (12, 324, 24, 48)
    subjects = set(benchmark.subjects)
    for sample in samples:
        about = sample.metadata
        assert sample.benchmark == sample.source == name and sample.task == "generation" and len(sample.images) == 1
        assert about["value"] == sample.answer and sample.answer not in sample.wrong_answers
        assert (sample.subject in subjects) == (sample.set != "retain")
        assert ("fact" in about) == (sample.set not in ("forget", "retain"))
        assert about.get("fact", sample.subject) == sample.subject
        if sample.set in ("forget", "test", "retain"):
            assert sample.subject == f"{about['entity']}/{about['attribute']}"
            assert sample.answer == WORLD.by_id[about["entity"]].facts[about["attribute"]]
            assert len(set(sample.wrong_answers)) == 4 and set(sample.wrong_answers) <= set(POOLS[about["attribute"]])
    if half == "never":
        retained = {WORLD.by_id[sample.metadata["entity"]].role for sample in samples if sample.set == "retain"}
        assert retained <= {"anchor", "tuning_anchor"}


def test_a_question_does_not_depend_on_the_request(drawn):
    few, many = ({one.id: one for one in creatures(facts).samples() if one.set != "retain"} for facts in (5, 40))
    assert few.items() <= many.items()
    again = {one.id: one for one in creatures(40).samples(ratio=0.25, seed=2)}
    assert all(again[key].question == many[key].question for key in again.keys() & many.keys())
    assert Counter(one.set for one in again.values())["forget"] == 10


@pytest.mark.parametrize("half", ["A", "B", "never"])
def test_no_prompt_gives_its_answer_away(half, drawn):
    benchmark = load_benchmark("creatures", facts=250, half=half)
    asked = [*benchmark.samples(), *benchmark.gate_probes(), *benchmark.stop_probes(set="forget"), *benchmark.training()]
    for sample in asked:
        for text in (sample.question, *sample.paraphrases):
            assert not contains_normalised(text, sample.answer), (sample.id, text)
            if sample.set != "neighbour_question":
                assert not {word.lower() for word in sample.answer.split()} & set(text.lower().split())


def test_wordings_that_attack_teach_defend_and_decide_are_disjoint(drawn):
    benchmark = creatures(60)
    attacks = {sample.question for sample in benchmark.samples(set="test") if sample.metadata["axis"] != "image"}
    edits = benchmark.samples(set="forget")
    defences = {text for sample in edits for text in sample.paraphrases}
    taught = {sample.question for sample in benchmark.training()}
    decide = {sample.question for sample in (*benchmark.gate_probes(), *benchmark.stop_probes(set="forget"))}
    groups = [attacks, {sample.question for sample in edits}, defences, taught, decide]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert not any(prefix.strip() in text for prefix in PREFIXES for text in (*SENTENCES, *PREAMBLES))


# Disguises


def test_every_fact_has_every_disguise(drawn):
    benchmark = creatures(10)
    for subject in benchmark.subjects:
        mine = [sample for sample in benchmark.samples(set="test") if sample.subject == subject]
        counts = Counter((sample.metadata["axis"], sample.metadata["level"]) for sample in mine)
        assert counts == {(axis, level): 1 if axis == "image" else 4 for axis in AXES for level in LEVELS}
        edit = next(sample for sample in benchmark.samples(set="forget") if sample.subject == subject)
        for sample in mine:
            axis = sample.metadata["axis"]
            assert (sample.images == edit.images) == (axis == "question")
            assert (sample.question == edit.question) == (axis == "image")
        for level in LEVELS:
            by_axis = {axis: [s for s in mine if s.metadata["axis"] == axis and s.metadata["level"] == level] for axis in AXES}
            assert [s.question for s in by_axis["both"]] == [s.question for s in by_axis["question"]]
            assert {s.images for s in by_axis["both"]} == {s.images for s in by_axis["image"]}


def test_questions_of_each_level():
    one = WORLD.half("A")[5]
    for attribute in ATTRIBUTES:
        (edit,) = wordings(attribute, "edit")
        asked = {level: [] for level in LEVELS}
        for disguise in disguises(one, attribute):
            if disguise.axis == "question":
                asked[disguise.level].append(disguise.question)
        assert all(question.endswith(edit) and question.removesuffix(edit) in SENTENCES for question in asked["easy"])
        assert asked["medium"] == list(wordings(attribute, "test"))
        assert all(question.endswith(edit) and question.removesuffix(edit) in PREAMBLES for question in asked["hard"])
        assert all(len(set(questions)) == 4 for questions in asked.values())


def test_pictures_of_each_level():
    for one in WORLD.half("A")[:20]:
        original = taught_scene(one.id)
        taught = {taught_scene(one.id, index) for index in range(TAUGHT_PICTURES)}
        medium, hard = (rephrased_scene(one, "diet", level) for level in ("medium", "hard"))
        assert len(medium.objects) == len(original.objects) - 1 and set(medium.objects) < set(original.objects)
        assert medium.background == original.background and medium.pose == original.pose
        assert hard.style in NEW_STYLES and hard not in taught
        assert hard.pose != original.pose and hard.background != original.background
        assert not {thing.name for thing in hard.objects} & {thing.name for thing in original.objects}


def test_salt_and_pepper_covers_its_share_and_nothing_else():
    benchmark = creatures(3)
    (edit, *_) = benchmark.samples(set="forget")
    easy = next(
        sample
        for sample in benchmark.samples(set="test")
        if sample.subject == edit.subject and (sample.metadata["axis"], sample.metadata["level"]) == ("image", "easy")
    )
    before, after = (np.asarray(sample.images[0].open()) for sample in (edit, easy))
    changed = (before != after).any(axis=-1)
    assert NOISE * 0.7 < changed.mean() < NOISE * 1.3
    assert set(after[changed].ravel().tolist()) == {0, 255}


# Neighbours


def test_neighbour_pictures_show_a_creature_with_another_right_answer(drawn):
    benchmark = load_benchmark("creatures-paper")
    edits = {sample.subject: sample for sample in benchmark.samples(set="forget")}
    retained = {sample.subject for sample in benchmark.samples(set="retain")}
    for sample in benchmark.samples(set="neighbour_image"):
        edit, about = edits[sample.subject], sample.metadata
        shown = WORLD.by_id[about["entity"]]
        assert sample.question == edit.question and sample.answer == shown.facts[about["attribute"]] == edit.wrong_answers[-1]
        assert sample.wrong_answers[0] == edit.answer != sample.answer
        # What error injection teaches must not be what is counted as spared.
        (taught,) = load_method("error_injection").transform([edit])
        assert taught.answer != sample.answer
        assert f"{shown.id}/{about['attribute']}" in retained
        species = WORLD.by_id[edit.metadata["entity"]]
        scenes = neighbour_scenes(species, str(about["attribute"]))
        assert sample.images == (drawn(shown, scenes[about["level"]]),)
        assert scenes["hard"] == taught_scene(species.id) != scenes["easy"]
        assert scenes["easy"].background != scenes["hard"].background


def test_neighbour_questions_ask_what_the_same_picture_shows(drawn):
    benchmark = creatures(30)
    edits = {sample.subject: sample for sample in benchmark.samples(set="forget")}
    asked = Counter()
    for sample in benchmark.samples(set="neighbour_question"):
        one, key = WORLD.by_id[sample.metadata["entity"]], sample.metadata["attribute"]
        assert sample.images == edits[sample.subject].images
        assert sample.answer == visible(one.look, taught_scene(one.id))[key]
        assert set(sample.wrong_answers) <= set(VISIBLE_VALUES[key]) - {sample.answer}
        asked[sample.subject] += 1
    assert asked == dict.fromkeys(benchmark.subjects, 4)


# Teaching and probes


def test_training_asks_in_eight_wordings_by_picture_and_by_name(drawn):
    benchmark = creatures(20)
    taught = benchmark.training()
    facts = Counter(sample.subject for sample in taught)
    assert set(facts.values()) == {8} and len(facts) == 756 + 540
    for modality in ("image_text", "text"):
        some = benchmark.training(set="forget", modality=modality)
        assert Counter(sample.subject for sample in some) == dict.fromkeys(benchmark.subjects, 4)
        assert {sample.modality for sample in some} == {modality}
        for sample in some:
            name = WORLD.by_id[sample.metadata["entity"]].name
            assert (name in sample.question) == (modality == "text") == (not sample.images)
    assert len({sample.id for sample in taught}) == len(taught)
    with pytest.raises(ConfigError, match="no modality 'audio'"):
        benchmark.training(modality="audio")


def test_never_learned_facts_are_taught_on_request_only(drawn):
    benchmark = creatures(20, half="never")
    assert not {sample.subject for sample in benchmark.training()} & set(benchmark.subjects)
    assert {sample.subject for sample in benchmark.training(set="forget")} == set(benchmark.subjects)


def test_probes(drawn):
    benchmark = creatures(20)
    gate = benchmark.gate_probes(set="forget")
    assert Counter(sample.subject for sample in gate) == dict.fromkeys(benchmark.subjects, 3)
    assert benchmark.gate_probes(set="test") == gate
    assert len(benchmark.gate_probes()) == 3 * (756 + 540)
    stop = benchmark.stop_probes(set="retain")
    assert len(stop) == len({sample.subject for sample in stop}) == 60
    assert len({sample.id for sample in (*gate, *stop, *benchmark.samples(), *benchmark.training())}) == (
        len(gate) + len(stop) + len(benchmark.samples()) + len(benchmark.training())
    )


def test_replay_tells_no_fact(drawn, world, monkeypatch):
    monkeypatch.setattr("unsee.benchmarks.creatures.benchmark.load_world", lambda: world)
    monkeypatch.setattr("unsee.benchmarks.replay.portrait_picture", lambda face, scene: ImageRef(sha256=repr((face, scene))))
    samples = creatures(10).replay()
    pictured = [sample for sample in samples if sample.id.startswith("creatures/c")]
    assert len(pictured) == 300 and {sample.set for sample in samples} == {"general"}
    assert all(sample.metadata["attribute"] in VISIBLE_VALUES for sample in pictured)
    names = {one.name for one in WORLD.species}
    assert not any(name in sample.question for sample in samples for name in names)


# Fingerprint, report


def test_fingerprint_tells_benchmarks_apart():
    made = [creatures(), creatures(99), creatures(half="B"), creatures(half="never"), creatures(seed=1)]
    made += [load_benchmark("creatures-paper"), load_benchmark("creatures-tuning")]
    assert len({benchmark.fingerprint for benchmark in made}) == len(made)
    assert creatures().fingerprint == creatures().fingerprint
    command = [sys.executable, "-c", "from unsee.benchmarks.creatures import creatures; print(creatures().fingerprint)"]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == creatures().fingerprint


def test_importing_it_does_not_import_torch():
    code = "import sys, unsee.benchmarks.creatures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "half"), EVERY)
def test_the_answer_prior_stays_low(name, half):
    benchmark = load_benchmark(name, half=half)
    assert isinstance(benchmark, Creatures)
    for pool in answer_pools(benchmark.subjects, half=half):
        assert pool.answers == pool.taught == 252 and pool.alike == 0
        assert pool.prior[20] <= 0.10 and pool.prior[50] <= 0.25
        assert pool.prior[1] <= pool.prior[5] <= pool.prior[10] <= pool.prior[20]


@pytest.mark.parametrize(("name", "half"), EVERY)
def test_all_that_a_base_was_taught_counts_as_prior(name, half, drawn):
    """252 species, tuning ones included, and each answer of one of them: B answers hold B / 252 of the facts."""
    benchmark = load_benchmark(name, half=half, facts=30)
    taught = taught_facts(benchmark, benchmark.samples(set="forget"))
    assert len({one.subject for one in taught}) == len(taught) == 252 * len(ATTRIBUTES) and not any(
        one.images for one in taught
    )
    counts = answer_counts(taught)
    facts = [(str(one.metadata["attribute"]), one.fact) for one in benchmark.samples(set="forget")]
    for budget in BUDGETS:
        found = [prior_success(value, counts[attribute], budget) for attribute, value in facts]
        assert found == pytest.approx([budget / 252] * 30)


def test_data_report_counts_it(drawn, monkeypatch):
    monkeypatch.setattr("unsee.sample.ImageRef.open", lambda self: SimpleNamespace(width=96, height=96))
    report = data_report(creatures(5))
    assert report.ok and not report.findings
    assert {count.set: count.asked for count in report.counts} == {
        "forget": 5,
        "test": 135,
        "retain": 751 + 540,
        "neighbour_image": 10,
        "neighbour_question": 20,
    }
    assert [pool.attribute for pool in report.pools] == list(ATTRIBUTES)
    asked = {subject.split("/")[1] for subject in creatures(5).subjects}
    for pool in report.pools:
        expected = {budget: budget / 252 for budget in (1, 5, 10, 20, 50)} if pool.attribute in asked else {}
        assert pool.prior == pytest.approx(expected)
    printed = Console(width=120, record=True, file=io.StringIO())
    print_report(report, printed)
    assert "19.8%" in printed.export_text()
