"""The tables of the page for every choice of its switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from unsee.report.columns import PROTOCOL_COLUMNS, SUMMARY_COLUMNS
from unsee.report.costs import cost_cells, cost_headings
from unsee.report.figures.svg import Figure
from unsee.report.main_table import Row, Scope, Slice
from unsee.report.sources import BOTH, PROTOCOL_TITLES, Sources, keys_of, which_title
from unsee.report.tables import Body, Heading, Table, headings_of, line_of


class Panel(NamedTuple):
    """What one choice of the switches shows: a table or a figure. Keys that it lacks do not matter to it."""

    keys: Mapping[str, str]
    table: Table | None = None
    figure: Figure | None = None

    def fits(self, chosen: Mapping[str, str]) -> bool:
        """Whether the page opens with it; an empty choice shows all."""
        return all(chosen.get(name, "") in ("", *value.split(" ")) for name, value in self.keys.items())


def summary_panels(sources: Sources) -> list[Panel]:
    """Composed scores, defects and cost: over pictures and text together, whatever the protocol."""
    panels = []
    for gated in sources.gates:
        bodies, defects, costs = [], dict[str, Heading](), dict[str, Heading]()
        for scope in sources.requests:
            lines = []
            spent = cost_cells(sources, scope)
            for versions in _by_protocol(sources, scope, Slice(None, None, gated)):
                row = next(iter(versions.values()))
                if row.method == "prior_only":
                    continue
                cells = {key: cell for version in reversed(versions.values()) for key, cell in version.cells.items()}
                for protocol, version in versions.items():
                    for column in PROTOCOL_COLUMNS:
                        if column.key in version.cells:
                            key = f"{column.key}/{protocol}"
                            cells[key] = version.cells[column.key]
                            title = column.title
                            if len(sources.protocols) > 1:
                                title += f", {_protocol(protocol).lower()}"
                            defects[key] = Heading(key, title, column.hint, unit=column.unit, counted=column.pooled)
                found = {} if row.absent else spent.get((row.method, row.variant, row.tag), {})
                costs |= {heading.key: heading for heading in cost_headings() if heading.key in found}
                lines.append(line_of(replace(row, cells=cells | found), scope.scenario))
            bodies.append(Body(scope.title, sources.scope_keys(scope), lines))
        scores = [
            Heading(column.key, column.title, column.hint, unit=column.unit, meter=number < 3)
            for number, column in enumerate(SUMMARY_COLUMNS)
        ]
        which = Slice(None, None, gated)
        order = [heading for heading in cost_headings() if heading.key in costs]
        table = Table(
            name=f"{sources.name}-summary{suffix(which)}",
            title="In short",
            note=which_title(which),
            headings=[*scores, *defects.values(), *order],
            bodies=bodies,
            tag_title="Run" if len(sources.runs) > 1 else "",
        )
        panels.append(Panel({} if gated is None else {"gated": str(gated)}, table=table))
    return panels


def paper_panels(sources: Sources) -> list[Panel]:
    """Sets by tasks, one group of rows per request: what the paper's table holds."""
    choices = list(sources.choices)
    if len(sources.protocols) > 1:
        pairs = dict.fromkeys((which.modality, which.gated) for which in choices)
        choices = [Slice(BOTH, modality, gated) for modality, gated in pairs] + choices
    panels = [Panel(keys_of(which), table=_paper(sources, which)) for which in choices]
    return [panel for panel in panels if panel.table]


def _paper(sources: Sources, which: Slice) -> Table:
    tags = [title for title, used in (("Run", len(sources.runs) > 1), ("Protocol", which.protocol == BOTH)) if used]
    return Table(
        name=f"{sources.name}-main{suffix(which)}",
        title="By set and task",
        note=which_title(which),
        headings=headings_of(sources.columns),
        bodies=[
            Body(scope.title, sources.scope_keys(scope), [line_of(row, scope.scenario) for row in _rows(sources, scope, which)])
            for scope in sources.requests
        ],
        tag_title=" and ".join(tags),
        grouped=True,
        hints=sources.set_hints,
    )


def _rows(sources: Sources, scope: Scope, which: Slice) -> list[Row]:
    if which.protocol != BOTH:
        return sources.rows(scope, which)
    found = []
    for versions in _by_protocol(sources, scope, which):
        first = next(iter(versions.values()))
        if first.absent is not None or first.method == "prior_only":
            found.append(first)
            continue
        for protocol, row in versions.items():
            tag = _protocol(protocol).lower()
            found.append(replace(row, tag=f"{row.tag}, {tag}" if row.tag else tag))
    return found


def _by_protocol(sources: Sources, scope: Scope, which: Slice) -> list[dict[str | None, Row]]:
    """Per model its row under each protocol, the strict one first."""
    found: dict[tuple[str, str | None, str], dict[str | None, Row]] = {}
    for protocol in sources.protocols:
        for row in sources.rows(scope, which._replace(protocol=protocol)):
            found.setdefault((row.method, row.variant, row.tag), {})[protocol] = row
    return list(found.values())


def _protocol(name: str | None) -> str:
    return PROTOCOL_TITLES.get(str(name), str(name))


def suffix(which: Slice) -> str:
    """A slice as part of a file's name."""
    parts = [which.protocol, which.modality, {True: "known", False: "all", None: None}[which.gated]]
    return "".join(f"-{part}" for part in parts if part is not None).replace("_", "-")
