"""General ability as harnesses measured it, one row per model."""

from __future__ import annotations

import polars as pl

from unsee.metrics.utility import is_utility
from unsee.report.columns import Unit
from unsee.report.main_table import KEYS, Row, Scope, Slice, as_rows, over_seeds, with_row_names
from unsee.report.panels import Panel
from unsee.report.sources import Sources
from unsee.report.tables import Body, Heading, Table, line_of
from unsee.utility.known import BENCHMARKS, benchmark_of

_KEY = ("protocol", "task", "metric", "view")


class GeneralAbility:
    """What harnesses measured of the models of some runs.

    Of a benchmark that papers report it holds their metric, of other tasks every metric; parts of a benchmark are left out.

    Attributes:
        headings: columns; none where nothing was measured.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        measured = [with_row_names(source.run.results.filter(is_utility())) for source in sources.runs]
        found = _headings(pl.concat(measured))
        self.headings = list(found.values())
        self._tables = [_values(one, found) for one in measured] if found else []

    def rows(self, scope: Scope) -> list[Row]:
        """Models of one request that were measured."""
        if not self.headings:
            return []
        listed = self._sources.rows(scope, Slice(None, None, None), tables=self._tables)
        return [row for row in listed if row.cells]


def utility_panels(sources: Sources) -> list[Panel]:
    """A table of what harnesses measured; nothing where none was asked."""
    ability = GeneralAbility(sources)
    if not ability.headings:
        return []
    bodies = [
        Body(scope.title, sources.scope_keys(scope), [line_of(row, scope.scenario) for row in ability.rows(scope)])
        for scope in sources.requests
    ]
    table = Table(f"{sources.name}-utility", "General benchmarks", "by harness", ability.headings, bodies)
    return [Panel({}, table=table)]


def _headings(measured: pl.DataFrame) -> dict[tuple[str, str, str, str | None], Heading]:
    """(harness, task, metric, filter) -> its column, known benchmarks first."""
    found: dict[tuple[str, str, str, str | None], Heading] = {}
    asked = measured.select("protocol", "task").unique().iter_rows()
    wholes = [(harness, task) for harness, task in asked if benchmark_of(task, harness) is not None]
    for place in sorted(measured.select(_KEY).unique().iter_rows(), key=lambda place: (_order(*place[:2]), *map(str, place))):
        harness, task, metric, chosen = place
        known = benchmark_of(task, harness)
        is_part = any(by == harness and task.startswith(f"{whole}_") for by, whole in wholes)
        if is_part or (known is not None and known.metrics[harness] != metric):
            continue
        unit: Unit = "score" if known is None else "percent" if known.scale == 1 else "points"
        hint = ", ".join(one for one in (metric, chosen, harness) if one)
        title = task if known is None else known.title
        found[place] = Heading("/".join(str(one) for one in place), title, hint, unit=unit, about=f"{title}, {hint}")
    return found


def _values(measured: pl.DataFrame, headings: dict[tuple[str, str, str, str | None], Heading]) -> pl.DataFrame:
    """The columns of a main table, the same for every choice of answers."""
    parts = []
    for place, heading in headings.items():
        here = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in zip(_KEY, place, strict=True))
        # The page's choices of answers are about this package's own questions.
        chosen = measured.filter(here).with_columns(protocol=pl.lit(None, dtype=pl.String))
        parts.append(as_rows(chosen, heading.key, heading.unit))
    return pl.concat(parts).group_by(KEYS, maintain_order=True).agg(over_seeds())


def _order(harness: str, task: str) -> int:
    known = benchmark_of(task, harness)
    return len(BENCHMARKS) if known is None else BENCHMARKS.index(known)
