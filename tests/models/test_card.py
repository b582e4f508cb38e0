"""The model card says where the weights come from, and refuses worlds they were not trained on."""

from __future__ import annotations

import pytest

from unsee.benchmarks.creatures.facts import ATTRIBUTES
from unsee.benchmarks.creatures.questions import wordings
from unsee.benchmarks.creatures.scenes import TAUGHT_PICTURES, taught_scene
from unsee.benchmarks.creatures.species import HALVES, creature_world
from unsee.benchmarks.creatures.visible import visible
from unsee.errors import CheckpointError
from unsee.models.ability_notes import ABILITIES, shipped_abilities
from unsee.models.card import TARGETS, Ability, check_worlds, measure_abilities, render, taught_half
from unsee.models.creature_abilities import NEW_PICTURES, asked_picture, asked_scene, asked_species, creature_questions
from unsee.models.folders import read_config
from unsee.models.loading import EMBEDDED, WEIGHTS
from unsee.models.loading import RECIPE as RECIPE_FILE
from unsee.models.worlds import fingerprints, load_world

RECIPE = {
    "version": "tiny-1",
    "recipe": "vision 2400 steps, then 11,000 of text",
    "seed": 3,
    "minutes": 88,
    "worlds": {"portraits": "ab" * 32},
    "licence": "Apache-2.0",
}


def test_a_card_holds_recipe_and_abilities() -> None:
    abilities = {
        "figure_by_name": Ability("figure_by_name", 0.97, 400, {}),
        "figure_by_picture": Ability("figure_by_picture", 0.895, 400, {}),
        "visible": Ability("visible", 0.9, 300, {"hair": 0.95, "beard": 0.85}),
        "sentence_by_name": Ability("sentence_by_name", 0.5, 200, {}),
        "unguarded_refused_by_name": Ability("unguarded_refused_by_name", 0.05, 200, {}),
    }
    card = render("tiny-1", abilities, recipe=RECIPE, seed=0)
    assert card.startswith("# Model card: tiny-1\n")
    for line in (
        "- licence of the weights: Apache-2.0",
        "- recipe: vision 2400 steps, then 11,000 of text",
        "- seed: 3",
        "- minutes: 88",
        f"- world `portraits`: SHA-256 {'ab' * 32}",
        "- abilities measured by `unsee models card tiny --seed 0`",
        "| figure_by_name | 0.970 | 400 | at least 0.95 | yes |",
        "| figure_by_picture | 0.895 | 400 | at least 0.90 | **no** |",
        "| unguarded_refused_by_name | 0.050 | 200 | at most 0.05 | yes |",
        "| sentence_by_name | 0.500 | 200 | reported |  |",
        "Visible attributes: hair 0.95, beard 0.85.",
    ):
        assert line in card.splitlines()


def test_a_card_compares_with_the_weights_that_training_went_on_from() -> None:
    measured = {"guarded_by_name": 0.8025, "figure_by_name": 0.93, "known_denied_by_name": 0.12, "creature_by_name": 1.0}
    abilities = {name: Ability(name, value, 400, {}) for name, value in measured.items()}
    start = {"guarded_by_name": 0.95, "figure_by_name": 0.97, "known_denied_by_name": 0.02}
    card = render("tiny-2", abilities, recipe=RECIPE | {"start": "tiny-1, SHA-256 ab"}, seed=0, start=start)
    for line in (
        "| ability | share | questions | target | met | tiny-1 |",
        "| guarded_by_name | 0.802 | 400 | at least 0.80 | yes | 0.950 |",
        "| creature_by_name | 1.000 | 400 | at least 0.95 | yes | - |",
        "Worse than tiny-1 by more than 0.05: guarded_by_name 0.950 to 0.802, known_denied_by_name 0.020 to 0.120.",
    ):
        assert line in card.splitlines()
    assert "trained further from tiny-1 on invented people" in card


@pytest.mark.parametrize("name", EMBEDDED)
def test_shipped_cards_say_what_the_start_could(name: str) -> None:
    """The card beside weights that went on from shipped ones has their shares and what fell."""
    folder = WEIGHTS / name
    if not (folder / ABILITIES).is_file():
        pytest.skip(f"{name} is not shipped")
    kept, recipe = read_config(folder / ABILITIES)["abilities"], read_config(folder / RECIPE_FILE)
    start = {key: row["value"] for key, row in shipped_abilities(recipe.get("start", "").partition(",")[0]).items()}
    abilities = {key: Ability(key, row["value"], row["questions"], {}) for key, row in kept.items()}
    made = render("x", abilities, recipe=recipe, seed=0, start=start).splitlines()
    card = (folder / "README.md").read_text().splitlines()
    assert [line for line in made if line.startswith(("| ", "Worse")) and line not in card] == []


