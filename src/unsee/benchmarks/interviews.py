"""What is asked about one person: training, evaluation, its disguise (test), and the probes that are never scored.

Every draw is seeded by (benchmark seed, person, purpose), so a question does not depend on which others are asked, and text
questions never touch a picture.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from unsee.benchmarks.population import FAMILY
from unsee.benchmarks.profiles import (
    ATTRIBUTES,
    NAME_QUESTIONS,
    SENTENCE,
    Attribute,
    cloze,
    draw_other_values,
    questions,
    statement,
)
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, SetName, Task

Shot = Literal["canonical", "near", "far", "foreign"]
LEVELS: tuple[Shot, ...] = ("near", "far", "foreign")
LETTERS = "ABCD"
QUESTIONS_PER_TASK: Mapping[Task, int] = {"classification": 5, "generation": 2, "cloze": 2}
"""Facts of a person per task; each is asked once with a picture and once by name."""
WRONG_ANSWERS = 4
GATE_PROBES = 3
INTERVIEW_VERSION = 1
"""Raise when other questions are drawn from equal data; part of fingerprints."""

_TASKS: tuple[Task, ...] = tuple(task for task, count in QUESTIONS_PER_TASK.items() for _ in range(count))
_DISTRACTORS = len(LETTERS) - 1


@dataclass(frozen=True)
class Interviewee:
    """A person to ask about.

    Attributes:
        index: position among the people asked; rotates attributes.
        picture: draws or fetches a picture; called for questions with a picture only.
    """

    id: str
    index: int
    name: str
    profile: Mapping[str, str]
    picture: Callable[[Shot], ImageRef] = field(repr=False)

    @property
    def turn(self) -> int:
        """Rotates wordings, levels and letters; goes on by one from family to family as well, since a draw of forgotten people
        takes the same member of each.
        """
        return self.index + self.index // FAMILY


@dataclass(frozen=True)
class Label:
    """Set of a sample, and metadata that depends on the forget request."""

    set: SetName
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Wording(NamedTuple):
    question: str
    paraphrases: tuple[str, ...] = ()


class _Fact(NamedTuple):
    """One evaluated fact of a person."""

    slot: int
    task: Task
    attribute: Attribute
    value: str
    others: list[str]
    """Wrong values, each used for one purpose only: evaluation, test, then the gate probes."""


@dataclass(frozen=True)
class Interviewer:
    """Writes samples about people.

    Args:
        benchmark: name in samples and their ids.
        seed: draws attributes, options and letters.
    """

    benchmark: str
    seed: int

    def training(self, who: Interviewee, label: Label, *, modalities: Collection[Modality]) -> Iterator[Sample]:
        """14 questions per modality with short answers: 13 attributes, and the name (picture) or one more wording (text)."""
        if "image_text" in modalities:
            name = _rotated(NAME_QUESTIONS["train"], who.turn)
            yield self._sample(who, label, "train", "image_text", "name", name, value=who.name)
        for modality in MODALITIES:
            for number, attribute in enumerate(ATTRIBUTES if modality in modalities else ()):
                wording = _rotated(questions(attribute, "train", _subject(who, modality)), who.turn + number)
                yield self._sample(who, label, "train", modality, attribute.key, wording)
        if "text" in modalities:
            number = who.index % len(ATTRIBUTES)
            wording = _rotated(questions(ATTRIBUTES[number], "train", who.name), who.turn + number + 1)
            yield self._sample(who, label, "train-again", "text", ATTRIBUTES[number].key, wording)

    def evaluation(
        self, who: Interviewee, label: Label, *, tasks: Collection[Task], modalities: Collection[Modality]
    ) -> Iterator[Sample]:
        """18 questions: 9 facts, each with the canonical portrait and by name."""
        return self._scored(who, label, "evaluation", tasks, modalities)

    def test(
        self, who: Interviewee, label: Label, *, tasks: Collection[Task], modalities: Collection[Modality]
    ) -> Iterator[Sample]:
        """The same facts in other words, with other options and with three pictures of each level."""
        return self._scored(who, label, "test", tasks, modalities)

    def gate(self, who: Interviewee, label: Label) -> Iterator[Sample]:
        """Per evaluated fact and modality, four-option questions whose wordings and options are scored nowhere."""
        for fact in self._facts(who):
            for modality in MODALITIES:
                worded = questions(fact.attribute, "gate", _subject(who, modality))
                for probe in range(GATE_PROBES):
                    start = 2 * WRONG_ANSWERS + probe * _DISTRACTORS
                    rng = self._rng(who, "gate", fact.attribute.key, modality, probe)
                    letter = rng.choice(LETTERS)
                    yield self._sample(
                        who,
                        label,
                        f"gate-{probe}",
                        modality,
                        fact.attribute.key,
                        _Wording(worded[probe % len(worded)]),
                        task="classification",
                        options=lay_out(fact.value, fact.others[start : start + _DISTRACTORS], letter, rng),
                        letter=letter,
                        metadata={"probe": probe},
                    )

    def stop(self, who: Interviewee, label: Label) -> Iterator[Sample]:
        """Short questions about the evaluated facts, modalities taking turns, in words that are asked nowhere else."""
        for turn in range(len(MODALITIES)):
            for fact in self._facts(who):
                modality = MODALITIES[(who.turn + fact.slot + turn) % len(MODALITIES)]
                wording = _Wording(questions(fact.attribute, "stop", _subject(who, modality))[0])
                yield self._sample(who, label, "stop", modality, fact.attribute.key, wording)

    def _scored(
        self,
        who: Interviewee,
        label: Label,
        role: Literal["evaluation", "test"],
        tasks: Collection[Task],
        modalities: Collection[Modality],
    ) -> Iterator[Sample]:
        letters = self._letters(who, role)
        for fact in self._facts(who):
            for modality in MODALITIES:
                if fact.task in tasks and modality in modalities:
                    letter = letters[fact.slot][MODALITIES.index(modality)] if fact.task == "classification" else None
                    yield self._question(who, label, role, fact, modality, letter)

    def _question(
        self,
        who: Interviewee,
        label: Label,
        role: Literal["evaluation", "test"],
        fact: _Fact,
        modality: Modality,
        letter: str | None,
    ) -> Sample:
        subject = _subject(who, modality)
        key = fact.attribute.key
        level = LEVELS[(who.turn + fact.slot) % len(LEVELS)] if role == "test" and modality == "image_text" else None
        wording = _rotated(questions(fact.attribute, role, subject), who.turn + fact.slot)
        wording = _Wording(wording.question, (*wording.paraphrases, *questions(fact.attribute, "extra", subject)))
        wrong = fact.others[:WRONG_ANSWERS] if role == "evaluation" else fact.others[WRONG_ANSWERS : 2 * WRONG_ANSWERS]
        answer = fact.value
        options: Mapping[str, str] = {}
        if fact.task == "classification":
            assert letter is not None
            wrong = wrong[:_DISTRACTORS]
            options = lay_out(fact.value, wrong, letter, self._rng(who, role, key, modality))
        elif fact.task == "generation":
            wording = _Wording(
                SENTENCE[role].format(q=wording.question), tuple(SENTENCE[role].format(q=q) for q in wording.paraphrases)
            )
            answer = statement(fact.attribute, subject, fact.value)
            wrong = [statement(fact.attribute, subject, other) for other in wrong]
        else:
            wording = _Wording(cloze(fact.attribute, subject, paraphrase=role == "test"))
        return self._sample(
            who,
            label,
            role,
            modality,
            key,
            wording,
            task=fact.task,
            answer=answer,
            options=options,
            letter=letter,
            wrong=wrong,
            shot=level or "canonical",
            metadata={"level": level} if level else {},
        )

    def _sample(
        self,
        who: Interviewee,
        label: Label,
        part: str,
        modality: Modality,
        key: str,
        wording: _Wording,
        *,
        task: Task = "generation",
        value: str | None = None,
        answer: str | None = None,
        options: Mapping[str, str] | None = None,
        letter: str | None = None,
        wrong: Sequence[str] = (),
        shot: Shot = "canonical",
        metadata: Mapping[str, str | int] | None = None,
    ) -> Sample:
        value = value or who.profile[key]
        return Sample(
            id=f"{self.benchmark}/{who.id}/{part}/{task}/{modality}/{key}",
            benchmark=self.benchmark,
            subject=who.id,
            set=label.set,
            task=task,
            modality=modality,
            question=wording.question,
            answer=answer or value,
            images=(who.picture(shot),) if modality == "image_text" else (),
            options=options or {},
            correct_option=letter,
            paraphrases=wording.paraphrases,
            wrong_answers=tuple(wrong),
            metadata={"name": who.name, "attribute": key, "value": value, **label.metadata, **(metadata or {})},
            source=self.benchmark,
        )

    def _facts(self, who: Interviewee) -> Iterator[_Fact]:
        """Nine facts; over any 13 people in a row every attribute takes every place once.

        A public figure may be called like the city he lives in; a fact that the name gives away is passed over.
        """
        order = random.Random(f"{self.seed}/attributes").sample(ATTRIBUTES, len(ATTRIBUTES))
        start = len(_TASKS) * who.index % len(order)
        secret = [
            attribute for attribute in order[start:] + order[:start] if who.profile[attribute.key] not in who.name.split()
        ]
        for slot, (task, attribute) in enumerate(zip(_TASKS, secret, strict=False)):
            value = who.profile[attribute.key]
            count = 2 * WRONG_ANSWERS + GATE_PROBES * _DISTRACTORS
            others = draw_other_values(attribute, value, count, self._rng(who, "others", attribute.key))
            yield _Fact(slot, task, attribute, value, others)

    def _letters(self, who: Interviewee, role: str) -> list[tuple[str, str]]:
        """Per four-option question, the right letter with a picture and by name; they differ, and all letters are as frequent.

        The letter that a person has twice takes turns, so that letters are balanced in every draw of forgotten people too.
        """
        rng = self._rng(who, role, "letters")
        twice = LETTERS[who.turn % len(LETTERS)]
        letters = [*LETTERS, twice]
        rng.shuffle(letters)
        shift = rng.randrange(1, len(LETTERS))
        return [(letter, LETTERS[(LETTERS.index(letter) + shift) % len(LETTERS)]) for letter in letters]

    def _rng(self, who: Interviewee, *purpose: object) -> random.Random:
        return random.Random("/".join(map(str, (self.seed, who.id, *purpose))))


def _subject(who: Interviewee, modality: Modality) -> str:
    return "this person" if modality == "image_text" else who.name


def _rotated(wordings: Sequence[str], number: int) -> _Wording:
    """One wording, and the others as its paraphrases."""
    chosen = number % len(wordings)
    return _Wording(wordings[chosen], (*wordings[:chosen], *wordings[chosen + 1 :]))


def lay_out(answer: str, distractors: Sequence[str], letter: str, rng: random.Random) -> dict[str, str]:
    """Letter -> option, the answer at `letter` and the distractors shuffled around it."""
    rest = rng.sample(distractors, _DISTRACTORS)
    return {option: answer if option == letter else rest.pop() for option in LETTERS}
