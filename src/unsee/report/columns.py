"""Which columns the tables have: those that the results hold values for, in the order of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from unsee.report.vocabulary import SETS, TASKS

if TYPE_CHECKING:
    import polars as pl

Unit = Literal["percent", "score", "points", "seconds", "gib", "count", "p"]

_PLAIN_NULLS = ("baseline", "group", "level", "attack", "layer", "n_edits")
_GUESSED = ("accuracy", "judge_factuality", "factuality", "rouge_l", "cloze_accuracy")
"""For a task that nobody foresaw: the first of these that was measured."""


class Column(NamedTuple):
    """One column of the main table, and the result rows that fill it.

    Attributes:
        key: its name in the table, `set/task` for plain scores.
        title: heading.
        set: set of its rows, or None for all sets of the benchmark, pooled.
        task: task of its rows; None for values of no single task.
        unit: `percent` shows 0.43 as 43, `score` as 0.43, `points` as 7.4, `p` a small p-value as a bound.
        pooled: averaged over tasks, modalities and views, weighted by the number of answers, or added up where the unit is
            `count`; such a value has no interval.
    """

    key: str
    title: str
    set: str | None
    task: str | None
    metric: str
    unit: Unit = "percent"
    hint: str = ""
    pooled: bool = False


class Measure(NamedTuple):
    """How one task is scored in the tables."""

    metric: str
    title: str
    hint: str
    unit: Unit = "percent"


MEASURES: dict[str, tuple[Measure, ...]] = {
    "classification": (Measure("accuracy", "Choice", "right option of four"),),
    "generation": (
        Measure("rouge_l", "ROUGE-L", "overlap of the written answer with the truth"),
        Measure("factuality", "Factual", "written answers that state the fact, by the offline judge"),
        Measure("judge_factuality", "Judge", "1 to 10, by the language model that judged", "points"),
    ),
    "cloze": (Measure("cloze_accuracy", "Cloze", "right words in the blank"),),
}
SUMMARY_COLUMNS: tuple[Column, ...] = (
    Column("unlearning_score", "Unlearning score", "all", None, "unlearning_score", "score", "both together, harmonic"),
    Column("forget_score", "Forget score", "all", None, "forget_score", "score", "0 = vanilla, 1 = like gold"),
    Column("model_utility", "Model utility", "all", None, "model_utility", "score", "1 = nothing else was lost"),
    Column("truth_score", "Truth score", "forget", None, "truth_score", "score", "truth ratio R as 1 / (1 + R)", True),
    Column("forget_quality", "Forget quality", "forget", None, "forget_quality", "score", "p of KS test against gold"),
)
PROTOCOL_COLUMNS: tuple[Column, ...] = (
    Column("unparsable", "Unparsable", None, None, "unparsable_rate", "percent", "% of answers nobody can read", True),
    Column("judge_failures", "Judge failed", None, None, "judge_failures", "count", "answers it gave no usable score", True),
    Column(
        "judge_agreement", "Judge agreement", "all", "generation", "judge_agreement", "score", "kappa with the offline judge"
    ),
)
"""Over every set; they stand in the summary, once per protocol."""
PRIOR_COLUMNS = ("forget/classification", "test/classification", "forget/cloze", "test/cloze")
"""Columns in which guessing by frequency has a value."""


def plain(results: pl.DataFrame) -> pl.DataFrame:
    """Values of whole sets: no difference, group, grade or attack."""
    import polars as pl

    return results.filter(pl.all_horizontal(pl.col(name).is_null() for name in _PLAIN_NULLS))


def set_columns(results: pl.DataFrame) -> tuple[Column, ...]:
    """Columns by set and task, for what was measured; a new set or task appears by itself."""
    found = plain(results).select("set", "task", "metric").unique().drop_nulls()
    measured = {(name, task): set[str]() for name, task, _ in found.iter_rows() if name != "all"}
    for name, task, metric in found.iter_rows():
        if name != "all":
            measured[name, task].add(metric)
    columns = []
    for name, task in sorted(measured, key=lambda place: (rank(place[0], SETS), rank(place[1], TASKS))):
        known = MEASURES.get(task) or tuple(Measure(m, _title(task), m.replace("_", " ")) for m in _GUESSED)
        here = [measure for measure in known if measure.metric in measured[name, task]]
        if task not in MEASURES:
            here = here[:1]
        for number, (metric, title, hint, unit) in enumerate(here):
            key = f"{name}/{task}" if number == 0 else f"{name}/{task}/{metric}"
            columns.append(Column(key, title, name, task, metric, unit, hint))
    return tuple(columns)


def all_columns(results: pl.DataFrame) -> tuple[Column, ...]:
    """Every column of the main table."""
    return SUMMARY_COLUMNS + PROTOCOL_COLUMNS + set_columns(results)


def rank(name: str, order: Sequence[str]) -> tuple[int, str]:
    """Sorting key: names in their order, then others by name."""
    return (order.index(name) if name in order else len(order), name)


def _title(task: str) -> str:
    return task.replace("_", " ").capitalize()
