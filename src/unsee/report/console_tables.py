"""Tables of models in the terminal: numbers with their intervals below, and what limits them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.main_table import Row
from unsee.report.notes import Notes, sentence
from unsee.report.vocabulary import brief, method_title

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Columns = Sequence[tuple[str, str]]
"""Title and key of each column."""
FEW = f"* fewer than {FEW_SUBJECTS} subjects: no verdict"
_CELL = 8


def results_table(listed: Sequence[Row], columns: Columns, *, title: str, width: int = 80) -> Table:
    """One row per model, each number with its 95 % interval below."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE_HEAD, padding=0, title_justify="left")
    widths = [max(_CELL, *(len(_interval(row, key)) for row in listed)) for _, key in columns]
    # The numbers and their gaps take a fixed part of the width, names get what is left.
    room = max(12, min(32, width - sum(widths) - len(columns) - 2))
    table.add_column("Model", no_wrap=True)
    for (name, _), wide in zip(columns, widths, strict=True):
        table.add_column(name, justify="right", min_width=wide, max_width=wide)
    for number, row in enumerate(listed):
        last_control = row.is_control and number + 1 < len(listed) and not listed[number + 1].is_control
        texts = [Text("absent")] if row.absent is not None else []
        for _, key in columns[len(texts) :]:
            cell = row.cells.get(key)
            if cell is None or cell.value is None:
                texts.append(Text("" if row.absent is not None else "-" if cell is None else "n/a"))
                continue
            texts.append(Text(f"{cell.text}\n{_interval(row, key)}", no_wrap=True))
        table.add_row(_name(row, room), *texts, end_section=last_control)
    return table


def remarks(listed: Sequence[Row], columns: Columns) -> list[str]:
    """Why rows are absent or collapsed and why values are missing or limited, each reason once."""
    lines = [f"{row.short_title} is absent: {row.absent}" for row in listed if row.absent is not None]
    lines += [sentence(f"{row.short_title} {row.collapsed}") for row in listed if row.collapsed is not None]
    notes = Notes(listed, columns={key: title for title, key in columns})
    return lines + [f"{note.where}: {note.text}" for note in notes.listed]


def has_few(listed: Iterable[Row], columns: Columns) -> bool:
    """Whether an interval that is shown rests on too few subjects."""
    return any(row.cells[key].few for row in listed for _, key in columns if key in row.cells)


def _interval(row: Row, key: str) -> str:
    cell = row.cells.get(key)
    return "" if cell is None else f"{cell.interval}{'*' if cell.few else ''}"


def _name(row: Row, room: int) -> Text:
    """The name, and below it what sets the row apart: beside each number stands an interval, so there is a second line."""
    from rich.text import Text

    title = method_title(row.method, short=True)
    marks = [mark for mark in (row.variant, "collapsed" if row.collapsed else None) if mark not in (None, "corrected")]
    lines = [brief(title, room), *(brief(mark, room) for mark in marks if mark)]
    return Text("\n".join(lines), style="" if row.is_control else "bold")
