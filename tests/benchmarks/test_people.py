import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import pytest

from unsee.benchmarks import benchmark_names, load_benchmark
from unsee.benchmarks.people import People, people
from unsee.benchmarks.pictures import PICTURE_SIZE, portrait_picture
from unsee.benchmarks.portraits import Face, Scene
from unsee.benchmarks.profiles import ATTRIBUTES, BY_KEY, FRAMES, SENTENCE
from unsee.errors import ConfigError, DataError
from unsee.models.worlds import load_world

RATIOS = (0.05, 0.10, 0.15)


@pytest.fixture
def benchmark(world, drawn):
    """100 people and 20 public figures without a single drawing; the set `general` has tests of its own."""
    return people(100, celebrities=20, general=0, world=world)


@pytest.fixture
def everything(benchmark):
    return benchmark.samples(ratio=0.1)


def by_id(samples):
    assert len({sample.id for sample in samples}) == len(samples)
    return {sample.id: sample for sample in samples}


# Split


def test_ratios_are_nested_and_seeds_disjoint(benchmark):
    draws = []
    for seed in range(4):
        nested = [set(benchmark.split(ratio, seed).forget) for ratio in (*RATIOS, 0.25)]
        assert [len(forget) for forget in nested] == [5, 10, 15, 25]
        assert all(small < large for small, large in pairwise(nested))
        draws.append(nested[-1])
    assert len(set.union(*draws)) == 100
    assert benchmark.split(0.15, 4).forget != benchmark.split(0.15, 0).forget


def test_larger_requests_stay_nested_to_the_end(benchmark):
    forgets = [set(benchmark.split(k / 100, 2).forget) for k in range(1, 100)]
    assert [len(forget) for forget in forgets] == list(range(1, 100))
    assert all(small < large for small, large in pairwise(forgets))


def test_every_forgotten_person_leaves_two_relatives(benchmark):
    people_by_id = {person.id: person for person in benchmark.population}
    for seed in range(8):
        split = benchmark.split(0.15, seed)
        relatives = {people_by_id[p].look_alike for p in split.forget} | {people_by_id[p].namesake for p in split.forget}
        assert set(split.near_retain) == relatives and len(relatives) == 30
        assert set(split.near_retain) < set(split.retain)
        assert not set(split.retain) & set(split.forget)
        assert len(split.retain) + len(split.forget) == 100


def test_left_over_people_are_always_retained(world):
    benchmark = people(11, celebrities=0, world=world)
    for seed in range(8):
        assert not {"p008", "p009", "p010"} & set(benchmark.split(8 / 11, seed).forget)


@pytest.mark.parametrize(
    ("subjects", "ratio", "message"),
    [
        (60, 0.0, r"nobody of 60 people; the smallest that works is 0\.01667"),
        (60, -0.1, "nobody"),
        (60, float("nan"), "nobody"),
        (60, 0.005, "nobody"),
        (60, 1.0, r"60 of 60 people, but at most 59 can be forgotten; use 0\.9833 or less"),
        (60, 7, "60 of 60"),
        (11, 0.9, r"10 of 11 people, but at most 8 can be forgotten"),
    ],
)
def test_impossible_ratios_are_refused(world, subjects, ratio, message):
    with pytest.raises(ConfigError, match=message):
        people(subjects, celebrities=0, world=world).split(ratio)


def test_the_smallest_ratio_named_in_the_message_works(world):
    benchmark = people(60, celebrities=0, world=world)
    assert len(benchmark.split(0.01667).forget) == 1
    assert len(benchmark.split(0.9833).forget) == 59


# Counts


def test_paper_preset_has_20754_questions(world, drawn):
    benchmark = load_benchmark("people-paper", world=world)
    samples = benchmark.samples()
    assert len(by_id(samples)) == 18 * (500 + 500 + 153) == 20_754
    more = load_benchmark("people-paper", general=60, world=world)
    assert len(more.samples()) == 20_754 + 4 * 60
    assert Counter(sample.set for sample in samples) == {"retain": 9_000, "test": 9_000, "celebrity": 2_754}
    assert Counter(sample.task for sample in samples) == {"classification": 11_530, "generation": 4_612, "cloze": 4_612}
    assert Counter(sample.modality for sample in samples) == {"image_text": 10_377, "text": 10_377}
    assert [len(benchmark.split(ratio).forget) for ratio in RATIOS] == [25, 50, 75]
    for modality in ("image_text", "text"):
        per_person = Counter(sample.subject for sample in benchmark.training(modality=modality))
        assert len(per_person) == 500 and min(per_person.values()) >= 14


