"""A table of medical questions about pictures, whatever files it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from unsee.sample import ImageRef

SourceSplit = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class VqaRow:
    """One question about one picture, with its right answer.

    Attributes:
        id: unique within a table and stable between runs.
        group: patient where the files say who it is, else picture; rows of a group stay on one side of every split.
        study: examination, or "".
        split: where the source puts the row.
        closed: whether the question offers a choice (yes or no, one of a list); None where the source does not say.
        options: answers to choose from, the right one among them; empty where the source offers none.
        also_right: answers that the source calls right as well.
        rephrased: the same question in other words.
        kind: what is asked for (`modality`, `organ`, `side`, ...), or "".
        modality: how the picture was taken (`CT`, `MRI`, `X-ray`, `ultrasound`), or "".
        region: part of the body, or "".
        triple: knowledge-graph statement (head, relation, tail) behind the question, or None.
        facts: anything else that the source tells about the row.
        source: data set, as its authors call it.
        license: licence of the row, SPDX where there is one.
        where: file and position, for messages.
    """

    id: str
    image: ImageRef
    question: str
    answer: str
    group: str
    study: str = ""
    split: SourceSplit = "train"
    closed: bool | None = None
    options: tuple[str, ...] = ()
    also_right: tuple[str, ...] = ()
    rephrased: tuple[str, ...] = ()
    kind: str = ""
    modality: str = ""
    region: str = ""
    triple: tuple[str, str, str] | None = None
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    source: str = ""
    license: str = ""
    where: str = ""


@dataclass(frozen=True)
class VqaTable:
    """All rows of a data set that can be used.

    Attributes:
        name: of the data set.
        rows: in the order of the files.
        skipped: one line per row that cannot be used, with file, row and reason.
    """

    name: str
    rows: tuple[VqaRow, ...]
    skipped: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """Patients or pictures, in order of appearance."""
        return tuple(dict.fromkeys(row.group for row in self.rows))

    @property
    def licenses(self) -> tuple[str, ...]:
        """Licences that occur, in order of appearance."""
        return tuple(dict.fromkeys(row.license for row in self.rows))
