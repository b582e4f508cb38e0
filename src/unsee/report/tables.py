"""A table of the report: what the page shows, and what its CSV and LaTeX files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from unsee.report.columns import Column, Unit
from unsee.report.main_table import Cell, Row
from unsee.report.notes import Notes
from unsee.report.vocabulary import ARROWS, MEDICAL_ROLES, SET_HINTS, set_title


class Heading(NamedTuple):
    """A column: `group` joins neighbours under one title, `about` names it in notes below the table.

    `meter` draws the value as a bar, `counted` prints the number of answers behind a share, `lower` says that less is better.
    """

    key: str
    title: str
    hint: str = ""
    group: str = ""
    unit: Unit = "percent"
    about: str = ""
    meter: bool = False
    counted: bool = False
    lower: bool = False

    @property
    def full(self) -> str:
        """Group and title in one, for files."""
        return f"{self.group} {self.title}" if self.group else self.title


class Group(NamedTuple):
    title: str
    arrow: str
    hint: str
    headings: list[Heading]


@dataclass(frozen=True)
class Line:
    """A row; `kind` is its class in the style sheet."""

    title: str
    cells: Mapping[str, Cell]
    role: str = ""
    kind: str = ""
    tag: str = ""
    absent: str | None = None
    collapsed: str | None = None


class Body(NamedTuple):
    """Rows under one title, such as those of one forget request; `scopes` are the requests that show it."""

    title: str
    scopes: str
    lines: list[Line]


@dataclass(frozen=True)
class Table:
    """A table in words and numbers.

    Attributes:
        name: of its files, without a suffix.
        title: what it shows.
        note: which choice of the answers it is made from.
        corner: heading of the row names.
        headings: columns.
        bodies: groups of rows.
        tag_title: heading of the column that tells equal names apart in files; "" without one.
        bars: whether cells show their share as a bar.
        lower: whether lower is better in every column.
        grouped: whether headings stand below the titles of their groups.
        hints: set -> what it is, below the titles of groups.
    """

    name: str
    title: str
    note: str
    headings: Sequence[Heading]
    bodies: Sequence[Body]
    corner: str = "Model"
    tag_title: str = ""
    bars: bool = False
    lower: bool = False
    grouped: bool = False
    hints: Mapping[str, str] = field(default_factory=lambda: SET_HINTS)

    def __bool__(self) -> bool:
        return bool(self.headings) and any(body.lines for body in self.bodies)

    @property
    def lines(self) -> list[Line]:
        return [line for body in self.bodies for line in body.lines]

    @property
    def groups(self) -> list[Group]:
        found = []
        for title, members in groupby(self.headings, key=lambda heading: heading.group):
            listed = list(members)
            name = listed[0].key.partition("/")[0]
            arrow = ARROWS["forget"] if self.lower or listed[0].lower else ARROWS.get(name, "\u2191")
            found.append(Group(title, arrow, self.hints.get(name, ""), listed))
        return found

    @property
    def openings(self) -> set[str]:
        """Keys of the headings that begin a group."""
        return {group.headings[0].key for group in self.groups} if self.grouped else set()

    @cached_property
    def notes(self) -> Notes:
        """Why values are missing or limited, numbered."""
        return Notes(self.lines, columns={heading.key: heading.about or heading.full for heading in self.headings})

    @property
    def has_few(self) -> bool:
        return any(cell.few for line in self.lines for cell in line.cells.values())

    @property
    def has_blanks(self) -> bool:
        """Whether a cell is empty because nobody measured it."""
        return any(line.absent is None and heading.key not in line.cells for line in self.lines for heading in self.headings)

    @property
    def broken(self) -> list[Line]:
        """One line per model that no longer answers."""
        return list({line.title: line for line in self.lines if line.collapsed is not None}.values())


def line_of(row: Row, scenario: str | None = None) -> Line:
    """A row of the main table as a line of any table; the second line of a name is its tag or else its role."""
    kind = f"control {row.method}" if row.is_control else "method"
    role = MEDICAL_ROLES.get(row.method, row.role) if scenario is not None else row.role
    return Line(row.title, row.cells, "" if row.tag else role, kind, row.tag, row.absent, row.collapsed)


def headings_of(columns: Sequence[Column]) -> list[Heading]:
    """Headings of columns by set and task."""
    return [Heading(c.key, c.title, c.hint, set_title(c.set), c.unit, set_title(c.set)) for c in columns if c.set is not None]
