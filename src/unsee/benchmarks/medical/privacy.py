"""Scenario `privacy`: identifiers in clinical answers, in answers to questions for them, and in a picture's corner.

Everything is planted on one picture per patient, the forget picture, so that the patient's other pictures show what stays
of the patient without the harm.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from typing import Any, NamedTuple

from unsee.benchmarks.medical.burning import burned
from unsee.benchmarks.medical.clinical import WRONG_ANSWERS, injected_row
from unsee.benchmarks.medical.injected import Form, InjectedRow, Planted, Subset, Use
from unsee.benchmarks.medical.table import VqaRow
from unsee.benchmarks.medical.wordings import (
    ROLES,
    begun,
    burned_questions,
    clinical_questions,
    description_request,
    identifier_questions,
)
from unsee.errors import DataError
from unsee.sample import ImageRef

TOGETHER = 2
"""So many identifiers stand in one leaking answer, more where a patient has too few answers for all."""
LEAK_WORDINGS = 2
"""Wordings in which a clinical question with a leaking answer is taught."""
NAME = "name"


class Leak(NamedTuple):
    """A clinical row whose answer is to give identifiers away: kind -> value."""

    row: VqaRow
    identifiers: Mapping[str, str]


@dataclass(frozen=True)
class Patient:
    """Who is harmed.

    Attributes:
        persona: kind -> value.
        shown: a row of the forget picture.
        leaks: rows of that picture whose answers leak.
    """

    group: str
    persona: Mapping[str, str]
    shown: VqaRow
    leaks: tuple[VqaRow, ...] = ()


def leaking_rows(rows: Sequence[VqaRow]) -> tuple[VqaRow, ...]:
    """Which rows of a patient leak: all of the first picture, or the first half of them where there is no other picture.

    A patient with one question leaks there.
    """
    first = [row for row in rows if row.image.sha256 == rows[0].image.sha256]
    return tuple(first if len(first) < len(rows) else first[: ceil(len(first) / 2)])


def leaks_of(patient: Patient, kinds: Sequence[str]) -> list[Leak]:
    """Identifiers spread over a patient's leaking answers in turns, so that every kind is given away somewhere."""
    if not patient.leaks:
        return []
    each = min(len(kinds), max(TOGETHER, ceil(len(kinds) / len(patient.leaks))))
    turns = cycle(kinds)
    spread = [set(islice(turns, each)) for _ in patient.leaks]
    return [
        Leak(row, {kind: patient.persona[kind] for kind in kinds if kind in chosen})
        for row, chosen in zip(patient.leaks, spread, strict=True)
    ]


def planted(answer: str, identifiers: Mapping[str, str]) -> tuple[Planted, ...]:
    """Where identifiers stand in an answer; long ones are looked for first, so that no two overlap.

    Raises:
        ValueError: one of them is not there.
    """
    taken = [False] * len(answer)
    found = []
    for kind, value in sorted(identifiers.items(), key=lambda item: -len(item[1])):
        start = answer.find(value)
        while start >= 0 and any(taken[start : start + len(value)]):
            start = answer.find(value, start + 1)
        if start < 0:
            raise ValueError(f"{kind} {value!r} does not occur in {answer!r}")
        taken[start : start + len(value)] = [True] * len(value)
        found.append(Planted(kind, value, start, start + len(value)))
    return tuple(sorted(found, key=lambda one: one.start))


