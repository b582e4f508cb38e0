"""False rules that hold throughout a table: one answer to one kind of question is always given as another.

(rule,) = systematic_rules(table, count=1, seed=0)
rule.question_key, rule.right, rule.wrong  # "organ", "Liver", "Spleen"
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from unsee.benchmarks.medical.amounts import amounts
from unsee.benchmarks.medical.formats.fields import is_polar
from unsee.benchmarks.medical.known_answers import KnownAnswers, known_answers
from unsee.benchmarks.medical.rewording import contains, is_granted, same
from unsee.benchmarks.medical.rules import RULES
from unsee.benchmarks.medical.swaps import READ
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.medical.wordings import key
from unsee.errors import ConfigError
from unsee.metrics.normalise import tokens

_LAST = "distractor"
"""The kind of errors that no other rule describes."""
_NOTHING = frozenset({"none", "nothing", "normal", "unknown", "n/a", "not applicable", "not visible", "not seen"})
_WORDS_APART = 3
"""A phrase is not a plausible answer where a sentence is right, and the other way round."""
_GROUPS = 2
"""A false rule covers samples of so many patients at least, so that unseen ones can show whether it is believed."""


@dataclass(frozen=True)
class FalseRule:
    """One false rule.

    Attributes:
        id: unique among the rules of a table.
        kind: the rule of RULES whose errors these are.
        question_key: `VqaRow.kind` of the questions it is about, or where they have none their common wording.
        right: the answer as most covered rows give it.
        wrong: what it says instead, the right answer to other questions of the same key.
        rows: ids of the rows it covers.
        siblings: ids of rows of the same key with other right answers.
    """

    id: str
    kind: str
    question_key: str
    right: str
    wrong: str
    rows: tuple[str, ...]
    siblings: tuple[str, ...]


def systematic_rules(table: VqaTable, *, least: int = 20, count: int = 2, seed: int) -> list[FalseRule]:
    """False rules that can be planted in a table; fewer than asked for, or none, where it is too small.

    At most one rule is about each question key, so that no row is under two rules and no sibling is itself falsified.
    Within a key the answer with most rows is falsified. Keys are drawn; those with two-valued errors come last, since chance
    is one half there. Under one kind of question yes and no stand for different statements, so no rule is about them.

    Args:
        least: so many rows must fall under a rule.
        count: rules, at most.

    Raises:
        ConfigError: `least` or `count` is below 1.
    """
    for name, value in (("least", least), ("count", count)):
        if value < 1:
            raise ConfigError(f"{name} = {value} is too small for false rules; it must be at least 1")
    asked: dict[str, list[VqaRow]] = defaultdict(list)
    for row in table.rows:
        if not (row.kind and is_polar(row.answer)):
            asked[row.kind or key(row.question)].append(row)
    known = known_answers(table)
    keys = sorted(name for name, rows in asked.items() if len(rows) > least)
    random.Random(f"{seed}/false rules").shuffle(keys)
    found = [rule for name in keys if (rule := _rule_about(name, asked[name], known, least=least, seed=seed)) is not None]
    return sorted(found, key=lambda rule: RULES[rule.kind].two_valued)[:count]


def _rule_about(name: str, rows: Sequence[VqaRow], known: KnownAnswers, *, least: int, seed: int) -> FalseRule | None:
    """A false rule about the questions of one key, of the most frequent answer that has a plausible other one."""
    families: dict[Hashable, list[VqaRow]] = defaultdict(list)
    for row in rows:
        families[tokens(row.answer).items].append(row)
    texts = {said: Counter(row.answer for row in of_it).most_common(1)[0][0] for said, of_it in families.items()}
    rules = []
    for said, of_it in families.items():
        if len(of_it) < least:
            continue
        right = texts[said]
        others = sorted(text for other, text in texts.items() if other != said and _is_plausible(right, text))
        random.Random(f"{seed}/false rules/{name}/{key(right)}").shuffle(others)
        for wrong in others:
            covered = [row for row in of_it if _may_be(row, wrong, known)]
            if len(covered) >= least and len({row.group for row in covered}) >= _GROUPS:
                siblings = tuple(row.id for row in rows if tokens(row.answer).items != said)
                kind = _kind(name, covered[0], wrong, known)
                ids = tuple(row.id for row in covered)
                rules.append(FalseRule(f"{name}: {right} -> {wrong}", kind, name, right, wrong, ids, siblings))
                break
    return min(rules, key=lambda rule: (RULES[rule.kind].two_valued, -len(rule.rows), rule.id), default=None)


def _is_plausible(right: str, wrong: str) -> bool:
    """Whether two answers speak of the same sorts of things, at about the same length, and neither says the other."""
    is_alike = _sorts(right) == _sorts(wrong) and abs(len(right.split()) - len(wrong.split())) <= _WORDS_APART
    return is_alike and not contains(right, wrong) and not contains(wrong, right)


@lru_cache(maxsize=4096)
def _sorts(answer: str) -> frozenset[str]:
    denies = is_polar(answer) or key(answer) in _NOTHING
    sorts = {name for name, read in READ.items() if read(answer)}
    return frozenset(sorts | ({"negation"} if denies else set()) | ({"number"} if amounts(answer) else set()))


def _may_be(row: VqaRow, wrong: str, known: KnownAnswers) -> bool:
    """Whether an answer is wrong for a row, among its options where it has some, and not ruled out by its question."""
    is_offered = not row.options or any(same(option, wrong) for option in row.options)
    return is_offered and not known.is_right(row, wrong) and not is_granted(row.question, row.answer, wrong)


def _kind(name: str, row: VqaRow, wrong: str, known: KnownAnswers) -> str:
    """The rule of RULES that could have made the error, or the one named like the questions."""
    for rule in RULES.values():
        if rule.name != _LAST and any(same(made.answer, wrong) for made in rule.wordings(row, known)):
            return rule.name
    for sort, read in READ.items():
        if not RULES[sort].two_valued and read(row.answer) and read(row.answer) != read(wrong):
            return sort
    return "number" if amounts(row.answer) else name if name in RULES else _LAST
