"""The runs behind a page, and the choices a reader has: requests, protocols, modalities, known facts only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.report.columns import Column, set_columns
from unsee.report.main_table import Row, Scope, Slice, main_table, rows, scopes, slices
from unsee.report.vocabulary import MEDICAL_SET_HINTS, MODALITY_TITLES, SET_HINTS, method_order

if TYPE_CHECKING:
    import polars as pl

    from unsee.report.run_data import RunData

BOTH = "both"
"""Choice of the protocol that shows all of them side by side."""
PROTOCOL_TITLES = {"strict": "Strict", "official": "Official", BOTH: "Side by side"}
_FEW_REQUESTS = 3
"""As many requests are shown together at first."""
_GATES = {"False": "All", "True": "Known only"}


class Switch(NamedTuple):
    """One choice; `options` are (value, title), `kind` is `radio` or `select`."""

    title: str
    name: str
    options: list[tuple[str, str]]
    kind: str = "radio"
    chosen: str = ""


@dataclass(frozen=True)
class Source:
    """One run and its main table; `name` tells it from the other runs of a comparison, "" where there is one run."""

    run: RunData
    name: str = ""

    @cached_property
    def table(self) -> pl.DataFrame:
        return main_table(self.run.results)

    @cached_property
    def requests(self) -> list[Scope]:
        return scopes(self.run.results)

    @cached_property
    def choices(self) -> list[Slice]:
        return slices(self.table) if self.table.height else []


@dataclass(frozen=True)
class Sources:
    """What a page is made from.

    Attributes:
        runs: at least one.
        name: first part of the names of files.
    """

    runs: Sequence[Source]
    name: str

    @property
    def results(self) -> pl.DataFrame:
        """Results of the first run."""
        return self.runs[0].run.results

    @cached_property
    def requests(self) -> list[Scope]:
        """Requests of all runs, those of the first run first."""
        return list(dict.fromkeys(scope for source in self.runs for scope in source.requests))

    @property
    def ratios(self) -> dict[Scope, list[Scope]]:
        """Requests by what they forget, however it was unlearned."""
        found: dict[Scope, list[Scope]] = {}
        for scope in self.requests:
            found.setdefault(scope._replace(unlearn_modality=None), []).append(scope)
        return found

    @cached_property
    def choices(self) -> list[Slice]:
        return list(dict.fromkeys(which for source in self.runs for which in source.choices))

    @cached_property
    def columns(self) -> list[Column]:
        """Columns by set and task of all runs."""
        found = {column.key: column for source in self.runs for column in set_columns(source.run.results)}
        order = [set_columns(source.run.results) for source in self.runs]
        keys = max((tuple(column.key for column in columns) for columns in order), key=len, default=())
        return [found[key] for key in (*keys, *(key for key in found if key not in keys))]

    @property
    def protocols(self) -> list[str | None]:
        return list(dict.fromkeys(which.protocol for which in self.choices))

    @property
    def gates(self) -> list[bool | None]:
        return list(dict.fromkeys(which.gated for which in self.choices))

    @property
    def set_hints(self) -> Mapping[str, str]:
        """Set -> what it is, in a few words."""
        return MEDICAL_SET_HINTS if any(scope.scenario is not None for scope in self.requests) else SET_HINTS

    def rows(self, scope: Scope, which: Slice, *, tables: Sequence[pl.DataFrame] | None = None) -> list[Row]:
        """Rows of one request; with several runs each row is tagged with its run.

        Args:
            tables: one per run, as `main_table` makes them; the main tables where None.
        """
        listed = [
            (number, row if len(self.runs) == 1 else replace(row, tag=source.name))
            for number, source in enumerate(self.runs)
            if scope in source.requests
            for row in rows(tables[number] if tables else source.table, scope, which, absent=source.run.absent(scope))
        ]
        listed.sort(key=lambda item: (*method_order(item[1].method), item[1].variant or "", item[0]))
        return [row for _, row in listed]

    def scope_keys(self, scope: Scope) -> str:
        """The request's number on the page."""
        return str(self.requests.index(scope))


def file_stem(name: str, *, length: int = 60) -> str:
    """A name as the beginning of file names."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())[:length] or "run"


def keys_of(which: Slice, **more: str) -> dict[str, str]:
    """What a panel is about, in the words of the switches."""
    found = {"protocol": which.protocol, "modality": which.modality, "gated": None if which.gated is None else str(which.gated)}
    return {name: value for name, value in found.items() if value is not None} | more


def switches(sources: Sources) -> list[Switch]:
    """The choices that a page offers; only those that leave one."""

    def options(values: Iterable[object], titles: Mapping[str, str]) -> list[tuple[str, str]]:
        return [(str(value), titles.get(str(value), str(value))) for value in dict.fromkeys(values)]

    protocols: list[Any] = sources.protocols
    if len(protocols) > 1:
        protocols = [BOTH, *protocols]
    requests = [(str(number), scope.title) for number, scope in enumerate(sources.requests)]
    if len(requests) > 1:
        requests.append(("", "All requests"))
    found = [
        Switch("Request", "scope", requests, "select", "" if 1 < len(sources.requests) <= _FEW_REQUESTS else "0"),
        Switch("Questions", "modality", options((c.modality for c in sources.choices), MODALITY_TITLES)),
        Switch("Facts", "gated", options(sources.gates, _GATES)),
        Switch("Protocol", "protocol", options(protocols, PROTOCOL_TITLES)),
    ]
    return [
        switch._replace(chosen=switch.chosen if switch.name == "scope" else switch.options[0][0])
        for switch in found
        if len(switch.options) > 1
    ]


def which_title(which: Slice) -> str:
    """A slice in words."""
    parts = [MODALITY_TITLES.get(which.modality or "", "Pictures and text together")]
    if which.gated is not None:
        parts.append("known facts only" if which.gated else "all facts")
    if which.protocol == BOTH:
        parts.append("all protocols")
    elif which.protocol not in (None, "strict"):
        parts.append(f"{which.protocol} protocol")
    return ", ".join(parts)
