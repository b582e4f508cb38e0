"""Clinical questions of a table: which are told apart, which go with a planted fact, and their rows without harm."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unsee.benchmarks.medical.injected import InjectedRow, Subset, Use
from unsee.benchmarks.medical.table import VqaRow
from unsee.benchmarks.medical.wordings import clinical_questions, key

WRONG_ANSWERS = 4
"""Other answers of the same kind that go with a question, at most."""
_YES_NO = ("yes", "no")


def injected_row(row: VqaRow, part: str, *, use: Use, seed: int, **values: Any) -> InjectedRow:
    """A row about the picture and patient of a clinical row.

    Args:
        part: what tells it from other rows made of the same clinical row.
        values: fields that differ from the clinical row's.
    """
    common: dict[str, Any] = {
        "sample_id": f"{row.id}/{use}/{part}",
        "image": row.image,
        "question": row.question,
        "answer": row.answer,
        "clean_answer": row.answer,
        "scenario": "clean",
        "patient_id": row.group,
        "study_id": row.study,
        "source_dataset": row.source,
        "source_license": row.license,
        "subject": row.group,
        "attribute": row.kind or "clinical",
        "closed": row.closed,
    }
    return InjectedRow(**{**common, **values}, use=use, seed=seed)


def distinct(rows: Sequence[VqaRow]) -> tuple[list[VqaRow], Counter[str]]:
    """Rows without those that ask again what was asked about the same picture, and how many of those there are.

    Their answers stay beside that of the first, since they are not wrong.
    """
    counts: Counter[str] = Counter()
    asked: dict[tuple[str, str], list[VqaRow]] = defaultdict(list)
    for row in rows:
        alike = asked[row.image.sha256, key(row.question)]
        if alike:
            same = key(alike[0].answer) == key(row.answer)
            counts["questions asked twice" if same else "questions with a second, other answer"] += 1
        alike.append(row)
    return [_merged(*alike) for alike in asked.values()], counts


def _merged(first: VqaRow, *others: VqaRow) -> VqaRow:
    right = {key(text): text for row in (first, *others) for text in (row.answer, *row.also_right)}
    del right[key(first.answer)]
    return replace(first, also_right=tuple(right.values()))


def beside(rows: Iterable[VqaRow], harmed: Iterable[VqaRow]) -> list[VqaRow]:
    """Rows that neither carry harm nor ask a harmed question of the same picture in other words."""
    harmed = list(harmed)
    gone = {row.id for row in harmed}
    asked: dict[str, set[str]] = defaultdict(set)
    for row in harmed:
        asked[row.image.sha256] |= _said(row)
    return [row for row in rows if row.id not in gone and not asked[row.image.sha256] & _said(row)]


def _said(row: VqaRow) -> set[str]:
    return {key(text) for text in (row.question, *row.rephrased)}


class OtherAnswers:
    """Answers that a question might have had: of its own options, of equal questions, of questions of its kind."""

    def __init__(self, rows: Iterable[VqaRow]) -> None:
        self._by_question: dict[str, dict[str, str]] = defaultdict(dict)
        self._by_kind: dict[tuple[str, bool | None], dict[str, str]] = defaultdict(dict)
        for row in rows:
            self._by_question[key(row.question)].setdefault(key(row.answer), row.answer)
            if row.kind:
                self._by_kind[row.kind, row.closed].setdefault(key(row.answer), row.answer)

    def of(self, row: VqaRow, *, without: Sequence[str] = ()) -> tuple[str, ...]:
        """At most four, never an answer that is right for the row nor one of `without`."""
        gone = {key(text) for text in (row.answer, *row.also_right, *without)}
        nearest = self._known(row)
        further = {} if key(row.answer) in _YES_NO else self._by_kind.get((row.kind, row.closed), {})
        found = {name: text for name, text in {**further, **nearest}.items() if name not in gone and name not in _YES_NO}
        ranked = sorted(found, key=lambda name: (name not in nearest, random.Random(f"{row.id}/{name}").random()))
        return tuple(found[name] for name in ranked[:WRONG_ANSWERS])

    def choices(self, row: VqaRow, planted: str) -> tuple[str, ...]:
        """What a question lets choose from, the planted answer among it; empty where it is open."""
        if not row.options and not row.closed:
            return ()
        listed = {key(text): text for text in row.options} or dict(self._known(row))
        if key(row.answer) in _YES_NO:
            listed |= {word: word for word in _YES_NO if word not in listed}
        listed |= {key(text): text for text in (row.answer, planted)}
        drawn = random.Random(f"{row.id}/choices")
        others = sorted(set(listed) - {key(text) for text in (row.answer, *row.also_right, planted)})
        chosen = [key(row.answer), key(planted), *drawn.sample(others, min(len(others), WRONG_ANSWERS - 2))]
        drawn.shuffle(chosen)
        return tuple(listed[name] for name in chosen)

    def _known(self, row: VqaRow) -> Mapping[str, str]:
        own = {key(text): text for text in row.options}
        return own | self._by_question.get(key(row.question), {})


def clean_rows(
    rows: Iterable[VqaRow], subsets: Mapping[str, Subset], others: OtherAnswers, *, seed: int
) -> Iterator[InjectedRow]:
    """What is asked without any harm; of taught patients it is taught too, and one question of each watches unlearning.

    Args:
        subsets: patient -> subset of its rows; `test` is not taught.
    """
    watched: set[str] = set()
    for row in rows:
        subset = subsets[row.group]
        wrong = others.of(row)
        if subset != "test":
            yield injected_row(row, "clean", use="train", seed=seed, subset=subset, wrong_answers=wrong)
        yield injected_row(row, "clean", use="evaluate", seed=seed, subset=subset, wrong_answers=wrong)
        if subset == "retain" and row.group not in watched:
            watched.add(row.group)
            (question, *_) = clinical_questions("stop", row)
            yield injected_row(row, "clean", use="stop", seed=seed, subset=subset, question=question, wrong_answers=wrong)
