"""Why numbers are missing or limited, as numbered sentences below a table: nothing hides in a tooltip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from unsee.report.main_table import Cell

_MOST_NAMES = 3


class Noted(Protocol):
    """A row of any table."""

    @property
    def title(self) -> str: ...
    @property
    def cells(self) -> Mapping[str, Cell]: ...


class Note(NamedTuple):
    """A numbered reason, and the values it is about in words."""

    number: int
    where: str
    text: str


class Notes:
    """The notes of one table, each reason once, in the order of its rows and columns.

    Args:
        rows: of the table.
        columns: key -> what the column is called.
    """

    def __init__(self, rows: Sequence[Noted], *, columns: Mapping[str, str]) -> None:
        found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        for row in rows:
            for key, title in columns.items():
                cell = row.cells.get(key)
                for reason in _reasons(cell.remark) if cell is not None else ():
                    about, models = found.setdefault(reason, ({}, {}))
                    about[title] = None
                    models[row.title] = None
        everyone = {row.title for row in rows if row.cells}
        self.listed = [
            Note(number, _where(list(about), list(models), everyone), reason)
            for number, (reason, (about, models)) in enumerate(found.items(), start=1)
        ]
        self._numbers = {reason: number for number, reason in enumerate(found, start=1)}

    def __call__(self, remark: str) -> tuple[int, ...]:
        """The numbers of a remark's reasons."""
        return tuple(self._numbers[reason] for reason in _reasons(remark))


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def join(names: Sequence[str], *, most: int = _MOST_NAMES) -> str:
    """`a, b and c`, or `a and 7 others` where there are too many to name."""
    if len(names) > most:
        return f"{names[0]} and {len(names) - 1} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _reasons(remark: str) -> list[str]:
    return [part for part in remark.split("; ") if part]


def _where(about: list[str], models: list[str], everyone: set[str]) -> str:
    what = join(about, most=len(about))
    return what if everyone <= set(models) or len(models) > _MOST_NAMES else f"{what} of {join(models)}"
