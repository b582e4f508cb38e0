"""Rows of MLLMU-Bench files as typed values, whatever form their nested columns arrive in.

A file is read as plain Python values; here they become `PersonRow`s (evaluation schema) and `TaughtRow`s (training schema).
Lists may be lists, numpy arrays, structs of lists or JSON text; keys may differ in case or end in a colon; ids may be numbers
or text, zero padded or not. What cannot be understood is a fault that names file, row and remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from unsee.benchmarks.faults import Faults, Place, row_name
from unsee.sample import MODALITIES, Modality

LETTERS = ("A", "B", "C", "D")
MULTIPLE_CHOICE = {"image_text": "Image_Textual_Questions", "text": "Pure_Text_Questions"}
"""Modality -> key of its questions in `Classification_Task`."""
TYPES = {"image_text": "Image_Textual", "text": "Pure_Text"}
"""Modality -> `Type` of generation and cloze questions."""


@dataclass(frozen=True)
class Choice:
    """A four-option question; `number` is its position as published."""

    number: int
    question: str
    options: Mapping[str, str]
    letter: str


@dataclass(frozen=True)
class Written:
    """A question with a written answer."""

    number: int
    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class PersonRow:
    """One person of an evaluation file.

    Attributes:
        id: canonical id, see `person_id`.
        biography: the parsed object as published; `facts.facts` understands its keys.
        question, answer: the extra "describe this person" pair, which no protocol scores.
        choices, generation, cloze: questions by modality.
    """

    id: str
    place: Place
    directory: str = ""
    biography: Mapping[str, Any] = field(default_factory=dict)
    question: str = ""
    answer: str = ""
    choices: Mapping[Modality, tuple[Choice, ...]] = field(default_factory=dict)
    generation: Mapping[Modality, tuple[Written, ...]] = field(default_factory=dict)
    cloze: Mapping[Modality, tuple[Written, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaughtRow:
    """One person of a training file: short questions, each asked with the person's picture."""

    id: str
    place: Place
    pairs: tuple[Written, ...] = ()


Row = TypeVar("Row", PersonRow, TaughtRow)


def person_id(value: Any) -> str | None:
    """One form for every way of writing an id: 7, 7.0, "7" and "007" are "007"; other text stays. None where there is none."""
    if value is None or isinstance(value, bool):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if re.fullmatch(r"\d+(\.0+)?", text):
        return f"{int(text.partition('.')[0]):03d}"
    return text or None


def plain(value: Any) -> Any:
    """Nested values with numpy's arrays and numbers as Python's, and without the nulls of merged structs."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def records(value: Any) -> list[Any]:
    """A nested list of records in any form: list, array, struct of lists, JSON text; items that are no records stay.

    Raises:
        ValueError: it is no list.
    """
    value = _parsed(plain(value))
    if value is None:
        return []
    if isinstance(value, dict):
        value = _transposed(value)
    if not isinstance(value, list):
        raise ValueError("no list")
    return [_record(item) for item in value]


def record(value: Any) -> dict[str, Any]:
    """A record in any form: struct, list of pairs, JSON text; keys in lower case without a closing colon.

    Raises:
        ValueError: it is no record.
    """
    made = _record(plain(value))
    if not isinstance(made, dict):
        raise ValueError("no record")
    return {_key(key): item for key, item in made.items()}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _record(value: Any) -> Any:
    value = _parsed(value) if isinstance(value, str) and value.lstrip().startswith(("{", "[")) else value
    if isinstance(value, list) and value and all(isinstance(item, list) and len(item) == 2 for item in value):
        return {str(key): item for key, item in value}
    return value


def _key(key: str) -> str:
    return " ".join(key.casefold().replace("_", " ").strip().removesuffix(":").split())


def _transposed(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A struct of lists as a list of structs; an inner struct of lists likewise."""
    whole = {key: _transposed(column) if isinstance(column, dict) else column for key, column in columns.items()}
    sizes = {len(column) if isinstance(column, list) else -1 for column in whole.values()}
    if len(sizes) > 1 or -1 in sizes:
        raise ValueError("no list, and no struct of lists of one length")
    return [dict(zip(whole, values, strict=True)) for values in zip(*whole.values(), strict=True)]


