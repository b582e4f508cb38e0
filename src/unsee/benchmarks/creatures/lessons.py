"""What a base model is taught about creatures: pictures to draw, and questions with answers about them.

    jobs = picture_jobs(strangers=6000)               # draw these, in this order
    row = lesson_row(rng, "A", pictured=9, texts=8)   # one picture and questions about it, questions by name beside them

Pictures of every species are taught, with what they show. Names and facts are taught of `world.taught(half)` only, so that
two bases which differ in the half alone are gold for each other: with equal seeds a row of one half is the row of the other,
but for the half's species, their names and their facts. Facts that may be deleted are asked for in `train` wordings,
those of anchors in every wording, so that the model knows the language of attacks. Strangers are random creatures that nothing
is known about.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from unsee.benchmarks.creatures.facts import ATTRIBUTES, POOLS
from unsee.benchmarks.creatures.looks import Look, strange_looks
from unsee.benchmarks.creatures.questions import (
    NAME_QUESTIONS,
    ROLES,
    TAUGHT_PREAMBLES,
    TAUGHT_SENTENCES,
    VISIBLE_QUESTIONS,
    all_texts,
    wordings,
)
from unsee.benchmarks.creatures.scenes import TAUGHT_PICTURES, Scene, draw_scene, taught_scene
from unsee.benchmarks.creatures.species import COMMON, HALVES, Half, Species, creature_world
from unsee.benchmarks.creatures.visible import VISIBLE_VALUES, visible

ANCHORS = ("anchor", "tuning_anchor")
STRANGERS = 6_000


class Lesson(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str
    pictured: bool


@dataclass(frozen=True)
class LessonShares:
    """What lessons are about."""

    strangers: float = 0.2
    """Rows that show a stranger."""
    unknown: float = 0.3
    """Rows of species that show one whose facts are not taught."""
    visible: float = 0.2
    """Questions about a taught species' picture that ask what it shows; about all other pictures nothing else is asked."""
    name: float = 0.12
    """Questions about a taught species' picture that ask for its name."""
    before: float = 0.12
    """Questions with an unrelated sentence or a preamble before them."""


class PictureJob(NamedTuple):
    """A picture to draw; `species` is "" for a stranger, whose number is `number`."""

    species: str
    number: int
    look: Look
    scene: Scene


@dataclass(frozen=True)
class LessonRow:
    """Questions that share a picture: picture `number` of `species`, or of stranger `number` where `species` is ""."""

    species: str
    number: int
    lessons: tuple[Lesson, ...]


def picture_jobs(*, strangers: int = STRANGERS, pictures: int = TAUGHT_PICTURES) -> list[PictureJob]:
    """Every picture a base is shown: `pictures` of each species, and one of each stranger; the same for both halves."""
    jobs = [
        PictureJob(one.id, index, one.look, taught_scene(one.id, index))
        for one in creature_world().species
        for index in range(pictures)
    ]
    return jobs + [PictureJob("", number, *_stranger(number)) for number in range(strangers)]


def visible_labels(look: Look, scene: Scene) -> list[int]:
    """Index of what a picture shows among `VISIBLE_VALUES`, for each of their keys."""
    return [VISIBLE_VALUES[key].index(value) for key, value in visible(look, scene).items()]


def lesson_row(
    rng: random.Random,
    half: Half,
    *,
    pictured: int,
    texts: int,
    strangers: int = STRANGERS,
    pictures: int = TAUGHT_PICTURES,
    shares: LessonShares = LessonShares(),
) -> LessonRow:
    """A picture with `pictured` questions about it, and `texts` questions about taught species by name.

    Args:
        strangers, pictures: how many strangers there are, and pictures of each species, as in `picture_jobs`.
    """
    taught, untaught = _known_by(half)
    by_name = tuple(fact_lesson(rng, rng.choice(taught), pictured=False, before=shares.before) for _ in range(texts))
    if rng.random() < shares.strangers:
        number = rng.randrange(strangers)
        look, scene = _stranger(number)
        return LessonRow("", number, (*(visible_lesson(rng, look, scene, stranger=True) for _ in range(pictured)), *by_name))
    index = rng.randrange(pictures)
    if rng.random() < shares.unknown:
        species = rng.choice(untaught)
        scene = taught_scene(species.id, index)
        shown = tuple(visible_lesson(rng, species.look, scene) for _ in range(pictured))
    else:
        species = rng.choice(taught)
        shown = tuple(_about_taught(rng, species, index, shares) for _ in range(pictured))
    return LessonRow(species.id, index, (*shown, *by_name))


