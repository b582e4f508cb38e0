"""Further states of a run's models: what comes back, and the points on the way through unlearning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from unsee.report.main_table import Cell, Row, Scope, Slice, main_table, rows
from unsee.report.panels import Panel, suffix
from unsee.report.sources import Sources, keys_of, which_title
from unsee.report.tables import Body, Heading, Line, Table, line_of

if TYPE_CHECKING:
    import polars as pl

UNLEARNED = "as unlearned"
_MEASURES = {
    "forget/classification": "Forget accuracy",
    "retain/classification": "Retain accuracy",
}
"""Columns of the main table that are shown in every state. Scores are not: each state leaves out other components."""
_WITHOUT = ("prior_only", "do_nothing", "prompt_guard")
"""Controls that leave vanilla as it is have no states of their own."""


def way_tables(states: pl.DataFrame) -> list[pl.DataFrame]:
    """A main table for each point on the way, first to last.

    Points are counted, since runs of several seeds may take different numbers of steps.

    Args:
        states: schema STATES.
    """
    import polars as pl

    counted = states.filter(pl.col("step").is_not_null()).with_columns(pl.col("step").rank("dense").over("cell").alias("point"))
    return [main_table(counted.filter(pl.col("point") == point)) for point in sorted(counted["point"].unique())]


def after_tables(states: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """State -> main table, for what was done to finished models: taught again first, then rounded to ever fewer bits."""
    import polars as pl

    after = states.filter(pl.col("step").is_null() & pl.col("state").is_not_null())
    return {name: main_table(after.filter(pl.col("state") == name)) for name in sorted(after["state"].unique(), key=_order)}


def state_panels(sources: Sources) -> list[Panel]:
    """What comes back: forgetting and what was kept in each state, one row per model; nothing where no state was asked."""
    tables = after_tables(sources.runs[0].run.states)
    panels = [Panel(keys_of(which), table=_table(sources, tables, which)) for which in sources.choices] if tables else []
    return [panel for panel in panels if panel.table]


def state_words(sources: Sources) -> list[tuple[str, str]]:
    """The states of a run that are not on the way, and what was done in each."""
    table = sources.runs[0].run.experiment.get("states")
    share = table.get("relearn") if isinstance(table, Mapping) else None
    some = f"{100 * share:.4g}\u00a0%" if isinstance(share, int | float) and share else "some"
    found = []
    for name in after_tables(sources.runs[0].run.states):
        if name == "relearned":
            words = f"{some} of the facts to forget were taught again, without replay; those are not asked"
        elif (bits := _bits(name)) is not None:
            words = f"weights of the linear layers rounded to {bits} bits and back"
        else:
            words = "a state this page does not know"
        found.append((name, words))
    return found


def _table(sources: Sources, tables: Mapping[str, pl.DataFrame], which: Slice) -> Table:
    columns = {column.key: column for column in sources.columns}
    headings = [
        Heading(f"{key}/{name}", name, columns[key].hint, title, columns[key].unit, f"{title}, {name}")
        for key, title in _MEASURES.items()
        if key in columns
        for name in (UNLEARNED, *tables)
    ]
    bodies = [Body(scope.title, sources.scope_keys(scope), _lines(sources, tables, scope, which)) for scope in sources.requests]
    return Table(
        name=f"{sources.name}-states{suffix(which)}",
        title="In further states",
        note=which_title(which),
        headings=headings,
        bodies=[body for body in bodies if body.lines],
        grouped=True,
    )


def _lines(sources: Sources, tables: Mapping[str, pl.DataFrame], scope: Scope, which: Slice) -> list[Line]:
    """Rows of a request; none where no state of it was asked."""
    found = {name: {(r.method, r.variant): r for r in rows(table, scope, which)} for name, table in tables.items()}
    lines, asked = [], False
    for row in sources.rows(scope, which):
        if row.method in _WITHOUT:
            continue
        cells = _named(row, UNLEARNED)
        for name, versions in found.items():
            if (version := versions.get((row.method, row.variant))) is not None and version.cells:
                cells |= _named(_with_collapse(version), name)
                asked = True
        lines.append(line_of(replace(row, cells=cells), scope.scenario))
    return lines if asked else []


def _named(row: Row, state: str) -> dict[str, Cell]:
    return {f"{key}/{state}": row.cells[key] for key in _MEASURES if key in row.cells}


def _with_collapse(row: Row) -> Row:
    """A row of a state whose values say that the model no longer answers there."""
    if row.collapsed is None:
        return row
    marked = {
        key: replace(cell, reason="; ".join(filter(None, (cell.reason, row.collapsed)))) for key, cell in row.cells.items()
    }
    return replace(row, cells=marked)


def _bits(name: str) -> int | None:
    width = name.removeprefix("int")
    return int(width) if name.startswith("int") and width.isdecimal() else None


def _order(name: str) -> tuple[int, int, str]:
    bits = _bits(name)
    return (0, 0, name) if name == "relearned" else (1, -bits, name) if bits is not None else (2, 0, name)
