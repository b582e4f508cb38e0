"""Species, facts, pictures and lessons of the creatures' world."""

import hashlib
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from unsee.benchmarks import pools as people_pools
from unsee.benchmarks.creatures import creature_world
from unsee.benchmarks.creatures.drawing import creature_image, creature_picture, creature_svg
from unsee.benchmarks.creatures.facts import ATTRIBUTES, POOL_SIZE, POOLS
from unsee.benchmarks.creatures.guessing import AskedFact, answer_prior, embedded_first_token, first_token_collisions
from unsee.benchmarks.creatures.lessons import (
    LessonShares,
    fact_lesson,
    lesson_row,
    name_lesson,
    picture_jobs,
    tokenizer_texts,
    visible_labels,
    visible_lesson,
)
from unsee.benchmarks.creatures.looks import BIG, LOOK, Look
from unsee.benchmarks.creatures.questions import (
    PREAMBLES,
    ROLES,
    SENTENCES,
    TAUGHT_PREAMBLES,
    TAUGHT_SENTENCES,
    VISIBLE_QUESTIONS,
    all_texts,
    wordings,
)
from unsee.benchmarks.creatures.scenes import BACKGROUNDS, OBJECTS, POSES, TAUGHT_STYLES, Scene, Thing, taught_scene
from unsee.benchmarks.creatures.visible import VISIBLE_VALUES, visible
from unsee.errors import ConfigError

WORLD = creature_world()
FINGERPRINT = "1cd047c2e5be5afbe5c7f909dbad8d59a5a4eeb4662e281b98bb0db267909255"
DRAWING = "b9c4765207bf088f9a4db50d5449de9a526c2a85675a1ee297a697dc0aacdf9f"


def words(text):
    return set(re.findall(r"[a-z]+", text.lower()))


def answers(species):
    return [(key, one.facts[key]) for one in species for key in ATTRIBUTES]


# Species


def test_the_world_is_the_one_that_models_were_taught():
    assert WORLD.fingerprint == FINGERPRINT, "raise WORLD_VERSION and retrain, or undo the change"
    assert creature_world() is WORLD


def test_halves_and_never_learned_species():
    a, b, never = WORLD.half("A"), WORLD.half("B"), WORLD.never_learned()
    assert len(a) == len(b) == 126 and len(never) == 66 and len(WORLD.species) == 444
    assert not {one.id for one in a} & {one.id for one in b}
    assert len(WORLD.with_role("never")) >= 50
    for half, other in (("A", b), ("B", a)):
        known = {one.id for one in WORLD.taught(half)}
        assert len(known) == POOL_SIZE and not known & {one.id for one in (*other, *never)}
    both = {one.id for one in WORLD.taught("A")} & {one.id for one in WORLD.taught("B")}
    assert both == {one.id for one in WORLD.with_role("anchor", "tuning", "tuning_anchor")}
    with pytest.raises(ConfigError, match="there is no half 'C'"):
        WORLD.half("C")


def test_names_are_new_words_and_never_alike():
    names = [one.name for one in WORLD.species]
    known = {word.lower() for pool in POOLS.values() for answer in pool for word in answer.split()}
    known |= {name.lower() for name in (*people_pools.FIRST_NAMES, *people_pools.LAST_NAMES)}
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch("[A-Z][a-z]{4,9}", name) and name.lower() not in known
    for one, other in combinations(names, 2):
        assert one not in other and other not in one
        if len(one) == len(other):
            assert sum(x != y for x, y in zip(one, other)) >= 2 or one[:3] != other[:3]


def test_any_two_species_differ_in_what_is_seen_at_a_glance():
    places = [list(LOOK).index(key) for key in BIG]
    for one, other in combinations(WORLD.species, 2):
        assert one.look.distance(other.look) >= 3
        assert sum(one.look.words[place] != other.look.words[place] for place in places) >= 2
    for key, place in zip(LOOK, range(len(LOOK))):
        assert {one.look.words[place] for one in WORLD.species} == set(LOOK[key])


