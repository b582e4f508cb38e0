"""Defences against attacks as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.attack_table import FOUND_TITLES, MEAN, Choice, attack_headings, attack_lines, base_lines
from unsee.report.damage import RANDOM, damage_cells
from unsee.report.fact_headline import fact_headline
from unsee.report.notes import Notes
from unsee.report.single_cells import known_facts
from unsee.report.single_facts import FIRST, FactTable, Shown, fact_tables
from unsee.report.sources import Source, Sources
from unsee.report.vocabulary import MODALITY_TITLES, brief

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from unsee.report.run_data import RunData
    from unsee.report.tables import Line

_NARROW = 6
_LOST = "Lost"


def print_attacks(run: RunData, *, console: Console) -> bool:
    """Print the matrix of a run of single facts and its headline; whether there was one."""
    from rich.text import Text

    sources = Sources([Source(run)], run.name)
    tables = fact_tables(sources)
    for table in tables:
        top = fact_headline(table, known=known_facts(run.results), demo=run.is_demo)
        if not table.attacks:
            console.print(Text(f"{top.title} {top.text}"))
            continue
        lines = _lines(sources, table)
        about = f", {MODALITY_TITLES.get(str(table.modality), '').lower()}" if len(tables) > 1 else ""
        title = f"{run.name}: facts found with {table.budget} candidates{about}"
        console.print(_drawn(table, lines, title=title, width=console.width))
        console.print(_means(table))
        for line in lines:
            if line.absent is not None:
                console.print(Text(f"{line.title} is absent: {line.absent}"))
        for note in Notes(lines, columns={h.key: h.full for h in attack_headings(table)} | {MEAN: "Mean"}).listed:
            console.print(Text(f"{note.where}: {note.text}"))
        console.print(Text(_legend(lines), style="dim"))
        console.print(Text(f"{top.title} {top.note}"))
    return bool(tables)


def _lines(sources: Sources, table: FactTable) -> list[Line]:
    choice = Choice(table.budget, FIRST, "success")
    return [*attack_lines(sources, table, choice), *base_lines(table, choice)]


def _drawn(table: FactTable, lines: Sequence[Line], *, title: str, width: int) -> Table:
    """Percent of facts, with 95 % intervals below; the last column is accuracy lost on other facts."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(title=Text(title), box=SIMPLE_HEAD, padding=0, title_justify="left")
    headings = [(heading.key, heading.title) for heading in attack_headings(table)] + [(MEAN, "Mean"), (RANDOM, _LOST)]
    heads = [title.replace(", ", "\n").replace(" ", "\n").replace("-", "-\n") for _, title in headings]
    widths = [max(_NARROW, *map(len, head.split("\n"))) for head in heads]
    drawn.add_column("Defence", no_wrap=True)
    for head, wide in zip(heads, widths, strict=True):
        drawn.add_column(Text(head), justify="right", min_width=wide)
    room = max(12, min(32, width - sum(widths) - len(widths) - 2))
    damage = {(model.title, model.tag): damage_cells(table, model) for model in table.models}
    for number, line in enumerate(lines):
        cells = {**line.cells, **damage.get((line.title, line.tag), {})}
        texts = [Text("absent")] if line.absent is not None else []
        for key, _ in headings[len(texts) :]:
            cell = cells.get(key)
            if cell is None or cell.value is None:
                texts.append(Text("" if line.absent is not None else "-" if cell is None else "n/a"))
            else:
                texts.append(Text(f"{cell.text}{'*' if cell.few else ''}\n{cell.interval}", no_wrap=True))
        ends = number + 1 < len(lines) and (line.kind == "method") != (lines[number + 1].kind == "method")
        name = "\n".join(brief(part, room) for text in (line.title, line.tag) for part in wrap(text, room))
        drawn.add_row(Text(name, style="bold" if line.kind == "method" else ""), *texts, end_section=ends)
    return drawn


def _means(table: FactTable) -> Table:
    """Means over attacks: as found, and beyond the reference; by first tokens and by whole answers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Drawn
    from rich.text import Text

    title = f"Mean over attacks, {table.budget} candidates; excess is over {table.reference_words.about}"
    drawn = Drawn(title=Text(title), box=SIMPLE_HEAD, padding=(0, 1), title_justify="left")
    drawn.add_column("Defence")
    ways: list[tuple[str, Shown]] = [(found, shown) for found in table.founds for shown in ("success", "excess")]
    for found, shown in ways:
        drawn.add_column(f"{FOUND_TITLES[found].capitalize()}\n{shown}", justify="right")
    for model in table.attacked:
        pairs = [table.over_attacks(model, table.budget, shown=shown, found=found) for found, shown in ways]
        means = [None if pair is None else pair[0] for pair in pairs]
        drawn.add_row(
            Text(brief(model.label, 30), style="" if model.is_control else "bold"),
            *(Text("-" if mean is None else f"{mean.text}{'*' if mean.few else ''} {mean.interval}") for mean in means),
        )
    return drawn


def _legend(lines: Sequence[Line]) -> str:
    few = any(cell.few for line in lines for cell in line.cells.values())
    legend = (
        "In percent of facts, below each number its 95 % interval; Mean is over attacks. "
        f"{_LOST}: points of accuracy that edits cost on other facts."
    )
    return f"{legend}\n* fewer than {FEW_SUBJECTS} facts: no verdict" if few else legend
