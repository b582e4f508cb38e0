"""Values of a medical benchmark: one study per request and kind of harm, seeds averaged, and tables made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.metrics.medical import MEDICAL_METRICS
from unsee.metrics.medical_subsets import Harm
from unsee.metrics.metric import FORGOTTEN_SETS
from unsee.report.main_table import Cell, Row, Scope, Slice, averaged_cell, over_seeds, with_row_names
from unsee.report.panels import suffix
from unsee.report.sources import Sources, keys_of, which_title
from unsee.report.tables import Body, Heading, Table, line_of

if TYPE_CHECKING:
    import polars as pl

_NAMES = frozenset({*(metric.name for metric in MEDICAL_METRICS), "rouge_l"})
_SCORES = frozenset({"wrong_margin", *(name for name in _NAMES if name.startswith("ues_")), "over_forgotten"})
MARKS: Mapping[Harm, str] = {"privacy": "leak_rate", "incorrect": "wrong_reproduction"}
"""A metric that only answers about this kind of harm have."""


class Spot(NamedTuple):
    """Where a value stands in the results, pictures and text together."""

    metric: str
    set: str
    level: str | None = None
    group: str | None = None
    task: str | None = "generation"
    view: str | None = "generate"


Values = Mapping[Spot, Cell]


class Model(NamedTuple):
    """A row of every table; `run` is "" where there is one run."""

    method: str
    variant: str | None
    run: str = ""


class Asked(NamedTuple):
    """A column: its heading, and how a model's value is found."""

    heading: Heading
    find: Callable[[Values], Cell | None]


@dataclass(frozen=True)
class Study:
    """What was measured of one request.

    Attributes:
        scope: the request.
        rows: its models, in the order of every table; their cells are of the main table.
        values: model -> place -> value.
    """

    scope: Scope
    rows: Sequence[Row]
    values: Mapping[Model, Values]

    def of(self, row: Row) -> Values:
        """Values of one model."""
        return self.values.get(Model(row.method, row.variant, row.tag), {})

    @cached_property
    def spots(self) -> frozenset[Spot]:
        """Everything that was measured of any model."""
        return frozenset(spot for own in self.values.values() for spot in own)

    def groups(self, metric: str, key: str) -> list[str]:
        """Values of `key` that a metric is told apart by, such as the classes of identifiers."""
        mark = f"{key}="
        return sorted(
            {str(s.group)[len(mark) :] for s in self.spots if s.metric == metric and (s.group or "").startswith(mark)}
        )


@dataclass(frozen=True)
class Medical:
    """The studies of one run, or of several whose models stand side by side; read once.

    Attributes:
        sources: the runs, without their single-fact cells.
    """

    sources: Sources

    def __bool__(self) -> bool:
        return any(found["metric"].is_in(list(MARKS.values())).any() for found in self._results)

    @property
    def run_heading(self) -> str:
        """Heading of the column that tells runs apart; "" for one run."""
        return "Run" if len(self.sources.runs) > 1 else ""

    @cached_property
    def _results(self) -> list[pl.DataFrame]:
        """Results of each run."""
        import polars as pl

        medical = pl.col("metric").is_in(list(_NAMES)), pl.col("baseline").is_null()
        return [with_row_names(source.run.results).filter(*medical) for source in self.sources.runs]

    @cached_property
    def choices(self) -> list[Slice]:
        """Protocols and known facts only or all; values are over pictures and text together."""
        return list(dict.fromkeys(which._replace(modality=None) for which in self.sources.choices))

    def studies(self, which: Slice, harm: Harm | None = None) -> list[Study]:
        """One study per request that is about a kind of harm, or about any."""
        scopes = [scope for scope in self.sources.requests if harm is None or scope.scenario in (None, harm)]
        found = (self._study(scope, which, harm or scope.scenario) for scope in scopes)
        return [one for one in found if harm is None or any(spot.metric == MARKS[harm] for spot in one.spots)]

    def keys(self, which: Slice, studies: Sequence[Study], **more: str) -> dict[str, str]:
        """What a panel of these studies is about, in the words of the switches."""
        return keys_of(which, scope=" ".join(self.sources.scope_keys(study.scope) for study in studies), **more)

    def _study(self, scope: Scope, which: Slice, harm: str | None) -> Study:
        shown = next(one for one in self.sources.choices if one._replace(modality=None) == which)
        rows = [row for row in self.sources.rows(scope, shown) if row.method != "prior_only"]
        values: dict[Model, Values] = {}
        for source, results in zip(self.sources.runs, self._results, strict=True):
            if scope in source.requests:
                values |= _values(results, scope, which, harm, run=source.name if self.run_heading else "")
        return Study(scope, rows, values)


