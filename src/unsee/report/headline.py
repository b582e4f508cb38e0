"""The one or two sentences on top of the page, and whether the numbers carry a verdict at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.main_table import Cell, Row
from unsee.report.notes import join

_NBSP = "\u00a0"
_FORGET, _RETAIN, _SCORE = "forget/classification", "retain/classification", "unlearning_score"


@dataclass(frozen=True)
class Headline:
    """What a newcomer reads first.

    Attributes:
        title: one sentence.
        text: the numbers behind it in words.
        status: `verdict` when intervals support the title, `undecided` when they do not, `illustration` when too few
            subjects were forgotten or the run only shows how things work, `empty` when nothing is finished.
        note: why the status is what it is.
    """

    title: str
    text: str
    status: Literal["verdict", "undecided", "illustration", "empty"]
    note: str


def headline(rows: Sequence[Row], *, demo: bool = False, contaminated: bool = False) -> Headline:
    """Say which method forgets most while it keeps utility, no stronger than the intervals allow.

    A method leads only when its interval of the unlearning score lies wholly above that of every other method and control;
    that is stricter than a paired test at 5 % and needs no correction for the number of methods.

    Args:
        rows: the main table of one forget request.
        demo: the run is an illustration whatever its size.
        contaminated: gold knows what it must not, so that nothing measured against it is a verdict.
    """
    scored = [row for row in rows if _cell(row, _FORGET) is not None]
    if not scored:
        return Headline(
            "No cell of this run has been scored yet.",
            "Run the experiment on: finished work is kept, and this page is written again at the end.",
            "empty",
            "Nothing to compare.",
        )
    ranked = sorted(
        (
            row
            for row in rows
            if row.method not in ("vanilla", "gold") and row.collapsed is None and row.value(_SCORE) is not None
        ),
        key=lambda row: -(row.value(_SCORE) or 0.0),
    )
    methods = [row for row in ranked if not row.is_control]
    subjects = max(cell.n_subjects or 0 for row in scored if (cell := _cell(row, _FORGET)) is not None)
    few = subjects < FEW_SUBJECTS
    if not methods:
        return _without_methods(scored, controls=bool(ranked))

    best = methods[0]
    tied = [row for row in methods[1:] if not _above(best, row)]
    rivals = [row for row in ranked if row.is_control and not _above(best, row)]
    text = " ".join(filter(None, (_story(best, scored), _warning(best, methods), _broken(scored))))
    if few or demo:
        title = _example(best, scored)
        reason = f"{subjects} {'person was' if subjects == 1 else 'people were'} forgotten" if few else "This is the demo"
        need = f"fewer than the {FEW_SUBJECTS} a verdict needs" if few else "made to show how things work"
        return Headline(title, text, "illustration", f"Illustration, no verdict: {reason}, {need}.")
    if contaminated:
        title = "No verdict: the gold model knows what it must not know."
        return Headline(title, text, "undecided", "Scores measure the distance to gold, and this gold is no target.")
    if rivals and _above(rivals[0], best):
        title = f"The control \u201c{rivals[0].title.lower()}\u201d scores higher than every method."
        return Headline(title, text, "undecided", f"Its unlearning score lies above the interval of {best.title}.")
    if rivals:
        title = f"No method clearly beats the control \u201c{rivals[0].title.lower()}\u201d."
        return Headline(title, text, "undecided", "The intervals of their unlearning scores overlap.")
    if tied:
        names = join([row.title for row in (best, *tied)])
        return Headline(
            f"No single winner: {names} are too close to call.",
            text,
            "undecided",
            "The intervals of their unlearning scores overlap.",
        )
    return Headline(
        f"{best.title} forgets best while keeping the rest.",
        text,
        "verdict",
        f"Its unlearning score lies above every other interval ({subjects} people forgotten).",
    )


def leading(rows: Sequence[Row]) -> tuple[str, str | None] | None:
    """The model a newcomer looks at first: the method of the highest score that still answers, or else any method."""
    methods = [row for row in rows if not row.is_control and row.absent is None]
    best = sorted(methods, key=lambda row: (row.collapsed is not None, -(row.value(_SCORE) or 0.0)))
    return (best[0].method, best[0].variant) if best else None


def _cell(row: Row, column: str) -> Cell | None:
    cell = row.cells.get(column)
    return cell if cell is not None and cell.value is not None else None


def _above(first: Row, second: Row) -> bool:
    """Whether the whole interval of the first score lies above the second's; without intervals nothing is supported."""
    one, two = _cell(first, _SCORE), _cell(second, _SCORE)
    return one is not None and two is not None and one.low is not None and two.high is not None and one.low > two.high