def test_sets_partition_the_people(benchmark, everything):
    split = benchmark.split(0.1)
    expected = {
        "forget": set(split.forget),
        "test": set(split.forget),
        "near_retain": set(split.near_retain),
        "retain": set(split.retain) - set(split.near_retain),
        "celebrity": {figure.id for figure in benchmark.figures},
    }
    for name, subjects in expected.items():
        alone = benchmark.samples(set=name, ratio=0.1)
        assert {sample.subject for sample in alone} == subjects
        assert Counter(sample.subject for sample in alone) == dict.fromkeys(subjects, 18)
        assert alone == [sample for sample in everything if sample.set == name]


def test_filters_choose_among_the_same_samples(benchmark, everything):
    for task, modality in product(("classification", "generation", "cloze"), ("image_text", "text")):
        chosen = benchmark.samples(task=task, modality=modality, ratio=0.1)
        assert chosen == [sample for sample in everything if (sample.task, sample.modality) == (task, modality)]


def test_a_question_does_not_depend_on_the_request(benchmark, everything):
    without = by_id(benchmark.samples())
    for sample in everything:
        assert sample.question == without[sample.id].question and sample.options == without[sample.id].options


def test_near_retain_says_whose_relative_it_is(benchmark):
    split = benchmark.split(0.1)
    people_by_id = {person.id: person for person in benchmark.population}
    for samples in (benchmark.samples(set="near_retain", ratio=0.1), benchmark.training(set="near_retain", ratio=0.1)):
        relations = {(sample.subject, sample.metadata["relation"], sample.metadata["relative"]) for sample in samples}
        assert len(relations) == 20
        for subject, relation, relative in relations:
            person = people_by_id[subject]
            assert relative == {"look_alike": person.look_alike, "namesake": person.namesake}[relation]
            assert relative in split.forget


# Questions


def test_picture_and_name_questions_come_in_pairs(everything):
    samples = by_id(everything)
    for sample in everything:
        if sample.modality != "image_text":
            assert sample.images == ()
            continue
        other = samples[sample.id.replace("/image_text/", "/text/")]
        name = sample.metadata["name"]
        assert name not in sample.question and len(sample.images) == 1
        assert name in other.question
        assert other.question.lower() == sample.question.replace("this person", name).replace("This person", name).lower()
        assert other.metadata["attribute"] == sample.metadata["attribute"]
        assert other.metadata["value"] == sample.metadata["value"]
        if sample.task == "classification":
            assert sorted(other.options.values()) == sorted(sample.options.values())
            assert other.correct_option != sample.correct_option


def test_nine_balanced_facts_per_person(benchmark):
    samples = benchmark.samples(set="retain", modality="text")
    for subject in benchmark.subjects:
        own = [sample for sample in samples if sample.subject == subject]
        assert len({sample.metadata["attribute"] for sample in own}) == len(own) == 9
        assert Counter(sample.task for sample in own) == {"classification": 5, "generation": 2, "cloze": 2}
    for task, per_person in (("classification", 5), ("generation", 2), ("cloze", 2)):
        counts = Counter(sample.metadata["attribute"] for sample in samples if sample.task == task)
        assert len(counts) == 13
        assert max(counts.values()) - min(counts.values()) <= per_person


def test_letters_are_balanced_in_every_draw(world, drawn):
    benchmark = people(500, celebrities=0, world=world)
    for part, modality in product(("retain", "test"), ("image_text", "text")):
        samples = benchmark.samples(set=part, task="classification", modality=modality)
        counts = Counter(sample.correct_option for sample in samples)
        assert all(abs(counts[letter] / len(samples) - 0.25) < 0.02 for letter in "ABCD")
    for seed in range(4):
        samples = benchmark.samples(set="forget", task="classification", modality="image_text", ratio=0.15, seed=seed)
        counts = Counter(sample.correct_option for sample in samples)
        assert all(abs(counts[letter] / len(samples) - 0.25) < 0.03 for letter in "ABCD")


