"""The contamination alarm: gold must know no more about the forgotten subjects than can be guessed.

A prior-only guesser knows how often each answer is right for an attribute, but nothing about the subject: of four options
it takes the one that is right most often for other subjects, and where it has to write, the most frequent answer. A blind
guesser takes any option, or writes an answer as often as it occurs; where answers are balanced it does better. Gold's
accuracy on what it never saw must lie within the interval that the two can reach. If it lies above, a name, a portrait or
a fact has leaked into the start model, or the questions give their answer away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from unsee.metrics.bootstrap import wilson
from unsee.metrics.frames import fact_of, per_question, question_of
from unsee.metrics.metric import FORGOTTEN_SETS, MetricInfo
from unsee.metrics.normalise import tokens
from unsee.sample import Sample

PRIOR_ONLY = MetricInfo(
    "prior_only_accuracy", 2, "quality", "accuracy of the better of two guessers: by the frequency of answers, and blindly"
)
CONTAMINATION = MetricInfo(
    "contamination_alarm",
    2,
    "defect",
    "1 where gold is right more often than guessing explains, over all: number of alarms",
    (0.0, float("inf")),
)
_TAUGHT_SETS = ("forget", "test", "retain", "near_retain")
STRATUM = ("set", "task", "modality", "attribute")


def prior_only(samples: Iterable[Sample]) -> pl.DataFrame:
    """What a prior-only guesser gets on each question about a taught subject, forgotten or not.

    Returns:
        `question` (`question_of`), `subject, set, task, modality, attribute, prior, chance`, both expected accuracies from 0
        to 1; ties between equally frequent answers are broken by lot. A question with several pictures counts once: whoever
        knows nothing gives all of them the same answer.
    """
    taught = [s for s in samples if s.set in _TAUGHT_SETS and "attribute" in s.metadata]
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for sample in taught:
        answers[str(sample.metadata["attribute"])][sample.subject] = _key(fact_of(sample))
    counts = {attribute: Counter(by_subject.values()) for attribute, by_subject in answers.items()}
    rows = []
    for sample in taught:
        attribute = str(sample.metadata["attribute"])
        own = answers[attribute][sample.subject]
        prior, chance = _guess(sample, counts[attribute], own)
        asked = question_of(sample)
        rows.append((asked, sample.subject, sample.set, sample.task, sample.modality, attribute, prior, chance))
    schema = dict.fromkeys(("question", "subject", *STRATUM), pl.String) | {"prior": pl.Float64, "chance": pl.Float64}
    return per_question(pl.DataFrame(rows, schema=schema, orient="row"), "prior", "chance")


def _key(text: str) -> str:
    return repr(tokens(text).items)


def _guess(sample: Sample, counts: Mapping[str, int], own: str) -> tuple[float, float]:
    """(prior, chance) of one sample; the subject's own answer is taken out of the counts."""

    def times(key: str) -> int:
        return counts.get(key, 0) - (key == own)

    if sample.options:
        seen = {letter: times(_key(text)) for letter, text in sample.options.items()}
        most = max(seen.values())
        best = [letter for letter, count in seen.items() if count == most]
        return (1 / len(best) if sample.correct_option in best else 0.0), 1 / len(sample.options)
    chance = times(own) / max(1, sum(counts.values()) - 1)
    most = max((times(key) for key in counts), default=0)
    if most == 0 or times(own) < most:
        return 0.0, chance
    return 1 / sum(times(key) == most for key in counts), chance


def prior_intervals(priors: pl.DataFrame, *, level: float = 0.95) -> pl.DataFrame:
    """One row per forgotten set, task and modality, over all attributes (`attribute` null) and for each attribute.

    Columns `prior, chance, low, high, n, n_subjects`. The guesser's accuracy is measured on all taught subjects, because the
    forgotten ones are few; the interval is what n questions may show by chance. Questions may be counted here and not
    subjects, since for a guesser who knows nothing about a subject its attributes are independent. All intervals hold
    jointly: half of 1 - level is shared by the strata over all attributes, half by the single attributes.
    """
    both = pl.concat([priors.with_columns(pl.lit(None, dtype=pl.String).alias("attribute")), priors])
    pooled = both.group_by(STRATUM[1:]).agg(pl.col("prior", "chance").mean(), pl.len().alias("measured_on"))
    strata = (
        both.filter(pl.col("set").is_in(FORGOTTEN_SETS))
        .group_by(STRATUM)
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("subject").n_unique().cast(pl.Int64).alias("n_subjects"))
        .join(pooled, on=STRATUM[1:], nulls_equal=True)
        .sort(STRATUM)
    )
    single = strata["attribute"].drop_nulls().len()
    bounds = [
        _bounds(row, (1 - level) / 4 / (single if row["attribute"] is not None else strata.height - single))
        for row in strata.iter_rows(named=True)
    ]
    return strata.drop("measured_on").with_columns(
        pl.Series("low", [low for low, _ in bounds], dtype=pl.Float64),
        pl.Series("high", [high for _, high in bounds], dtype=pl.Float64),
    )


def _bounds(row: Mapping[str, Any], tail: float) -> tuple[float, float]:
    """Lowest and highest accuracy of a guesser, each missed with probability `tail`."""
    from scipy.stats import binom

    size, measured = int(row["n"]), int(row["measured_on"])
    least = min(row["prior"], row["chance"])
    most = wilson(max(row["prior"], row["chance"]) * measured, measured).high
    return max(0.0, float(binom.ppf(tail, size, least))) / size, float(binom.isf(tail, size, most)) / size


def contamination(values: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Gold's accuracy beside the prior-only interval.

    Args:
        values: gold's values per answer: STRATUM columns, `question`, `protocol`, `view`, `metric`, `value`; only accuracies
            are read.
        intervals: frame of `prior_intervals`.

    Returns:
        Per stratum (over all attributes where `attribute` is null), view and metric: `value`, the columns of `intervals`,
        and `alarm`, true above the interval. An accuracy below it is no contamination: gold may decline to answer.
    """
    measured = values.filter(
        pl.col("metric").is_in(["accuracy", "cloze_accuracy"])
        | ((pl.col("metric") == "factuality") & (pl.col("task") == "generation"))
    )
    measured = per_question(measured, "value")
    both = pl.concat([measured.with_columns(pl.lit(None, dtype=pl.String).alias("attribute")), measured])
    return (
        both.group_by(*STRATUM, "protocol", "view", "metric")
        .agg(pl.col("value").mean())
        .join(intervals, on=STRATUM, how="inner", nulls_equal=True)
        .with_columns((pl.col("value") > pl.col("high") + 1e-9).alias("alarm"))
        .sort(*STRATUM, "protocol", "view", "metric")
    )


def contaminated(results: pl.DataFrame) -> dict[str, int]:
    """Gold cells of a results table whose alarm was raised -> number of alarms."""
    raised = results.filter(
        (pl.col("metric") == CONTAMINATION.name)
        & (pl.col("method") == "gold")
        & (pl.col("set") == "all")
        & (pl.col("value") > 0)
    )
    counts = raised.group_by("cell").agg(pl.col("value").max())
    return {cell: round(value) for cell, value in sorted(counts.iter_rows())}