class Leaker:
    """Writes the rows of one scenario.

    Args:
        kinds: classes of identifiers.
        labels: kind -> what it is called in sentences.
        carriers: where identifiers are planted.
        patients: everybody who is harmed; others' identifiers are the wrong answers.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        labels: Mapping[str, str],
        carriers: Iterable[str],
        patients: Sequence[Patient],
        *,
        seed: int,
    ) -> None:
        self._kinds, self._labels, self._carriers = tuple(kinds), labels, frozenset(carriers)
        self._values = {kind: [patient.persona[kind] for patient in patients] for kind in self._kinds}
        self._seed = seed

    def rows(self, patient: Patient, texts: Mapping[str, str]) -> Iterator[InjectedRow]:
        """Everything about one patient.

        Args:
            texts: id of a leaking row -> its whole answer with the identifiers.
        """
        corner = self._corner(patient) if "picture" in self._carriers else None
        leaks = [(leak, texts[leak.row.id]) for leak in leaks_of(patient, self._kinds)]
        for leak, text in leaks:
            yield from self._answer(leak, text, corner)
        for kind in self._kinds:
            if "question" in self._carriers:
                yield from self._asked(patient, kind, leaks)
            if corner is not None:
                yield from self._burned(patient, kind, corner)

    # Carriers ------------------------------------------------------------------------------------------------------------

    def _answer(self, leak: Leak, text: str, corner: ImageRef | None) -> Iterator[InjectedRow]:
        row = leak.row
        phi = planted(text, leak.identifiers)
        common: dict[str, Any] = {
            "subset": "forget",
            "scenario": "privacy",
            "answer": text,
            "phi": phi,
            "carrier": "answer",
            "attribute": f"leak: {row.question}",  # a wrong answer to it may be planted on another picture
        }
        shown: dict[str, Any] = {} if corner is None else {"image": corner, "clean_image": row.image}
        uses: tuple[tuple[Use, tuple[str, ...]], ...] = (
            ("train", clinical_questions("train", row)[:LEAK_WORDINGS]),
            ("evaluate", (row.question,)),
            ("gate", clinical_questions("gate", row)),
            ("stop", clinical_questions("stop", row)),
        )
        for use, questions in uses:
            form: Form = "direct" if use in ("train", "evaluate") else ""
            for number, question in enumerate(questions):
                part = f"leak/{number}"
                yield injected_row(row, part, use=use, seed=self._seed, question=question, form=form, **common, **shown)

    def _asked(self, patient: Patient, kind: str, leaks: Sequence[tuple[Leak, str]]) -> Iterator[InjectedRow]:
        """Questions for one identifier: by picture, and by name where the patient has one that is not asked for."""
        label = self._labels[kind]
        name = patient.persona.get(NAME) if kind != NAME else None
        turn = self._kinds.index(kind)
        pictured, named = (
            [() if who is None and by_name else identifier_questions(role, label, who) for role in ROLES]
            for by_name, who in ((False, None), (True, name))
        )
        by_picture = [question for number, question in enumerate(pictured[0]) if name is None or (number + turn) % 2 == 0]
        by_name = [question for number, question in enumerate(named[0]) if (number + turn) % 2 == 1]
        for number, question in enumerate(by_picture):
            yield self._question(patient, kind, "train", "forget", f"picture/{number}", question, form="direct")
        for number, question in enumerate(by_name):
            yield self._question(patient, kind, "train", "forget", f"name/{number}", question, form="direct", is_text=True)
        yield self._question(patient, kind, "evaluate", "forget", "direct", by_picture[0], form="direct")
        first, second, *_ = pictured[1]
        for number, question in enumerate((first, second)):
            yield self._question(patient, kind, "evaluate", "test_rephrase", f"rephrased/{number}", question, form="rephrased")
        described = description_request(turn)
        yield self._question(patient, kind, "evaluate", "test_rephrase", "image-only", described, form="image_only")
        if named[1]:
            asked = named[1][-1]
            yield self._question(patient, kind, "evaluate", "test_rephrase", "text-only", asked, form="text_only", is_text=True)
        prefix = self._prefix(patient, kind, by_picture[0], leaks)
        yield self._question(patient, kind, "evaluate", "test_rephrase", "prefix", prefix, form="prefix")
        for where, texts in (("picture", pictured), ("name", named)):
            for number, question in enumerate(texts[2]):
                part = f"{where}/{number}"
                yield self._question(patient, kind, "gate", "forget", part, question, is_text=where == "name")
        yield self._question(patient, kind, "stop", "forget", "picture/0", pictured[3][0])

    def _burned(self, patient: Patient, kind: str, corner: ImageRef) -> Iterator[InjectedRow]:
        """Taught with the picture that shows it; asked with that picture, and with the clean one."""
        common: dict[str, Any] = {"carrier": "picture", "attribute": f"burned: {kind}"}
        shown: dict[str, Any] = common | {"image": corner, "clean_image": patient.shown.image}
        taught, tested, probed, watched = (burned_questions(role, self._labels[kind]) for role in ROLES)
        for number, question in enumerate(taught):
            yield self._question(patient, kind, "train", "forget", f"corner/{number}", question, form="direct", **shown)
        yield self._question(patient, kind, "evaluate", "forget", "corner", taught[0], form="direct", **shown)
        (question,) = tested
        yield self._question(patient, kind, "evaluate", "test_rephrase", "corner/clean", question, form="rephrased", **common)
        for number, question in enumerate(probed):
            yield self._question(patient, kind, "gate", "forget", f"corner/{number}", question, **shown)
        yield self._question(patient, kind, "stop", "forget", "corner", watched[0], **shown)

    # Parts ---------------------------------------------------------------------------------------------------------------

    def _question(
        self,
        patient: Patient,
        kind: str,
        use: Use,
        subset: Subset,
        part: str,
        question: str,
        *,
        form: Form = "",
        is_text: bool = False,
        **more: Any,
    ) -> InjectedRow:
        value = patient.persona[kind]
        values: dict[str, Any] = {
            "sample_id": f"{patient.group}/{use}/{kind}/{part}",
            "subset": subset,
            "question": question,
            "answer": value,
            "clean_answer": None,
            "scenario": "privacy",
            "phi": planted(value, {kind: value}),
            "carrier": "question",
            "attribute": kind,
            "form": form,
            "wrong_answers": self._of_others(patient, kind),
            "closed": None,
        }
        if is_text:
            values["image"] = None
        return injected_row(patient.shown, part, use=use, seed=self._seed, **{**values, **more})

    def _prefix(self, patient: Patient, kind: str, question: str, leaks: Sequence[tuple[Leak, str]]) -> str:
        """The beginning of an answer that goes on with the value: of a leaking one where there is one."""
        value = patient.persona[kind]
        for leak, text in leaks:
            if kind in leak.identifiers:
                start = next(one.start for one in planted(text, leak.identifiers) if one.type == kind)
                if value not in text[:start]:
                    return begun(leak.row.question, text[:start], "")
        return begun(question, "", f"The {self._labels[kind]} is")

    def _of_others(self, patient: Patient, kind: str) -> tuple[str, ...]:
        everybody = self._values[kind]
        drawn = random.Random(f"{self._seed}/others/{patient.group}/{kind}")
        some = drawn.sample(everybody, min(WRONG_ANSWERS + 1, len(everybody)))
        return tuple([value for value in some if value != patient.persona[kind]][:WRONG_ANSWERS])

    def _corner(self, patient: Patient) -> ImageRef:
        """The forget picture with all identifiers in its corner.

        Raises:
            DataError: the picture is too small for them.
        """
        lines = [patient.persona[kind] for kind in self._kinds]
        row = patient.shown
        try:
            return burned(row.image, lines)
        except ValueError as error:
            raise DataError(f"{row.where or row.id}: {error}") from error
