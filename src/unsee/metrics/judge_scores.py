"""What a judge behind a server says (`unsee.judging`), beside the offline judge, and how far the two agree.

Scores are 1 to 10; an answer without a usable judgement has none and enters no mean. The two judges agree on an answer where
the score is 7 or more (right but for minor gaps) and `factuality` is 1, or neither is so; agreement beyond chance is

    kappa = (p_o - p_e) / (1 - p_e)

with p_o the share of answers on which they agree and p_e the share that independent judges with the same shares of "right"
would agree on. Source: Cohen, "A coefficient of agreement for nominal scales", 1960.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from unsee.metrics.bootstrap import Array, Resampler, family, percentiles
from unsee.metrics.factuality import FACTUALITY
from unsee.metrics.frames import KEYS
from unsee.metrics.metric import Metric, MetricInfo
from unsee.metrics.strata import PLACE

RIGHT = 7
"""Smallest score that counts as right."""

JUDGE_FACTUALITY = Metric(
    "judge_factuality",
    1,
    "knowledge",
    "score of the judge behind a server; answers without a usable judgement do not count",
    (1.0, 10.0),
    tasks=("generation",),
    views=("generate",),
    values=lambda frame: frame["judge_score"],
)
JUDGE_FAILURES = MetricInfo(
    "judge_failures",
    1,
    "defect",
    "judged answers without a usable judgement: no answer, refusal, unreadable, out of range",
    (0.0, float("inf")),
)
JUDGE_AGREEMENT = MetricInfo(
    "judge_agreement",
    1,
    "quality",
    "Cohen's kappa of score >= 7 and the offline judge's verdict, over answers that both judged",
    (-1.0, 1.0),
)


def attach(records: pl.DataFrame, judgements: pl.DataFrame | None) -> pl.DataFrame:
    """Records with the columns `judge_score` and `judge_failure`, null where nothing was judged.

    A judgement of another response than the recorded one is left out.
    """
    if judgements is None:
        return records
    columns = [pl.col("score").cast(pl.Float64).alias("judge_score"), pl.col("failure").alias("judge_failure")]
    on = [*KEYS, "response"]
    return records.join(judgements.select(*on, *columns), on=on, how="left", maintain_order="left")


def rows(records: pl.DataFrame, truth: pl.DataFrame, values: pl.DataFrame, resampler: Resampler) -> list[dict[str, Any]]:
    """Rows of failures and agreement; none where nothing was judged.

    Args:
        records: answers, with the columns of `attach` where some were judged.
        truth: frame of `truth_frame`.
        values: one row per answer and metric.
        resampler: shared draws of subjects.
    """
    if "judge_score" not in records.columns:
        return []
    judged = records.filter(pl.col("judge_score").is_not_null() | pl.col("judge_failure").is_not_null())
    judged = judged.select(*KEYS, "judge_failure").join(truth, on="sample_id", how="inner")
    return [*_failures(judged), *_agreements(values, resampler)]


def _failures(judged: pl.DataFrame) -> list[dict[str, Any]]:
    """How many judgements failed, and a row without a mean where all of them did."""
    made = []
    for key, part in sorted(judged.partition_by(*PLACE, as_dict=True).items()):
        place = dict(zip(PLACE, key)) | {"n": part.height, "n_subjects": part["subject"].n_unique(), "gated": False}
        kinds = part["judge_failure"].drop_nulls().value_counts(sort=True, name="n").rows()
        said = ", ".join(
            f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(kinds, key=lambda row: (-row[1], row[0]))
        )
        failed = sum(count for _, count in kinds)
        made.append(place | {"metric": JUDGE_FAILURES.name, "value": float(failed), "reason": said or None})
        if failed == part.height:
            none = {"n": 0, "n_subjects": 0, "reason": f"no usable judgement: {said}"}
            made.append(place | none | {"metric": JUDGE_FACTUALITY.name, "value": None})
    return made


def _agreements(values: pl.DataFrame, resampler: Resampler) -> list[dict[str, Any]]:
    """Kappa per stratum, and over all sets for each modality and for both."""
    judged = values.filter(pl.col("metric") == JUDGE_FACTUALITY.name)
    offline = values.filter(pl.col("metric") == FACTUALITY.name).select(*KEYS, (pl.col("value") == 1).alias("offline"))
    both = judged.join(offline, on=KEYS, how="inner").with_columns(
        (2 * (pl.col("value") >= RIGHT).cast(pl.Int64) + pl.col("offline").cast(pl.Int64)).alias("cell")
    )
    everywhere = both.with_columns(pl.lit("all").alias("place_set"))
    strata = pl.concat(
        [
            both.with_columns(pl.col("set").alias("place_set")),
            everywhere,
            everywhere.with_columns(pl.lit(None, dtype=pl.String).alias("modality")),
        ]
    )
    made = []
    by = ("place_set", "task", "modality", "protocol", "view")
    for key, part in sorted(strata.partition_by(*by, as_dict=True).items(), key=repr):
        tables = _tables(part, resampler)  # [1 + draws, 4]
        kappa = cohen_kappa(tables)
        subjects = part.select(pl.col("set").replace({"test": family("test")}), "subject").n_unique()
        row = dict(zip(PLACE, key)) | {
            "metric": JUDGE_AGREEMENT.name,
            "n": part.height,
            "n_subjects": subjects,
            "gated": False,
        }
        if np.isnan(kappa[0]):
            row |= {"value": None, "reason": "no agreement beyond chance is defined: each judge says the same of every answer"}
        else:
            low, high = percentiles(kappa[1:, None])
            ends = (float(low[0]), float(high[0])) if subjects > 1 and not np.isnan(low[0]) else (None, None)
            row |= {"value": float(kappa[0]), "ci_low": ends[0], "ci_high": ends[1], "reason": None}
        made.append(row)
    return made


def _tables(part: pl.DataFrame, resampler: Resampler) -> Array:
    """Two by two tables of judgements, [1 + draws, 4]: of all subjects, then of each resample.

    The columns are: both say wrong, only the offline judge says right, only the judge does, both do.
    """
    total = np.zeros((1 + resampler.draws, 4))
    for (set_name,), own in part.partition_by("set", as_dict=True).items():
        name = family(str(set_name))
        counts = np.zeros((len(resampler.index[name]), 4))
        at = [resampler.index[name][subject] for subject in own["subject"]]
        np.add.at(counts, (at, own["cell"].to_list()), 1.0)
        total[0] += counts.sum(axis=0)
        total[1:] += resampler.weights(name) @ counts
    return total


def cohen_kappa(tables: Array) -> Array:
    """Cohen's kappa of tables [..., 4] as in `_tables`; NaN where both judges say one and the same of every answer."""
    neither, second, first, both = np.moveaxis(np.asarray(tables, dtype=np.float64), -1, 0)
    n = neither + second + first + both
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (neither + both) / n
        chance = ((first + both) * (second + both) + (neither + second) * (neither + first)) / n**2
        kappa: Array = np.where(chance < 1 - 1e-12, (observed - chance) / (1 - chance), np.nan)
    return kappa
