"""Graded disguises of a fact, and pictures that look like its own but have another right answer.

Pictures: easy is salt and pepper, medium has an object removed that has nothing to do with the fact, hard shows the same
creature in another pose, scene and style. Questions: easy has an unrelated sentence before it, medium is a paraphrase, hard
has a preamble before it that urges the model to talk. Both at once go level by level.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from unsee.benchmarks.creatures.questions import PREAMBLES, SENTENCES, wordings
from unsee.benchmarks.creatures.scenes import NEW_STYLES, Scene, draw_scene, taught_scene
from unsee.benchmarks.creatures.species import Species
from unsee.benchmarks.unlok_vqa.levels import LEVELS, NEIGHBOUR_LEVELS, Axis, Level

VARIANTS_VERSION = 2
"""Raise when other disguises are drawn from equal data; part of fingerprints."""
ASKED = 4
"""Rephrased questions of a level."""
NOISE = 0.06
"""Share of pixels that salt and pepper cover."""


class Disguise(NamedTuple):
    """A fact asked for in other words, with another picture, or both; `number` counts the questions of a level."""

    axis: Axis
    level: Level
    number: int
    question: str
    scene: Scene


def disguises(species: Species, attribute: str) -> Iterator[Disguise]:
    """Every disguise of a fact: four questions a level, one picture a level, and both, level by level."""
    original = taught_scene(species.id)
    edited = edited_question(attribute)
    for level in LEVELS:
        questions = rephrased_questions(species, attribute, level)
        picture = rephrased_scene(species, attribute, level)
        for number, question in enumerate(questions):
            yield Disguise("question", level, number, question, original)
        yield Disguise("image", level, 0, edited, picture)
        for number, question in enumerate(questions):
            yield Disguise("both", level, number, question, picture)


def edited_question(attribute: str) -> str:
    """The question as a method is given it."""
    return wordings(attribute, "edit")[0]


def rephrased_questions(species: Species, attribute: str, level: Level) -> tuple[str, ...]:
    """Four questions of a level that ask for the fact."""
    rng = _rng(species, attribute, "question", level)
    if level == "medium":
        return wordings(attribute, "test")
    before = rng.sample(SENTENCES if level == "easy" else PREAMBLES, ASKED)
    return tuple(f"{text}{edited_question(attribute)}" for text in before)


def rephrased_scene(species: Species, attribute: str, level: Level) -> Scene:
    """The picture of a level in which the species is shown."""
    original = taught_scene(species.id)
    rng = _rng(species, attribute, "image", level)
    if level == "easy":
        return replace(original, noise=NOISE, noise_seed=rng.getrandbits(32))
    if level == "medium":
        return original.without(rng.choice(original.objects))
    return draw_scene(rng, styles=NEW_STYLES, unlike=original)


def neighbour_scenes(species: Species, attribute: str) -> dict[Level, Scene]:
    """Level -> scene in which the creature with an alternate answer is shown: a new one, and the fact's own."""
    original = taught_scene(species.id)
    drawn = draw_scene(_rng(species, attribute, "neighbour"), unlike=original)
    return dict(zip(NEIGHBOUR_LEVELS, (drawn, original), strict=True))


def _rng(species: Species, *purpose: str) -> random.Random:
    return random.Random("/".join(("creatures/variant", species.id, *purpose)))
