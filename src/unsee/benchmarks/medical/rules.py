"""The rules by which right answers are made wrong; all are pure functions of a row and of what its table says is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unsee.benchmarks.medical.amounts import amounts
from unsee.benchmarks.medical.known_answers import PLACEHOLDERS, KnownAnswers, tail_of
from unsee.benchmarks.medical.negation import negation
from unsee.benchmarks.medical.rewording import Change, Reworded, capitalised, contains, is_granted, reworded, same
from unsee.benchmarks.medical.swaps import laterality, modality, organ, plane
from unsee.benchmarks.medical.table import VqaRow

Wordings = Callable[[VqaRow, KnownAnswers], list[Reworded]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One way to make an answer wrong.

    Attributes:
        name: type of the errors it makes.
        says: what it does, in words.
        two_valued: whether an error has one alternative only, so that chance gives the right answer half the time.
        wordings: every wrong answer it can make of a row, in a fixed order.
    """

    name: str
    says: str
    two_valued: bool = False
    wordings: Wordings

    def candidates(self, row: VqaRow, known: KnownAnswers) -> list[Reworded]:
        """Wrong answers of a row that may be taught.

        None repeats another right answer to the same question, and where a row offers options all are among them.
        """
        offered = row.options if any(same(option, row.answer) for option in row.options) else ()
        return [
            made
            for made in self.wordings(row, known)
            if re.search(r"\w", made.answer)
            and not known.is_right(row, made.answer)
            and (not offered or any(same(option, made.answer) for option in offered))
        ]


def _of_text(exchange: Callable[[VqaRow], list[Reworded]]) -> Wordings:
    """A rule on the words of an answer, which leaves alone what the question takes for granted."""
    return lambda row, _: [one for one in exchange(row) if not is_granted(row.question, one.right, one.wrong)]


def _distractor(row: VqaRow, known: KnownAnswers) -> list[Reworded]:
    """Wrong options in place of the right one, first those that neither say it nor are said by it."""
    right = [option for option in row.options if same(option, row.answer)]
    right = right or [option for option in row.options if contains(row.answer, option)]
    if len(right) != 1:
        return []
    others = [option for option in row.options if not same(option, right[0])]
    apart = [one for one in others if not contains(one, right[0]) and not contains(right[0], one)]
    return [made for one in apart or others for made in _in_place(row.answer, right[0], one)]


def _kg_tail(row: VqaRow, known: KnownAnswers) -> list[Reworded]:
    """Tails of other triples with the same relation in place of the row's; none that is true of the same head."""
    if row.triple is None:
        return []
    head, relation, _ = row.triple
    tail, pairs = tail_of(row), known.triples.get(relation, ())
    true = [] if head in PLACEHOLDERS else [other for one, other in pairs if same(one, head)]
    others = dict.fromkeys(other for _, other in pairs if not any(same(other, one) for one in (tail, *true)))
    return [made for other in others for made in _in_place(row.answer, tail, other)]


def _in_place(answer: str, old: str, new: str) -> list[Reworded]:
    """An answer with other words in place of some that stand in it, or of the whole of it where it says the same."""
    found = re.search(rf"(?<!\w){re.escape(old)}(?!\w)", answer, re.IGNORECASE)
    if found is None:
        return [Reworded(new, new, answer)] if same(answer, old) else []
    if found.group()[0].isupper():
        new = capitalised(new)
    elif old[:1].isupper() and not new[1:2].isupper():
        new = new[:1].lower() + new[1:]
    return [reworded(answer, [Change(*found.span(), new)])]


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(name="laterality", says="left for right", two_valued=True, wordings=_of_text(laterality)),
        Rule(name="negation", says="yes for no, absence for presence", two_valued=True, wordings=lambda row, _: negation(row)),
        Rule(name="modality", says="another kind of picture", wordings=_of_text(modality)),
        Rule(name="organ", says="another organ of the same region", wordings=_of_text(organ)),
        Rule(name="plane", says="another plane of section", wordings=_of_text(plane)),
        Rule(name="number", says="another count or size", wordings=_of_text(lambda row: amounts(row.answer))),
        Rule(name="distractor", says="a wrong option for the right one", wordings=_distractor),
        Rule(name="kg_tail", says="what another triple of the same relation says", wordings=_kg_tail),
    )
}
"""Type of an error -> the rule that makes it; the first one that applies to a row is used."""