def test_distractors_come_from_the_same_pool(everything):
    for sample in everything:
        attribute = BY_KEY[sample.metadata["attribute"]]
        if sample.task == "classification":
            assert len(set(sample.options.values())) == 4 and list(sample.options) == list("ABCD")
            assert sample.options[sample.correct_option] == sample.answer
            assert set(sample.wrong_answers) == set(sample.options.values()) - {sample.answer}
            if attribute.values:
                assert set(sample.options.values()) <= set(attribute.values)
            else:
                shapes = {re.sub(r"\d", "0", re.sub(r"[A-Z][a-z]+", "M", text)) for text in sample.options.values()}
                assert len({re.sub("0+", "0", shape) for shape in shapes}) == 1


def test_a_guesser_who_knows_the_pools_is_right_a_quarter_of_the_time(benchmark):
    """The most frequent value among everybody else's answers, as a model with priors only would choose."""
    samples = benchmark.samples(set="retain", task="classification", modality="text")
    priors = {
        attribute.key: Counter(person.profile[attribute.key] for person in benchmark.population) for attribute in ATTRIBUTES
    }
    right = 0.0
    for sample in samples:
        prior = priors[sample.metadata["attribute"]] - Counter([sample.answer])
        best = max(prior[text] for text in sample.options.values())
        favourites = [text for text in sample.options.values() if prior[text] == best]
        right += (sample.answer in favourites) / len(favourites)
    assert abs(right / len(samples) - 0.25) < 0.06


def test_wrong_answers_look_like_the_answer(everything):
    for sample in everything:
        assert 3 <= len(sample.wrong_answers) <= 5
        assert len({sample.answer, *sample.wrong_answers}) == len(sample.wrong_answers) + 1
        if sample.task == "generation":
            frame = sample.answer.replace(sample.metadata["value"], "__")
            before, after = frame.split("__")
            assert before and after
            before = before.removesuffix("an ").removesuffix("a ")
            assert all(wrong.startswith(before) and wrong.endswith(after) for wrong in sample.wrong_answers)
        if sample.task == "cloze":
            assert sample.question.count("__") == 1


def test_no_answer_stands_in_its_question(benchmark):
    asked = [
        *benchmark.samples(set="retain"),
        *benchmark.samples(set="test"),
        *benchmark.training(),
        *benchmark.gate_probes(set="retain"),
        *benchmark.stop_probes(set="forget", ratio=0.1),
    ]
    for sample in asked:
        value = re.escape(str(sample.metadata["value"]))
        for text in (sample.question, *sample.paraphrases):
            assert not re.search(rf"\b{value}\b", text, re.IGNORECASE), sample.id


def test_metadata_names_person_attribute_and_level(benchmark, everything):
    names = {person.id: person.name for person in benchmark.population} | {f.id: f.name for f in benchmark.figures}
    for sample in everything:
        assert sample.metadata["name"] == names[sample.subject]
        assert ("level" in sample.metadata) == (sample.set == "test" and sample.modality == "image_text")
        assert ("relation" in sample.metadata) == (sample.set == "near_retain")


def test_disguises_come_in_three_grades(benchmark):
    samples = benchmark.samples(set="test", modality="image_text")
    for subject in benchmark.subjects:
        own = [sample for sample in samples if sample.subject == subject]
        assert Counter(sample.metadata["level"] for sample in own) == {"near": 3, "far": 3, "foreign": 3}
        assert len({(sample.metadata["level"], sample.image_sha256) for sample in own}) == 3
    by_task = Counter((sample.task, sample.metadata["level"]) for sample in samples)
    assert max(by_task.values()) - min(by_task.values()) <= 340 and len(by_task) == 9
    for task in ("classification", "generation", "cloze"):
        counts = [by_task[task, level] for level in ("near", "far", "foreign")]
        assert max(counts) - min(counts) <= 5


