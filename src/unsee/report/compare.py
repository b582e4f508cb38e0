"""The page over several runs of one benchmark: their main tables in one, their trade-offs in one, how their settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unsee.errors import UserError
from unsee.metrics.alarm import contaminated
from unsee.report.fact_page import attack_parts
from unsee.report.medical_page import medical_parts
from unsee.report.page import chosen, command_line, flat, glossary
from unsee.report.panels import paper_panels, summary_panels
from unsee.report.run_data import RunData, read_run
from unsee.report.single_cells import without_single_facts
from unsee.report.single_facts import fact_tables
from unsee.report.sources import Source, Sources, switches, which_title
from unsee.report.trade_offs import axes, axis_switch, trade_off_panels
from unsee.report.utility import utility_panels

_NAMED_ELSEWHERE = ("name",)


def read_sources(folders: Sequence[Path | str]) -> Sources:
    """Runs that can be compared, each under a name of its own.

    Raises:
        UserError: a folder is no run, holds no scored cell, is given twice, or the runs are of different benchmarks.
        DataError: a file of a run is damaged.
    """
    places = [Path(folder) for folder in folders]
    double = next((place for number, place in enumerate(places) if place.resolve() in map(Path.resolve, places[:number])), None)
    if double is not None:
        raise UserError(f"{double} is given twice; name each run once")
    runs = [read_run(place) for place in places]
    for run in runs:
        if not run.results.height:
            raise UserError(f"{run.folder} holds no scored cell, so there is nothing to compare; finish it or leave it out")
    names = [_benchmark(run) for run in runs]
    other = next((number for number, name in enumerate(names) if name != names[0]), None)
    if other is not None:
        raise UserError(
            f"{runs[0].folder} is a run of {names[0]}, {runs[other].folder} one of {names[other]}: numbers of different "
            "benchmarks cannot be compared; give runs of one benchmark"
        )
    return Sources([Source(run, name) for run, name in zip(runs, _names(runs), strict=True)], "comparison")


def comparison_page(sources: Sources) -> dict[str, Any]:
    """Everything the template of a comparison shows."""
    facts = attack_parts(sources, fact_tables(sources))
    requested = replace(sources, runs=[replace(source, run=without_single_facts(source.run)) for source in sources.runs])
    axis = axis_switch(axes(requested.columns))
    medical = medical_parts(requested)
    offered = [*switches(requested), *facts["fact_switches"]]
    alarms = {
        f"{source.name}, {cell}": count for source in sources.runs for cell, count in contaminated(source.run.results).items()
    }
    return {
        "name": ", ".join(source.name for source in sources.runs),
        "title": f"{len(sources.runs)} runs of {_benchmark(sources.runs[0].run)}, side by side",
        "runs": [_about(source) for source in sources.runs],
        "alarms": alarms,
        "warnings": _warnings(sources, requested),
        "unfinished": [
            (f"{source.name}, {cell}", source.run.failure(cell)) for source in sources.runs for cell in source.run.unfinished
        ],
        "switches": offered,
        "chosen": chosen(requested, [*offered, axis, facts["shown"], medical["posed"]]),
        "still": which_title(requested.choices[0]) if requested.choices else "",
        "summary": summary_panels(requested),
        "paper": paper_panels(requested),
        "utility": utility_panels(requested),
        "axis": axis,
        "trade_off": trade_off_panels(requested),
        "settings": _settings(sources),
        "glossary": glossary(requests=bool(requested.requests), facts=facts["single"], medical=medical["medical"]),
        **facts,
        **medical,
    }


def _about(source: Source) -> dict[str, str]:
    run = source.run
    date = run.provenance.get("finished") or run.provenance.get("started")
    return {
        "name": source.name,
        "folder": str(run.folder),
        "cells": str(len(run.finished)),
        "date": str(date)[:10] if isinstance(date, str) else "",
        "command": command_line(run.provenance.get("command")),
    }


def _benchmark(run: RunData) -> str:
    return ", ".join(sorted(run.results["benchmark"].drop_nulls().unique())) or "an unnamed benchmark"


def _names(runs: Sequence[RunData]) -> list[str]:
    """The shortest ends of the folders' paths that tell the runs apart."""
    parts = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(run.folder) for run in runs]


def _warnings(sources: Sources, requested: Sources) -> list[str]:
    """What makes a comparison less than it seems; `requested` are the runs without single facts."""
    found = []
    first = sources.runs[0]
    for source in sources.runs[1:]:
        if _data(source.run) != _data(first.run):
            found.append(f"{first.name} and {source.name} ask about different data: their benchmarks have different hashes.")
    for source in requested.runs:
        missing = [scope.title for scope in requested.requests if scope not in source.requests]
        if missing:
            found.append(f"{source.name} has no cells for: {'; '.join(missing)}.")
    return found


def _data(run: RunData) -> object:
    inputs = run.provenance.get("inputs")
    return inputs.get("benchmark") if isinstance(inputs, Mapping) else None


def _settings(sources: Sources) -> list[tuple[str, list[str]]]:
    """Settings of the experiments that are not the same everywhere."""
    tables = [dict(flat(source.run.experiment)) for source in sources.runs]
    keys = list(dict.fromkeys(key for table in tables for key in table if key not in _NAMED_ELSEWHERE))
    rows = [(key, [table.get(key, "\u2013") for table in tables]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
