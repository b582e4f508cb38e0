"""Rows of UnLOK-VQA's JSON files as typed values.

A row is one (picture, question, answer) fact with its rephrasings and neighbours. Of its 19 keys those are read that decide a
question; `alt` (always "Beach"), `cond` and the raw material of the generation pipeline are not. The key `unsee` is our
exporter's and carries what the layout has no place for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from unsee.benchmarks.faults import Faults, Place, row_name
from unsee.metrics.normalise import occurrences, tokens
from unsee.printable import half_character

NEIGHBOUR_PREFIX = "nq question: "
"""What every neighbour question begins with in the files; it is no part of the question."""
NO_SUBJECT = "rows without subject, left out as the published loader does"
NO_INDEX = "rows without neigh_idx, left out as the published loader does"
NO_NEIGHBOURS = "rows with an empty loc, left out as the published loader does"
UNREAD = (NO_SUBJECT, NO_INDEX, NO_NEIGHBOURS)
"""Why the published loader passes over a row."""
BLANK_NEIGHBOURS = "neighbour questions without a question or an answer, left out"
Value = TypeVar("Value")


@dataclass(frozen=True)
class Notes:
    """What our exporter noted in a row.

    Attributes:
        subject: the fact's id in the benchmark it came from; "" in official rows.
        prompt: how its questions are put, a `questions.PromptForm`; "" in official rows.
        asked: axis -> level -> questions word for word, where they do not follow from the row.
        levels: `image` or `neighbour` -> levels that the fact has pictures of; None where the folders decide.
        samples: sample within the fact -> its metadata, wrong answers and paraphrases.
    """

    subject: str = ""
    prompt: str = ""
    asked: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    levels: Mapping[str, tuple[str, ...]] | None = None
    samples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FactRow:
    """One fact.

    Attributes:
        id: the row's own id, never its position; also the stem of generated pictures.
        answer: what is deleted or kept (key `pred`).
        span: part of the question that the published templates replace (key `subject`).
        rephrases: outputs of a paraphraser, without blank ones.
        neighbours: (position, question, answer) about the same picture; only of rows that can be deleted.
        alternates: other answers as published, which may be blank or repeat the answer in another case.
        neighbour: position among `alternates` of what the neighbour picture shows.
        object: what the jailbreak templates are filled with beside the span.
    """

    id: int
    place: Place
    question: str
    answer: str
    image_id: int
    span: str = ""
    rephrases: tuple[str, ...] = ()
    neighbours: tuple[tuple[int, str, str], ...] = ()
    alternates: tuple[str, ...] = ()
    neighbour: int = 0
    object: str = ""
    notes: Notes = field(default_factory=Notes)

    @property
    def name(self) -> str:
        """How messages call the row."""
        return row_name(self.place.number, self.id)

    @property
    def subject(self) -> str:
        return self.notes.subject or str(self.id)

    def as_published(self) -> FactRow:
        """The row without the attack questions that our exporter noted, so that they follow from it as in the release."""
        return replace(self, notes=replace(self.notes, asked={}))

    @property
    def usable_alternates(self) -> tuple[str, ...]:
        """Alternates that are neither blank nor the answer itself, each once."""
        found: dict[str, str] = {}
        for text in self.alternates:
            if tokens(text).items and not same(text, self.answer):
                found.setdefault(repr(tokens(text).items), text)
        return tuple(found.values())

    @property
    def neighbour_answer(self) -> str | None:
        """The right answer for the neighbour picture; None where it is blank or the deleted answer itself."""
        text = self.alternates[self.neighbour]
        return text if tokens(text).items and not same(text, self.answer) else None


def same(one: str, other: str) -> bool:
    """Whether two answers say the same, whatever their case, articles and punctuation."""
    return tokens(one).items == tokens(other).items


def contains(text: str, answer: str) -> bool:
    """Whether an answer stands in a text as whole words."""
    return bool(occurrences(tokens(answer), tokens(text)))


def whole_number(value: Any) -> int | None:
    """A number that is not negative, as such or as text; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and value >= 0:
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()) else None


