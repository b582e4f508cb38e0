"""The page of one run: gathers what a run folder holds for the template `report.html`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from unsee.benchmarks.medical.licences import notice
from unsee.metrics.alarm import contaminated
from unsee.report.answered import Answers, Key, answers_of, cells_of
from unsee.report.closer import asking_switch, attribute_panels, distance_tables, gate_counts, gate_table, grade_panels
from unsee.report.differences import compare_switch, difference_panels, distance_panels
from unsee.report.examples import example_figure
from unsee.report.fact_page import fact_parts
from unsee.report.facts import fact_panels, model_switch
from unsee.report.figures.curves import training_curves
from unsee.report.figures.svg import Figure
from unsee.report.gallery import counts, gallery_data
from unsee.report.headline import headline, leading
from unsee.report.main_table import Row, Scope, Slice
from unsee.report.medical_page import medical_parts
from unsee.report.medical_words import MEDICAL_GLOSSARY
from unsee.report.panels import paper_panels, summary_panels
from unsee.report.paths import path_panels
from unsee.report.run_data import RunData
from unsee.report.single_cells import without_single_facts
from unsee.report.sources import Source, Sources, Switch, file_stem, switches, which_title
from unsee.report.states import state_panels, state_words
from unsee.report.trade_offs import axes, axis_switch, trade_off_panels
from unsee.report.utility import utility_panels
from unsee.report.vocabulary import FACT_GLOSSARY, GLOSSARY, method_title

_SHOWN_ELSEWHERE = ("command", "seconds", "sessions", "failed", "missed_gates")


def page_of(run: RunData) -> dict[str, Any]:
    """Everything the template of a run shows."""
    facts = fact_parts(run, file_stem(run.name))
    requested = without_single_facts(run) if facts["single"] else run
    sources = Sources([Source(requested)], file_stem(run.name))
    request = sources.requests[0] if sources.requests else Scope(None, None)
    alarms = contaminated(run.results)
    rows = headline_rows(sources)
    focus = leading(rows)
    answers, absent = _answers(requested, request)
    gallery = gallery_data(answers, focus=focus)
    bars, compare = difference_panels(sources), compare_switch(sources)
    medical = medical_parts(sources, contaminated=bool(alarms))
    # Facts that were planted are questions in full, and have tables of their own.
    matrix, model = [] if medical["medical"] else fact_panels(answers, name=sources.name), model_switch(answers, focus)
    axis = axis_switch(axes(sources.columns))
    attributes = [] if medical["medical"] else attribute_panels(sources)
    gates = gate_counts(requested.results if sources.requests else run.results, request)
    asking = asking_switch(attributes)
    cells = [(method_title(method, variant), cell) for (method, variant), cell in cells_of(requested, request).items()]
    offered = [*switches(sources), *facts["fact_switches"]]
    # A run of single facts only has none of the parts about forget requests.
    only_facts = facts["single"] and not sources.requests
    top = facts["fact_headline"] if only_facts else medical["medical_headline"]
    top = top or headline(rows, demo=run.is_demo, contaminated=bool(alarms))
    return {
        "name": run.name,
        "headline": top,
        "only_facts": only_facts,
        "facts": _facts(run, rows, facts["n_facts"], batch=facts["batch"]),
        "unfinished": [(cell, run.failure(cell)) for cell in run.unfinished],
        "alarms": alarms,
        "warnings": _warnings(run, alarms),
        "switches": offered,
        "chosen": chosen(
            sources, [*offered, axis, model, asking, *([compare] if compare else []), facts["shown"], medical["posed"]]
        ),
        "still": which_title(sources.choices[0]) if sources.choices else "",
        "request": request.title,
        "summary": summary_panels(sources),
        "paper": paper_panels(sources),
        "utility": utility_panels(sources),
        "examples": example_figure(answers, focus=focus, name=sources.name),
        "axis": axis,
        "trade_off": trade_off_panels(sources),
        "paths": path_panels(sources),
        "states": state_panels(sources),
        "state_words": state_words(sources),
        "compare": compare,
        "differences": bars,
        "grades": grade_panels(sources),
        "matrix": matrix,
        "model": model,
        "attributes": attributes,
        "asking": asking,
        "distances": distance_panels(sources),
        "distance_tables": distance_tables(sources),
        "gates": gates,
        "gate_table": gate_table(gates, sources.name),
        "gallery": json.dumps(gallery, ensure_ascii=False, separators=(",", ":")) if gallery["people"] else "",
        "gallery_counts": counts(gallery),
        "gallery_data": gallery,
        "gallery_absent": absent,
        "curves": _curves(run, cells, sources.name),
        "glossary": glossary(requests=not only_facts, facts=facts["single"], medical=medical["medical"]),
        **facts,
        **medical,
        "repeat": [
            f"unsee run {shlex.quote(f'{run.folder.name}/experiment.toml')}",
            f"unsee report {shlex.quote(run.folder.name)} --export {shlex.quote(f'{run.folder.name}/paper')}",
        ],
        "command": command_line(run.provenance.get("command")),
        "provenance": flat({key: value for key, value in run.provenance.items() if key not in _SHOWN_ELSEWHERE}),
        "experiment_text": (run.folder / "experiment.toml").read_text(encoding="utf-8"),
    }


def chosen(sources: Sources, offered: Sequence[Switch]) -> dict[str, str]:
    """What the page opens with: the first slice, and what the switches say."""
    first = sources.choices[0] if sources.choices else Slice(None, None, None)
    found = {key: str(value) for key, value in first._asdict().items() if value is not None} | {"scope": "0"}
    return found | {switch.name: switch.chosen for switch in offered} | {"main": found.get("protocol", "")}


def glossary(*, requests: bool, facts: bool, medical: bool = False) -> list[tuple[str, str]]:
    """Words of the parts that a page has, each explained once."""
    found = dict(GLOSSARY if requests else ()) | dict(MEDICAL_GLOSSARY if medical else ())
    return [*({**dict(FACT_GLOSSARY), **found} if facts else found).items()]


def headline_rows(sources: Sources) -> list[Row]:
    """Rows of the first request: known facts only where the gate left some, else all facts."""
    if not sources.requests:
        return []
    listed = [(which, sources.rows(sources.requests[0], which)) for which in sources.choices]
    for which, found in listed:
        keys = ("forget/classification", "retain/classification")
        measured = [row for row in found if not row.is_control and all(row.value(key) is not None for key in keys)]
        if which.gated and which.protocol == sources.protocols[0] and measured:
            return found
    return listed[0][1] if listed else []


def command_line(command: object) -> str:
    """The command that started a run, as it was typed."""
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    return command if isinstance(command, str) else ""


def flat(value: object, key: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted key, value) pairs."""
    if isinstance(value, Mapping):
        return [pair for name, item in value.items() for pair in flat(item, f"{key}.{name}" if key else str(name))]
    if isinstance(value, str):
        return [(key, value)]
    return [(key, json.dumps(value, ensure_ascii=False))]


