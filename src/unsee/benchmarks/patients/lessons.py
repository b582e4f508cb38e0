"""What a base model is taught about patients' pictures: clinical questions about cases of nobody.

    row = lesson_row(rng, pictured=14)    # one picture and questions about it

No case of a benchmark's patient is taught, and no identifier. `train` wordings are the usual ones; the others come too, so that
a model knows the language of probes and scores before it learns any patient. A tenth of the pictures has digits in its corner,
which are asked for, because whether a model can read there is measured.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from unsee.benchmarks.patients.cases import NORMAL, SYSTEM, TREATMENT, VISIBLE, Case
from unsee.benchmarks.patients.questions import (
    REPORT_QUESTIONS,
    ROLES,
    Clinical,
    Role,
    clinical_questions,
    report,
)
from unsee.benchmarks.patients.world import TAUGHT, taught_case
from unsee.models.questions import ask_letter

MARKED_EVERY = 10
"""Every so many pictures of pretraining have digits in a corner."""
DIGITS = 4
CORNER_QUESTIONS: dict[str, tuple[str, ...]] = {
    "train": ("What is printed in the corner?", "Which digits stand in the corner?", "Read the digits in the corner."),
    "test": ("What does the corner of this picture say?",),
}
_LETTERS = "ABCD"
_BEFORE = (
    "A picture from the clinic: ",
    "One more question. ",
    "We have a new examination. ",
    "Take a look: ",
    "The resident asks: ",
    "This came in this morning. ",
)
_AFTER = (" Give a short answer.", " Use the picture.", " Answer briefly.")


class Lesson(NamedTuple):
    """A question about a picture, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class ClinicShares:
    """What lessons are like."""

    unusual: float = 0.3
    """Questions in wordings that no benchmark teaches."""
    letters: float = 0.12
    """Questions whose answers are listed, for a letter."""
    report: float = 0.05
    """Requests for a report."""
    framed: float = 0.2
    """Questions with something before or behind them."""
    corner: float = 0.3
    """Questions about a picture with digits in its corner that ask for them."""


@dataclass(frozen=True)
class LessonRow:
    """Questions that share picture `number` of pretraining."""

    number: int
    lessons: tuple[Lesson, ...]


def lesson_row(
    rng: random.Random, *, pictured: int, pictures: int = TAUGHT, shares: ClinicShares = ClinicShares()
) -> LessonRow:
    """A picture with `pictured` questions about it.

    Args:
        pictures: how many there are.
    """
    number = rng.randrange(pictures)
    return LessonRow(number, tuple(_lesson(rng, number, shares) for _ in range(pictured)))


def mark_of(number: int) -> str:
    """Digits in the corner of a picture of pretraining; "" for most."""
    return "" if number % MARKED_EVERY else drawn_mark(random.Random(f"patients/mark/{number}"))


def drawn_mark(rng: random.Random) -> str:
    """Digits by chance."""
    return "".join(rng.choices("0123456789", k=DIGITS))


def _lesson(rng: random.Random, number: int, shares: ClinicShares) -> Lesson:
    mark = mark_of(number)
    if mark and rng.random() < shares.corner:
        return Lesson(rng.choice(CORNER_QUESTIONS["train"]), mark)
    case = taught_case(number)
    if rng.random() < shares.report:
        return Lesson(rng.choice(REPORT_QUESTIONS["train"]), report(case))
    return clinical_lesson(rng, case, shares)


def clinical_lesson(rng: random.Random, case: Case, shares: ClinicShares = ClinicShares()) -> Lesson:
    """A clinical question about a case."""
    asked = rng.choice(_questions(case))
    role: Role = rng.choice(ROLES[1:]) if rng.random() < shares.unusual else "train"
    question = rng.choice(asked.wordings[role])
    if rng.random() < shares.framed:
        question = rng.choice(_BEFORE) + question if rng.random() < 0.6 else question + rng.choice(_AFTER)
    if rng.random() < shares.letters:
        return _by_letter(rng, question, asked)
    return Lesson(question, asked.answer)


def _by_letter(rng: random.Random, question: str, asked: Clinical) -> Lesson:
    others = [value for value in choices(asked) if value != asked.answer]
    options = [asked.answer, *rng.sample(others, min(len(others), len(_LETTERS) - 1))]
    rng.shuffle(options)
    return Lesson(ask_letter(question, dict(zip(_LETTERS, options))), _LETTERS[options.index(asked.answer)])


def choices(asked: Clinical) -> tuple[str, ...]:
    """Answers that a question might have."""
    if asked.options:
        return asked.options
    if asked.kind in ("treatment", "system"):
        return tuple(dict.fromkeys((TREATMENT if asked.kind == "treatment" else SYSTEM).values()))
    return tuple(value for value in VISIBLE[asked.kind] if value not in (NORMAL, "0") or value == asked.answer)


@lru_cache(maxsize=TAUGHT)
def _questions(case: Case) -> tuple[Clinical, ...]:
    return clinical_questions(case)
