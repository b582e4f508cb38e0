"""What a model that was taught creatures must be able to do, as questions with known answers; see `abilities`.

Facts are asked in wordings that were never taught about the species asked for. Picture 0 of a species is the one a benchmark
shows, a taught one; its other pictures here were never taught.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from unsee.benchmarks.creatures.facts import ATTRIBUTES
from unsee.benchmarks.creatures.questions import (
    NAME_QUESTIONS,
    PICTURED,
    PREAMBLES,
    SENTENCES,
    VISIBLE_QUESTIONS,
    Role,
    wordings,
)
from unsee.benchmarks.creatures.scenes import Scene, draw_scene, taught_scene
from unsee.benchmarks.creatures.species import HALVES, Half, Species, creature_world
from unsee.benchmarks.creatures.visible import visible
from unsee.models.abilities import AbilityQuestion

if TYPE_CHECKING:
    from unsee.sample import ImageRef

NEW_PICTURES = (1, 2)
"""Numbers of the pictures that are never taught."""


@cache
def asked_scene(species: str, picture: int) -> Scene:
    """Scene of a picture that abilities ask about.

    Args:
        species: id of the species.
        picture: 0 or one of `NEW_PICTURES`.
    """
    if picture == 0:
        return taught_scene(species)
    assert picture in NEW_PICTURES
    return draw_scene(random.Random(f"creatures/ability/{species}/{picture}"))


def asked_picture(species: str, picture: int) -> ImageRef:
    """That picture, drawn."""
    from unsee.benchmarks.creatures.drawing import creature_picture

    return creature_picture(creature_world().by_id[species].look, asked_scene(species, picture))


def asked_species(half: Half) -> tuple[tuple[Species, ...], tuple[Species, ...]]:
    """(species whose facts only the base of this half was taught, species whose facts it was not taught)."""
    world = creature_world()
    others = [one for other in HALVES if other != half for one in world.half(other)]
    return world.half(half), (*others, *world.never_learned())


def creature_questions(half: Half, *, per_ability: int = 400, seed: int = 0) -> dict[str, list[AbilityQuestion]]:
    """Questions by ability, for the base of a half.

    Args:
        per_ability: how many questions each ability gets.
    """
    rng = random.Random(f"creatures/abilities/{seed}")
    told, untold = asked_species(half)
    made: dict[str, list[AbilityQuestion]] = {}

    def add(ability: str, pool: tuple[Species, ...], draw: Callable[[str, Species], AbilityQuestion]) -> None:
        made[ability] = [draw(ability, rng.choice(pool)) for _ in range(per_ability)]

    def fact(
        role: Role, *, pictures: tuple[int, ...] = (), before: tuple[str, ...] = ("",)
    ) -> Callable[[str, Species], AbilityQuestion]:
        return lambda ability, species: _fact(rng, ability, species, role, pictures, before)

    add("creature_by_name", told, fact("test"))
    add("creature_by_picture", told, fact("edit", pictures=(0,)))
    add("creature_by_picture_after_preamble", told, fact("edit", pictures=(0,), before=(*SENTENCES, *PREAMBLES)))
    add("creature_by_new_picture", told, fact("gate", pictures=NEW_PICTURES))
    add("creature_untold_by_name", untold, fact("test"))
    add("creature_untold_by_picture", untold, fact("edit", pictures=(0,)))
    add("creature_name_by_picture", told, lambda ability, species: _name(rng, ability, species))
    add("creature_visible", (*told, *untold), lambda ability, species: _visible(rng, ability, species))
    return made


def _fact(
    rng: random.Random, ability: str, species: Species, role: Role, pictures: tuple[int, ...], before: tuple[str, ...]
) -> AbilityQuestion:
    attribute = rng.choice(ATTRIBUTES)
    question = rng.choice(before) + rng.choice(wordings(attribute, role, PICTURED if pictures else species.name))
    shown, picture = (species.id, rng.choice(pictures)) if pictures else (None, 0)
    return AbilityQuestion(ability, question, species.facts[attribute], shown, picture, group=attribute)


def _name(rng: random.Random, ability: str, species: Species) -> AbilityQuestion:
    return AbilityQuestion(ability, rng.choice(NAME_QUESTIONS["test"]), species.name, species.id, rng.choice(NEW_PICTURES))


def _visible(rng: random.Random, ability: str, species: Species) -> AbilityQuestion:
    """What a new picture shows; nobody asks for an object where there is none."""
    picture = rng.choice(NEW_PICTURES)
    shown = visible(species.look, asked_scene(species.id, picture))
    key = rng.choice([key for key, value in shown.items() if not (key.endswith("object") and value == "none")])
    return AbilityQuestion(ability, rng.choice(VISIBLE_QUESTIONS[key]["test"]), shown[key], species.id, picture, group=key)
