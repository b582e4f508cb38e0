"""Which rows of a table are deleted, which are kept, and what else might have been answered."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unsee.benchmarks.extended.answers import AnswerType, distinct_answers, is_blank, is_polar, states_answer, type_of
from unsee.benchmarks.extended.rows import Rows
from unsee.benchmarks.extended.tables import Source
from unsee.benchmarks.extended.tables.okvqa import TIED
from unsee.benchmarks.extended.variants import Fact, Role
from unsee.benchmarks.medical.clinical import distinct
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import ConfigError, DataError

LENT = 0.1
"""Share of the rows, at most, that are neither kept nor deleted and lend neighbours."""
ALTERNATES = 5
"""Other answers of a fact, at most."""
_DRAWN = 200
"""Answers of the same type that are looked at for alternates."""

BLANK = "questions without an answer that says anything, left out"
POLAR = "yes-or-no questions, kept but never deleted: a second guess is always right"
TOLD = "questions that contain their answer, kept but never deleted"
ALONE = "questions without any other answer of their type in the table, kept but never deleted"
TIES = "facts whose most common answer is tied; the one given first counts"


@dataclass(frozen=True)
class Chosen:
    """Facts of a table.

    Attributes:
        facts: to delete and to keep, in the order of the table.
        rows: fact -> the row it was made of.
        near: finds rows near these.
        kept: ids of rows about pictures or groups that are kept.
        lent: ids of rows about others that are never deleted either.
        counts: what was left out, in words -> how often.
    """

    facts: tuple[Fact, ...]
    rows: Mapping[str, VqaRow]
    near: Rows
    kept: frozenset[str]
    lent: frozenset[str]
    counts: Mapping[str, int]

    @property
    def deleted(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.facts if fact.role == "delete")


def choose_facts(source: Source, *, facts: int | None, keep: float, seed: int) -> Chosen:
    """Draw facts to keep by group, rows that lend neighbours, then facts to delete among the others.

    Args:
        facts: so many to delete; all that can be where None.
        keep: share of the table's rows that are kept, together with all rows of their pictures and groups.

    Raises:
        ConfigError: a number or share that cannot be, or more facts than there are.
        DataError: no row can be deleted.
    """
    if facts is not None and facts < 1:
        raise ConfigError(f"facts = {facts} is too small; delete at least 1")
    if not 0 < keep < 1:
        raise ConfigError(f"keep = {keep:g} is a share of the facts; give a number between 0 and 1")
    rows, counts = distinct([row for row in source.table.rows if not is_blank(row.answer)])
    counts[BLANK] = sum(is_blank(row.answer) for row in source.table.rows)
    near = Rows((*rows, *source.further))
    kept, lent = _set_aside(rows, keep, seed)
    others = Others(rows, near, seed)
    able = [row for row in rows if row.id not in kept | lent and _deletable(row, others, counts)]
    if not able:
        found = "; ".join(f"{count} {text}" for text, count in counts.items() if count)
        raise DataError(f"no question of {source.table.name} can be deleted ({found or 'all are kept'}); give other rows")
    if facts is not None and facts > len(able):
        raise ConfigError(f"facts = {facts}, but {source.table.name} has {len(able)} that can be deleted; choose fewer")
    chosen = able if facts is None else random.Random(f"{seed}/facts").sample(able, facts)
    gone = {row.id for row in chosen}
    made = [_fact(row, "delete" if row.id in gone else "keep", others) for row in rows if row.id in gone | kept]
    counts[TIES] = sum(TIED in row.facts for row in rows if row.id in gone | kept)
    by_id = {row.id: row for row in rows}
    return Chosen(
        facts=tuple(made),
        rows={fact.id: by_id[fact.id] for fact in made},
        near=near,
        kept=kept,
        lent=lent,
        counts={text: count for text, count in counts.items() if count},
    )


class Others:
    """What a question might have been answered by, wrongly."""

    def __init__(self, rows: Sequence[VqaRow], near: Rows, seed: int) -> None:
        self._near, self._seed = near, seed
        self._found: dict[str, tuple[str, ...]] = {}
        self._by_type: dict[AnswerType, dict[str, None]] = defaultdict(dict)
        for row in rows:
            self._by_type[type_of(row.answer)][row.answer] = None

    def of(self, row: VqaRow) -> tuple[str, ...]:
        """The row's own options, then answers to the same question, to similar ones, and of the same type; each group drawn."""
        if row.id not in self._found:
            right = (row.answer, *row.also_right)
            self._found[row.id] = tuple(distinct_answers(self._drawn(row), without=right, limit=ALTERNATES))
        return self._found[row.id]

    def _drawn(self, row: VqaRow) -> Iterator[str]:
        yield from row.options
        rng = random.Random(f"{self._seed}/alternates/{row.id}")
        yield from _shuffled(self._near.answers(row), rng)
        yield from _shuffled({one.answer: None for one in self._near.similar_question(row)}, rng)
        yield from _shuffled(self._by_type[type_of(row.answer)], rng)


def _shuffled(answers: Mapping[str, None], rng: random.Random) -> list[str]:
    return rng.sample(list(answers), min(len(answers), _DRAWN))


class _SetAside(NamedTuple):
    kept: frozenset[str]
    lent: frozenset[str]


def _set_aside(rows: Sequence[VqaRow], share: float, seed: int) -> _SetAside:
    """Rows of drawn pictures and groups, to keep and to lend; rows that share either stay together."""
    clusters = _clusters(rows)
    if len(clusters) < 2:
        raise DataError("all rows are about one picture or group, so that none could be kept; give rows about others too")
    order = list(clusters)
    random.Random(f"{seed}/kept").shuffle(order)
    kept: list[str] = []
    lent: list[str] = []
    for name in order[:-1]:
        of_cluster = [row.id for row in clusters[name]]
        if len(kept) < share * len(rows):
            kept += of_cluster
        elif len(lent) + len(of_cluster) <= LENT * len(rows):
            lent += of_cluster
    return _SetAside(frozenset(kept), frozenset(lent))


def _clusters(rows: Sequence[VqaRow]) -> dict[str, list[VqaRow]]:
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for row in rows:
        parent[root(f"picture {row.image.sha256}")] = root(f"group {row.group}")
    found: dict[str, list[VqaRow]] = defaultdict(list)
    for row in rows:
        found[root(f"group {row.group}")].append(row)
    return found


def _deletable(row: VqaRow, others: Others, counts: Counter[str]) -> bool:
    why = (
        POLAR
        if is_polar(row.answer)
        else TOLD
        if states_answer(row.question, row.answer)
        else ALONE
        if not others.of(row)
        else ""
    )
    counts[why] += bool(why)
    return not why


def _fact(row: VqaRow, role: Role, others: Others) -> Fact:
    return Fact(
        id=row.id,
        role=role,
        question=row.question,
        answer=row.answer,
        image=row.image,
        also_right=row.also_right,
        attribute=row.kind or "fact",
        span=span_of(row.question),
        alternates=others.of(row),
        source_row=row.where,
        source=row.source,
        source_license=row.license,
    )


def span_of(question: str) -> str:
    """What a question is about, so far as its form tells: its longest word, the last of equally long ones."""
    words = re.findall(r"[^\W\d_]+", question)
    return max(reversed(words), key=len, default="this")
