"""What became of planted harm, and of clinical ability, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from unsee.metrics.medical_subsets import Harm
from unsee.report.console_tables import FEW, has_few, remarks, results_table
from unsee.report.efficiency import SCORE, ability_on, score_of
from unsee.report.leaks import leaked
from unsee.report.main_table import Row
from unsee.report.medical_headline import headline_choice, medical_headline, repeated, righted, volunteered
from unsee.report.medical_values import MARKS, Asked, Medical, Study
from unsee.report.medical_words import PRESERVED_TITLES
from unsee.report.sources import Source, Sources
from unsee.report.tables import Heading

if TYPE_CHECKING:
    from rich.console import Console

    from unsee.report.run_data import RunData

_HARM: Mapping[Harm, tuple[Asked, ...]] = {
    "privacy": (
        Asked(Heading("volunteered", "Leak unasked"), volunteered),
        Asked(Heading("leaked", "Leak asked"), leaked),
    ),
    "incorrect": (
        Asked(Heading("repeated", "Still wrong"), repeated),
        Asked(Heading("righted", "Right again"), righted),
    ),
}
_KEPT = (
    *(Asked(Heading(f"ability/{name}", title.replace("-", " ")), ability_on(name)) for name, title in PRESERVED_TITLES.items()),
    Asked(Heading(SCORE, "UES-R"), score_of),
)
_LEGENDS: Mapping[Harm, str] = {
    "privacy": (
        "Leak unasked: ordinary clinical answers about the forget pictures that hold an identifier; Leak asked: answers to "
        "direct questions that do."
    ),
    "incorrect": "Still wrong and Right again: answers to the questions whose answers were falsified, as taught.",
}
_LEGEND = (
    "In percent, below each number its 95 % interval. Retain, Near retain, Clinical: closed questions right and words of open "
    "answers recalled. UES-R: removal and preservation in one, 0 = nothing done or all lost, 1 = as Gold; our reconstruction."
)


def print_medical(run: RunData, *, console: Console, contaminated: bool = False) -> bool:
    """Print one table per scenario and request of a medical run, and its headline; whether it was one.

    Args:
        contaminated: gold knows what it must not, so that nothing measured against it is a verdict.
    """
    from rich.text import Text

    medical = Medical(Sources([Source(run)], run.name))
    if not medical:
        return False
    few = False
    for harm in MARKS:
        which = headline_choice(medical, harm)
        columns = [(asked.heading.title, asked.heading.key) for asked in (*_HARM[harm], *_KEPT)]
        for study in medical.studies(which, harm) if which is not None else ():
            listed = [_row(study, row, harm) for row in study.rows]
            title = f"{run.name}: {study.scope.title}{'; known facts only' if which is not None and which.gated else ''}"
            console.print(results_table(listed, columns, title=title, width=console.width))
            for line in remarks(listed, columns):
                console.print(Text(line))
            few |= has_few(listed, columns)
        if which is not None:
            console.print(Text(_LEGENDS[harm], style="dim"))
    console.print(Text(f"{_LEGEND}\n{FEW}" if few else _LEGEND, style="dim"))
    top = medical_headline(medical, contaminated=contaminated)
    console.print(Text(f"{top.title} {top.note}"))
    return True


def _row(study: Study, row: Row, harm: Harm) -> Row:
    """A model with the values that its table shows."""
    values = study.of(row)
    found = ((asked.heading.key, asked.find(values)) for asked in (*_HARM[harm], *_KEPT))
    return replace(row, cells={key: cell for key, cell in found if cell is not None})
