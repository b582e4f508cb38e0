"""What a table says is right, looked up by picture and question, or by relation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from unsee.benchmarks.medical.rewording import same
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.medical.wordings import key

PLACEHOLDERS = frozenset({"", "_", "vhead", "vtail"})
"""What stands in a triple for what is seen in the picture rather than written."""


class KnownAnswers:
    """Right answers of a table's rows, and its triples.

    Attributes:
        triples: relation -> its pairs of head and tail, each once, in the order of the rows.
    """

    def __init__(self, table: VqaTable) -> None:
        self._right: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._said = {key(row.answer) for row in table.rows}
        pairs: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        for row in table.rows:
            self._right[row.image.sha256, key(row.question)] |= dict.fromkeys((row.answer, *row.also_right))
            if row.triple is not None:
                pairs[row.triple[1]][row.triple[0], tail_of(row)] = None
        self.triples: Mapping[str, tuple[tuple[str, str], ...]] = {name: tuple(found) for name, found in pairs.items()}

    def is_right(self, row: VqaRow, answer: str) -> bool:
        """Whether some row gives this answer to the row's question about its picture."""
        given = self._right.get((row.image.sha256, key(row.question)), {})
        return same(answer, row.answer) or any(same(answer, one) for one in given)

    def is_said(self, answer: str) -> bool:
        """Whether an answer occurs in the table, whatever the question."""
        return key(answer) in self._said


class _Same:
    """A table compared by identity: its rows hold mappings, which cannot be hashed."""

    def __init__(self, table: VqaTable) -> None:
        self.table = table

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.table is other.table


def known_answers(table: VqaTable) -> KnownAnswers:
    """What a table says is right, read once per table."""
    return _read(_Same(table))


@lru_cache(maxsize=2)
def _read(table: _Same) -> KnownAnswers:
    return KnownAnswers(table.table)


def tail_of(row: VqaRow) -> str:
    """The tail of a row's triple; the row's answer where the triple only holds a place for it."""
    assert row.triple is not None
    return row.answer if row.triple[2] in PLACEHOLDERS else row.triple[2]