def _answers(run: RunData, request: Scope) -> tuple[Answers, str]:
    """What was said, or why nothing can be shown."""
    from unsee.sample_tables import read_samples

    path = run.folder / "samples.parquet"
    none: Mapping[Key, str] = {}
    if not path.is_file():
        reason = "Absent: this run holds no samples.parquet, so there are no questions to show." if run.finished else ""
        return Answers(none, ()), reason
    answers = answers_of(run, read_samples(path), request)
    missing = "Absent: no finished cell holds answers to the run's questions."
    return answers, "" if answers.questions or not run.finished else missing


def _curves(run: RunData, cells: Sequence[tuple[str, str]], name: str) -> list[Figure]:
    curves = []
    for number, (title, cell) in enumerate(cells):
        log = run.train_log(cell)
        svg = training_curves(log, prefix=f"t{number}") if log else None
        if svg is not None:
            ends = [f"{key.replace('_', ' ')} {_last(log, key)}" for key in ("probe_forget", "probe_retain") if _last(log, key)]
            note = f"{len(log)} step{'' if len(log) == 1 else 's'}"
            told = f"Training of {title}, {note}. At the end: {', '.join(ends) or 'no probe'}."
            curves.append(Figure(f"{name}-training-{file_stem(cell)}", f"{title}, {note}", told, (svg,)))
    return curves


def _last(log: Sequence[Mapping[str, Any]], key: str) -> str:
    return next((f"{step[key]:.2f}" for step in reversed(log) if isinstance(step.get(key), int | float)), "")


def _facts(run: RunData, rows: Sequence[Row], single: int, *, batch: bool) -> list[str]:
    """What was run, in a line of short phrases."""
    facts: list[str] = []
    if run.results.height:
        facts += [f"Benchmark {name}" for name in run.results["benchmark"].drop_nulls().unique(maintain_order=True)]
        facts += [f"Model {name}" for name in run.results["model"].drop_nulls().unique(maintain_order=True)]
    forgotten = [cell.n_subjects for row in rows if (cell := row.cells.get("forget/classification")) and cell.n_subjects]
    if forgotten:
        facts.append(f"{max(forgotten)} people forgotten")
    if single:
        facts.append(f"{single} facts deleted, {'all in one edit' if batch else 'one at a time'}")
    seeds = run.results["seed"].drop_nulls().n_unique() if run.results.height else 0
    if seeds:
        facts.append(f"{len(run.finished)} finished cells")
    peak = run.provenance.get("peak_memory_gib")
    if isinstance(peak, int | float):
        facts.append(f"Peak memory {peak:.1f} GiB")
    date = run.provenance.get("finished") or run.provenance.get("started") or run.provenance.get("date")
    return facts + ([str(date)[:10]] if isinstance(date, str) else [])


def _warnings(run: RunData, alarms: Mapping[str, int]) -> list[str]:
    """Who may have the page, and what the run noted about its learned models, less alarms that have a banner of their own."""
    noted = run.provenance.get("missed_gates")
    lines = [str(line) for line in noted] if isinstance(noted, list) else []
    held = notice(run.licenses)
    return [*([held] if held else []), *(line for line in lines if line.split(" ", 1)[0] not in alarms)]