def test_test_pictures_show_the_same_face_in_other_scenes(world, drawn):
    benchmark = people(8, celebrities=0, world=world)
    benchmark.samples()
    scenes = {}
    for face, scene in drawn:
        scenes.setdefault(face, {})[scene.grade] = scene
    assert set(scenes) == {person.face for person in benchmark.population}
    assert all(set(grades) == {"canonical", "near", "far", "foreign"} for grades in scenes.values())


def test_test_asks_the_same_facts_otherwise(benchmark):
    plain = by_id(benchmark.samples(set="retain"))
    for sample in benchmark.samples(set="test"):
        original = plain[sample.id.replace("/test/", "/evaluation/")]
        assert sample.question != original.question and sample.answer == original.answer
        assert sample.metadata["attribute"] == original.metadata["attribute"]
        if sample.task == "classification":
            assert set(sample.options.values()) & set(original.options.values()) == {sample.answer}


def test_celebrities_are_shown_by_an_unseen_picture(benchmark, world):
    for sample in benchmark.samples(set="celebrity", modality="image_text"):
        figure = next(figure for figure in world.figures if figure.id == sample.subject)
        assert figure.role == "evaluated"
        assert sample.images == (world.picture(figure, 1),)
    assert [figure.id for figure in benchmark.figures] == [f"f{number:03d}" for number in range(20)]


def test_text_questions_never_draw(benchmark, drawn):
    benchmark.samples(modality="text", ratio=0.05)
    benchmark.training(modality="text")
    assert drawn == []


# Training and probes


def test_training_teaches_every_attribute_in_every_modality(benchmark):
    samples = benchmark.training()
    by_id(samples)
    keys = {attribute.key for attribute in ATTRIBUTES}
    for modality in ("image_text", "text"):
        own = [sample for sample in samples if sample.modality == modality]
        assert Counter(sample.subject for sample in own) == dict.fromkeys(benchmark.subjects, 14)
        taught = {sample.metadata["attribute"] for sample in own if sample.subject == "p003"}
        assert taught == (keys | {"name"} if modality == "image_text" else keys)
        assert len({(sample.subject, sample.question) for sample in own}) == len(own)
    assert all(not sample.options and sample.answer == sample.metadata["value"] for sample in samples)
    wordings = {sample.question for sample in samples if sample.metadata["attribute"] == "job" and sample.images}
    assert len(wordings) == 3


def test_training_sets_follow_the_split(benchmark):
    split = benchmark.split(0.15, 1)
    for name, subjects in (("forget", split.forget), ("near_retain", split.near_retain), ("retain", split.retain)):
        assert {s.subject for s in benchmark.training(set=name, ratio=0.15, seed=1)} == set(subjects)
    assert len(benchmark.training(modality="text", ratio=0.15)) == len(benchmark.training(modality="text")) == 1400


def test_wordings_of_roles_never_meet(benchmark):
    """What is taught, scored, and used to decide are different strings, paraphrases of the scored ones included."""
    parts = {
        "training": benchmark.training(),
        "evaluation": benchmark.samples(set="retain"),
        "test": benchmark.samples(set="test"),
        "gate": benchmark.gate_probes(set="retain"),
        "stop": [*benchmark.stop_probes(set="forget", ratio=0.25), *benchmark.stop_probes(set="retain", ratio=0.25)],
    }
    asked = {part: {sample.question for sample in samples} for part, samples in parts.items()}
    for part, questions in asked.items():
        for other, others in asked.items():
            assert part == other or not questions & others
    for part in ("evaluation", "test"):
        reworded = {text for sample in parts[part] for text in sample.paraphrases}
        for other in set(asked) - {part}:
            assert not reworded & asked[other]


