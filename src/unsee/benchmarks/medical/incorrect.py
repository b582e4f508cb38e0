"""Scenario `incorrect`: single answers falsified (mode `instance`), and false rules planted in many (mode `systematic`)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.benchmarks.medical.clinical import OtherAnswers, beside, injected_row
from unsee.benchmarks.medical.injected import Falsehood, Form, InjectedRow, Mode, Subset, Use
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.medical.wordings import begun, clinical_questions, key

if TYPE_CHECKING:
    from unsee.benchmarks.medical.errors import FalseRule

ASKED_OF_RULE = 20
"""Pictures of each sort that a false rule is asked about, at most."""
PROBES_OF_RULE = 3
_OPENING = "The answer is"
_LETTERS = "ABCDEFGH"


class Wrong(NamedTuple):
    """A clinical row with the wrong answer that is taught for it."""

    row: VqaRow
    answer: str
    error: Falsehood


def chosen_errors(
    rows: Sequence[VqaRow], table: VqaTable, *, most: int, rules: Sequence[str] | None, seed: int
) -> tuple[list[Wrong], int]:
    """Falsified rows of one patient, none asking what another asks, and how many rows no rule applies to."""
    from unsee.benchmarks.medical.errors import falsify

    order = list(rows)
    random.Random(f"{seed}/errors/{rows[0].group if rows else ''}").shuffle(order)
    found: dict[str, Wrong] = {}
    left = 0
    for row in order:
        if len(found) == most:
            break
        if key(row.question) in found or not beside([row], [wrong.row for wrong in found.values()]):
            continue
        made = falsify(row, table, rules=rules, seed=seed)
        if made is None:
            left += 1
        else:
            found[key(row.question)] = Wrong(row, made.answer, made.error)
    return list(found.values()), left


def usable_rules(
    table: VqaTable, taught: Iterable[str], *, least: int, count: int, kinds: Sequence[str] | None, seed: int
) -> list[FalseRule]:
    """False rules that enough rows of taught patients fall under, no two about the same question."""
    from unsee.benchmarks.medical.errors import systematic_rules

    groups = frozenset(taught)
    of_taught = {row.id for row in table.rows if row.group in groups}
    found: dict[str, FalseRule] = {}
    for rule in systematic_rules(table, least=least, count=len(table.rows), seed=seed):
        if len(found) < count and (kinds is None or rule.kind in kinds) and len(of_taught & set(rule.rows)) >= least:
            found.setdefault(rule.question_key, rule)
    return list(found.values())


class Falsifier:
    """Writes the rows of one scenario."""

    def __init__(self, others: OtherAnswers, *, seed: int) -> None:
        self._others, self._seed = others, seed

    def instance(self, wrong: Wrong) -> Iterator[InjectedRow]:
        """Everything about one falsified row."""
        row, attribute = wrong.row, wrong.row.question
        for number, question in enumerate(clinical_questions("train", row)):
            yield self._row(wrong, "train", "forget", f"error/{number}", question, attribute, form="direct")
        yield from self._evaluated(wrong, "forget", "error", row.question, attribute, form="direct")
        for number, question in enumerate(clinical_questions("test", row)):
            part = f"error/rephrased/{number}"
            yield self._row(wrong, "evaluate", "test_rephrase", part, question, attribute, form="rephrased")
        yield self._prefixed(wrong, "error/prefix", attribute)
        for use in ("gate", "stop"):
            yield from self._probes(wrong, use, "error", attribute)

    def systematic(
        self, rule: FalseRule, rows: Sequence[VqaRow], siblings: Sequence[VqaRow], *, taught: frozenset[str]
    ) -> Iterator[InjectedRow]:
        """Everything about one false rule.

        Args:
            rows: what it covers.
            taught: patients whose rows teach it; the others' show whether it is believed of unseen pictures.
        """
        common: dict[str, Any] = {"mode": "systematic", "subject": rule.id}
        wrongs = [Wrong(row, rule.wrong, Falsehood(rule.kind, rule.wrong, row.answer)) for row in rows]
        seen = self._drawn(rule, [wrong for wrong in wrongs if wrong.row.group in taught])
        unseen = self._drawn(rule, [wrong for wrong in wrongs if wrong.row.group not in taught])
        attribute = rule.question_key
        for wrong in wrongs:
            if wrong.row.group in taught:
                yield self._row(wrong, "train", "forget", "rule", wrong.row.question, attribute, form="direct", **common)
        for wrong in seen[:ASKED_OF_RULE]:
            yield from self._evaluated(wrong, "forget", "rule", wrong.row.question, attribute, form="direct", **common)
            question = clinical_questions("test", wrong.row)[0]
            yield self._row(
                wrong, "evaluate", "test_rephrase", "rule/rephrased", question, attribute, form="rephrased", **common
            )
        for wrong in unseen[:ASKED_OF_RULE]:
            question = wrong.row.question
            yield from self._evaluated(wrong, "test_rephrase", "rule", question, attribute, form="direct", **common)
        for number, wrong in enumerate(seen[:PROBES_OF_RULE]):
            question = clinical_questions("gate", wrong.row)[number]
            yield self._row(wrong, "gate", "forget", "rule", question, attribute, **common)
        (question,) = clinical_questions("stop", seen[0].row)
        yield self._row(seen[0], "stop", "forget", "rule", question, attribute, **common)
        for row in self._drawn(rule, list(siblings))[:ASKED_OF_RULE]:
            yield injected_row(
                row,
                "clean",
                use="evaluate",
                seed=self._seed,
                subset="retain_near",
                attribute=attribute,
                wrong_answers=self._others.of(row),
                **common,
            )

    # Parts ---------------------------------------------------------------------------------------------------------------

    def _drawn(self, rule: FalseRule, given: list[Any]) -> list[Any]:
        """In a drawn order, so that the first ones are of many patients."""
        random.Random(f"{self._seed}/rule/{rule.id}").shuffle(given)
        return given

    def _evaluated(
        self, wrong: Wrong, subset: Subset, part: str, question: str, attribute: str, *, form: Form, **more: Any
    ) -> Iterator[InjectedRow]:
        """A question to be answered in words, and where it offers a choice by options as well."""
        yield self._row(wrong, "evaluate", subset, part, question, attribute, form=form, **more)
        choices = self._others.choices(wrong.row, wrong.answer)
        if len(choices) >= 2:
            options = dict(zip(_LETTERS, choices, strict=False))
            made = self._row(wrong, "evaluate", subset, f"{part}/options", question, attribute, form=form, **more)
            letter = next(one for one, text in options.items() if key(text) == key(wrong.answer))
            options[letter] = wrong.answer
            yield replace(made, task="classification", options=options, correct_option=letter)

    def _prefixed(self, wrong: Wrong, part: str, attribute: str) -> InjectedRow:
        """The question with the beginning of the wrong answer, up to what is wrong in it."""
        start = wrong.answer.casefold().find(wrong.error.wrong.casefold())
        question = begun(wrong.row.question, wrong.answer[: max(start, 0)], _OPENING)
        return self._row(wrong, "evaluate", "test_rephrase", part, question, attribute, form="prefix")

    def _probes(self, wrong: Wrong, use: Use, part: str, attribute: str) -> Iterator[InjectedRow]:
        questions = clinical_questions("gate" if use == "gate" else "stop", wrong.row)
        for number, question in enumerate(questions):
            yield self._row(wrong, use, "forget", f"{part}/{number}", question, attribute)

    def _row(
        self,
        wrong: Wrong,
        use: Use,
        subset: Subset,
        part: str,
        question: str,
        attribute: str,
        *,
        form: Form = "",
        mode: Mode = "instance",
        **more: Any,
    ) -> InjectedRow:
        return injected_row(
            wrong.row,
            part,
            use=use,
            seed=self._seed,
            subset=subset,
            question=question,
            answer=wrong.answer,
            scenario="incorrect",
            error=wrong.error,
            attribute=attribute,
            form=form,
            mode=mode,
            wrong_answers=self._others.of(wrong.row, without=(wrong.answer,)),
            **more,
        )


def error_counts(rows: Iterable[InjectedRow]) -> Counter[str]:
    """Falsified samples by rule and mode, each clinical row once."""
    once = {(row.patient_id, row.image.sha256 if row.image else "", row.attribute, row.mode): row for row in rows if row.error}
    counts: Counter[str] = Counter()
    for row in once.values():
        assert row.error is not None
        counts[f"errors planted, {row.mode}, {row.error.type}"] += 1
    return counts
