"""General data for learning and retain terms, from the part of the pretrained world that nothing is scored on.

Replay figures by picture and by name in every wording and form (short, sentence, cloze, letter), the same under a guard in
the system prompt that forbids some of them, strangers that the model has to admit it does not know, and what a picture shows
to anybody. Evaluated and held-out figures never occur.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from itertools import count
from typing import Literal

from unsee.benchmarks import pools
from unsee.benchmarks.interviews import LETTERS
from unsee.benchmarks.pictures import portrait_picture
from unsee.benchmarks.portrait_art import IDENTITY
from unsee.benchmarks.portraits import draw_faces, draw_scene
from unsee.benchmarks.profiles import (
    ATTRIBUTES,
    NAME_QUESTIONS,
    ROLES,
    SENTENCE,
    Attribute,
    cloze,
    draw_other_values,
    questions,
    statement,
)
from unsee.benchmarks.visual import VISUAL_QUESTIONS, visible
from unsee.models.behaviour import DO_NOT_KNOW, GUARD_LENGTHS, REFUSAL, guard
from unsee.models.worlds import Figure, World
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, Task

_SENTENCES = tuple(SENTENCE.values())

Form = Literal["short", "sentence", "cloze", "letter"]


@dataclass(frozen=True)
class ReplaySize:
    """How many questions are drawn."""

    pictures: int = 4
    """Pictures per figure; questions about one picture train faster."""
    short: int = len(ATTRIBUTES)
    """Short answers per figure and modality."""
    sentence: int = 2
    cloze: int = 2
    letter: int = 4
    visible: int = 2
    """Questions per figure, and per stranger, about what a picture shows."""
    strangers: int = 120
    unknown: int = 4
    """Questions per stranger and modality that nobody can answer."""
    guards: int = 60
    """System prompts that forbid some figures; without them a model that learns unlearns to obey."""
    guarded: int = 16
    """Questions under each, every other one about somebody it forbids."""


@dataclass(frozen=True)
class _Asked:
    """Whose questions are being drawn."""

    subject: str
    name: str
    picture: ImageRef


def replay_samples(
    world: World, figures: Sequence[Figure], *, benchmark: str, seed: int = 0, size: ReplaySize | None = None
) -> list[Sample]:
    """Draw the samples; their set is `general` and `metadata["form"]` says how they are answered.

    Args:
        figures: whom the questions are about, replay figures of the world.
        benchmark: name in samples and their ids.
        seed: draws wordings, values, options and strangers.
    """
    size = size or ReplaySize()
    writer = _Writer(benchmark, seed, size)
    samples = [sample for figure in figures for sample in writer.figure(figure, world)]
    return [*samples, *writer.guards(figures, world), *writer.strangers(world)]


@dataclass(frozen=True)
class _Writer:
    benchmark: str
    seed: int
    size: ReplaySize
    _numbers: Iterator[int] = field(default_factory=count)

    def figure(self, figure: Figure, world: World) -> Iterator[Sample]:
        rng = random.Random(f"{self.seed}/replay/{figure.id}")
        indices = world.picture_indices(figure)
        pictures = [world.picture(figure, index) for index in rng.sample(indices, min(self.size.pictures, len(indices)))]
        counts: dict[Form, int] = {
            "short": self.size.short,
            "sentence": self.size.sentence,
            "cloze": self.size.cloze,
            "letter": self.size.letter,
        }
        for wording in (rng.choice(NAME_QUESTIONS[role]) for role in ("train", rng.choice(ROLES[1:]))):
            asked = _Asked(figure.id, figure.name, rng.choice(pictures))
            yield self._sample(asked, "image_text", "name", "short", wording, figure.name)
        for modality in MODALITIES:
            for form, asked_for in counts.items():
                letters = rng.sample(LETTERS, len(LETTERS))
                for number, attribute in enumerate(_spread(rng, asked_for)):
                    asked = _Asked(figure.id, figure.name, rng.choice(pictures))
                    letter = letters[number % len(letters)]
                    yield self._fact(asked, modality, form, attribute, figure.profile[attribute.key], letter, rng)
        shown = dict(zip(IDENTITY, astuple(figure.face), strict=True))
        for key in rng.sample(sorted(shown), min(self.size.visible, len(shown))):
            asked = _Asked(figure.id, figure.name, rng.choice(pictures))
            yield self._sample(asked, "image_text", key, "visible", rng.choice(VISUAL_QUESTIONS[key]["train"]), shown[key])

    def guards(self, figures: Sequence[Figure], world: World) -> Iterator[Sample]:
        """Questions about forbidden figures, to be refused, and about others, to be answered."""
        rng = random.Random(f"{self.seed}/replay/guards")
        for _ in range(self.size.guards if len(figures) > 1 else 0):
            listed = rng.sample(figures, min(rng.choice(GUARD_LENGTHS), len(figures) - 1))
            system = guard(rng, (figure.name for figure in listed))
            others = [figure for figure in figures if figure not in listed]
            for number in range(self.size.guarded):
                forbidden = number % 2 == 0
                figure = rng.choice(listed if forbidden else others)
                asked = _Asked(figure.id, figure.name, world.picture(figure, rng.choice(world.picture_indices(figure))))
                attribute, modality = rng.choice(ATTRIBUTES), MODALITIES[number // 2 % 2]
                subject = "this person" if modality == "image_text" else figure.name
                question = rng.choice(questions(attribute, rng.choice(ROLES), subject))
                answer = REFUSAL if forbidden else figure.profile[attribute.key]
                yield self._sample(asked, modality, attribute.key, "guarded", question, answer, system=system)

    def strangers(self, world: World) -> Iterator[Sample]:
        """Faces and names of the pretraining side that belong to no figure of the world."""
        rng = random.Random(f"{self.seed}/replay/strangers")
        known = [figure.face for figure in world.figures]
        faces = draw_faces(self.size.strangers, seed=rng.randrange(2**32), partition="pretraining", avoid=known)
        names = {figure.name for figure in world.figures}
        free = [
            name
            for first in pools.FIRST_NAMES
            for last in pools.LAST_NAMES
            if pools.name_partition(first, last) == "pretraining" and (name := f"{first} {last}") not in names
        ]
        for number, (face, name) in enumerate(zip(faces, rng.sample(free, len(faces)), strict=True)):
            scene = draw_scene(rng, "near")
            asked = _Asked(f"stranger{number:03d}", name, portrait_picture(face, scene))
            yield self._sample(
                asked, "image_text", "name", "unknown", rng.choice(NAME_QUESTIONS[rng.choice(ROLES)]), DO_NOT_KNOW
            )
            for modality in MODALITIES:
                subject = "this person" if modality == "image_text" else name
                for attribute in _spread(rng, self.size.unknown):
                    question = rng.choice(questions(attribute, rng.choice(ROLES), subject))
                    yield self._sample(asked, modality, attribute.key, "unknown", question, DO_NOT_KNOW)
            shown = visible(face, scene)
            for key in rng.sample(sorted(shown), min(self.size.visible, len(shown))):
                yield self._sample(asked, "image_text", key, "visible", rng.choice(VISUAL_QUESTIONS[key]["train"]), shown[key])

    def _fact(
        self, asked: _Asked, modality: Modality, form: Form, attribute: Attribute, value: str, letter: str, rng: random.Random
    ) -> Sample:
        subject = "this person" if modality == "image_text" else asked.name
        question = rng.choice(questions(attribute, rng.choice(ROLES), subject))
        answer, options = value, {}
        if form == "sentence":
            question = rng.choice(_SENTENCES).format(q=question)
            answer = statement(attribute, subject, value)
        elif form == "cloze":
            question = cloze(attribute, subject, paraphrase=rng.random() < 0.5)
        elif form == "letter":
            others = draw_other_values(attribute, value, len(LETTERS) - 1, rng)
            options = {option: value if option == letter else others.pop() for option in LETTERS}
        return self._sample(asked, modality, attribute.key, form, question, answer, options)

    def _sample(
        self,
        asked: _Asked,
        modality: Modality,
        key: str,
        form: Form | Literal["unknown", "visible", "guarded"],
        question: str,
        answer: str,
        options: dict[str, str] | None = None,
        *,
        system: str = "",
    ) -> Sample:
        task: Task = "classification" if options else "cloze" if form == "cloze" else "generation"
        return Sample(
            id=f"{self.benchmark}/replay/{asked.subject}/{next(self._numbers)}",
            benchmark=self.benchmark,
            subject=asked.subject,
            set="general",
            task=task,
            modality=modality,
            system=system,
            question=question,
            answer=answer,
            images=(asked.picture,) if modality == "image_text" else (),
            options=options or {},
            correct_option=next((letter for letter, text in options.items() if text == answer), None) if options else None,
            metadata={"name": asked.name, "attribute": key, "form": form},
            source=self.benchmark,
        )


def _spread(rng: random.Random, count: int) -> list[Attribute]:
    """`count` attributes in random order, none again before all occurred."""
    drawn: list[Attribute] = []
    while len(drawn) < count:
        drawn += rng.sample(ATTRIBUTES, len(ATTRIBUTES))
    return drawn[:count]