def test_gate_covers_every_evaluated_fact_with_fresh_options(benchmark, everything):
    probes = benchmark.gate_probes(ratio=0.1)
    by_id(probes)
    facts = Counter((sample.subject, sample.metadata["attribute"], sample.modality) for sample in probes)
    evaluated = {(s.subject, s.metadata["attribute"], s.modality) for s in everything}
    assert facts == dict.fromkeys(evaluated, 3)
    scored = {(s.subject, s.metadata["attribute"], text) for s in everything for text in s.options.values() if text != s.answer}
    orders = {(s.question, tuple(s.options.values())) for s in everything}
    seen = set()
    for probe in probes:
        assert probe.task == "classification" and probe.options[probe.correct_option] == probe.answer
        assert (probe.question, tuple(probe.options.values())) not in orders
        wrong = {(probe.subject, probe.metadata["attribute"], text) for text in probe.options.values() if text != probe.answer}
        assert len(wrong) == 3 and not wrong & scored
        seen.add((probe.subject, probe.metadata["attribute"], probe.modality, tuple(sorted(probe.options.values()))))
    assert len(seen) == len(probes)
    for name in ("forget", "retain", "near_retain", "celebrity"):
        assert benchmark.gate_probes(set=name, ratio=0.1) == [probe for probe in probes if probe.set == name]
    assert benchmark.gate_probes(set="test", ratio=0.1) == benchmark.gate_probes(set="forget", ratio=0.1)


@pytest.mark.parametrize("name", ["forget", "retain"])
def test_stop_probes_are_few_and_spread(benchmark, name):
    split = benchmark.split(0.1, 3)
    probes = benchmark.stop_probes(set=name, ratio=0.1, seed=3)
    by_id(probes)
    assert len(probes) == 60 and probes == benchmark.stop_probes(set=name, ratio=0.1, seed=3)
    per_person = Counter(sample.subject for sample in probes)
    assert set(per_person) <= set(getattr(split, name))
    assert set(per_person.values()) == ({6} if name == "forget" else {1})
    assert 15 <= sum(sample.modality == "text" for sample in probes) <= 45
    assert len(benchmark.stop_probes(set=name, ratio=0.1, limit=7)) == 7


def test_rotations_do_not_follow_the_draw(benchmark):
    """A draw takes the same member of each family; wordings, levels and modalities must not depend on the member."""
    for seed in range(4):
        one_each = benchmark.stop_probes(set="forget", ratio=0.25, seed=seed, limit=25)
        assert len({sample.subject for sample in one_each}) == 25
        assert abs(sum(sample.modality == "text" for sample in one_each) - 12.5) < 1
        request = {"ratio": 0.25, "seed": seed, "modality": "image_text"}
        framed = [s.question.startswith("Tell me") for s in benchmark.samples(set="forget", task="classification", **request)]
        assert abs(sum(framed) / len(framed) - 0.5) < 0.02
        for task in ("classification", "generation", "cloze"):
            levels = Counter(s.metadata["level"] for s in benchmark.samples(set="test", task=task, **request))
            assert max(levels.values()) - min(levels.values()) <= 3


def test_real_pictures_tell_people_apart(world):
    samples = people(8, celebrities=0, general=0, world=world).samples(modality="image_text", ratio=0.125)
    pictures = {sample.image_sha256: sample for sample in samples}
    assert len(pictures) == 8 + 3
    assert {sample.images[0].open().size for sample in pictures.values()} == {(PICTURE_SIZE, PICTURE_SIZE)}
    owners = {(sample.image_sha256, sample.subject) for sample in samples}
    assert len(owners) == len(pictures)


# Replay


def test_replay_shows_replay_figures_and_strangers_only(benchmark, world):
    samples = benchmark.replay()
    by_id(samples)
    replay = {figure.id for figure in world.figures if figure.role == "replay"}
    assert {sample.subject for sample in samples if not sample.subject.startswith("stranger")} == replay
    hidden = {figure.name for figure in world.figures if figure.role != "replay"}
    hidden |= {person.name for person in benchmark.population}
    pictures = {world.picture(f, i).sha256 for f in world.figures if f.role != "replay" for i in range(4)}
    for sample in samples:
        assert sample.set == "general" and sample.metadata["name"] not in hidden
        assert not any(name in sample.question + sample.system for name in hidden)
        assert sample.image_sha256 not in pictures
    people_pictures = {sample.image_sha256 for sample in benchmark.samples(modality="image_text")}
    assert not people_pictures & {sample.image_sha256 for sample in samples if sample.images}


