"""Automatic checks of variants, each with a reason code, before a person looks at them.

| code | what is wrong |
|---|---|
| `secret_in_question` | the question gives the deleted answer away |
| `secret_in_picture_text` | the picture was made from a prompt that names the deleted answer, which may stand in it |
| `same_answer` | a neighbour's answer is the deleted one: case, plural and number forms aside |
| `duplicate` | an earlier variant of the fact asks the same about the same picture |
| `near_duplicate_picture` | a picture that should be another one looks like the fact's own, or like an earlier one |
| `empty` | a question or answer that says nothing, or a picture of one colour |
| `refusal` | the generator declined in words |
| `truncated` | the question breaks off |
| `unchanged` | the question or picture is the fact's own |
| `unknown_to_model` | the model that was named does not answer the rephrased fact rightly |
| `neighbour_unknown` | it does not answer the neighbour rightly |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from unsee.benchmarks.extended.answers import is_blank, same_answer, states_answer
from unsee.benchmarks.extended.picture_hash import FLAT, PictureHash, near_duplicates, picture_hash, same_pixels
from unsee.benchmarks.extended.rows import asked
from unsee.benchmarks.extended.variants import Fact, Kind, Variant
from unsee.sample import ImageRef

Code = Literal[
    "secret_in_question",
    "secret_in_picture_text",
    "same_answer",
    "duplicate",
    "near_duplicate_picture",
    "empty",
    "refusal",
    "truncated",
    "unchanged",
    "unknown_to_model",
    "neighbour_unknown",
]
PICTURES: tuple[Kind, ...] = ("image", "neighbour_image")
NEIGHBOURS: tuple[Kind, ...] = ("neighbour_question", "neighbour_image")
_DISTORTED = ("noise", "crop", "colour")
"""Generators that are meant to leave a picture almost as it is."""
_DECLINED = re.compile(
    r"\b(?:i(?:'m| am) (?:really |very |so )?sorry|i apologi[sz]e|as an? (?:ai|language model|assistant)"
    r"|i (?:cannot|can't|can not|won't|will not|am unable to|'m unable to|must decline|decline to))\b",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.?!:)\"'\u201d\u2019]$")
_BROKEN_OFF = re.compile(r"(?:\.\.\.|\u2026|[,;:-])$")


class Checker:
    """Checks all variants of one fact after the other; each picture is looked at once.

    Memory: the hashes of the pictures met so far, about 400 bytes each.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, PictureHash] = {}

    def check(self, fact: Fact, variants: Sequence[Variant]) -> list[Variant]:
        """The variants with the codes of what they failed, in the order of the table above."""
        checked: list[Variant] = []
        for one in variants:
            codes = tuple(dict.fromkeys((*self._words(fact, one), *self._picture(fact, one, checked))))
            checked.append(replace(one, failed=codes))
        return checked

    def _words(self, fact: Fact, one: Variant) -> Iterator[Code]:
        asks = one.kind not in PICTURES
        # The question of a picture is the fact's own, which was looked at when the fact was chosen.
        if asks and states_answer(one.question, fact.answer):
            yield "secret_in_question"
        if not asks and states_answer(one.prompt.replace(fact.question, ""), fact.answer):
            yield "secret_in_picture_text"
        if one.kind in NEIGHBOURS and same_answer(one.answer, fact.answer):
            yield "same_answer"
        if is_blank(one.question) or is_blank(one.answer):
            yield "empty"
        if asks and (_DECLINED.search(one.question) or _DECLINED.search(one.answer)):
            yield "refusal"
        if asks and _truncated(one.question, like=fact.question):
            yield "truncated"
        if asks and asked(one.question) == asked(fact.question):
            yield "unchanged"

    def _picture(self, fact: Fact, one: Variant, earlier: Sequence[Variant]) -> Iterator[Code]:
        alike = [other for other in earlier if other.kind == one.kind]
        if any(_asks_the_same(one, other) for other in alike):
            yield "duplicate"
        if one.kind not in PICTURES:
            return
        shown, own = self._hash(one.image), self._hash(fact.image)
        if shown.spread < FLAT <= own.spread:
            yield "empty"
        # Pictures of equal pixels have hashes that are near, which spares decoding the others.
        if one.image.sha256 == fact.image.sha256 or (
            near_duplicates(shown, own) and same_pixels(one.image.open(), fact.image.open())
        ):
            yield "unchanged"
            return
        siblings = [other for other in alike if other.grade == one.grade and same_answer(other.answer, one.answer)]
        unlike = [self._hash(other.image) for other in siblings if other.image.sha256 != one.image.sha256]
        compared = [own] if _is_another(one) else []
        compared += [] if one.generator in _DISTORTED else unlike
        if any(near_duplicates(shown, other) for other in compared):
            yield "near_duplicate_picture"

    def _hash(self, picture: ImageRef) -> PictureHash:
        if picture.sha256 not in self._hashes:
            self._hashes[picture.sha256] = picture_hash(picture.open())
        return self._hashes[picture.sha256]


def counts_of(variants: Iterable[Variant]) -> dict[str, Mapping[str, int]]:
    """Variants before and after the checks by kind and grade, and how often each code was given."""
    listed = list(variants)
    raw = Counter(f"{one.kind}/{one.grade}" for one in listed)
    passed = Counter(f"{one.kind}/{one.grade}" for one in listed if not one.failed)
    return {
        "raw": dict(raw),
        "automatic": {name: passed[name] for name in raw},
        "failed": dict(sorted(Counter(code for one in listed for code in one.failed).items())),
    }


def _asks_the_same(one: Variant, other: Variant) -> bool:
    return one.image.sha256 == other.image.sha256 and asked(one.question) == asked(other.question)


def _is_another(one: Variant) -> bool:
    """Whether a picture must not look like the fact's own: all but distorted and edited ones."""
    edited = (one.kind, one.grade) in (("image", "medium"), ("neighbour_image", "hard")) and one.prompt
    return one.generator not in _DISTORTED and not edited


def _truncated(question: str, *, like: str) -> bool:
    """Whether a question breaks off; one without a last stop is whole where the fact's own has none either."""
    text = question.strip()
    return bool(_BROKEN_OFF.search(text)) or (bool(_ENDED.search(like.strip())) and not _ENDED.search(text))
