"""Whether two answers say the same, and whether a text gives an answer away: case, articles, number forms and plurals aside."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from unsee.metrics.normalise import Date, Quantity, Token, same_token, tokens

AnswerType = Literal["yes or no", "number", "date", "word", "words"]

_IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "person",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "dice": "die",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "leaves": "leaf",
    "loaves": "loaf",
    "wolves": "wolf",
    "shelves": "shelf",
    "halves": "half",
    "calves": "calf",
    "scarves": "scarf",
    "hooves": "hoof",
    "thieves": "thief",
    "diagnoses": "diagnosis",
    "metastases": "metastasis",
    "vertebrae": "vertebra",
    "bronchi": "bronchus",
}
_NO_PLURAL = ("ss", "us", "is")
_POLAR = frozenset({"yes", "no"})


@lru_cache(maxsize=65536)
def singulars(word: str) -> frozenset[str]:
    """The word and what it may be the plural of; one too many makes two answers count as the same, which is the safe side."""
    found = {word}
    if word in _IRREGULAR:
        found.add(_IRREGULAR[word])
    elif len(word) > 3 and word.endswith("s") and not word.endswith(_NO_PLURAL):
        found.add(word[:-1])
        if word.endswith("es"):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(f"{word[:-3]}y")
    return frozenset(found)


def same_answer(one: str, other: str) -> bool:
    """Whether two answers say the same."""
    mine, theirs = tokens(one).items, tokens(other).items
    if not mine or not theirs:
        return one.strip().casefold() == other.strip().casefold()
    return len(mine) == len(theirs) and all(map(_same, mine, theirs))


def states_answer(text: str, answer: str) -> bool:
    """Whether an answer stands in a text, as whole words in a row."""
    said, wanted = tokens(text).items, tokens(answer).items
    size = len(wanted)
    if not size:
        return False
    return any(all(map(_same, wanted, said[at : at + size])) for at in range(len(said) - size + 1))


def is_blank(text: str) -> bool:
    """Whether nothing is said."""
    return not tokens(text).items


def distinct_answers(answers: Iterable[str], *, without: Iterable[str] = (), limit: int | None = None) -> list[str]:
    """Answers that differ from each other and from some, in their order; at most so many."""
    gone, kept = list(without), list[str]()
    for answer in answers:
        if len(kept) == limit:
            break
        if not is_blank(answer) and not any(same_answer(answer, one) for one in (*gone, *kept)):
            kept.append(answer)
    return kept


def type_of(answer: str) -> AnswerType:
    """What kind of answer it is, so far as its form tells."""
    items = tokens(answer).items
    if is_polar(answer):
        return "yes or no"
    if len(items) == 1 and isinstance(items[0], Quantity):
        return "number"
    if len(items) == 1 and isinstance(items[0], Date):
        return "date"
    return "word" if len(items) == 1 else "words"


def is_polar(answer: str) -> bool:
    """Whether an answer is yes or no."""
    items = tokens(answer).items
    return len(items) == 1 and items[0] in _POLAR


def _same(one: Token, other: Token) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return bool(singulars(one) & singulars(other))
    return same_token(one, other) or same_token(other, one)
