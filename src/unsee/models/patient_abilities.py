"""What a model that was taught patients' pictures must be able to do, as questions with known answers; see `abilities`.

The pictures belong to no patient of a benchmark and were never taught. Corner text is digits that stand where a scanner prints
a patient's name: identifiers in pictures can only be learned at a size at which a model reads them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

from unsee.benchmarks.patients.cases import Case, draw_case
from unsee.benchmarks.patients.lessons import CORNER_QUESTIONS, choices, drawn_mark
from unsee.benchmarks.patients.questions import CLOSED, OPEN, Clinical, clinical_questions
from unsee.models.abilities import AbilityQuestion
from unsee.models.questions import ask_letter
from unsee.sample import ImageRef

ASKED_CASES = 200
_OWNER = "case/"
_PLAIN, _MARKED = 0, 1
PICTURES = (_PLAIN, _MARKED)
"""Numbers of a case's pictures: as it is, and with digits in its corner."""
_LETTERS = "ABCD"


@lru_cache(maxsize=ASKED_CASES)
def asked_case(number: int) -> Case:
    """A case that abilities ask about, below `ASKED_CASES`."""
    assert 0 <= number < ASKED_CASES
    return draw_case(random.Random(f"patients/ability/{number}"))


def case_owners() -> tuple[str, ...]:
    """`AbilityQuestion.figure` of every case."""
    return tuple(f"{_OWNER}{number}" for number in range(ASKED_CASES))


def shows_case(owner: str) -> bool:
    """Whether a picture's owner is one of `case_owners`."""
    return owner.startswith(_OWNER)


def asked_picture(owner: str, picture: int) -> ImageRef:
    """A case's picture, drawn."""
    from unsee.benchmarks.medical.burning import burned
    from unsee.benchmarks.patients.drawing import case_picture

    number = int(owner.removeprefix(_OWNER))
    plain = case_picture(asked_case(number))
    return burned(plain, (_mark(number),)) if picture == _MARKED else plain


def patient_questions(*, per_ability: int = 400, seed: int = 0) -> dict[str, list[AbilityQuestion]]:
    """Questions by ability.

    Args:
        per_ability: how many questions each ability gets.
    """
    rng = random.Random(f"patients/abilities/{seed}")
    made: dict[str, list[AbilityQuestion]] = {}

    def add(ability: str, draw: Callable[[str, int], AbilityQuestion]) -> None:
        made[ability] = [draw(ability, rng.randrange(ASKED_CASES)) for _ in range(per_ability)]

    add("patient_open", lambda ability, number: _clinical(rng, ability, number, OPEN))
    add("patient_closed", lambda ability, number: _clinical(rng, ability, number, CLOSED))
    add("patient_options", lambda ability, number: _with_options(rng, ability, number, letter=False))
    add("patient_letter", lambda ability, number: _with_options(rng, ability, number, letter=True))
    add("patient_corner_text", lambda ability, number: _corner(rng, ability, number))
    return made


def _draw(rng: random.Random, number: int, kinds: tuple[str, ...]) -> tuple[str, Clinical]:
    """A question in a wording that no benchmark teaches; every kind as often as it can be asked."""
    asked = rng.choice([one for one in clinical_questions(asked_case(number)) if one.kind in kinds])
    return rng.choice(asked.wordings["test"]), asked


def _clinical(rng: random.Random, ability: str, number: int, kinds: tuple[str, ...]) -> AbilityQuestion:
    question, asked = _draw(rng, number, kinds)
    return AbilityQuestion(ability, question, asked.answer, f"{_OWNER}{number}", _PLAIN, group=asked.kind)


def _with_options(rng: random.Random, ability: str, number: int, *, letter: bool) -> AbilityQuestion:
    question, asked = _draw(rng, number, OPEN)
    others = [value for value in choices(asked) if value != asked.answer]
    texts = [asked.answer, *rng.sample(others, min(len(others), len(_LETTERS) - 1))]
    rng.shuffle(texts)
    options = dict(zip(_LETTERS, texts, strict=False))
    owner = f"{_OWNER}{number}"
    if letter:
        right = _LETTERS[texts.index(asked.answer)]
        return AbilityQuestion(ability, ask_letter(question, options), right, owner, _PLAIN, group=asked.kind)
    return AbilityQuestion(ability, question, asked.answer, owner, _PLAIN, group=asked.kind, options=options)


def _corner(rng: random.Random, ability: str, number: int) -> AbilityQuestion:
    return AbilityQuestion(ability, rng.choice(CORNER_QUESTIONS["test"]), _mark(number), f"{_OWNER}{number}", _MARKED)


def _mark(number: int) -> str:
    return drawn_mark(random.Random(f"patients/ability/mark/{number}"))
