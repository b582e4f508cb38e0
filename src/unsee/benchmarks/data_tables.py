"""The tables of a data report for the terminal: `print_report(data_report(benchmark), console)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_letters
from typing import TYPE_CHECKING

from unsee.attacks.base import BUDGETS
from unsee.benchmarks.unlok_vqa.benchmark import listed_ids
from unsee.sample import MODALITIES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from unsee.benchmarks.data_report import DataReport

SHOWN = 20
"""So many findings of a kind are printed."""
_Rows = Sequence[tuple[str, ...]]


def print_report(report: DataReport, console: Console) -> None:
    """Tables for the terminal."""
    from rich.text import Text

    for title, columns, rows in _tables(report):
        console.print(_table(title, columns, rows))
    kinds: Counter[str] = Counter(finding.kind for finding in report.findings)
    for kind, count in kinds.items():
        console.print(Text(f"{kind}: {count:,}", style="bold"))
        for finding in [one for one in report.findings if one.kind == kind][:SHOWN]:
            console.print(Text(f"  {finding.where}: {finding.text}"), soft_wrap=True)
        if count > SHOWN:
            console.print(Text(f"  and {count - SHOWN:,} more"))
    if report.skipped:
        console.print(Text(f"{report.skipped:,} faults were skipped; what they touch is left out", style="bold"))


def _tables(report: DataReport) -> Iterator[tuple[str, tuple[str, ...], _Rows]]:
    """(title, columns, rows); columns from the first number on are aligned to the right."""
    if report.configs:
        rows = [
            (one.config, str(one.files), f"{one.rows:,}", "-" if one.released is None else str(one.released))
            for one in report.configs
        ]
        yield "Files", ("config", "files", "rows", "in the release"), rows
    if report.counted:
        by_id = {reason: listed_ids(ids) for reason, ids in report.left_out.items()}
        counted = [(text, f"{n:,}", *([by_id.get(text, "")] if by_id else [])) for text, n in report.counted.items()]
        yield "Refused, made or left out", ("what", "times", "rows")[: 3 if by_id else 2], counted
    counts: list[tuple[str, ...]] = []
    for one in report.counts:
        expected = "-" if one.expected is None else f"{one.expected} + {one.expected}"
        shown, told = (f"{one.questions[modality]:,}" for modality in MODALITIES)
        counts.append((one.set, one.task, shown, told, f"{one.asked:,}", f"{one.subjects:,}", expected))
    if counts:
        titles = ("set", "task", "pictured", "by name", "asked", "subjects", "each")
        yield "Questions", titles, counts
    if report.letters:
        letters = sorted({letter for counter in report.letters.values() for letter in counter})
        shares = [
            (set_, *(f"{counter[letter] / counter.total():.1%}" for letter in letters), f"{counter.total():,}")
            for set_, counter in report.letters.items()
        ]
        yield "Right letters", ("set", *letters, "questions"), shares
    if report.priors:
        guessed = [(p.set, p.task, p.modality, f"{p.questions:,}", f"{p.prior:.1%}", f"{p.chance:.1%}") for p in report.priors]
        yield "Guessing without knowing the subject", ("set", "task", "modality", "asked", "by frequency", "blindly"), guessed
    if report.pools:
        guessable = [
            (
                *(one.attribute, str(one.answers), str(one.taught), str(one.alike)),
                *(f"{one.prior[budget]:.1%}" if one.prior else "-" for budget in BUDGETS),
            )
            for one in report.pools
        ]
        columns = ("attribute", "answers", "taught", "alike", *(f"@{budget}" for budget in BUDGETS))
        yield "Answers, those with equal first tokens, and facts among the B most frequent ones (@B)", columns, guessable
    if report.pictures:
        sizes = [
            (set_, size, f"{count:,}") for set_, counter in report.pictures.items() for size, count in counter.most_common()
        ]
        yield "Pictures", ("set", "pixels", "pictures"), sizes


def _table(title: str, columns: Sequence[str], rows: _Rows) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        numeric = all(not set(row[number]) & set(ascii_letters) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
