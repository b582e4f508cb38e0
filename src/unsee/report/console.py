"""The main results as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.metrics.alarm import contaminated
from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.attack_console import print_attacks
from unsee.report.headline import headline
from unsee.report.main_table import Row, main_table, rows, scopes, slices
from unsee.report.notes import Notes, sentence
from unsee.report.run_data import read_run
from unsee.report.single_cells import without_single_facts
from unsee.report.vocabulary import brief, method_title

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_COLUMNS = (
    ("Forget", "forget/classification"),
    ("Test", "test/classification"),
    ("Retain", "retain/classification"),
    ("Celeb", "celebrity/classification"),
    ("Forget score", "forget_score"),
    ("Utility", "model_utility"),
    ("Score", "unlearning_score"),
)
_CELL = 8
_LEGEND = (
    "In percent: four-option questions answered right, Forget and Test best as low as Gold; then scores, 100 is best. "
    "Below each number its 95 % interval."
)


def print_table(run: Path | str, *, console: Console | None = None) -> None:
    """Print one table per forget request of a run folder, what limits it, and the headline.

    Runs of single facts get the matrix of defences against attacks.

    Raises:
        UserError: the folder is no run.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    data = read_run(run)
    if print_attacks(data, console=console):
        data = without_single_facts(data)
        if not data.results.height:
            return
    table = main_table(data.results)
    requests = scopes(data.results)
    which = slices(table)[0]
    listed = [rows(table, scope, which, absent=data.absent(scope)) for scope in requests]
    for scope, found in zip(requests, listed, strict=True):
        console.print(results_table(found, title=f"{data.name}: {scope.title}", width=console.width))
        for line in _remarks(found):
            console.print(Text(line))
    if listed:
        console.print(Text(_LEGEND, style="dim"))
        if any(row.cells[key].few for found in listed for row in found for _, key in _COLUMNS if key in row.cells):
            console.print(Text(f"* fewer than {FEW_SUBJECTS} subjects: no verdict", style="dim"))
    alarms = contaminated(data.results)
    for cell, count in alarms.items():
        console.print(Text(f"Contamination alarm: {cell} knows more than guessing explains ({count} alarms).", style="bold"))
    top = headline(listed[0] if listed else [], demo=data.is_demo, contaminated=bool(alarms))
    console.print(Text(f"{top.title} {top.note}"))


def results_table(listed: list[Row], *, title: str, width: int = 80) -> Table:
    """Accuracy on four-option questions and the composed scores, all in percent, with 95 % intervals below."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE_HEAD, padding=0, title_justify="left")
    # The numbers and their gaps take a fixed part of the width, names get what is left.
    room = max(12, min(32, width - len(_COLUMNS) * (_CELL + 1) - 2))
    table.add_column("Model", no_wrap=True)
    for name, _ in _COLUMNS:
        table.add_column(name, justify="right", min_width=_CELL, max_width=_CELL)
    for number, row in enumerate(listed):
        last_control = row.is_control and number + 1 < len(listed) and not listed[number + 1].is_control
        texts = [Text("absent")] if row.absent is not None else []
        for _, key in _COLUMNS[len(texts) :]:
            cell = row.cells.get(key)
            if cell is None or cell.value is None:
                texts.append(Text("" if row.absent is not None else "-" if cell is None else "n/a"))
                continue
            percent = replace(cell, unit="percent")
            texts.append(Text(f"{percent.text}\n{percent.interval}{'*' if cell.few else ''}", no_wrap=True))
        table.add_row(_name(row, room), *texts, end_section=last_control)
    return table


def _name(row: Row, room: int) -> Text:
    """The name, and below it what sets the row apart: beside each number stands an interval, so there is a second line."""
    from rich.text import Text

    title = method_title(row.method, short=True)
    marks = [mark for mark in (row.variant, "collapsed" if row.collapsed else None) if mark not in (None, "corrected")]
    lines = [brief(title, room), *(brief(mark, room) for mark in marks if mark)]
    return Text("\n".join(lines), style="" if row.is_control else "bold")


def _remarks(listed: Sequence[Row]) -> list[str]:
    """Why rows are absent or collapsed and why values are missing or limited, each reason once."""
    lines = [f"{row.short_title} is absent: {row.absent}" for row in listed if row.absent is not None]
    lines += [sentence(f"{row.short_title} {row.collapsed}") for row in listed if row.collapsed is not None]
    notes = Notes(listed, columns={key: title for title, key in _COLUMNS})
    return lines + [f"{note.where}: {note.text}" for note in notes.listed]
