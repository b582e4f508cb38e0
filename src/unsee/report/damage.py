"""What edits reached and what they cost: scores of the edit, and accuracy lost elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unsee.report.columns import Unit
from unsee.report.main_table import Cell
from unsee.report.single_facts import FactTable, Model
from unsee.report.tables import Heading, Line
from unsee.report.vocabulary import AXIS_TITLES, DISGUISE_LEVELS

_Choices = tuple[tuple[str | None, str | None], ...]
_WHOLE: _Choices = ((None, None),)
_QUESTION: _Choices = ((None, None), ("medium", None), ("medium", "axis=question"), (None, "axis=question"))
"""(level, group) of the headline paraphrase score: the question in other words; the published one is a paraphrase (medium)."""
_LOSSES: tuple[tuple[str, str, Unit], ...] = (("delta_accuracy", "lost", "percent"), ("delta_accuracy_p", "p", "p"))
EDIT, DAMAGE = "The edit", "Damage"
REWRITE, NEIGHBOURHOOD, RANDOM = "edit/rewrite", "edit/neighbourhood", "damage/random"
"""Keys of columns that figures show, too."""


class _Score(NamedTuple):
    """A column, and where its value stands."""

    key: str
    title: str
    hint: str
    group: str
    metric: str
    set: str
    choices: _Choices = _WHOLE
    unit: Unit = "percent"
    about: str = ""


_SCORES = (
    _Score(REWRITE, "Rewrite", "rewrite score: the edit's own goal reached on the question", EDIT, "rewrite_score", "forget"),
    _Score(
        "edit/paraphrase",
        "Para.",
        "paraphrase score: the same in other words",
        EDIT,
        "paraphrase_score",
        "test",
        _QUESTION,
        about="Paraphrase",
    ),
    _Score(
        NEIGHBOURHOOD,
        "Neigh.",
        "neighbourhood score: the deleted answer unmoved elsewhere",
        EDIT,
        "neighbourhood_score",
        "neighbour_question",
    ),
    _Score("edit/score", "Score", "edit score: harmonic mean of the three", EDIT, "edit_score", "all", about="Edit score"),
    _Score(RANDOM, "Random", "accuracy lost on other facts, points", DAMAGE, "delta_accuracy", "retain"),
    _Score("damage/random/p", "p", "paired test of Random", DAMAGE, "delta_accuracy_p", "retain", unit="p", about="Random, p"),
    _Score(
        "damage/question",
        "Question",
        "accuracy lost on other questions, points",
        DAMAGE,
        "delta_accuracy",
        "neighbour_question",
    ),
    _Score("damage/image", "Picture", "accuracy lost on other pictures, points", DAMAGE, "delta_accuracy", "neighbour_image"),
)


def damage_headings(table: FactTable) -> list[Heading]:
    """Columns of what was measured, beside the matrix."""
    return _headings(table, _SCORES)


def damage_cells(table: FactTable, model: Model, *, n_edits: int = 1) -> dict[str, Cell]:
    """What an edit, or so many of them one after the other, reached and cost."""
    return _cells(table, model, _SCORES, n_edits)


def detail_headings(table: FactTable) -> list[Heading]:
    """Columns of everything that was measured: by what is disguised, by level, and with p-values."""
    return _headings(table, list(_details()))


def detail_lines(table: FactTable) -> list[Line]:
    """A line per model that was edited."""
    scores = list(_details())
    return [
        Line(model.title, cells, "", f"control {model.method}" if model.is_control else "method", model.tag)
        for model in table.models
        if (cells := _cells(table, model, scores))
    ]


def _details() -> Iterator[_Score]:
    own, answer = "own goal", "true answer"
    yield _Score("edit/rewrite/own", own, "as in the table above", "Rewrite", "rewrite_score", "forget", about="Rewrite")
    yield _Score("edit/rewrite/answer", answer, "by the true answer, for every defence", "Rewrite", "rewrite_score", "forget",
                 ((None, "of=answer"),), about="Rewrite, true answer")  # fmt: skip
    yield from (score._replace(group="Whole edit") for score in _SCORES[2:4])
    for axis, title in AXIS_TITLES.items():
        for level in DISGUISE_LEVELS:
            yield _Score(
                f"paraphrase/{axis}/{level}", level, f"{title}, {level}", f"Paraphr., {title.lower()}", "paraphrase_score",
                "test", ((level, f"axis={axis}"),), about=f"Paraphrase, {title.lower()}, {level}",
            )  # fmt: skip
    places: tuple[tuple[str, str, str | None], ...] = (
        ("retain", "Random", None),
        ("neighbour_question", "Question", None),
        ("neighbour_image", "Picture", "easy"),
        ("neighbour_image", "Picture", "hard"),
    )
    for set_name, title, grade in places:
        group = f"{title}, {grade}" if grade else title
        for metric, word, unit in _LOSSES:
            key, about = f"damage/{set_name}/{grade}/{metric}", f"{group}, {word}"
            yield _Score(key, word, "", group, metric, set_name, ((grade, None),), unit, about)


def _headings(table: FactTable, scores: Sequence[_Score]) -> list[Heading]:
    return [
        Heading(s.key, s.title, s.hint, s.group, s.unit, s.about or s.title, lower=s.key.startswith("damage/"))
        for s in scores
        if any(table.score(model, s.metric, s.set, *s.choices) is not None for model in table.models)
    ]


def _cells(table: FactTable, model: Model, scores: Sequence[_Score], n_edits: int = 1) -> dict[str, Cell]:
    found = {s.key: table.score(model, s.metric, s.set, *s.choices, n_edits=n_edits) for s in scores}
    return {key: cell for key, cell in found.items() if cell is not None}