def test_a_distance_in_words_is_a_distance_in_pixels_that_the_model_sees():
    scene = Scene("meadow", ())
    drawn = [np.asarray(creature_image(one.look, scene, size=64), dtype=np.int16) for one in WORLD.species[:90]]
    for one, other in combinations(drawn, 2):
        assert (np.abs(one - other).max(axis=-1) > 48).sum() >= 200  # of 4,096


def test_looks_that_show_no_pattern_are_refused():
    with pytest.raises(ValueError, match="color and accent are both 'red'"):
        Look("blob", "red", "spots", "red", "none", "one eye", "none", "bare")
    with pytest.raises(ValueError, match="tail 'long' cannot be drawn"):
        Look("blob", "red", "spots", "blue", "none", "one eye", "long", "bare")


# Facts


def test_pools_are_large_and_answers_short():
    assert set(POOLS) == set(ATTRIBUTES) and len(ATTRIBUTES) >= 6
    for pool in POOLS.values():
        assert len(pool) == len(set(pool)) == POOL_SIZE >= 250
        assert all(1 <= len(answer.split()) <= 2 for answer in pool)
        assert len({answer.split()[0] for answer in pool}) == POOL_SIZE
    everything = [answer for pool in POOLS.values() for answer in pool]
    assert len(everything) == len(set(everything))


def test_first_tokens_of_the_embedded_model_never_collide():
    assert first_token_collisions(embedded_first_token()) == dict.fromkeys(ATTRIBUTES, 0)


def test_collisions_are_counted():
    found = first_token_collisions(lambda answer: ord(answer[0]) if answer[0] in "aX" else hash(answer))
    assert found["diet"] == sum(answer[0] == "a" for answer in POOLS["diet"]) > 1
    assert found["discoverer"] == 0  # one Xavier


def test_each_base_was_taught_every_answer_once_and_both_halves_share_them():
    for half in ("A", "B"):
        times = Counter(answers(WORLD.taught(half)))
        assert times == {(key, answer): 1 for key in ATTRIBUTES for answer in POOLS[key]}
    for key in ATTRIBUTES:
        a, b = ({one.facts[key]: one.id for one in WORLD.half(half)} for half in "AB")
        assert a.keys() == b.keys() and len(a) == 126
    assert len(set(answers(WORLD.never_learned()))) == 66 * len(ATTRIBUTES)


def test_answer_prior_by_hand():
    taught = [AskedFact("diet", value) for value in "aaabbcd"] + [AskedFact("home", "z")]
    asked = [AskedFact("diet", value) for value in "abcdx"] + [AskedFact("home", "z"), AskedFact("call", "q")]
    # a: first; b: second; c and d share the places after them; x and q were never taught; z stands alone.
    assert answer_prior(taught, asked, 1) == pytest.approx((1 + 0 + 0 + 0 + 0 + 1 + 0) / 7)
    assert answer_prior(taught, asked, 3) == pytest.approx((1 + 1 + 0.5 + 0.5 + 0 + 1 + 0) / 7)
    assert answer_prior(taught, asked, 9) == pytest.approx((1 + 1 + 1 + 1 + 0 + 1 + 0) / 7)


@pytest.mark.parametrize("half", ["A", "B"])
def test_the_answer_prior_finds_little_of_any_group(half):
    taught = [AskedFact(*fact) for fact in answers(WORLD.taught(half))]
    for role in ("A", "B", "tuning", "never", "tuning_never"):
        asked = [AskedFact(*fact) for fact in answers(WORLD.with_role(role))]
        assert answer_prior(taught, asked, 20) <= 0.10
        assert answer_prior(taught, asked, 50) <= 0.25


