"""Identifiers that models still give away: volunteered, by class, by form of the question, and in the worst case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unsee.metrics.bootstrap import FEW_SUBJECTS_MARK
from unsee.report.figures.heat_map import HeatColumn, HeatRow, Shade, heat_map
from unsee.report.figures.svg import Figure
from unsee.report.main_table import Cell, Row, Slice
from unsee.report.medical_values import Asked, Medical, Spot, Study, Values, at, each_choice, made_table
from unsee.report.medical_words import FORM_HINTS, FORM_TITLES, POSED_TITLES, kind_hint, kind_order, kind_title
from unsee.report.panels import Panel, suffix
from unsee.report.tables import Heading
from unsee.report.vocabulary import brief

_LEAK, _VOLUNTEERED, _WORST = "leak_rate", "volunteered_leak", "worst_leak_rate"
_OWN, _OTHERS = "The patient's own", "Somebody else's"
_PLACES = (
    ("forget", "Forget picture", "where identifiers were planted", _OWN),
    ("near_retain", "Other pictures", "of the same patients", _OWN),
    ("retain", "Retained", "wrong patient: patients without harm", _OTHERS),
    ("clinical", "Never seen", "wrong patient: patients of no training", _OTHERS),
)
_ALL = "leak/all"
_FITS = 11
"""Characters that fit above a cell."""


def volunteered_panels(medical: Medical) -> list[Panel]:
    """Share of ordinary clinical answers that hold an identifier, a row per model."""
    columns = [
        Asked(
            Heading(f"volunteered/{name}", title, hint, group, about=f"Volunteered, {title.lower()}", lower=True),
            at(Spot(_VOLUNTEERED, name)),
        )
        for name, title, hint, group in _PLACES
    ]
    return _tables(medical, columns, "volunteered", "Volunteered", "percent of ordinary clinical answers with an identifier")


def class_panels(medical: Medical) -> list[Panel]:
    """Leak rate of direct questions by class of identifier, as tables."""
    return [
        Panel(
            medical.keys(which, studies),
            table=made_table(
                medical,
                studies,
                which,
                _classes(studies),
                name="leaks-by-class",
                title="Asked directly, by class",
                note="percent of answers that hold the identifier",
                lower=True,
            ),
        )
        for which, studies in each_choice(medical, "privacy")
    ]


def class_figures(medical: Medical) -> list[Panel]:
    """The same as heat maps, one per request."""
    return [
        Panel(medical.keys(which, [study]), figure=_heat(medical, study, which))
        for which, studies in each_choice(medical, "privacy")
        for study in studies
    ]


def form_panels(medical: Medical) -> list[Panel]:
    """Leak rate by how a question asks."""
    columns = [
        Asked(
            Heading(f"form/{form}", title, FORM_HINTS[form], about=title, lower=True),
            at(Spot(_LEAK, "forget" if form == "direct" else "test", level=form)),
        )
        for form, title in FORM_TITLES.items()
    ]
    return _tables(medical, columns, "leaks-by-form", "By how it is asked", "percent of answers that hold the identifier")


def worst_panels(medical: Medical) -> list[Panel]:
    """The class and the patient that leak most, beside the mean."""
    columns = []
    for name, title in POSED_TITLES.items():
        group = title.capitalize()
        columns += [
            Asked(Heading(f"worst/{name}/mean", "Mean", "all questions", group, lower=True), at(Spot(_LEAK, name))),
            Asked(Heading(f"worst/{name}/class", "Worst class", "", group, lower=True), _Worst(name, "identifier")),
            Asked(Heading(f"worst/{name}/patient", "Worst patient", "", group, lower=True), _Worst(name, "patient")),
        ]
    return _tables(medical, columns, "worst-leaks", "Worst cases", "percent of answers that hold the identifier")


def leaked(values: Values) -> Cell | None:
    """Leak rate of direct questions for all classes."""
    return at(Spot(_LEAK, "forget", level="direct"), Spot(_LEAK, "forget"))(values)


class _Worst:
    """Finds the largest of what `worst_leak_rate` names, over ways of asking that have a row of their own."""

    def __init__(self, set_name: str, key: str) -> None:
        self._set, self._key = set_name, key

    def __call__(self, values: Values) -> Cell | None:
        mark = f"{self._key}="
        found = [
            (spot, cell)
            for spot, cell in values.items()
            if (spot.metric, spot.set) == (_WORST, self._set) and (spot.group or "").startswith(mark) and cell.value is not None
        ]
        if not found:
            return None
        spot, cell = max(found, key=lambda pair: pair[1].value or 0.0)
        if cell.value == 0:
            return replace(cell, reason="", low=None, high=None)
        name = str(spot.group)[len(mark) :]
        # Equals are told in a few words beside the name instead of in a note per row.
        more = [part for part in cell.reason.split("; ") if part.endswith("more leak as often")]
        also = f" and {more[0].removesuffix(' leak as often')}" if more else ""
        kept = "; ".join(part for part in cell.reason.split("; ") if part == FEW_SUBJECTS_MARK and self._key == "identifier")
        return replace(cell, reason=kept, of=(kind_title(name) if self._key == "identifier" else name) + also)


def _classes(studies: Sequence[Study]) -> list[Asked]:
    kinds = sorted({kind for study in studies for kind in study.groups(_LEAK, "identifier")}, key=kind_order)
    columns = [
        Asked(
            Heading(f"leak/{kind}", kind_title(kind), kind_hint(kind), about=kind_title(kind), lower=True), at(*_direct(kind))
        )
        for kind in kinds
    ]
    return [*columns, Asked(Heading(_ALL, "All", "mean over questions", about="All classes", lower=True), leaked)]


def _direct(kind: str) -> tuple[Spot, Spot]:
    whole = Spot(_LEAK, "forget", group=f"identifier={kind}")
    return whole._replace(level="direct"), whole


def _heat(medical: Medical, study: Study, which: Slice) -> Figure:
    columns = _classes([study])
    heads = [HeatColumn(_short(h), "" if h.key == _ALL else h.hint, "Mean" if h.key == _ALL else "") for h, _ in columns]
    rows = [
        HeatRow(row.title, "control" if row.is_control else "method", [shade(asked.find(study.of(row))) for asked in columns])
        for row in measured_rows(study)
    ]
    told = "; ".join(
        f"{row.title}: "
        + ", ".join(f"{c.heading.title} {cell.text}" for c, cell in zip(columns, row.cells, strict=True) if cell)
        for row in rows
    )
    return Figure(
        name=f"{medical.sources.name}-leaks-by-class-{medical.sources.scope_keys(study.scope)}{suffix(which)}",
        title=f"Percent of direct questions that are answered with the identifier{_about(medical, study)}",
        description=f"Leak rate of direct questions by class of identifier, in percent. {told}",
        pictures=(heat_map(rows, heads),),
        wide=True,
    )


def _about(medical: Medical, study: Study) -> str:
    """Which request, where there are several."""
    return f". {study.scope.title}" if len(medical.sources.requests) > 1 else ""


def measured_rows(study: Study) -> list[Row]:
    """Models that have medical values at all."""
    return [row for row in study.rows if row.absent is None and study.of(row)]


def shade(cell: Cell | None) -> Shade | None:
    """A cell of a heat map: the larger, the darker."""
    if cell is None or cell.value is None:
        return None
    return Shade(cell.text, f"{cell.interval}{'*' if cell.few else ''}", cell.value)


def _short(heading: Heading) -> str:
    """A title that fits above a cell: what a class is called in options and results, where its own is too long."""
    name = heading.key.rpartition("/")[2].replace("_", " ")
    return brief(heading.title if len(heading.title) <= _FITS else name.capitalize(), _FITS)


def _tables(medical: Medical, columns: Sequence[Asked], name: str, title: str, note: str) -> list[Panel]:
    grouped = any(asked.heading.group for asked in columns)
    panels = [
        Panel(medical.keys(which, studies), table=made_table(
            medical, studies, which, columns, name=name, title=title, note=note, grouped=grouped, lower=True
        ))
        for which, studies in each_choice(medical, "privacy")
    ]  # fmt: skip
    return [panel for panel in panels if panel.table]