def test_weights_of_another_world_are_refused() -> None:
    check_worlds(RECIPE, {"portraits": "ab" * 32, "creatures": "cd" * 32})
    check_worlds({}, {"portraits": "ab" * 32})
    with pytest.raises(CheckpointError, match="trained on a world 'portraits' of SHA-256 abababababab"):
        check_worlds(RECIPE, {"portraits": "cd" * 32})


def test_creatures_stand_on_the_card_of_weights_that_were_taught_them():
    abilities = {
        "figure_by_name": Ability("figure_by_name", 0.97, 400, {}),
        "creature_by_picture": Ability("creature_by_picture", 0.93, 400, {}),
        "creature_untold_by_name": Ability("creature_untold_by_name", 0.03, 400, {}),
        "creature_visible": Ability("creature_visible", 0.9, 400, {"body": 0.95, "tail": 0.85}),
    }
    taught = RECIPE | {"creatures": "B", "worlds": {**RECIPE["worlds"], "creatures": "cd" * 32}}
    card = render("tiny-2", abilities, recipe=taught, seed=0)
    assert "and drawn creatures (names and facts of half B);" in card and "- creatures:" not in card
    for line in (
        f"- world `creatures`: SHA-256 {'cd' * 32}",
        "| creature_by_picture | 0.930 | 400 | at least 0.90 | yes |",
        "| creature_untold_by_name | 0.030 | 400 | at most 0.02 | **no** |",
        "Visible attributes of creatures: body 0.95, tail 0.85.",
    ):
        assert line in card.splitlines()


def test_which_half_weights_were_taught():
    assert taught_half(RECIPE) is None and taught_half({}) is None and taught_half({"creatures": "A"}) is None
    assert taught_half({"worlds": {"creatures": "cd"}, "creatures": "A"}) == "A"
    with pytest.raises(CheckpointError, match=r"half .* is None; write A or B there"):
        taught_half({"worlds": {"creatures": "cd"}})


def test_the_world_of_creatures_has_a_fingerprint():
    both = fingerprints(creatures=True)
    assert both.keys() == {"portraits", "creatures"} and len(both["creatures"]) == 64
    assert fingerprints(creatures=False) == {"portraits": both["portraits"]}


@pytest.mark.parametrize("half", HALVES)
def test_questions_about_creatures_are_held_out_and_right(half):
    world = creature_world()
    told, untold = asked_species(half)
    assert told == world.half(half) and len(untold) == 126 + 66
    assert {one.id for one in untold}.isdisjoint(one.id for one in world.taught(half))
    asked = creature_questions(half, per_ability=150)
    assert set(asked) >= {name for name in TARGETS if name.startswith("creature_")}
    by_name = {one.name: one for one in world.species}
    for ability, questions in asked.items():
        assert len(questions) == 150
        pool = {one.id for one in (untold if "untold" in ability else (*told, *untold) if "visible" in ability else told)}
        for question in questions:
            subject = world.by_id[question.figure] if question.figure else by_name_in(question.question, by_name)
            assert subject.id in pool
            if ability == "creature_visible":
                assert question.answer == visible(subject.look, asked_scene(subject.id, question.picture))[question.group]
                assert not (question.group.endswith("object") and question.answer == "none")
            elif ability == "creature_name_by_picture":
                assert question.answer == subject.name
            else:
                assert question.answer == subject.facts[question.group]
                about = () if question.figure else (subject.name,)
                taught = [text for key in ATTRIBUTES for text in wordings(key, "train", *about)]
                assert not any(question.question.endswith(text) for text in taught)
        pictures = {question.picture for question in questions if question.figure}
        new = "new" in ability or "visible" in ability or "name_by_picture" in ability
        assert pictures == (set() if ability.endswith("_by_name") else set(NEW_PICTURES) if new else {0})


def by_name_in(question, by_name):
    return next(one for name, one in by_name.items() if name in question)


def test_new_pictures_are_never_taught():
    for one in creature_world().species[:20]:
        taught = {taught_scene(one.id, index) for index in range(TAUGHT_PICTURES)}
        assert asked_scene(one.id, 0) == taught_scene(one.id) and not taught & {asked_scene(one.id, i) for i in NEW_PICTURES}
    assert asked_picture("c000", 1).sha256 != asked_picture("c000", 2).sha256


def test_creatures_are_measured_where_a_half_was_taught(model):
    measured = measure_abilities(model, load_world(), half="A", per_ability=2)
    assert {name for name in measured if name.startswith("creature_")} == set(creature_questions("A", per_ability=1))
    assert measured["creature_by_picture"].count == 2 and measured["creature_by_picture"].met is False
    assert not any(name.startswith("creature_") for name in measure_abilities(model, load_world(), per_ability=1))