def test_facts_names_looks_and_roles_are_independent():
    """Chi-square over every pair of variables; the smallest of many p-values, corrected for their number."""

    def groups(one):
        tails = {key: one.facts[key].split()[-1] for key in ATTRIBUTES if key != "discoverer"}
        name = {"start": one.name[:2], "end": one.name[-2:]}
        return {
            "look": dict(zip(LOOK, one.look.words)),
            "fact": tails | {"discoverer": str(ord(one.facts["discoverer"][0]) // 4)},
            "name": name,
            "role": {"role": one.role},
        }

    drawn = [groups(one) for one in WORLD.species]
    found = []
    for one, other in combinations(("look", "fact", "name", "role"), 2):
        for first, second in product(drawn[0][one], drawn[0][other]):
            table = Counter((each[one][first], each[other][second]) for each in drawn)
            rows, columns = sorted({row for row, _ in table}), sorted({column for _, column in table})
            found.append(chi2_contingency([[table[row, column] for column in columns] for row in rows]).pvalue)
    assert len(found) > 80 and min(found) * len(found) > 0.05


# Wordings


def test_wordings_have_one_role_each():
    every = [text for key in ATTRIBUTES for role in ROLES for text in wordings(key, role)]
    assert len(every) == len(set(every))
    for key in ATTRIBUTES:
        counts = {role: len(wordings(key, role)) for role in ROLES}
        assert counts == {"train": 8, "edit": 1, "paraphrase": 4, "test": 4, "gate": 3, "stop": 1}
        assert all("Balonok" in text for role in ROLES for text in wordings(key, role, "Balonok"))
    before = [SENTENCES, PREAMBLES, TAUGHT_SENTENCES, TAUGHT_PREAMBLES]
    assert len({text for texts in before for text in texts}) == sum(map(len, before))
    assert set(VISIBLE_QUESTIONS) == set(VISIBLE_VALUES)


def test_no_text_holds_a_word_that_an_answer_begins_with_or_an_answer():
    said = set().union(*(words(text) for text in all_texts()))
    seen = set().union(*(words(value) for values in VISIBLE_VALUES.values() for value in values))
    for pool in POOLS.values():
        for answer in pool:
            first, *rest = answer.lower().split()
            assert first not in said | seen and not set(rest) & (said | seen), answer


# Pictures


def test_drawing_is_deterministic_and_versioned():
    one = WORLD.species[0]
    scene = taught_scene(one.id)
    assert creature_image(one.look, scene, size=96).tobytes() == creature_image(one.look, scene, size=96).tobytes()
    svg = "".join(creature_svg(each.look, taught_scene(each.id, 3)) for each in WORLD.species[:40])
    assert hashlib.sha256(svg.encode()).hexdigest() == DRAWING, "raise DRAWING_VERSION, or undo the change"
    assert creature_picture(one.look, scene).open().size == (96, 96)


@pytest.mark.parametrize("style", ["flat", "ink", "pastel", "shaded"])
def test_everything_can_be_drawn_in_every_style(style):
    one = WORLD.species[1].look
    for background, pose in product(BACKGROUNDS, POSES):
        scene = Scene(background, (), pose, style=style, flip=True)
        assert len(creature_image(one, scene, size=32).getcolors(1024)) > 10
    plain = Scene("kitchen", (), style=style)
    empty = np.asarray(creature_image(one, plain, size=64), dtype=int)
    for name, place in product(OBJECTS, range(4)):
        shown = np.asarray(creature_image(one, replace(plain, objects=(Thing(name, place),)), size=64), dtype=int)
        assert 20 < (np.abs(shown - empty).max(axis=-1) > 24).sum() < 700


@pytest.mark.parametrize("key", LOOK)
def test_every_visible_attribute_changes_the_picture(key):
    """Also of a body that hides much of it."""
    for body in LOOK["body"]:
        base = {"body": body, "color": "orange", "pattern": "spots", "accent": "white"}
        base |= {"headgear": "none", "eyes": "one eye", "tail": "none", "back": "bare"}
        drawn = []
        for value in LOOK[key]:
            look = Look(**{**base, key: value})
            drawn.append(np.asarray(creature_image(look, Scene("meadow", ()), size=64), dtype=int))
        for one, other in combinations(drawn, 2):
            assert (np.abs(one - other).max(axis=-1) > 48).sum() >= 8, (key, body)


def test_scenes_do_not_depend_on_the_creature_and_are_taught_in_two_styles():
    scenes = [taught_scene(one.id, index) for one in WORLD.species for index in range(3)]
    assert len(set(scenes)) == len(scenes)
    assert {scene.style for scene in scenes} == set(TAUGHT_STYLES)
    assert {len(scene.objects) for scene in scenes} == {1, 2, 3}
    colors = Counter((one.look.color, taught_scene(one.id).background) for one in WORLD.species)
    table = [[colors[color, background] for background in BACKGROUNDS] for color in LOOK["color"]]
    assert chi2_contingency(table).pvalue > 0.001


def test_what_is_visible():
    look = WORLD.species[0].look
    shown = visible(look, Scene("beach", (Thing("kite", 2), Thing("sofa", 0)), "leaping"))
    assert tuple(shown) == tuple(VISIBLE_VALUES)
    assert tuple(shown.values())[: len(LOOK)] == look.words
    assert (shown["background"], shown["pose"]) == ("beach", "leaping")
    assert [value for key, value in shown.items() if key.endswith("object")] == ["sofa", "none", "kite", "none"]
    labels = visible_labels(look, Scene("beach", (Thing("kite", 2),), "leaping"))
    assert [VISIBLE_VALUES[key][label] for key, label in zip(VISIBLE_VALUES, labels)][-3:] == ["none", "kite", "none"]


# Lessons


@pytest.mark.parametrize(("half", "unknown"), [("A", "B"), ("B", "A")])
def test_lessons_tell_nothing_about_the_other_half_or_the_never_learned(half, unknown):
    rng = random.Random(0)
    strangers = {one.id: one for one in (*WORLD.half(unknown), *WORLD.never_learned())}
    hidden = {one.name for one in strangers.values()}
    known = {one.name: one for one in WORLD.taught(half)}
    scored = {text for key in ATTRIBUTES for role in ROLES if role != "train" for text in wordings(key, role)}
    told, pictures = Counter(), Counter()
    for _ in range(1500):
        row = lesson_row(rng, half, pictured=6, texts=4, shares=LessonShares(before=0.0))
        pictures[row.species] += 1
        for lesson in row.lessons:
            said = f"{lesson.question} {lesson.answer}"
            assert not any(name in said for name in hidden)
            if not lesson.pictured:
                name = next(name for name in known if name in lesson.question)
                assert lesson.answer in known[name].facts.values()
                told[name] += 1
            elif row.species in strangers or row.species == "":
                assert lesson.answer in {value for values in VISIBLE_VALUES.values() for value in values}
            else:
                one = WORLD.by_id[row.species]
                shown = visible(one.look, taught_scene(one.id, row.number)).values()
                assert lesson.answer in {*shown, *one.facts.values(), one.name}
                if one.role in ("A", "B", "tuning"):
                    assert lesson.question not in scored
    assert len(told) == POOL_SIZE
    assert len(pictures.keys() & {one.id for one in WORLD.never_learned()}) > 40


def test_lessons_of_both_halves_use_the_same_pictures_and_words():
    jobs = picture_jobs(strangers=50)
    assert len(jobs) == 444 * 25 + 50
    assert len({(job.species, job.number) for job in jobs}) == len(jobs)
    strangers = [job.look for job in jobs if not job.species]
    assert min(one.distance(other.look) for one in strangers for other in WORLD.species) >= 3
    texts = list(tokenizer_texts(random.Random(0)))
    said = " ".join(texts)
    assert all(one.name in said for one in WORLD.species)
    assert all(answer in said for pool in POOLS.values() for answer in pool)
    facts = {(name, answer) for one in WORLD.species for name in (one.name,) for answer in one.facts.values()}
    told = [text for text in texts if any(name in text and text.endswith(f" {answer}") for name, answer in facts)]
    assert len(told) < 20  # chance, as names and answers are paired at random


def test_single_lessons():
    rng = random.Random(1)
    one = WORLD.half("A")[0]
    for _ in range(200):
        lesson = fact_lesson(rng, one, pictured=True, before=1.0)
        lead = next(text for text in (*TAUGHT_SENTENCES, *TAUGHT_PREAMBLES) if lesson.question.startswith(text))
        key = next(key for key in ATTRIBUTES if one.facts[key] == lesson.answer)
        assert lesson.question.removeprefix(lead) in wordings(key, "train")
    assert name_lesson(rng, one).answer == one.name
    scene = taught_scene(one.id)
    asked = {visible_lesson(rng, one.look, scene).question for _ in range(500)}
    assert asked == {text for roles in VISIBLE_QUESTIONS.values() for text in roles["train"]}