class RowReader:
    """Turns the plain values of one file's rows into typed rows, and knows how to name a row that is wrong."""

    def __init__(self, file: Path, faults: Faults) -> None:
        self.file = file
        self.faults = faults

    def person(self, number: int, values: Mapping[str, Any]) -> PersonRow | None:
        """A row of the evaluation schema; None where a fault made it useless and faults are skipped."""
        id_, row = self._id(number, values)
        biography = self._biography(values.get("biography"), row)
        if id_ is None or biography is None:
            return None
        return PersonRow(
            id=id_,
            place=Place(self.file, number),
            directory=_text(values.get("Directory")),
            biography=biography,
            question=_text(values.get("question")),
            answer=_text(values.get("answer")),
            choices=self._choices(values.get("Classification_Task"), row),
            generation=self._written(values.get("Generation_Task"), "Generation_Task", row),
            cloze=self._written(values.get("Mask_Task"), "Mask_Task", row),
        )

    def taught(self, number: int, values: Mapping[str, Any]) -> TaughtRow | None:
        """A row of the training schema. As in the published loader, pairs with an empty side are left out without a word."""
        id_, row = self._id(number, values)
        if id_ is None:
            return None
        pairs = []
        for position, item in enumerate(self._records(values.get("metadata"), "metadata", row)):
            try:
                made = record(item)
            except ValueError:
                self.faults.add(self.file, row, f"metadata entry {position} is no object; write Question and Answer")
                continue
            question, answer = _text(made.get("question")), _text(made.get("answer"))
            if question and answer:
                pairs.append(Written(position, question, answer))
        return TaughtRow(id=id_, place=Place(self.file, number), pairs=tuple(pairs))

    def _id(self, number: int, values: Mapping[str, Any]) -> tuple[str | None, str]:
        """(canonical id, how messages call the row)."""
        id_ = person_id(plain(values.get("ID")))
        row = row_name(number, id_)
        if id_ is None:
            self.faults.add(self.file, row, "the ID is missing; every row needs one")
        return id_, row

    def _biography(self, value: Any, row: str) -> dict[str, Any] | None:
        """The object as published; empty where there is none, None where it cannot be read."""
        try:
            made = _parsed(plain(value) or "{}")
        except (ValueError, RecursionError) as error:
            self.faults.add(self.file, row, f"biography is no valid JSON ({error}); repair the text")
            return None
        if not isinstance(made, dict):
            self.faults.add(self.file, row, "biography holds no JSON object; write {...} with Name and the other facts")
            return None
        return made

    def _records(self, value: Any, column: str, row: str) -> list[Any]:
        try:
            return records(value)
        except (ValueError, RecursionError) as error:
            self.faults.add(self.file, row, f"{column} cannot be read as a list ({error}); repair the column")
            return []

    def _choices(self, value: Any, row: str) -> dict[Modality, tuple[Choice, ...]]:
        try:
            task = record(value) if value is not None else {}
        except (ValueError, RecursionError):
            self.faults.add(self.file, row, "Classification_Task is no struct of two lists; repair the column")
            return {}
        found: dict[Modality, tuple[Choice, ...]] = {}
        for modality in MODALITIES:
            name = MULTIPLE_CHOICE[modality]
            items = self._records(task.get(_key(name)), f"Classification_Task {name}", row)
            made = (self._choice(number, item, f"{name} {number}", row) for number, item in enumerate(items))
            found[modality] = tuple(choice for choice in made if choice is not None)
        return found

    def _choice(self, number: int, item: Any, what: str, row: str) -> Choice | None:
        try:
            values = record(item)
            options = _options(values.get("options"))
        except ValueError:
            self.faults.add(self.file, row, f"{what} is no question with options; write Question, Options and Correct_Answer")
            return None
        question, letter = _text(values.get("question")), _letter(_text(values.get("correct answer")), options)
        if not question or len(options) < 2 or not all(options.values()):
            self.faults.add(self.file, row, f"{what} lacks a question or options; write the texts of A to D")
            return None
        if letter not in options:
            given = _text(values.get("correct answer"))
            self.faults.add(
                self.file, row, f"{what} has the options {', '.join(options)}, but Correct_Answer {given!r}; correct the letter"
            )
            return None
        return Choice(number, question, options, letter)

    def _written(self, value: Any, column: str, row: str) -> dict[Modality, tuple[Written, ...]]:
        found: dict[Modality, list[Written]] = {modality: [] for modality in MODALITIES}
        counts = dict.fromkeys(MODALITIES, 0)
        for position, item in enumerate(self._records(value, column, row)):
            try:
                values = record(item)
            except ValueError:
                self.faults.add(self.file, row, f"{column} {position} is no question; write Question, Ground_Truth and Type")
                continue
            modality = _modality(_text(values.get("type")))
            if modality is None:
                given = _text(values.get("type"))
                self.faults.add(
                    self.file, row, f"{column} {position} has Type {given!r}; it must be Image_Textual or Pure_Text"
                )
                continue
            number = counts[modality]
            counts[modality] += 1
            question, answer = _text(values.get("question")), _text(values.get("ground truth"))
            if question and answer:
                found[modality].append(Written(number, question, answer))
            else:
                self.faults.add(self.file, row, f"{column} {position} lacks Question or Ground_Truth; fill in or remove it")
        return {modality: tuple(made) for modality, made in found.items()}


def unique(rows: Iterable[Row | None], faults: Faults) -> Iterator[Row]:
    """Rows with an id that no earlier row has; a second one is a fault."""
    seen: dict[str, Place] = {}
    for row in rows:
        if row is None:
            continue
        first = seen.setdefault(row.id, row.place)
        if first == row.place:
            yield row
            continue
        where = f"row {first.number}" + (f" of {first.file}" if first.file != row.place.file else "")
        faults.add(row.place.file, row_name(row.place.number, row.id), f"{where} has the same ID; remove one of the two")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _options(value: Any) -> dict[str, str]:
    """Letter -> text."""
    value = _record(plain(value))
    if isinstance(value, list):
        value = dict(zip(LETTERS, value, strict=False)) if len(value) <= len(LETTERS) else None
    if not isinstance(value, dict):
        raise ValueError("no options")
    return {key.strip().rstrip(":.)").upper(): _text(text) for key, text in value.items()}


def _letter(given: str, options: Mapping[str, str]) -> str:
    """The letter of "b", "B.", "B: Oslo" or of an option's own text."""
    if given.upper() in options:
        return given.upper()
    for letter, text in options.items():
        if text == given:
            return letter
    found = re.fullmatch(r"([A-Za-z])\W.*", given, re.DOTALL)
    return found[1].upper() if found else given


def _modality(given: str) -> Modality | None:
    """Such as Image_Textual, image-text; Pure_Text, text only."""
    word = re.sub(r"[^a-z]", "", given.casefold())
    if word.startswith("image"):
        return "image_text"
    return "text" if word.startswith(("pure", "text")) else None
