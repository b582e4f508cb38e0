"""Words of an answer exchanged for others: in the case they stood in, with the article they need, and nothing else touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from unsee.metrics.normalise import occurrences, tokens

_ARTICLE = re.compile(r"(?<!\w)(a)n?(\s+)\Z", re.IGNORECASE)
_SPOKEN_VOWEL = re.compile(r"(?i:[aei]|o(?!ne\b)|u(?!te|re|ri|ni)|x[- ]?ray|8|11\b|18\b)|[FHLMNRSX][A-Z]{1,2}\b")
_HOW = re.compile(r"(?<!\w)how\s+\w+", re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"(?:\A|[.!?:]\s+)\W*\Z")


class Reworded(NamedTuple):
    """An answer made to say something else: the whole of it, the words put in, and those they stand for."""

    answer: str
    wrong: str
    right: str


class Change(NamedTuple):
    """Characters [start, end) of a text and what stands there instead."""

    start: int
    end: int
    new: str


class Mention(NamedTuple):
    """A known word in a text: what it means, the characters [start, end) where it stands, and how it is usually written."""

    name: str
    start: int
    end: int
    spelled: str
    usual: str


class Vocabulary:
    """Words of one kind, found whole and whatever their case.

    Args:
        spellings: meaning -> how it is written.
        exact: spellings that are other words when written in another case (`US`).
        not_before: pattern of what follows where a word means something else.
    """

    def __init__(self, spellings: Mapping[str, Sequence[str]], *, exact: Iterable[str] = (), not_before: str = r"(?!)") -> None:
        self._known = {_spaced(one): (name, one) for name, all_ in spellings.items() for one in all_}
        self._exact = {one.casefold(): one for one in exact}
        longest = sorted(self._known, key=lambda one: (-len(one), one))
        words = "|".join(r"[\s-]+".join(map(re.escape, one.split())) for one in longest)
        self._pattern = re.compile(rf"(?<![\w-])(?:{words})(?!\w)(?!{not_before})", re.IGNORECASE)

    def mentions(self, text: str) -> list[Mention]:
        """Every word of this kind in a text, in order."""
        found = []
        for match in self._pattern.finditer(text):
            spelled = match.group()
            name, usual = self._known[_spaced(spelled)]
            if self._exact.get(spelled.casefold(), spelled) == spelled:
                found.append(Mention(name, *match.span(), spelled, usual))
        return found

    def names(self, text: str) -> tuple[str, ...]:
        """What a text mentions, each once, in order."""
        return tuple(dict.fromkeys(mention.name for mention in self.mentions(text)))


def _spaced(text: str) -> str:
    return re.sub(r"[\s-]+", " ", text.casefold())


def reworded(text: str, changes: Sequence[Change]) -> Reworded:
    """A text with other words at the given places, which are in order; the first place gives the facts."""
    answer = text
    for change in reversed(changes):
        before = answer[: change.start]
        article = _ARTICLE.search(before)
        if article and change.new:
            letter = ("N" if text.isupper() else "n") if _SPOKEN_VOWEL.match(change.new) else ""
            before = before[: article.start()] + article[1] + letter + article[2]
        answer = before + change.new + answer[change.end :]
    first = changes[0]
    return Reworded(answer, first.new, text[first.start : first.end])


def exchanged(
    answer: str, mentions: Sequence[Mention], names: Sequence[str], as_spelled: Callable[[str, str], str]
) -> list[Reworded]:
    """An answer with each other name in place of the only one that it mentions; none where it mentions several.

    Args:
        as_spelled: a name as it is written for a mention that is spelled in some way.
    """
    if len({mention.name for mention in mentions}) != 1:
        return []
    made = []
    for name in names:
        if name == mentions[0].name:
            continue
        changes = []
        for mention in mentions:
            opens = opens_sentence(answer, mention.start)
            new = in_case_of(as_spelled(name, mention.spelled), mention.spelled, usual=mention.usual, opens=opens)
            changes.append(Change(mention.start, mention.end, new))
        made.append(reworded(answer, changes))
    return made


def in_case_of(new: str, old: str, *, usual: str, opens: bool) -> str:
    """A word as it is written where another stood.

    Args:
        usual: the old word as it is written within a sentence (`CT`, `liver`).
        opens: whether it is the first word of a sentence.
    """
    if old.islower():
        return new.lower() if usual.isupper() else new
    if old.isupper() and len(old) > 1 and not usual.isupper():
        return new.upper()
    if old[0].isupper() and (opens or usual[0].islower()):
        is_title = " " in old and all(word[0].isupper() for word in old.split())
        return " ".join(map(capitalised, new.split(" "))) if is_title else capitalised(new)
    return new


def capitalised(text: str) -> str:
    """A text with a capital first letter, the others as they are."""
    return text[:1].upper() + text[1:]


def opens_sentence(text: str, start: int) -> bool:
    """Whether a sentence begins at a character of a text."""
    return _SENTENCE_ENDS.search(text[:start]) is not None


def same(one: str, other: str) -> bool:
    """Whether two answers say the same, whatever their case, articles and punctuation."""
    return tokens(one).items == tokens(other).items


def contains(text: str, words: str) -> bool:
    """Whether words stand in a text in a row, as whole words."""
    return bool(occurrences(tokens(words), tokens(text)))


def is_granted(question: str, right: str, wrong: str) -> bool:
    """Whether a question takes a fact for granted: it says the fact without the other one beside it."""
    return is_named(question, right) and not is_named(question, wrong)


def is_named(question: str, words: str) -> bool:
    """Whether a question says some words; "how large" asks for a size and says none."""
    return contains(_HOW.sub("how", question), words)