class RowReader:
    """Turns the objects of one file into rows and knows how to name a row that is wrong.

    Args:
        deletable: whether the row with an id is a fact to delete; of others only question, answer and alternates are read.
        left_out: where ids go of rows that are left out by a rule, or something of which is, by reason.

    Attributes:
        ids: those of all rows met so far, usable or not.
    """

    def __init__(self, file: Path, faults: Faults, *, deletable: Callable[[int], bool], left_out: dict[str, list[int]]) -> None:
        self.file = file
        self.faults = faults
        self.deletable = deletable
        self.left_out = left_out
        self.ids: set[int] = set()

    def row(self, number: int, values: Any) -> FactRow | None:
        """A row; None where the published loader leaves it out, or where a fault made it useless and faults are skipped."""
        if not isinstance(values, Mapping):
            self.faults.add(self.file, row_name(number, None), "holds no object; write {...} with id, src, pred and so on")
            return None
        id_ = whole_number(values.get("id"))
        if id_ is None:
            self.faults.add(self.file, row_name(number, None), "has no whole number as id; give it the published one")
            return None
        self.ids.add(id_)
        unread = _unread(values) if self.deletable(id_) else None
        if unread is not None:
            self.left_out.setdefault(unread, []).append(id_)
            return None
        try:
            return self._fact(number, id_, values)
        except _Unusable as unusable:
            self.faults.add(self.file, row_name(number, id_), str(unusable))
            return None

    def _fact(self, number: int, id_: int, values: Mapping[str, Any]) -> FactRow:
        question = _text(values, "src")
        answer = _text(values, "pred") if values.get("pred") is not None else _first(_texts(values, "answers"))
        if not question:
            raise _Unusable("its question (src) is empty; fill it in or remove the row")
        if not tokens(answer).items:
            raise _Unusable(f"its answer (pred) {answer!r} is empty; fill it in or remove the row")
        image_id = whole_number(values.get("image_id"))
        if image_id is None:
            raise _Unusable("has no whole number as image_id; give it the COCO id of its picture")
        place = Place(self.file, number)
        notes = _notes(values.get("unsee"))
        alternates = _texts(values, "alt_ans")
        if not self.deletable(id_):
            return FactRow(
                id=id_,
                place=place,
                question=question,
                answer=answer,
                image_id=image_id,
                alternates=alternates,
                notes=notes,
            )
        if contains(question, answer):
            raise _Unusable(f"its answer {answer!r} stands in its own question {question!r}; remove the row")
        span = _text(values, "subject")
        if not span:
            raise _Unusable("its subject is empty; name the part of the question (src) that the question is about")
        if values.get("loc") is None:
            raise _Unusable("has no list of neighbour questions (loc); give some, or write [] to leave the row out")
        asked, answers = _texts(values, "loc"), _texts(values, "loc_ans")
        if len(asked) != len(answers):
            raise _Unusable(f"loc has {len(asked)} questions, loc_ans {len(answers)} answers; give each question one answer")
        pairs = zip(asked, answers, strict=True)
        neighbours = [(n, text.removeprefix(NEIGHBOUR_PREFIX).strip(), said) for n, (text, said) in enumerate(pairs)]
        kept = tuple((n, text, said) for n, text, said in neighbours if text and said)
        if len(kept) < len(neighbours):
            self.left_out.setdefault(BLANK_NEIGHBOURS, []).extend([id_] * (len(neighbours) - len(kept)))
        objects = _texts(values, "objects_edit")
        row = FactRow(
            id=id_,
            place=place,
            span=span,
            question=question,
            answer=answer,
            image_id=image_id,
            rephrases=tuple(text for text in _texts(values, "rephrase") if text),
            neighbours=kept,
            alternates=alternates,
            neighbour=_index(values["neigh_idx"], len(alternates)),
            object=objects[0] if objects else span,  # as the published loader does
            notes=notes,
        )
        if not row.usable_alternates:
            raise _Unusable(f"none of its alternates (alt_ans) differs from its answer {answer!r}; add one or remove the row")
        return row


def unique(rows: Iterable[FactRow | None], faults: Faults) -> Iterator[FactRow]:
    """Rows with an id that no earlier row of the file has; a second one is a fault."""
    seen: dict[int, Place] = {}
    for row in rows:
        if row is None:
            continue
        first = seen.setdefault(row.id, row.place)
        if first == row.place:
            yield row
        else:
            faults.add(row.place.file, row.name, f"row {first.number} has the same id; remove one of the two")


def _unread(values: Mapping[str, Any]) -> str | None:
    """Why the published loader passes over a row, if it does; it asks for two keys, and whether loc is empty."""
    # Tables that were made of the release hold null where a row lacks a key.
    if values.get("subject") is None:
        return NO_SUBJECT
    if values.get("neigh_idx") is None:
        return NO_INDEX
    return NO_NEIGHBOURS if values.get("loc") == [] else None


class _Unusable(Exception):
    """Why a row cannot be used, and what to do."""


def _text(values: Mapping[str, Any], key: str) -> str:
    return _plain(values.get(key), key)


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = values.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _Unusable(f"{key} is no list; write [...] with one text per entry")
    return tuple(_plain(item, key) for item in value)


def _plain(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise _Unusable(f"{key} holds {str(value)[:40]!r} where a text belongs; put it in quotes")
    if half_character(value) is not None:
        raise _Unusable(f"{key} holds half a character (a lone surrogate); repair the text")
    return value.strip()


def _first(texts: tuple[str, ...]) -> str:
    return texts[0] if texts else ""


def _index(value: Any, size: int) -> int:
    """The first entry of neigh_idx, which names one of so many alternates."""
    listed = value if isinstance(value, list) else [value]
    index = whole_number(listed[0]) if listed else None
    if index is None:
        raise _Unusable("neigh_idx names no entry of alt_ans; write a list with one position, for example [0]")
    if index >= size:
        raise _Unusable(f"neigh_idx names entry {index} of alt_ans, which has {size}; positions count from 0")
    return index


def _notes(value: Any) -> Notes:
    if value is None:
        return Notes()
    try:
        given = _object(value)
        asked = {axis: _lists(levels) for axis, levels in _object(given.get("asked", {})).items()}
        return Notes(
            subject=_said(given.get("subject", "")),
            prompt=_said(given.get("prompt", "")),
            asked=asked,
            levels=_lists(given["levels"]) if "levels" in given else None,
            samples={key: _sample_notes(item) for key, item in _object(given.get("samples", {})).items()},
        )
    except (TypeError, UnicodeEncodeError) as error:
        raise _Unusable(f"its key unsee is not as our exporter writes it ({error}); remove the key or export again") from error


def _sample_notes(value: Any) -> dict[str, Any]:
    given = _object(value)
    metadata = _object(given.get("metadata", {}))
    for key, item in metadata.items():
        if not isinstance(item, str | int | float):
            raise TypeError(f"metadata {key} is neither text nor number")
    lists = _lists({key: given[key] for key in ("wrong_answers", "paraphrases") if key in given})
    return {"metadata": metadata} | dict(lists)


def _lists(value: Any) -> dict[str, tuple[str, ...]]:
    return {key: _said_all(item) for key, item in _object(value).items()}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no object where one belongs")
    return value


def _said(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text where one belongs")
    value.encode()
    return value


def _said_all(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("no list where one belongs")
    return tuple(map(_said, value))