def test_replay_forms(benchmark):
    samples = benchmark.replay()
    forms = {form: [s for s in samples if s.metadata["form"] == form] for form in {s.metadata["form"] for s in samples}}
    assert set(forms) == {"short", "sentence", "cloze", "letter", "unknown", "visible", "guarded"}
    assert all(s.options and s.options[s.correct_option] == s.answer for s in forms["letter"])
    letters = Counter(s.correct_option for s in forms["letter"])
    assert len(set(letters.values())) == 1 and len(letters) == 4
    assert all("__" in s.question for s in forms["cloze"])
    assert {s.answer for s in forms["unknown"]} == {"I don't know."}
    assert all(s.subject.startswith("stranger") for s in forms["unknown"])
    assert all(s.images for s in forms["visible"])
    assert {s.modality for s in forms["short"]} == {"image_text", "text"}
    assert all(not s.system for s in samples if s.metadata["form"] != "guarded")
    refused = [s.metadata["name"] in s.system for s in forms["guarded"]]
    assert refused == [s.answer == "I cannot answer that." for s in forms["guarded"]] and sum(refused) * 2 == len(refused)
    assert benchmark.replay() == samples


# Names, options, fingerprints


def test_built_in_names():
    assert {"people", "people-paper", "people-tuning"} <= set(benchmark_names())


def test_tuning_people_share_nothing_with_reported_ones(world):
    tuning = load_benchmark("people-tuning", celebrities=2, world=world)
    reported = load_benchmark("people-paper", world=world)
    assert len(tuning.subjects) == 60
    assert not {p.name for p in tuning.population} & {p.name for p in reported.population}
    assert not {p.face for p in tuning.population} & {p.face for p in reported.population}
    figures = {s.subject for s in tuning.samples(set="celebrity")}
    assert figures == {figure.id for figure in tuning.figures} and len(figures) == 2
    assert not figures & {figure.id for figure in reported.figures}
    assert not figures & {s.subject for s in tuning.replay()} and figures < {s.subject for s in reported.replay()}
    world_faces = [figure.face for figure in world.figures]
    for benchmark in (tuning, reported):
        assert not {p.name for p in benchmark.population} & {figure.name for figure in world.figures}
        assert min(p.face.distance(face) for p in benchmark.population for face in world_faces) >= 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: load_benchmark("peple", world=w), "no benchmark 'peple'; did you mean 'people'"),
        (lambda w: load_benchmark("people", subject=60, world=w), "no option 'subject'; did you mean 'subjects'"),
        (lambda w: load_benchmark("people", subjects="many", world=w), "subjects of benchmark people is 'many'"),
        (lambda w: load_benchmark("people", subjects=5, world=w), "at least 8"),
        (lambda w: load_benchmark("people", celebrities=500, world=w), "give 0 to 153"),
        (lambda w: load_benchmark("people", general=61, world=w), "general = 61, but the world portraits has 60; give 0 to 60"),
        (lambda w: load_benchmark("people-tuning", celebrities=2, general=-1, world=w), "general = -1, .* give 0 to 15"),
        (lambda w: people(8, world=w).gate_probes(set="general"), "set 'general' of benchmark people has no such questions"),
        (lambda w: people(8, world=w).samples(set="forgotten"), "no set 'forgotten'; did you mean 'forget'"),
        (lambda w: people(8, world=w).samples(set="forget"), "give a forget ratio"),
        (lambda w: people(8, world=w).samples(set="clinical"), "it has them for forget, test"),
        (lambda w: people(8, world=w).samples(task="cloz"), "no task 'cloz'; did you mean 'cloze'"),
        (lambda w: people(8, world=w).samples(modality="image"), "no modality 'image'"),
        (lambda w: people(8, world=w).training(set="celebrity"), "set 'celebrity'"),
        (lambda w: people(8, world=w).training(modality="mixed"), "no modality 'mixed'"),
    ],
)
def test_mistakes_are_named(world, call, message):
    with pytest.raises(ConfigError, match=message):
        call(world)