def _values(results: pl.DataFrame, scope: Scope, which: Slice, harm: str | None, *, run: str) -> dict[Model, Values]:
    """What one run measured of a request."""
    import polars as pl

    wanted = {**scope._asdict(), "scenario": harm, "protocol": which.protocol}
    rows = results.filter(*(pl.col(key).is_null() | pl.col(key).eq_missing(pl.lit(value)) for key, value in wanted.items()))
    if which.gated is not None:
        rows = rows.filter(pl.col("gated").is_null() | (pl.col("gated") == _gated(rows, which.gated)))
    means = rows.group_by("method", "variant", "modality", *Spot._fields, maintain_order=True).agg(over_seeds())
    found: dict[Model, dict[Spot, list[Cell]]] = {}
    for row in means.iter_rows(named=True):
        spot = Spot(**{name: row[name] for name in Spot._fields})
        cells = found.setdefault(Model(row["method"], row["variant"], run), {}).setdefault(spot, [])
        cells.append(averaged_cell(row, "score" if row["metric"] in _SCORES else "percent"))
    return {model: {spot: pooled(cells) for spot, cells in spots.items()} for model, spots in found.items()}


def _gated(rows: pl.DataFrame, gated: bool) -> pl.Expr:
    """Which rows stand for known facts: sets that the gate did not probe count as they are."""
    import polars as pl

    probed = rows.filter(pl.col("gated").fill_null(False), pl.col("value").is_not_null())["set"].unique().to_list()
    return pl.col("set").is_in([*probed, *FORGOTTEN_SETS, "all"]) & pl.lit(gated)


def pooled(cells: Sequence[Cell]) -> Cell:
    """Pictures and text together, weighted by the number of answers; the ends of the interval are averaged the same."""
    measured = [cell for cell in cells if cell.value is not None]
    if len(measured) < 2:
        return (measured or list(cells))[0]
    weights = [cell.n or 1 for cell in measured]

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(w * v for w, v in zip(weights, known)) / sum(weights) if len(known) == len(weights) else None

    return replace(
        measured[0],
        value=mean([cell.value for cell in measured]),
        low=mean([cell.low for cell in measured]),
        high=mean([cell.high for cell in measured]),
        n=sum(weights),
        n_subjects=min((cell.n_subjects for cell in measured if cell.n_subjects is not None), default=None),
        reason="; ".join(dict.fromkeys(part for cell in measured for part in cell.reason.split("; ") if part)),
        seed_low=None,
        seed_high=None,
    )


def at(*spots: Spot) -> Callable[[Values], Cell | None]:
    """Finds the first of these places that was measured."""
    return lambda values: next((values[spot] for spot in spots if spot in values), None)


def made_table(
    medical: Medical,
    studies: Sequence[Study],
    which: Slice,
    columns: Sequence[Asked],
    *,
    name: str,
    title: str,
    note: str = "",
    **how: Any,
) -> Table:
    """One body per request; columns that no model has a value for are left out.

    Args:
        name: of its files, after the run's.
        note: what the values are, before the choice they are made from.
        how: further fields of the table.
    """
    used: dict[str, Heading] = {}
    bodies = []
    for study in studies:
        lines = []
        for row in study.rows:
            values = study.of(row)
            cells = {asked.heading.key: cell for asked in columns if (cell := asked.find(values)) is not None}
            used |= {asked.heading.key: asked.heading for asked in columns if asked.heading.key in cells}
            lines.append(line_of(replace(row, cells=cells), study.scope.scenario or "both"))
        bodies.append(Body(study.scope.title, medical.sources.scope_keys(study.scope), lines))
    return Table(
        name=f"{medical.sources.name}-{name}{suffix(which)}",
        title=title,
        note="; ".join(filter(None, (note, _choice(which)))),
        headings=[asked.heading for asked in columns if asked.heading.key in used],
        bodies=bodies,
        tag_title=medical.run_heading,
        **how,
    )


def _choice(which: Slice) -> str:
    """A choice in words, less that pictures and text stand together."""
    return which_title(which).partition(", ")[2]


def each_choice(medical: Medical, harm: Harm | None) -> Iterator[tuple[Slice, list[Study]]]:
    """Choices with the studies that they have."""
    for which in medical.choices:
        studies = medical.studies(which, harm)
        if studies:
            yield which, studies
