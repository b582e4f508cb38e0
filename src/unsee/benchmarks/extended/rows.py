"""Rows of a table by what they ask, and by the picture and the group they are about."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from unsee.benchmarks.extended.tables.of_benchmark import ASKS
from unsee.benchmarks.medical.table import VqaRow
from unsee.metrics.normalise import tokens

SIMILAR = 0.75
"""Questions are similar where they share so much of all their words (Jaccard index)."""
_COMMON = 0.2
"""Words in more than such a share of the questions lead to no other question, unless a question has no rarer ones."""


@lru_cache(maxsize=65536)
def asked(question: str) -> tuple[str, ...]:
    """A question as it is compared with others."""
    return tuple(map(str, tokens(question).items)) or (question.strip().casefold(),)


class Rows:
    """Finds rows near a row.

    Memory: an index of the words of every different question.

    Attributes:
        identified: whether groups are people, patients or things that have several pictures, instead of single pictures.
    """

    def __init__(self, rows: Sequence[VqaRow]) -> None:
        self._by_question: dict[tuple[str, ...], list[VqaRow]] = defaultdict(list)
        self._by_picture: dict[str, list[VqaRow]] = defaultdict(list)
        pictures: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            self._by_question[self._key(row)].append(row)
            self._by_picture[row.image.sha256].append(row)
            pictures[row.group].add(row.image.sha256)
        self.identified = any(len(shown) > 1 for shown in pictures.values())
        self._answers: dict[tuple[str, ...], dict[str, None]] = {
            question: dict.fromkeys(row.answer for row in found) for question, found in self._by_question.items()
        }
        self._words: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for question in self._by_question:
            for word in set(question):
                self._words[word].append(question)

    def same_question(self, row: VqaRow) -> list[VqaRow]:
        """Other rows that ask the same, in the order of the table."""
        return [one for one in self._by_question[self._key(row)] if one is not row]

    def answers(self, row: VqaRow) -> Mapping[str, None]:
        """Different spellings of all answers to what the row asks, its own among them."""
        return self._answers[self._key(row)]

    def similar_question(self, row: VqaRow) -> list[VqaRow]:
        """Rows that ask something similar, the most similar first."""
        mine = self._key(row)
        words = set(mine)
        limit = max(2, int(_COMMON * len(self._by_question)))
        rare = [word for word in words if len(self._words[word]) <= limit]
        near = Counter(other for word in rare or words for other in self._words[word] if other != mine)
        shares = [(len(words & {*other}) / len(words | {*other}), other) for other in near]
        ranked = sorted((one for one in shares if one[0] >= SIMILAR), key=lambda pair: (-pair[0], pair[1]))
        return [row for _, other in ranked for row in self._by_question[other]]

    def same_picture(self, row: VqaRow) -> Iterator[VqaRow]:
        """Rows that ask something else about the same picture."""
        seen = {self._key(row)}
        for one in self._by_picture[row.image.sha256]:
            if self._key(one) not in seen:
                seen.add(self._key(one))
                yield one

    def same_thing(self, row: VqaRow) -> Iterator[VqaRow]:
        """Rows with other pictures that ask the same about the same: of the same group where groups are more than pictures."""
        for one in self.same_question(row):
            if one.image.sha256 != row.image.sha256 and (one.group == row.group or not self.identified):
                yield one

    def other_thing(self, rows: Iterable[VqaRow], row: VqaRow) -> Iterator[VqaRow]:
        """Those of the rows that are about other pictures of other groups."""
        return (one for one in rows if one.image.sha256 != row.image.sha256 and one.group != row.group)

    def _key(self, row: VqaRow) -> tuple[str, ...]:
        attribute = row.facts.get(ASKS)
        return (f"{ASKS}:{attribute}",) if attribute else asked(row.question)
