"""The page: gathers what a run folder holds, renders one HTML file that opens offline.

    write_report(Path("runs/demo"))      # -> runs/demo/report.html

Everything a model or a user wrote passes through jinja2's autoescaping; the page's content policy allows no request and no
script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.errors import DataError
from unsee.files import write_text
from unsee.metrics.alarm import contaminated
from unsee.report.closer import attributes, costs, gate_counts, grades
from unsee.report.gallery import Person, cells_of, gallery
from unsee.report.headline import headline
from unsee.report.main_table import Row, Scope, Slice, main_table, rows, scopes, slices
from unsee.report.notes import Notes, sentence
from unsee.report.run_data import RunData, read_run
from unsee.report.vocabulary import (
    GLOSSARY,
    MODALITY_TITLES,
    SECOND,
    SET_COLUMNS,
    SET_HINTS,
    SUMMARY_COLUMNS,
    TASK_TITLES,
    UTILITY_SETS,
    brief,
    method_title,
    set_title,
)

if TYPE_CHECKING:
    from markupsafe import Markup

    from unsee.report.figures import Dot

_SHOWN_ELSEWHERE = ("command", "seconds", "sessions", "failed", "missed_gates")
_ARROWS = {"forget": "\u2193", "test": "\u2193"}


class Plot(NamedTuple):
    """A figure in words and as SVG; without `svg` the words say why."""

    title: str
    description: str
    svg: Markup | None


class Panel(NamedTuple):
    """Tables and plots of one choice of the switches."""

    scope: int
    title: str
    overall: str
    which: Slice
    rows: list[Row]
    plots: list[Plot]
    notes: Notes

    @property
    def has_few(self) -> bool:
        return any(cell.few for row in self.rows for cell in row.cells.values())

    @property
    def broken(self) -> list[Row]:
        return [row for row in self.rows if row.collapsed is not None]


class Curve(NamedTuple):
    title: str
    note: str
    description: str
    svg: Markup


class Switch(NamedTuple):
    title: str
    name: str
    options: list[tuple[str, str]]


def write_report(run: Path | str) -> Path:
    """Write `report.html` into a run folder, whole or not at all; an unfinished run gets a page that says what is missing.

    Returns:
        The page's path.

    Raises:
        UserError: the folder is no run.
        DataError: one of its files is damaged.
    """
    data = read_run(run)
    path = data.folder / "report.html"
    write_text(path, render(data))
    return path


def render(run: RunData) -> str:
    """The page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("unsee.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "which_title": _which_title}
    page = _page(run)
    script = _asset("page.js")
    return environment.get_template("report.html").render(
        page=page,
        version=version("unsee"),
        style=Markup(_asset("style.css")),
        script=Markup(script),
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        panel_keys=_panel_keys,
        few_mark=Markup('<span aria-hidden="true">*</span>'),
        meter=_meter,
    )


def _page(run: RunData) -> dict[str, Any]:
    results = run.results
    table = main_table(results)
    requests = scopes(results)
    request = requests[0] if requests else Scope(None, None)
    choices = slices(table)
    panels = [
        _panel(number, scope, which, rows(table, scope, which, absent=run.absent(scope)), several=len(requests) > 1)
        for number, scope in enumerate(requests)
        for which in choices
    ]
    alarms = contaminated(results)
    top = headline(_headline_rows(panels), demo=run.is_demo, contaminated=bool(alarms))
    people, gallery_absent = _people(run, request)
    cells = [(method_title(method, variant), cell) for (method, variant), cell in cells_of(run, request).items()]
    return {
        "name": run.name,
        "is_demo": run.is_demo,
        "headline": top,
        "facts": _facts(run, panels),
        "unfinished": [(cell, run.failure(cell)) for cell in run.unfinished],
        "alarms": alarms,
        "warnings": _warnings(run, alarms),
        "scopes": [scope.title for scope in requests],
        "scope_title": request.title,
        "switches": _switches(choices),
        "panels": panels,
        "summary_columns": SUMMARY_COLUMNS,
        "set_columns": SET_COLUMNS,
        "set_groups": _set_groups(),
        "people": people,
        "gallery_absent": gallery_absent,
        "task_titles": TASK_TITLES,
        "grades": grades(results, request, choices[0]) if panels else None,
        "attributes": attributes(results, request, choices[0]) if panels else None,
        "gates": gate_counts(results, request),
        "closer_note": f"{_which_title(choices[0])}." if panels else "",
        "curves": _curves(run, cells),
        "costs": costs(run, cells),
        "glossary": GLOSSARY,
        "repeat": f"unsee run {shlex.quote(f'{run.folder.name}/experiment.toml')}",
        "command": _command(run.provenance.get("command")),
        "provenance": _flat({key: value for key, value in run.provenance.items() if key not in _SHOWN_ELSEWHERE}),
        "experiment_text": (run.folder / "experiment.toml").read_text(encoding="utf-8"),
    }


def _headline_rows(panels: Sequence[Panel]) -> list[Row]:
    """Rows of the first request: known facts only where the gate left some, else all facts."""
    first = [panel for panel in panels if panel.scope == 0]
    gated = next((panel for panel in first if panel.which.gated), None)
    if gated and all(
        any(row.value(f"{name}/classification") is not None for row in gated.rows) for name in ("forget", "retain")
    ):
        return gated.rows
    return first[0].rows if first else []


def _panel(number: int, scope: Scope, which: Slice, listed: list[Row], *, several: bool) -> Panel:
    from unsee.report.figures import trade_off

    before = f"{scope.title} \u00b7 " if several else ""
    title = before + _which_title(which)
    overall = before + _which_title(which._replace(modality=None))
    plots = []
    for set_name in UTILITY_SETS:
        dots = _dots(listed, f"{set_name}/classification")
        if any(dot.kind != "vanilla" for dot in dots):
            told = "; ".join(f"{dot.label}: forgetting {dot.x:.0f} %, kept {dot.y:.0f} %" for dot in dots)
            name = f"p{number}-{which.protocol}-{which.modality}-{which.gated}-{set_name}".replace("_", "-")
            svg = trade_off(dots, x_title="Forget questions not answered right, %", y_title="Answered right, %", prefix=name)
            plots.append(Plot(set_title(set_name), f"Forgetting against {set_title(set_name)}. {told}", svg))
        else:
            cells = (row.cells.get(f"{set_name}/classification") for row in listed)
            reason = next((cell.reason for cell in cells if cell is not None and cell.value is None), "not measured")
            plots.append(Plot(set_title(set_name), f"absent: {reason}", None))
    return Panel(number, title, overall, which, listed, plots, Notes(listed))


def _dots(listed: Sequence[Row], utility: str) -> list[Dot]:
    from unsee.report.figures import Dot

    dots = []
    for row in listed:
        x, y = row.cells.get("forget/classification"), row.cells.get(utility)
        if x is None or y is None or x.value is None or y.value is None:
            continue
        kind = row.method if row.method in ("vanilla", "gold") else "control" if row.is_control else "method"
        if row.variant == SECOND:
            kind = "second_gold"
        dots.append(
            Dot(
                label=brief(row.short_title),
                kind=kind,
                x=100 - 100 * x.value,
                x_low=None if x.high is None else 100 - 100 * x.high,
                x_high=None if x.low is None else 100 - 100 * x.low,
                y=100 * y.value,
                y_low=None if y.low is None else 100 * y.low,
                y_high=None if y.high is None else 100 * y.high,
            )
        )
    return dots


def _people(run: RunData, request: Scope) -> tuple[list[Person], str]:
    from unsee.sample_tables import read_samples

    path = run.folder / "samples.parquet"
    if not path.is_file():
        return [], "Absent: this run holds no samples.parquet, so there are no questions to show." if run.finished else ""
    people = gallery(run, read_samples(path), request)
    return people, "" if people or not run.finished else "Absent: no finished cell holds answers to the run's questions."


def _curves(run: RunData, cells: Sequence[tuple[str, str]]) -> list[Curve]:
    from unsee.report.figures import training_curves

    curves = []
    for number, (title, cell) in enumerate(cells):
        log = run.train_log(cell)
        svg = training_curves(log, prefix=f"t{number}") if log else None
        if svg is not None:
            ends = [f"{key.replace('_', ' ')} {_last(log, key)}" for key in ("probe_forget", "probe_retain") if _last(log, key)]
            note = f"{len(log)} step{'' if len(log) == 1 else 's'}"
            curves.append(Curve(title, note, f"Training of {title}, {note}. At the end: {', '.join(ends) or 'no probe'}.", svg))
    return curves


def _last(log: Sequence[Mapping[str, Any]], key: str) -> str:
    return next((f"{step[key]:.2f}" for step in reversed(log) if isinstance(step.get(key), int | float)), "")


def _facts(run: RunData, panels: Sequence[Panel]) -> list[str]:
    """What was run, in a line of short phrases."""
    facts = []
    benchmark = run.results["benchmark"].drop_nulls().unique().to_list() if run.results.height else []
    facts += [f"Benchmark {name}" for name in benchmark]
    models = run.results["model"].drop_nulls().unique().to_list() if run.results.height else []
    facts += [f"Model {name}" for name in models]
    forgotten = [
        cell.n_subjects
        for panel in panels
        for row in panel.rows
        if (cell := row.cells.get("forget/classification")) is not None and cell.n_subjects
    ]
    if forgotten:
        facts.append(f"{max(forgotten)} people forgotten")
    seeds = run.results["seed"].drop_nulls().n_unique() if run.results.height else 0
    if seeds:
        facts.append(f"{len(run.finished)} finished cells")
    date = run.provenance.get("finished") or run.provenance.get("started") or run.provenance.get("date")
    return facts + ([str(date)[:10]] if isinstance(date, str) else [])


def _switches(choices: Sequence[Slice]) -> list[Switch]:
    """Only what leaves a choice."""

    def options(values: Sequence[object], titles: Mapping[Any, str]) -> list[tuple[str, str]]:
        return [(str(value), titles.get(value, str(value))) for value in dict.fromkeys(values)]

    found = [
        Switch("Questions", "modality", options([c.modality for c in choices], MODALITY_TITLES)),
        Switch("Facts", "gated", options([c.gated for c in choices], {False: "All", True: "Known only"})),
        Switch("Protocol", "protocol", options([c.protocol for c in choices], {"strict": "Strict", "official": "Official"})),
    ]
    return [switch for switch in found if len(switch.options) > 1]


def _which_title(which: Slice) -> str:
    parts = [MODALITY_TITLES.get(which.modality or "", "Pictures and text together")]
    if which.gated is not None:
        parts.append("known facts only" if which.gated else "all facts")
    if which.protocol not in (None, "strict"):
        parts.append(f"{which.protocol} protocol")
    return ", ".join(parts)


def _set_groups() -> list[dict[str, Any]]:
    return [
        {
            "title": set_title(name),
            "arrow": _ARROWS.get(name, "\u2191"),
            "hint": SET_HINTS.get(name, ""),
            "columns": [column for column in SET_COLUMNS if column.set == name],
        }
        for name in dict.fromkeys(column.set for column in SET_COLUMNS if column.set)
    ]


def _warnings(run: RunData, alarms: Mapping[str, int]) -> list[str]:
    """What the run noted about its learned models, less the alarms that have a banner of their own."""
    noted = run.provenance.get("missed_gates")
    lines = [str(line) for line in noted] if isinstance(noted, list) else []
    return [line for line in lines if line.split(" ", 1)[0] not in alarms]


def _panel_keys(panel: Panel) -> Markup:
    from markupsafe import Markup

    keys = {"scope": panel.scope, **panel.which._asdict()}
    return Markup(" ").join(Markup('data-{}="{}"').format(name, value) for name, value in keys.items())


def _meter(cell: Any) -> Markup:
    """A score between 0 and 1 as a small bar with its interval; the number stands beside it."""
    from markupsafe import Markup

    def percent(value: float) -> float:
        return round(100 * min(max(value, 0.0), 1.0), 1)

    low = cell.low if cell.low is not None else cell.value
    high = cell.high if cell.high is not None else cell.value
    return Markup(
        '<span class="meter" aria-hidden="true"><i style="left:{}%;width:{}%"></i><b style="left:{}%"></b></span>'
    ).format(percent(low), round(percent(high) - percent(low), 1), percent(cell.value))


def _command(command: object) -> str:
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    return command if isinstance(command, str) else ""


def _flat(value: object, key: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted key, value) pairs."""
    if isinstance(value, Mapping):
        return [pair for name, item in value.items() for pair in _flat(item, f"{key}.{name}" if key else str(name))]
    if isinstance(value, str):
        return [(key, value)]
    return [(key, json.dumps(value, ensure_ascii=False))]


def _asset(name: str) -> str:
    try:
        return files("unsee.report").joinpath("templates", name).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the report's {name} is missing from the installed package ({error}); install unsee again") from error
