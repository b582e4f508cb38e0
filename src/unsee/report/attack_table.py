"""Rows and columns of defences against attacks; the page and the terminal both show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from unsee.attacks.base import NEVER_KNOWN, NEVER_LEARNED, RANDOM_DRAWN
from unsee.metrics.answer_prior import ANSWER_PRIOR
from unsee.metrics.attack_success import RANDOM_TOKENS
from unsee.report.main_table import Cell
from unsee.report.single_facts import (
    FIRST,
    SHOWN,
    WHOLE,
    FactTable,
    Model,
    Place,
    Shown,
    absent_models,
    modality_key,
)
from unsee.report.tables import Heading, Line
from unsee.report.vocabulary import MODALITY_TITLES, REFERENCES, method_order

if TYPE_CHECKING:
    from unsee.report.sources import Sources

_SHOWN_TITLES: dict[Shown, str] = {
    "success": "success",
    "difference": "difference to vanilla",
    "excess": "excess over {}",
}
FOUND_TITLES = {FIRST: "first token", WHOLE: "whole answer"}
WHITE, BLACK, OVERALL = "White-box", "Black-box", "Overall"
MEAN, WORST = "over/mean", "over/worst"
_BASES = (
    (NEVER_LEARNED, REFERENCES[NEVER_LEARNED].title, "same attack, facts never taught"),
    (NEVER_KNOWN, REFERENCES[NEVER_KNOWN].title, "same attack on vanilla, facts it did not know"),
    (ANSWER_PRIOR, "Answer prior", "most frequent answers"),
    (RANDOM_TOKENS, "Random tokens", "by chance"),
    (RANDOM_DRAWN, "Random tokens, drawn", "judged as answers are"),
)


class Choice(NamedTuple):
    """What one matrix shows."""

    budget: int
    found: str
    shown: Shown
    reference: str = NEVER_LEARNED

    def keys(self, table: FactTable, tables: Sequence[FactTable]) -> dict[str, str]:
        """In the words of the switches."""
        found = {"budget": str(self.budget), "found": self.found, "shown": self.shown}
        return found | modality_key(table, tables)

    @property
    def suffix(self) -> str:
        return f"-{self.shown}-b{self.budget}" + ("-whole-answer" if self.found == WHOLE else "")

    @property
    def title(self) -> str:
        return f"{shown_title(self.shown, self.reference)}, B = {self.budget}, {FOUND_TITLES[self.found]}"


def shown_title(shown: Shown, *references: str) -> str:
    """What is shown, in words, with what an excess is over."""
    return _SHOWN_TITLES[shown].format(" or ".join(REFERENCES[name].about for name in references))


def choices(table: FactTable) -> Iterator[Choice]:
    """Every choice that the table has values for."""
    for found in table.founds:
        for shown in SHOWN:
            if is_measured(table, shown):
                yield from (Choice(budget, found, shown, table.reference) for budget in table.budgets)


def is_measured(table: FactTable, shown: Shown) -> bool:
    """Whether anything can be shown that way."""
    budget = table.budget
    return any(table.over_attacks(model, budget, shown=shown) for model in table.models)


def attack_headings(table: FactTable) -> list[Heading]:
    """A column per attack and level, white-box attacks first."""
    several = {place.attack for place in table.attacks if [other.attack for other in table.attacks].count(place.attack) > 1}
    return [
        Heading(
            attack_key(place),
            f"{place.short_title}, {place.level}" if place.attack in several else place.short_title,
            place.full,
            WHITE if place.attack in table.lens_attacks else BLACK,
            about=place.full,
            lower=True,
        )
        for place in sorted(table.attacks, key=lambda place: place.attack not in table.lens_attacks)
    ]


def attack_key(place: Place) -> str:
    """The key of an attack's column."""
    return f"attack/{place.attack}/{place.level or ''}"


def attack_lines(sources: Sources, table: FactTable, choice: Choice) -> list[Line]:
    """A line per model, and why it is absent."""
    reasons = absent_models(sources, table)
    lines = []
    for model in sorted([*table.attacked, *reasons], key=lambda one: (*method_order(one.method), one.variant or "")):
        kind = f"control {model.method}" if model.is_control else "method"
        cells: dict[str, Cell] = {}
        if model in table.cells:
            for place in table.attacks:
                cell = table.success(model, place, choice.budget, shown=choice.shown, found=choice.found)
                cells |= {} if cell is None else {attack_key(place): _with_candidates(table, model, place, choice, cell)}
            cells |= _both(table.over_attacks(model, choice.budget, shown=choice.shown, found=choice.found))
        if cells or model in reasons:
            lines.append(Line(model.title, cells, "" if model.tag else model.role, kind, model.tag, reasons.get(model)))
    return lines


def base_lines(table: FactTable, choice: Choice) -> list[Line]:
    """What is found of the reference, and by attackers without a model; a line of each per run."""
    if choice.shown != "success":
        return []
    found = {run: _without_knowledge(own, choice) for run, own in table.by_run.items()}
    return [
        Line(title, cells[name], role, "control base", run)
        for name, title, role in _BASES
        for run, cells in found.items()
        if cells.get(name)
    ]


def _without_knowledge(table: FactTable, choice: Choice) -> dict[str, dict[str, Cell]]:
    strangers = table.strangers(choice.budget, found=choice.found)
    found = {table.reference: {attack_key(place): cell for place, cell in strangers.items()} | _both(table.over(strangers))}
    lens = {place: place.attack in table.lens_attacks for place in table.attacks}
    prior, chance = (table.without_model(name, choice.budget) for name in (ANSWER_PRIOR, RANDOM_TOKENS))
    # The chance is that of one token; responses are whole answers, beside which whole ones are drawn.
    drawn = {
        place: table.without_model(RANDOM_DRAWN, choice.budget, found=choice.found if lens[place] else WHOLE) for place in lens
    }
    found[ANSWER_PRIOR] = {} if prior is None else {attack_key(place): prior for place in lens}
    first = [place for place in lens if lens[place] and choice.found == FIRST]
    found[RANDOM_TOKENS] = {} if chance is None else {attack_key(place): chance for place in first}
    found[RANDOM_DRAWN] = {attack_key(place): cell for place, cell in drawn.items() if cell is not None}
    return found


def _with_candidates(table: FactTable, model: Model, place: Place, choice: Choice, cell: Cell) -> Cell:
    """The same, which says how many different candidates were tried for it."""
    tried = table.candidates(model, place, choice.budget)
    if tried is None or tried.value is None:
        return cell
    interval = f" ({tried.interval})" if tried.interval else ""
    return replace(cell, beside=f"{tried.text}{interval} different candidates on average")


def note_of(table: FactTable, tables: Sequence[FactTable], choice: Choice) -> str:
    """A choice in words."""
    about = f", {MODALITY_TITLES.get(str(table.modality), '').lower()}" if len(tables) > 1 else ""
    return f"{choice.title}{about}"


def _both(pair: tuple[Cell, Cell] | None) -> dict[str, Cell]:
    return {} if pair is None else dict(zip((MEAN, WORST), pair, strict=True))
