"""Defences against attacks: the matrix as a heat map, and as a table with the damage of each defence beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unsee.report.attack_table import (
    FOUND_TITLES,
    MEAN,
    OVERALL,
    WORST,
    Choice,
    attack_headings,
    attack_key,
    attack_lines,
    base_lines,
    choices,
    is_measured,
    note_of,
    shown_title,
)
from unsee.report.damage import damage_cells, damage_headings
from unsee.report.figures.heat_map import HeatColumn, HeatRow, Shade, heat_map
from unsee.report.figures.svg import Figure
from unsee.report.main_table import Cell
from unsee.report.panels import Panel
from unsee.report.single_facts import FIRST, SHOWN, FactTable, Shown, modality_suffix, tag_title
from unsee.report.sources import Sources, Switch
from unsee.report.tables import Body, Heading, Table


def fact_switches(tables: Sequence[FactTable]) -> list[Switch]:
    """Choices for everything about attacks: how many candidates, and what counts as found."""
    budgets = sorted({budget for table in tables for budget in table.budgets})
    founds = list(dict.fromkeys(found for table in tables for found in table.founds))
    first = tables[0].budget if tables else 0
    listed = [
        Switch("Candidates B", "budget", [(str(budget), str(budget)) for budget in budgets], "radio", str(first)),
        Switch("Counts as found", "found", [(found, FOUND_TITLES[found]) for found in founds], "radio", FIRST),
    ]
    return [switch for switch in listed if len(switch.options) > 1]


def shown_switch(tables: Sequence[FactTable]) -> Switch:
    """The selector of what the matrix shows."""
    over = references(tables)
    options = [(shown, shown_title(shown, *over)) for shown in SHOWN if any(is_measured(table, shown) for table in tables)]
    # What luck finds is taken off wherever that was measured.
    first = next((shown for shown, _ in options if shown == "excess"), "success")
    return Switch("Show", "shown", list(options), "radio", first)


def references(tables: Sequence[FactTable]) -> list[str]:
    """What the excess is over, of tables that have one."""
    return list(dict.fromkeys(table.reference for table in tables if is_measured(table, "excess")))


def heat_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """One heat map per choice."""
    return [
        Panel(choice.keys(table, tables), figure=_heat(sources, tables, table, choice))
        for table in tables
        for choice in choices(table)
    ]


def matrix_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """The same as tables, with mean and worst over attacks and what each defence did and cost."""
    panels = [
        Panel(choice.keys(table, tables), table=_matrix(sources, tables, table, choice))
        for table in tables
        for choice in choices(table)
    ]
    return [panel for panel in panels if panel.table]


def _matrix(sources: Sources, tables: Sequence[FactTable], table: FactTable, choice: Choice) -> Table:
    models = {(model.title, model.tag): model for model in table.models}
    lines = []
    for line in attack_lines(sources, table, choice):
        model = models.get((line.title, line.tag))
        lines.append(line if model is None else replace(line, cells={**line.cells, **damage_cells(table, model)}))
    over = [
        Heading(MEAN, "Mean", "mean over attacks", OVERALL, about="Mean over attacks", lower=True),
        Heading(WORST, "Worst", "the attack that gets most", OVERALL, about="Worst attack", lower=True),
    ]
    return Table(
        name=f"{sources.name}-attacks{modality_suffix(table, tables)}{choice.suffix}",
        title="Defences against attacks",
        note=note_of(table, tables, choice),
        headings=[*attack_headings(table), *over, *damage_headings(table)],
        bodies=[Body("", "", [*lines, *base_lines(table, choice)])],
        corner="Defence",
        tag_title=tag_title(sources, table),
        grouped=True,
    )


def _heat(sources: Sources, tables: Sequence[FactTable], table: FactTable, choice: Choice) -> Figure:
    headings = attack_headings(table)
    keys = [*(heading.key for heading in headings), MEAN, WORST]
    levels = {attack_key(place): place.level or "" for place in table.attacks}
    columns = [HeatColumn(h.title.partition(", ")[0], levels[h.key], h.group) for h in headings]
    columns += [HeatColumn("Mean", "", OVERALL), HeatColumn("Worst", "", OVERALL)]
    lines = [line for line in attack_lines(sources, table, choice) if line.absent is None]
    rows = [
        HeatRow(
            f"{line.title}, {line.tag}" if line.tag else line.title,
            line.kind.partition(" ")[0],
            [_shade(line.cells.get(key), choice.shown) for key in keys],
        )
        for line in lines
    ]
    rows += [
        HeatRow(line.title, "base", [_shade(line.cells.get(key), choice.shown) for key in keys])
        for line in base_lines(table, choice)
    ]
    told = "; ".join(
        f"{row.title}: " + ", ".join(f"{c.title} {cell.text}" for c, cell in zip(columns, row.cells, strict=True) if cell)
        for row in rows
    )
    return Figure(
        name=f"{sources.name}-heat-map{modality_suffix(table, tables)}{choice.suffix}",
        title=f"Percent of facts: {note_of(table, tables, choice)}",
        description=f"AttackSuccess in percent, {note_of(table, tables, choice)}. {told}",
        pictures=(heat_map(rows, columns),),
        wide=True,
    )


def _shade(cell: Cell | None, shown: Shown) -> Shade | None:
    if cell is None or cell.value is None:
        return None
    mark = "*" if cell.few else ""
    return Shade(cell.text, f"{cell.interval}{mark}", -cell.value if shown == "difference" else cell.value)
