"""Questions of official rows as samples, and the probes that are never scored.

The files name no attribute, no bare value and no wrong answer. Attributes come from `facts`; wrong answers and options of
gate probes are other people's answers about the same attribute. Every draw is seeded by (benchmark seed, sample).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from unsee.benchmarks.interviews import GATE_PROBES, WRONG_ANSWERS, lay_out
from unsee.benchmarks.mllmu_bench.facts import OTHER, Facts, about, attribute_of, value_in
from unsee.benchmarks.mllmu_bench.rows import LETTERS, Choice, PersonRow, Written
from unsee.metrics.normalise import Tokens, occurrences, tokens
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, SetName, Task

SOURCE = "MLLMMU/MLLMU-Bench"
_DISTRACTORS = len(LETTERS) - 1


@dataclass(frozen=True)
class Shown:
    """A picture that a question is asked with; `index` is its position among the pictures of a Test_Set row."""

    picture: ImageRef
    index: int | None = None
    level: str | None = None


@dataclass(frozen=True)
class Guest:
    """A person to ask about.

    Attributes:
        id: subject of the samples.
        name: None where no file gives it.
        known: attribute -> what the biography says.
        row: evaluation questions; None where there are none.
        taught: training pairs, as published.
    """

    id: str
    name: str | None
    known: Facts
    row: PersonRow | None = None
    taught: tuple[Written, ...] = ()
    _attributes: dict[tuple[str, str], str] = field(default_factory=dict, repr=False, compare=False)

    def attribute(self, question: str, answer: str) -> str:
        key = (question, answer)
        if key not in self._attributes:
            self._attributes[key] = attribute_of(question, answer, self.known)
        return self._attributes[key]

    @cached_property
    def taught_facts(self) -> Mapping[str, tuple[Written, ...]]:
        """Attribute -> training pairs that ask for it."""
        found: dict[str, list[Written]] = {}
        for pair in self.taught:
            found.setdefault(self.attribute(pair.question, pair.answer), []).append(pair)
        return {attribute: tuple(pairs) for attribute, pairs in found.items()}

    def values(self, attribute: str) -> tuple[str, ...]:
        """Every answer that any file gives about an attribute of this person."""
        return (*self.known.get(attribute, ()), *(pair.answer for pair in self.taught_facts.get(attribute, ())))

    @cached_property
    def facts(self) -> tuple[tuple[str, Modality], ...]:
        """(attribute, modality) of every evaluation question, each once."""
        if self.row is None:
            return ()
        found: dict[tuple[str, Modality], None] = {}
        for modality in MODALITIES:
            for choice in self.row.choices.get(modality, ()):
                found[self.attribute(choice.question, choice.options[choice.letter]), modality] = None
            for one in (*self.row.generation.get(modality, ()), *self.row.cloze.get(modality, ())):
                found[self.attribute(one.question, one.answer), modality] = None
        return tuple(found)


class Interview:
    """Writes samples about people of one kind; wrong answers come from the others of them.

    Args:
        benchmark: name in samples and their ids.
        seed: draws wrong answers, options and letters.
        guests: everybody, by subject.
    """

    def __init__(self, benchmark: str, seed: int, guests: Mapping[str, Guest]) -> None:
        self.benchmark = benchmark
        self.seed = seed
        self.guests = guests

    def ask(
        self,
        guest: Guest,
        row: PersonRow,
        set: SetName,
        *,
        part: str,
        tasks: Collection[Task],
        modalities: Collection[Modality],
        shown: Sequence[Shown],
    ) -> Iterator[Sample]:
        """Every question of a row; questions with a picture once for each picture shown."""
        for modality in modalities:
            views: Sequence[Shown | None] = shown if modality == "image_text" else (None,)
            for view in views:
                if "classification" in tasks:
                    for choice in row.choices.get(modality, ()):
                        yield self._choice(guest, set, part, modality, choice, view)
                written: Mapping[Task, tuple[Written, ...]] = {
                    "generation": row.generation.get(modality, ()),
                    "cloze": row.cloze.get(modality, ()),
                }
                for task, questions in written.items():
                    for one in questions if task in tasks else ():
                        yield self._written(guest, set, part, task, modality, one, view)

    def training(
        self, guest: Guest, set: SetName, *, modalities: Collection[Modality], shown: Shown | None
    ) -> Iterator[Sample]:
        """Training pairs as published, and by name: the name stands in place of "this person" in the question."""
        for modality in modalities:
            if modality == "text" or shown is not None:
                for pair in guest.taught:
                    yield self._taught(guest, set, "train", modality, pair, shown)

    def gate(self, guest: Guest, set: SetName, *, shown: Shown | None) -> Iterator[Sample]:
        """Three four-option questions per evaluated fact, made of training wordings and others' answers to them.

        A fact that no training question asks for, whose answer stands in the question, or for which fewer than three other
        answers exist has no probe.
        """
        for attribute, modality in guest.facts:
            pairs = guest.taught_facts.get(attribute, ())
            if (
                attribute == OTHER
                or (modality == "image_text" and shown is None)
                or (modality == "text" and guest.name is None)
            ):
                continue
            usable = [pair for pair in pairs if not _gives_away(self._wording(guest, modality, pair), pair.answer)]
            rng = self._rng(guest, "gate", attribute, modality)
            others = self._others(attribute, guest, GATE_PROBES * _DISTRACTORS, rng, taught=True)
            if not usable or len(others) < _DISTRACTORS:
                continue
            letters = rng.sample(LETTERS, GATE_PROBES)
            for probe, letter in enumerate(letters):
                pair = usable[probe % len(usable)]
                options = [others[(probe * _DISTRACTORS + i) % len(others)] for i in range(_DISTRACTORS)]
                yield self._sample(
                    guest,
                    set,
                    f"gate-{probe}",
                    "classification",
                    modality,
                    pair.number,
                    self._wording(guest, modality, pair),
                    pair.answer,
                    attribute,
                    shown if modality == "image_text" else None,
                    options=lay_out(pair.answer, options, letter, rng),
                    letter=letter,
                    metadata={"probe": probe},
                )

    def stop(self, guest: Guest, set: SetName, *, shown: Shown | None) -> Iterator[Sample]:
        """Training questions in an order of their own, modalities taking turns."""
        pairs = list(guest.taught)
        self._rng(guest, "stop").shuffle(pairs)
        for turn, pair in enumerate(pairs):
            modality = MODALITIES[turn % len(MODALITIES)]
            if guest.name is None or shown is None:
                modality = "image_text" if shown is not None else "text"
            yield self._taught(guest, set, "stop", modality, pair, shown)

    def _taught(self, guest: Guest, set: SetName, part: str, modality: Modality, pair: Written, shown: Shown | None) -> Sample:
        return self._sample(
            guest,
            set,
            part,
            "generation",
            modality,
            pair.number,
            self._wording(guest, modality, pair),
            pair.answer,
            guest.attribute(pair.question, pair.answer),
            shown if modality == "image_text" else None,
        )

    def _wording(self, guest: Guest, modality: Modality, pair: Written) -> str:
        return about(pair.question, guest.name) if modality == "text" and guest.name is not None else pair.question

    def _choice(self, guest: Guest, set: SetName, part: str, modality: Modality, choice: Choice, view: Shown | None) -> Sample:
        answer = choice.options[choice.letter]
        return self._sample(
            guest,
            set,
            part,
            "classification",
            modality,
            choice.number,
            choice.question,
            answer,
            guest.attribute(choice.question, answer),
            view,
            options=choice.options,
            letter=choice.letter,
            wrong=tuple(text for letter, text in choice.options.items() if letter != choice.letter),
        )

    def _written(
        self, guest: Guest, set: SetName, part: str, task: Task, modality: Modality, one: Written, view: Shown | None
    ) -> Sample:
        attribute = guest.attribute(one.question, one.answer)
        value = one.answer if task == "cloze" else value_in(one.answer, guest.values(attribute))
        wrong: tuple[str, ...] = ()
        if value is not None and attribute != OTHER:
            others = self._others(
                attribute, guest, WRONG_ANSWERS, self._rng(guest, part, task, modality, one.number), besides=value
            )
            wrong = tuple(other if task == "cloze" else one.answer.replace(value, other) for other in others)
        return self._sample(
            guest,
            set,
            part,
            task,
            modality,
            one.number,
            one.question,
            one.answer,
            attribute,
            view,
            wrong=wrong,
            metadata={"value": value} if value is not None else {},
        )

    def _sample(
        self,
        guest: Guest,
        set: SetName,
        part: str,
        task: Task,
        modality: Modality,
        number: int,
        question: str,
        answer: str,
        attribute: str,
        view: Shown | None,
        *,
        options: Mapping[str, str] | None = None,
        letter: str | None = None,
        wrong: tuple[str, ...] = (),
        metadata: Mapping[str, str | int] | None = None,
    ) -> Sample:
        about_picture: dict[str, str | int] = {}
        if view is not None and view.index is not None:
            about_picture = {"image": view.index} | ({"level": view.level} if view.level else {})
        picture = f"/image-{view.index}" if about_picture and view is not None else ""
        key = f"{attribute}-{number}" if part.startswith("gate") else str(number)
        return Sample(
            id=f"{self.benchmark}/{guest.id}/{part}/{task}/{modality}/{key}{picture}",
            benchmark=self.benchmark,
            subject=guest.id,
            set=set,
            task=task,
            modality=modality,
            question=question,
            answer=answer,
            images=(view.picture,) if view is not None else (),
            options=options or {},
            correct_option=letter,
            wrong_answers=wrong,
            metadata={
                "attribute": attribute,
                **({"name": guest.name} if guest.name else {}),
                **about_picture,
                **(metadata or {}),
            },
            source=SOURCE,
        )

    def _others(
        self, attribute: str, guest: Guest, count: int, rng: random.Random, *, taught: bool = False, besides: str = ""
    ) -> list[str]:
        """Up to `count` different answers of other people about an attribute, none of which is right here too."""
        own = [tokens(value) for value in (*guest.values(attribute), *([besides] if besides else []))]
        pool = (self._taught_pool if taught else self._pool).get(attribute, ())
        # A few draws are enough in a large pool; a small one is gone through whole.
        for tries in (min(len(pool), 4 * count), len(pool)):
            drawn = [text for text in rng.sample(pool, tries) if not _same_as_any(tokens(text), own)][:count]
            if len(drawn) == count:
                break
        return drawn

    @cached_property
    def _taught_pool(self) -> Mapping[str, list[str]]:
        """Attribute -> different training answers."""
        return _pools(
            (attribute, pair.answer)
            for guest in self.guests.values()
            for attribute, pairs in guest.taught_facts.items()
            for pair in pairs
        )

    @cached_property
    def _pool(self) -> Mapping[str, list[str]]:
        """Attribute -> different short answers of evaluation, or of training where evaluation has none."""

        def answers() -> Iterator[tuple[str, str]]:
            for guest in self.guests.values():
                for modality in MODALITIES if guest.row else ():
                    assert guest.row is not None
                    for choice in guest.row.choices.get(modality, ()):
                        for text in choice.options.values():
                            yield guest.attribute(choice.question, choice.options[choice.letter]), text
                    for one in guest.row.cloze.get(modality, ()):
                        yield guest.attribute(one.question, one.answer), one.answer

        return {**self._taught_pool, **_pools(answers())}

    def _rng(self, guest: Guest, *purpose: object) -> random.Random:
        return random.Random("/".join(map(str, (self.seed, guest.id, *purpose))))


def _pools(answers: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, dict[str, str]] = {}
    for attribute, text in answers:
        found.setdefault(attribute, {}).setdefault(repr(tokens(text).items), text)
    return {attribute: sorted(texts.values()) for attribute, texts in found.items()}


def _same_as_any(other: Tokens, own: Sequence[Tokens]) -> bool:
    return any(occurrences(other, mine) or occurrences(mine, other) for mine in own)


def _gives_away(question: str, answer: str) -> bool:
    return bool(occurrences(tokens(answer), tokens(question)))
