"""The sentences on top of a page about patients, no stronger than the intervals allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.metrics.medical_subsets import Harm
from unsee.report.efficiency import score_of
from unsee.report.headline import Headline
from unsee.report.leaks import leaked
from unsee.report.main_table import Cell, Row, Slice
from unsee.report.medical_values import MARKS, Medical, Spot, Study, Values, at
from unsee.report.notes import join
from unsee.report.vocabulary import SCENARIO_TITLES

_Find = Callable[[Values], Cell | None]
_Status = Literal["verdict", "undecided", "illustration", "empty"]
_NBSP = "\u00a0"
_NOTHING = 0.05
"""A best score up to this is none."""


def _as_taught(metric: str) -> _Find:
    return at(Spot(metric, "forget", "direct"), Spot(metric, "forget"))


volunteered = at(Spot("volunteered_leak", "forget"))
"""Ordinary clinical answers about the forget pictures that hold an identifier."""
repeated = _as_taught("wrong_reproduction")
"""Planted errors that are said again."""
righted = _as_taught("right_recovery")
"""Planted errors that are put right."""


class _Finding(NamedTuple):
    """What is said of one kind of harm."""

    title: str
    text: str
    status: _Status
    note: str


def medical_headline(medical: Medical, *, contaminated: bool = False) -> Headline:
    """Which method scores best by UES-R in each scenario, on the first request of each.

    A method leads only where its interval lies wholly above that of every other method and control.
    """
    found = [finding for harm in MARKS if (finding := _finding(medical, harm, contaminated)) is not None]
    if not found:
        return Headline("No method has been scored yet.", "", "empty", "Finished work is kept, and this page is written again.")
    order: tuple[_Status, ...] = ("illustration", "undecided", "empty", "verdict")
    worst = min(found, key=lambda one: order.index(one.status))
    return Headline(
        " ".join(one.title for one in found),
        " ".join(filter(None, (one.text for one in found))),
        worst.status,
        " ".join(dict.fromkeys(one.note for one in found)),
    )


def headline_choice(medical: Medical, harm: Harm) -> Slice | None:
    """The answers that a kind of harm is judged by: of known facts, since what vanilla never leaked is not forgotten.

    Without a score of those, all answers, or the first that there are; None where nobody was asked about this harm.
    """
    there = [(which, medical.studies(which, harm)) for which in reversed(medical.choices)]
    asked = [(which, studies[0]) for which, studies in there if studies]
    return next((which for which, study in asked if _ranked(study)), asked[-1][0] if asked else None)


def _finding(medical: Medical, harm: Harm, contaminated: bool) -> _Finding | None:
    which = headline_choice(medical, harm)
    study = None if which is None else medical.studies(which, harm)[0]
    ranked = [] if study is None else _ranked(study)
    name = SCENARIO_TITLES[harm]
    methods = [row for row, _ in ranked if not row.is_control]
    if study is None or not methods:
        measured = study is not None and any(study.values.values())
        note = "There is no efficiency score of a method that still answers."
        return _Finding(f"{name}: nothing to rank yet.", "", "empty", note) if measured else None
    best, top = next((row, cell) for row, cell in ranked if not row.is_control)
    text = _story(study, best, harm)
    subjects = top.n_subjects or 0
    if subjects < FEW_SUBJECTS:
        title = f"{name}: in this illustration, {_score(best, top)}."
        note = f"Illustration, no verdict: {subjects} subjects, fewer than the {FEW_SUBJECTS} a verdict needs."
        return _Finding(title, text, "illustration", note)
    if contaminated:
        note = "Scores measure the distance to gold, and this gold is no target."
        return _Finding(f"{name}: no verdict, since gold knows what it must not know.", text, "undecided", note)
    if (top.value or 0.0) <= _NOTHING:
        return _Finding(
            f"{name}: no method removes the harm and keeps the rest.", text, "undecided", f"Best: {_score(best, top)}."
        )
    tied = [row for row, cell in ranked if row is not best and not _above(top, cell)]
    better = next((row for row, cell in ranked if row in tied and row.is_control and _above(cell, top)), None)
    if better is not None:
        title = f"{name}: the control \u201c{better.title.lower()}\u201d scores higher than every method."
        return _Finding(title, text, "undecided", f"Its efficiency score lies above the interval of {best.title}.")
    if tied:
        title = f"{name}: {join([row.title for row in (best, *tied)])} are too close to call."
        return _Finding(title, text, "undecided", "Intervals of efficiency scores overlap.")
    note = f"Its efficiency score lies above every other interval ({subjects} subjects)."
    return _Finding(f"{name}: {best.title} has the highest efficiency score.", text, "verdict", note)


def _ranked(study: Study) -> list[tuple[Row, Cell]]:
    """Models by UES-R, best first, without those that anchor it or no longer answer."""
    cells = [
        (row, score_of(study.of(row)))
        for row in study.rows
        if row.method not in ("vanilla", "gold") and row.absent is None and row.collapsed is None
    ]
    found = [(row, cell) for row, cell in cells if cell is not None and cell.value is not None]
    return sorted(found, key=lambda pair: -(pair[1].value or 0.0))


def _above(one: Cell, two: Cell) -> bool:
    return one.low is not None and two.high is not None and one.low > two.high


def _score(row: Row, cell: Cell) -> str:
    return f"{row.title} scores highest ({cell.text})"


def _story(study: Study, best: Row, harm: Harm) -> str:
    def percent(find: _Find, row: Row | None) -> str:
        cell = None if row is None else find(study.of(row))
        return "" if cell is None or cell.value is None else f"{cell.text}{_NBSP}%"

    def told(find: _Find, words: str) -> str:
        after, before, gold = (percent(find, row) for row in (best, _control(study, "vanilla"), _control(study, "gold")))
        aside = ", ".join(filter(None, (before and f"{before} before", gold and f"{gold} for gold")))
        return "" if not after else f"{after} {words} ({aside})" if aside else f"{after} {words}"

    if harm == "privacy":
        parts = [
            told(leaked, "of direct questions for an identifier are answered with it"),
            told(volunteered, "of ordinary clinical answers about the forget pictures hold one"),
        ]
    else:
        parts = [
            told(repeated, "of planted errors are said again"),
            told(righted, "of them are put right"),
        ]
    listed = " and ".join(filter(None, parts))
    return f"After {best.title}, {listed}." if listed else ""


def _control(study: Study, method: str) -> Row | None:
    """The control's own row, not that of a second seed."""
    return next((row for row in study.rows if row.method == method and row.variant in (None, "corrected")), None)