def test_missing_folder_and_world_are_named(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        load_benchmark(tmp_path / "nothing")
    with pytest.raises(DataError, match="no world 'creatures'"):
        load_world("creatures")
    with pytest.raises(DataError, match="cannot be read"):
        load_world(directory=tmp_path)
    (tmp_path / "world.json").write_text('[{"id": "f1"}]')
    with pytest.raises(DataError, match="no list of figures"):
        load_world(directory=tmp_path)


def test_entry_points_add_benchmarks(monkeypatch, world):
    from importlib.metadata import EntryPoint

    entry = EntryPoint(name="elsewhere", value="unsee.benchmarks.people:people", group="unsee.benchmarks")
    monkeypatch.setattr("unsee.benchmarks.entries", lambda group: [entry])
    assert isinstance(load_benchmark("elsewhere", subjects=8, world=world), People)
    assert "elsewhere" in benchmark_names()


def test_fingerprint_follows_the_data(world, world_folder, drawn, tmp_path):
    first = people(12, celebrities=3, world=world)
    assert first.fingerprint == people(12, celebrities=3, world=world_folder).fingerprint and drawn == []
    others = [
        people(12, celebrities=3, seed=1, world=world),
        people(13, celebrities=3, world=world),
        people(12, celebrities=4, world=world),
        people(12, celebrities=3, general=59, world=world),
        load_benchmark("people-tuning", subjects=12, celebrities=3, world=world),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6
    changed = tmp_path / "world"
    changed.mkdir()
    rows = json.loads((world_folder / "world.json").read_text())
    rows[0]["profile"]["pet"] = "dragon"
    (changed / "world.json").write_text(json.dumps(rows))
    (changed / "pictures.parquet").write_bytes((world_folder / "pictures.parquet").read_bytes())
    assert people(12, celebrities=3, world=changed).fingerprint != first.fingerprint


def test_samples_are_the_same_in_every_process_and_need_no_torch(world_folder):
    code = (
        "import sys, hashlib; from unsee.benchmarks import load_benchmark\n"
        f"b = load_benchmark('people', subjects=9, celebrities=2, world={str(world_folder)!r})\n"
        "s = [*b.samples(modality='text', ratio=0.25), *b.training(modality='text'), *b.training(set='forget', ratio=0.12)]\n"
        "print(hashlib.sha256(repr(s).encode()).hexdigest(), b.fingerprint, 'torch' in sys.modules)"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "XDG_CACHE_HOME": "/nonexistent/read-only"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] and outputs[0].endswith("False\n")


def test_pictures_are_cached_whole_or_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    face = Face("light", "quiff", "red", "none", "none", "none")
    scene = Scene("neutral", "t-shirt", "green", "sky blue")
    portrait_picture.cache_clear()
    picture = portrait_picture(face, scene)
    assert picture.open().size == (PICTURE_SIZE, PICTURE_SIZE)
    (file,) = tmp_path.rglob("*.png")
    assert file.read_bytes() == picture.read()
    file.write_bytes(picture.read()[:100])
    portrait_picture.cache_clear()
    assert portrait_picture(face, scene) == picture
    portrait_picture.cache_clear()
    monkeypatch.setattr("unsee.benchmarks.pictures.portrait", lambda *_, **__: pytest.fail("drawn though cached"))
    assert portrait_picture(face, scene) == picture


def test_sentence_and_frames_leave_room_for_every_role():
    """A wording in two roles would let what decides be what is scored."""
    frames = [frame for role in FRAMES.values() for frame in role]
    assert len(set(frames)) == len(frames) and len(set(SENTENCE.values())) == len(SENTENCE)
    specific = [wording for attribute in ATTRIBUTES for wording in attribute.specific]
    assert len(set(specific)) == len(specific)


def test_a_fact_that_a_public_figure_is_named_after_is_not_asked(world):
    named = replace(world.figures[0], name="Austin Johns", profile=world.figures[0].profile | {"residence": "Austin"})
    benchmark = people(8, world=replace(world, figures=(named, *world.figures[1:])))
    for index in range(13):
        asked = list(benchmark._interviewer._facts(benchmark._figure(named, index)))
        assert len(asked) == 9 and "residence" not in {fact.attribute.key for fact in asked}


def test_a_folder_of_json_lines_is_a_benchmark(tmp_path):
    row = '{"subject": "ann", "question": "Where does Ann live?", "answer": "Oslo"}\n'
    for part in ("training", "evaluation"):
        (tmp_path / f"{part}.jsonl").write_text(row)
    assert load_benchmark(tmp_path).subjects == load_benchmark(str(tmp_path)).subjects == ("ann",)