def _percent(row: Row | None, column: str) -> str | None:
    cell = None if row is None else _cell(row, column)
    return None if cell is None else f"{cell.text}{_NBSP}%"


def _find(rows: Sequence[Row], method: str) -> Row | None:
    return next((row for row in rows if row.method == method), None)


def _before(rows: Sequence[Row]) -> str:
    known = _percent(_find(rows, "vanilla"), _FORGET)
    return (
        "" if known is None else f"Before unlearning the model answers {known} of the questions about the forget people right."
    )


def _story(best: Row, rows: Sequence[Row]) -> str:
    after = _percent(best, _FORGET)
    if after is None:
        return ""
    vanilla, gold = _find(rows, "vanilla"), _find(rows, "gold")
    asides = []
    if (before := _percent(vanilla, _FORGET)) is not None:
        asides.append(f"{before} before")
    if (never := _percent(gold, _FORGET)) is not None:
        asides.append(f"{never} for a model that never met them")
    aside = f" ({', '.join(asides)})" if asides else ""
    kept, kept_before = _percent(best, _RETAIN), _percent(vanilla, _RETAIN)
    rest = ""
    if kept is not None:
        rest = f", and {kept} of those about everyone else" + (f" ({kept_before} before)" if kept_before else "")
    return f"After {best.title} the model answers {after} of the questions about forgotten people right{aside}{rest}."


def _example(best: Row, rows: Sequence[Row]) -> str:
    """What happened under the method of the highest score, without the claim that it is the best."""
    before, after = _percent(_find(rows, "vanilla"), _FORGET), _percent(best, _FORGET)
    if (best.value(_SCORE) or 0.0) <= 0.05:
        return "In this illustration, no method forgets without losing the rest."
    if before is None or after is None:
        return f"In this illustration, {best.title} has the highest score."
    return f"In this illustration, {best.title} takes right answers about forgotten people from {before} to {after}."


def _warning(best: Row, methods: Sequence[Row]) -> str:
    measured = [row for row in methods if row.value(_FORGET) is not None and row.value(_RETAIN) is not None]
    if not measured:
        return ""
    lowest = min(measured, key=lambda row: row.value(_FORGET) or 0.0)
    lost = (best.value(_RETAIN) or 0.0) - (lowest.value(_RETAIN) or 0.0)
    if lowest is best or lost < 0.1:
        return ""
    erased, left = _percent(lowest, _FORGET), _percent(lowest, _RETAIN)
    return f"{lowest.title} leaves fewer ({erased}), but of everyone else's only {left} stay right."


def _broken(rows: Sequence[Row]) -> str:
    names = [row.title for row in rows if row.collapsed is not None]
    return f"After {join(names)} the model no longer gives usable answers: it collapsed." if names else ""


def _without_methods(scored: Sequence[Row], *, controls: bool) -> Headline:
    """Nothing to rank: no method has finished, all of them collapsed, or their score cannot be computed."""
    finished = [row for row in scored if not row.is_control]
    if not finished:
        title = "Only controls have finished yet." if controls else "No unlearning method has finished yet."
        return Headline(title, _before(scored), "empty", "The table below shows what is there.")
    text = " ".join(filter(None, (_before(scored), _broken(finished))))
    if all(row.collapsed is not None for row in finished):
        return Headline(
            "Every method broke the model.", text, "undecided", "A collapsed model has forgotten nothing in particular."
        )
    cells = [row.cells.get(_SCORE) for row in finished]
    reason = next((cell.reason for cell in cells if cell is not None and cell.reason), "it was not computed")
    return Headline("The methods of this run cannot be ranked.", text, "undecided", f"There is no unlearning score: {reason}.")
