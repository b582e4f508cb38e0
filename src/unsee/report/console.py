"""The main results as a table in the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.metrics.alarm import contaminated
from unsee.report.attack_console import print_attacks
from unsee.report.console_tables import FEW, has_few, remarks, results_table
from unsee.report.headline import headline
from unsee.report.main_table import Row, main_table, rows, scopes, slices
from unsee.report.run_data import RunData, read_run
from unsee.report.single_cells import without_single_facts

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = (
    ("Forget", "forget/classification"),
    ("Test", "test/classification"),
    ("Retain", "retain/classification"),
    ("Celeb", "celebrity/classification"),
    ("Forget score", "forget_score"),
    ("Utility", "model_utility"),
    ("Score", "unlearning_score"),
)
_LEGEND = (
    "In percent: four-option questions answered right, Forget and Test best as low as Gold; then scores, 100 is best. "
    "Below each number its 95 % interval."
)


def print_table(run: Path | str, *, console: Console | None = None) -> None:
    """Print one table per forget request of a run folder, what limits it, and the headline.

    Runs of single facts get the matrix of defences against attacks, medical runs a table of harm, ability and UES-R.

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
    alarms = contaminated(data.results)
    if not _print_medical(data, console=console, contaminated=bool(alarms)):
        _print_people(data, console=console, contaminated=bool(alarms))
    _print_general(data, console=console)
    for cell, count in alarms.items():
        console.print(Text(f"Contamination alarm: {cell} knows more than guessing explains ({count} alarms).", style="bold"))


def _print_medical(data: RunData, *, console: Console, contaminated: bool) -> bool:
    """The tables of a medical run; whether it was one."""
    if not data.results["scenario"].is_not_null().any():
        return False
    # Its tables share code with those of the page, which loads what draws figures.
    from unsee.report.medical_console import print_medical

    return print_medical(data, console=console, contaminated=contaminated)


def _print_people(data: RunData, *, console: Console, contaminated: bool) -> None:
    """The table of benchmarks that ask four-option questions about people."""
    from rich.text import Text

    table = main_table(data.results)
    requests = scopes(data.results)
    which = slices(table)[0]
    listed = [rows(table, scope, which, absent=data.absent(scope)) for scope in requests]
    for scope, found in zip(requests, listed, strict=True):
        shown = [_in_percent(row) for row in found]
        console.print(results_table(shown, _COLUMNS, title=f"{data.name}: {scope.title}", width=console.width))
        for line in remarks(found, _COLUMNS):
            console.print(Text(line))
    if listed:
        console.print(Text(_LEGEND, style="dim"))
        if has_few((row for found in listed for row in found), _COLUMNS):
            console.print(Text(FEW, style="dim"))
    top = headline(listed[0] if listed else [], demo=data.is_demo, contaminated=contaminated)
    console.print(Text(f"{top.title} {top.note}"))


def _print_general(data: RunData, *, console: Console) -> None:
    """What harnesses measured, where they did."""
    from rich.text import Text

    # As for medical runs.
    from unsee.report.sources import Source, Sources
    from unsee.report.utility import GeneralAbility

    ability = GeneralAbility(Sources([Source(data)], data.name))
    columns = [(heading.title, heading.key) for heading in ability.headings]
    for scope in scopes(data.results) if columns else ():
        found = ability.rows(scope)
        # A title of the table itself would be broken to the width of its few columns.
        console.print(Text(f"{data.name}: {scope.title}, general benchmarks", style="italic"))
        console.print(results_table(found, columns, title="", width=console.width))
        for line in remarks(found, columns):
            console.print(Text(line))


def _in_percent(row: Row) -> Row:
    """A row whose scores are in percent, too."""
    return replace(row, cells={key: replace(cell, unit="percent") for key, cell in row.cells.items()})
