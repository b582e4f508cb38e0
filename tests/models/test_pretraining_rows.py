"""What pretraining asks: shares of the parts, equal rows for both halves but for the halves, and nothing that is not told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unsee.benchmarks.creatures.facts import ATTRIBUTES
from unsee.benchmarks.creatures.lessons import LessonShares
from unsee.benchmarks.creatures.questions import wordings
from unsee.benchmarks.creatures.species import HALVES, creature_world
from unsee.benchmarks.creatures.visible import VISIBLE_VALUES
from unsee.models import tiny
from unsee.models.loading import weights_folder
from unsee.models.pretraining import portrait_world
from unsee.models.pretraining.creature_part import CreatureRows
from unsee.models.pretraining.language import Rows, hash_seed
from unsee.models.pretraining.mixture import Mixture
from unsee.models.pretraining.stages import BOTH, CREATURES, FURTHER, PEOPLE, stretched
from unsee.models.pretraining.training import tokenizer_texts

WORLD = creature_world()
STRANGERS = 200
KEYS = [(one.id, index) for one in WORLD.species for index in range(3)] + [("", number) for number in range(STRANGERS)]
NUMBERS = {key: 10_000 + number for number, key in enumerate(KEYS)}
OWNER = {number: key for key, number in NUMBERS.items()}


@pytest.fixture(scope="module")
def figures():
    return portrait_world.draw_figures()


def people(figures, seed=0):
    """The part about people, with one picture a figure and some of strangers."""
    owners = [figure.id for figure in figures if figure.role != "held_out"] + [""] * 50
    return Mixture(figures, owners, [[0] * 10] * len(owners), seed=seed)


def rows_of(figures, half, seed=0):
    made = Rows(people(figures), CreatureRows(half, NUMBERS, seed=0))
    made.reseed(seed)
    return made


def about_creatures(plan):
    return plan.picture in OWNER


@pytest.mark.parametrize("stage", [stage for stage in (*BOTH, *FURTHER) if stage.pictured], ids=lambda stage: stage.name)
def test_creatures_have_their_share_of_every_stage(figures, stage):
    rows = rows_of(figures, "A")
    asked = [plan for step in range(16) for plan in rows.step(stage, step)]
    assert sum(about_creatures(plan) for plan in asked) == 16 * stage.rows * stage.creatures
    assert all(len(plan.turns) == stage.creatures_pictured + stage.creatures_texts for plan in asked if about_creatures(plan))


def test_letters_are_practised_beside_creatures_by_name(figures):
    (letters,) = (stage for stage in BOTH if stage.name == "letters")
    rows = rows_of(figures, "A")
    names = {one.name for one in WORLD.taught("A")}
    asked = [plan for step in range(4) for plan in rows.step(letters, step)]
    named = [plan for plan in asked if all(any(name in turn.question for name in names) for turn in plan.turns)]
    assert len(named) == 4 * letters.rows / 8
    assert all(plan.picture is None and not any(turn.pictured for turn in plan.turns) for plan in asked)


def test_people_are_asked_about_as_often_as_without_creatures():
    def rows(stage):
        few_shot = stage.steps // stage.few_shot_every if stage.few_shot_every else 0
        return (stage.steps - few_shot) * stage.rows * (1 - stage.creatures), few_shot

    for alone, both in zip(PEOPLE, BOTH, strict=True):
        assert alone.creatures == 0 and both.creatures == (0.125 if alone.name == "letters" else CREATURES)
        assert both == replace(alone, creatures=both.creatures, steps=both.steps, few_shot_every=both.few_shot_every)
        assert 1 <= rows(both)[0] / rows(alone)[0] < 1.02 and rows(both)[1] >= rows(alone)[1]
    for stage in FURTHER:
        same = next((one for one in PEOPLE if one.name == stage.name), None)
        assert same is None or stage.steps * stage.rows * (1 - stage.creatures) == same.steps * same.rows
    assert [stage.steps for stage in stretched(FURTHER, 0.1)] == [200, 240, 180]


def test_equal_seeds_give_equal_rows_and_people_do_not_depend_on_the_half(figures):
    stage = BOTH[1]
    drawn = {half: [rows_of(figures, half, seed=5).step(stage, 0) for _ in range(2)] for half in HALVES}
    for half in HALVES:
        assert drawn[half][0] == drawn[half][1]
    assert drawn["A"][0] != rows_of(figures, "A", seed=6).step(stage, 0)
    a, b = (rows_of(figures, half, seed=5) for half in HALVES)
    for step in range(20):
        for one, other in zip(a.step(stage, step), b.step(stage, step), strict=True):
            if not about_creatures(one):
                assert one == other


def test_the_halves_change_places_and_nothing_else_differs():
    """A row of one base is the row of the other with each species of one half in place of one of the other half."""
    pairs = list(zip(WORLD.half("A"), WORLD.half("B"), strict=True))
    swapped = {one.id: other.id for one, other in pairs} | {other.id: one.id for one, other in pairs}
    by_name = {one.name: (one, other) for one, other in pairs}
    a, b = (CreatureRows(half, NUMBERS, seed=0) for half in HALVES)
    for rows in (a, b):
        rows.rng.seed(3)
    exchanged = 0
    for _ in range(400):
        one, other = (rows.row(LessonShares(), pictured=6, texts=4) for rows in (a, b))
        (species, index), (shown, number) = OWNER[one.picture], OWNER[other.picture]
        assert (swapped.get(species, species), index) == (shown, number)
        exchanged += species != shown
        for mine, yours in zip(one.turns, other.turns, strict=True):
            assert mine.pictured == yours.pictured
            name = next((name for name in by_name if name in mine.question), None)
            if name is not None:  # by name, about a species of half A
                known, unknown = by_name[name]
                assert yours.question == mine.question.replace(name, unknown.name)
                assert (mine.answer, yours.answer) in zip(known.facts.values(), unknown.facts.values(), strict=True)
            elif not mine.pictured or species == shown:
                assert mine == yours
            else:
                assert mine.question == yours.question
    assert exchanged > 100


@pytest.mark.parametrize("half", HALVES)
def test_no_row_tells_a_name_or_fact_of_the_other_half_or_of_the_never_learned(figures, half):
    """On a large draw of every stage's rows, beside people's."""
    untold = [one for other in HALVES if other != half for one in WORLD.half(other)] + [*WORLD.never_learned()]
    hidden = {one.name for one in untold}
    unknown = {one.id for one in untold}
    told = {one.id: one for one in WORLD.taught(half)}
    by_name = {one.name: one for one in told.values()}
    seen = {value for values in VISIBLE_VALUES.values() for value in values}
    stages = [*BOTH, *FURTHER]
    rows, facts, ways, shown = rows_of(figures, half), set(), set(), set()
    for number in range(2800):
        stage = stages[number % len(stages)]
        plan = rows.creatures.row(stage.lessons, pictured=stage.creatures_pictured, texts=stage.creatures_texts)
        species = "" if plan.picture is None else OWNER[plan.picture][0]
        shown.add(species)
        for turn in plan.turns:
            assert not any(name in turn.question or name == turn.answer for name in hidden)
            if turn.pictured:
                if species in unknown or not species:
                    assert turn.answer in seen
                else:
                    assert turn.answer in {*seen, told[species].name, *told[species].facts.values()}
                subject = told.get(species)
            else:
                subject = next(one for name, one in by_name.items() if name in turn.question)
                assert turn.answer in subject.facts.values()
            if subject is not None and turn.answer in subject.facts.values():
                facts.add((subject.id, turn.answer))
                if subject.role not in ("anchor", "tuning_anchor"):
                    ways.add(way(subject, turn))
    assert len(facts) == 252 * 6
    assert len(unknown & shown) > 0.8 * len(unknown)
    assert len(ways) == 6 * 8 * 2  # eight phrasings, by picture and by name


def way(subject, turn):
    """(attribute, number of the wording, whether there is a picture); what may be deleted is told in `train` wordings only."""
    (found,) = (
        (key, number, turn.pictured)
        for key in ATTRIBUTES
        for number, text in enumerate(wordings(key, "train", *(() if turn.pictured else (subject.name,))))
        if turn.question.endswith(text)
    )
    return found


def test_the_tokenizer_of_the_recipe_is_the_shipped_one(figures):
    """Whatever the seed: no first token of an answer may stand for two, and weights can be gone on from."""
    import json

    jobs = portrait_world.taught_portraits(figures, 18_000)
    labels = [portrait_world.visual_labels(face, scene) for _, _, face, scene in jobs]
    mixture = Mixture(figures, [owner for owner, _, _, _ in jobs], labels, seed=7)
    made = json.loads(tiny.train_tokenizer(tokenizer_texts(mixture)).backend_tokenizer.to_str())
    shipped = json.loads((weights_folder("tiny") / "tokenizer.json").read_text())
    assert made["model"] == shipped["model"]


def test_seeds_from_words():
    assert hash_seed(0, "facts", 250) == hash_seed(0, "facts", 250) != hash_seed(0, "facts", 500)
    assert 0 <= hash_seed("x") < 2**31
