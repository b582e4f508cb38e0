from __future__ import annotations

from dataclasses import replace

import pytest

from unsee.report.headline import headline
from unsee.report.main_table import Cell, Row


def row(method: str, forget: float, retain: float, score: tuple[float, float, float] | None, *, people: int = 30) -> Row:
    def cell(value: float, low: float | None = None, high: float | None = None) -> Cell:
        return Cell(value, low, high, 100, people, "", "percent")

    cells = {"forget/classification": cell(forget), "retain/classification": cell(retain)}
    return Row(method, "corrected", cells | ({"unlearning_score": cell(*score)} if score else {}))


CONTROLS = [
    row("vanilla", 0.96, 0.95, (0.0, 0.0, 0.0)),
    row("gold", 0.28, 0.95, (1.0, 1.0, 1.0)),
    row("do_nothing", 0.96, 0.95, (0.0, 0.0, 0.0)),
]


def test_a_clear_winner_is_a_verdict():
    top = headline([*CONTROLS, row("npo", 0.3, 0.9, (0.9, 0.85, 0.95)), row("ga", 0.05, 0.2, (0.1, 0.0, 0.2))])
    assert (top.title, top.status) == ("NPO forgets best while keeping the rest.", "verdict")
    assert (
        "30\u00a0%" in top.text and "96\u00a0% before" in top.text and "28\u00a0% for a model that never met them" in top.text
    )
    assert "Gradient ascent leaves fewer (5\u00a0%), but of everyone else's only 20\u00a0% stay right." in top.text
    assert "30 people" in top.note


def test_overlapping_intervals_name_no_winner():
    top = headline([*CONTROLS, row("npo", 0.3, 0.9, (0.9, 0.8, 0.95)), row("kl", 0.3, 0.9, (0.8, 0.7, 0.85))])
    assert top.status == "undecided" and top.title == "No single winner: NPO and KL minimisation are too close to call."


@pytest.mark.parametrize(
    ("score", "title", "overlaps"),
    [
        ((0.97, 0.96, 0.98), "The control \u201cprompt guard\u201d scores higher than every method.", False),
        ((0.92, 0.86, 0.98), "No method clearly beats the control \u201cprompt guard\u201d.", True),
    ],
)
def test_a_control_that_is_better_is_told_from_one_as_good(score: tuple[float, float, float], title: str, overlaps: bool):
    top = headline([*CONTROLS, row("prompt_guard", 0.3, 0.9, score), row("npo", 0.3, 0.9, (0.9, 0.85, 0.95))])
    assert (top.title, top.status) == (title, "undecided") and ("overlap" in top.note) == overlaps


def test_many_rivals_are_counted():
    rivals = [row(name, 0.3, 0.9, (0.8, 0.7, 0.85)) for name in ("kl", "idk", "graddiff")]
    top = headline([*CONTROLS, row("npo", 0.3, 0.9, (0.9, 0.8, 0.95)), *rivals])
    assert top.title == "No single winner: NPO and 3 others are too close to call."


def test_contaminated_gold_supports_no_verdict():
    listed = [*CONTROLS, row("npo", 0.3, 0.9, (0.9, 0.85, 0.95)), row("ga", 0.05, 0.2, (0.1, 0.0, 0.2))]
    assert headline(listed).status == "verdict"
    top = headline(listed, contaminated=True)
    assert top.status == "undecided" and top.title.startswith("No verdict: the gold model")


def test_only_broken_models():
    broken = replace(row("ga", 0.0, 0.1, (0.5, 0.4, 0.6)), collapsed="collapsed: all the same")
    top = headline([*CONTROLS, broken])
    assert top.title == "Every method broke the model." and "After Gradient ascent the model no longer" in top.text


def test_a_score_that_cannot_be_computed_says_why():
    unscored = row("npo", 0.3, 0.9, None)
    unscored.cells["unlearning_score"] = Cell(None, None, None, None, 30, "all components are left out", "score")
    top = headline([*CONTROLS, unscored])
    assert top.title == "The methods of this run cannot be ranked." and "all components are left out." in top.note


def test_an_illustration_names_numbers_and_no_winner():
    top = headline([row("vanilla", 0.96, 0.95, None), row("npo", 0.3, 0.9, (0.9, 0.85, 0.95))], demo=True)
    assert top.title == "In this illustration, NPO takes right answers about forgotten people from 96\u00a0% to 30\u00a0%."


def test_touching_intervals_are_not_enough():
    top = headline([*CONTROLS, row("npo", 0.3, 0.9, (0.9, 0.85, 0.95)), row("kl", 0.3, 0.9, (0.8, 0.7, 0.85))])
    assert top.status == "undecided"


def test_a_control_can_win():
    guard = row("prompt_guard", 0.3, 0.9, (0.9, 0.8, 1.0))
    top = headline([*CONTROLS, guard, row("npo", 0.3, 0.9, (0.85, 0.8, 0.95))])
    assert top.status == "undecided" and "prompt guard" in top.title


@pytest.mark.parametrize(("people", "demo"), [(19, False), (30, True), (9, True)])
def test_few_people_or_a_demo_is_an_illustration(people: int, demo: bool):
    clear = row("npo", 0.3, 0.9, (0.9, 0.85, 0.95), people=people)
    vanilla = row("vanilla", 0.96, 0.95, None, people=people)
    top = headline([vanilla, clear], demo=demo)
    assert top.status == "illustration" and "llustration" in top.title and top.note.startswith("Illustration, no verdict")


def test_without_intervals_nothing_is_supported():
    scored = [
        Row(
            "npo",
            None,
            row("npo", 0.3, 0.9, (0.9, 0.9, 0.9)).cells | {"unlearning_score": Cell(0.9, None, None, 1, 30, "", "score")},
        )
    ]
    scored.append(row("kl", 0.3, 0.9, (0.1, 0.0, 0.2)))
    assert headline([*CONTROLS, *scored]).status == "undecided"


def test_a_collapsed_model_is_no_candidate():
    broken = row("ga", 0.0, 0.9, (0.99, 0.98, 1.0))
    top = headline([*CONTROLS, Row("ga", None, broken.cells, collapsed="all the same"), row("npo", 0.3, 0.9, (0.8, 0.7, 0.9))])
    assert top.title.startswith("NPO")


@pytest.mark.parametrize(
    ("rows", "title"), [([], "No cell"), (CONTROLS[:2], "No unlearning method"), (CONTROLS, "Only controls")]
)
def test_nothing_to_compare(rows: list[Row], title: str):
    top = headline(rows)
    assert top.status == "empty" and top.title.startswith(title)
