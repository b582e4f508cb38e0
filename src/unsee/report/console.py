"""The main results as a table in the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.headline import headline
from unsee.report.main_table import Row, main_table, rows, scopes, slices
from unsee.report.run_data import read_run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLUMNS = (
    ("Forget", "forget/classification"),
    ("Test", "test/classification"),
    ("Retain", "retain/classification"),
    ("Celeb", "celebrity/classification"),
    ("Forget score", "forget_score"),
    ("Utility", "model_utility"),
    ("Score", "unlearning_score"),
)


def print_table(run: Path | str, *, console: Console | None = None) -> None:
    """Print the headline and one table per forget request of a run folder.

    Raises:
        UserError: the folder is no run.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    data = read_run(run)
    table = main_table(data.results)
    requests = scopes(data.results)
    which = slices(table)[0]
    listed = [rows(table, scope, which, absent=data.absent(scope)) for scope in requests]
    for scope, found in zip(requests, listed, strict=True):
        console.print(results_table(found, title=f"{data.name}: {scope.title}"))
        for row in found:
            if row.absent is not None:
                console.print(Text(f"{row.short_title} is absent: {row.absent}"))
    top = headline(listed[0] if listed else [], demo=data.is_demo)
    console.print(Text(f"{top.title} {top.note}"))


def results_table(listed: list[Row], *, title: str) -> Table:
    """Accuracy on four-option questions and the composed scores, all in percent, with 95 % intervals below."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Narrow enough for a terminal of 80 columns.
    table = Table(title=Text(title), box=SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left", caption_justify="left")
    table.caption = "in %: four-option questions right, scores from 0 to 100; below, 95 % intervals"
    if any(cell.few for row in listed for cell in row.cells.values()):
        table.caption += f"\n* fewer than {FEW_SUBJECTS} subjects: no verdict"
    table.add_column("Model")
    for name, _ in _COLUMNS:
        table.add_column(name, justify="right", min_width=8)
    for number, row in enumerate(listed):
        last_control = row.is_control and number + 1 < len(listed) and not listed[number + 1].is_control
        texts = [Text("absent")] if row.absent is not None else []
        for _, key in _COLUMNS[len(texts) :]:
            cell = row.cells.get(key)
            if cell is None or cell.value is None:
                texts.append(Text("" if row.absent is not None else "-" if cell is None else "n/a"))
                continue
            percent = replace(cell, unit="percent")
            texts.append(Text(f"{percent.text}\n{percent.interval}{'*' if cell.few else ''}"))
        name = row.short_title + (" (collapsed)" if row.collapsed else "")
        table.add_row(Text(name), *texts, end_section=last_control)
    return table
