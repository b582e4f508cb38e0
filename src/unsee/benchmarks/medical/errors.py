"""Right answers made wrong by rules, each of which says what kind of error it makes.

    made = falsify(row, table, seed=0)
    made.answer, made.error  # "In the right lung.", Falsehood("laterality", "right", "left")

No model is asked. What is drawn depends on the row, the rule, the seed and the answers that occur in the table.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple

from unsee.benchmarks.medical.false_rules import FalseRule, systematic_rules
from unsee.benchmarks.medical.injected import Falsehood
from unsee.benchmarks.medical.known_answers import known_answers
from unsee.benchmarks.medical.rewording import is_named
from unsee.benchmarks.medical.rules import RULES, Rule
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.errors import ConfigError, nearest

__all__ = ["RULES", "FalseRule", "Falsified", "Rule", "falsify", "systematic_rules"]


class Falsified(NamedTuple):
    """A wrong answer, whole, and the error in it; the error's facts are words of the wrong and of the right answer."""

    answer: str
    error: Falsehood


def falsify(row: VqaRow, table: VqaTable, *, rules: Collection[str] | None = None, seed: int) -> Falsified | None:
    """A wrong answer by the first rule that applies, or None where none does.

    Of several wrong answers one is drawn among those that the question itself names ("CT or MRI?"), else among those that occur
    in the table, else among all.

    Args:
        table: what the row is from; no answer that it calls right for the same picture and question is given as wrong.
        rules: keys of RULES that may be used; None or empty stands for all. Their order is that of RULES.

    Raises:
        ConfigError: a rule is unknown.
    """
    unknown = [name for name in rules or () if name not in RULES]
    if unknown:
        raise ConfigError(f"no rule makes errors of type {unknown[0]!r}; {nearest(unknown[0], list(RULES))}")
    known = known_answers(table)
    for name, rule in RULES.items():
        found = rule.candidates(row, known) if not rules or name in rules else []
        if found:
            named = [made for made in found if is_named(row.question, made.wrong)]
            said = [made for made in found if known.is_said(made.answer)]
            made = random.Random(f"{seed}/errors/{name}/{row.id}").choice(named or said or found)
            return Falsified(made.answer, Falsehood(name, made.wrong, made.right))
    return None