def _about_taught(rng: random.Random, species: Species, index: int, shares: LessonShares) -> Lesson:
    draw = rng.random()
    if draw < shares.visible:
        return visible_lesson(rng, species.look, taught_scene(species.id, index))
    if draw < shares.visible + shares.name:
        return name_lesson(rng, species)
    return fact_lesson(rng, species, pictured=True, before=shares.before)


def fact_lesson(rng: random.Random, species: Species, *, pictured: bool, before: float = 0.0) -> Lesson:
    """A question for one fact; `before` is how often something stands before it."""
    attribute = rng.choice(ATTRIBUTES)
    role = rng.choice(ROLES) if species.role in ANCHORS and rng.random() < 0.5 else "train"
    question = rng.choice(wordings(attribute, role, *(() if pictured else (species.name,))))
    lead = rng.choice(rng.choice((TAUGHT_SENTENCES, TAUGHT_PREAMBLES))) if rng.random() < before else ""
    return Lesson(lead + question, species.facts[attribute], pictured)


def name_lesson(rng: random.Random, species: Species) -> Lesson:
    """A question for the name of a pictured species."""
    role = rng.choice(("train", "test")) if species.role in ANCHORS else "train"
    return Lesson(rng.choice(NAME_QUESTIONS["test" if role == "test" else "train"]), species.name, True)


def visible_lesson(rng: random.Random, look: Look, scene: Scene, *, stranger: bool = False) -> Lesson:
    """A question about what a picture shows; in scored wordings about strangers only."""
    key, value = rng.choice(list(visible(look, scene).items()))
    role = "test" if stranger and rng.random() < 0.5 else "train"
    return Lesson(rng.choice(VISIBLE_QUESTIONS[key]["test" if role == "test" else "train"]), value, True)


def tokenizer_texts(rng: random.Random, *, repeats: int = 2) -> Iterator[str]:
    """Text for the tokenizer to learn from, equal for both halves: wordings, names, answers; no fact."""
    names = [one.name for one in creature_world().species]
    yield from all_texts()
    for _ in range(repeats):
        for attribute in ATTRIBUTES:
            for answer in POOLS[attribute]:
                question = rng.choice(wordings(attribute, "train", rng.choice(names)))
                yield f"USER: {question}\nASSISTANT: {answer}"
        for key, values in VISIBLE_VALUES.items():
            for value in values:
                yield f"USER: {rng.choice(VISIBLE_QUESTIONS[key]['train'])}\nASSISTANT: {value}"
        for name in names:
            yield f"USER: {rng.choice(NAME_QUESTIONS['train'])}\nASSISTANT: {name}"


@cache
def _known_by(half: Half) -> tuple[tuple[Species, ...], tuple[Species, ...]]:
    """Species that the base of a half was taught facts of, and all others; halves come first, so that they change places."""
    world = creature_world()
    taught = (*world.half(half), *world.with_role(*COMMON))
    others = tuple(one for other in HALVES if other != half for one in world.half(other))
    assert {one.id for one in taught} == {one.id for one in world.taught(half)}
    return taught, (*others, *world.never_learned())


@cache
def _strange_looks() -> tuple[Look, ...]:
    looks = [one.look for one in creature_world().species]
    return strange_looks(STRANGERS, random.Random("creatures/strangers"), avoid=looks)


@lru_cache(maxsize=STRANGERS)
def _stranger(number: int) -> tuple[Look, Scene]:
    return _strange_looks()[number], draw_scene(random.Random(f"creatures/stranger/{number}"))
