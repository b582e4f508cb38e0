"""Records joined with the truth once; every metric reads the joined frame."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from unsee.errors import DataError
from unsee.metrics.metric import Metric
from unsee.provenance import digest
from unsee.sample import Sample
from unsee.schemas import ALL_AT_ONCE

KEYS = ("sample_id", "protocol", "view", "draw")
"""What identifies an answer."""

TRUTH = pl.Schema(
    {
        "sample_id": pl.String(),
        "subject": pl.String(),
        "set": pl.String(),
        "task": pl.String(),
        "modality": pl.String(),
        "attribute": pl.String(),
        "level": pl.String(),
        "relation": pl.String(),
        "question": pl.String(),
        "answer": pl.String(),
        "fact": pl.String(),
        "correct_option": pl.String(),
        "option_count": pl.Int64(),
        "wrong_answers": pl.List(pl.String()),
        "letters": pl.List(pl.String()),
        "options": pl.List(pl.String()),
        "scenario": pl.String(),
        "patient": pl.String(),
        "identifier": pl.String(),
        "carrier": pl.String(),
        "phi": pl.String(),
        "mode": pl.String(),
        "error": pl.String(),
        "clean_answer": pl.String(),
        "right": pl.String(),
        "closed": pl.String(),
    }
)
"""What is known of a sample. Columns from `scenario` on are of medical benchmarks and null elsewhere.

`question` is what `question_of` gives. `fact` and `right` are the bare facts of `answer` and `clean_answer`: of a planted
error, the wrong one and the right one.
"""

_FROM_METADATA = ("scenario", "patient", "identifier", "carrier", "phi", "mode", "error", "clean_answer")
_ANSWERED = (*KEYS, "response", "parsed", "answer_logprob_mean", "perturbed_logprobs", "option_logprobs")
_JUDGED = "judge_score"
"""Column of records that were judged (`judge_scores.attach`)."""


def fact_of(sample: Sample) -> str:
    """The bare fact a sample asks for."""
    return sample.fact


def question_of(sample: Sample) -> str:
    """The same for samples that ask a subject the same in one form, as those with the three pictures of a test question do."""
    attribute = sample.metadata.get("attribute")
    asked = [sample.subject, sample.set, sample.task, sample.modality, attribute, sample.question, sample.answer]
    return digest(asked)[:16]


def per_question(values: pl.DataFrame, *means: str) -> pl.DataFrame:
    """One row per question instead of one per answer or sample: tests that take their rows as independent count it once.

    Args:
        values: has `question`, any of the other columns that tell rows apart, and `means`.
        means: columns that are averaged over the samples of a question; only they and what tells rows apart are kept.
    """
    apart = ("question", "subject", "set", "task", "modality", "attribute", "protocol", "view", "draw", "metric")
    by = [name for name in apart if name in values.columns]
    return values.group_by(by, maintain_order=True).agg(pl.col(*means).mean())


def of_own_edit() -> pl.Expr:
    """Rows of models without an edit or with one edit of all facts, and those about the very fact that the edit deleted."""
    return pl.col("edit_id").is_null() | pl.col("edit_id").eq(ALL_AT_ONCE) | (pl.col("edit_id") == pl.col("subject"))


def truth_frame(samples: Iterable[Sample]) -> pl.DataFrame:
    """One row per sample in schema TRUTH.

    Raises:
        DataError: two samples share an id.
    """

    def text(sample: Sample, key: str) -> str | None:
        value = sample.metadata.get(key)
        return None if value is None else str(value)

    rows = [
        (
            s.id,
            s.subject,
            s.set,
            s.task,
            s.modality,
            text(s, "attribute"),
            text(s, "level"),
            text(s, "relation"),
            question_of(s),
            s.answer,
            fact_of(s),
            s.correct_option,
            len(s.options),
            list(s.wrong_answers),
            list(s.options),
            list(s.options.values()),
            *(text(s, key) for key in _FROM_METADATA),
            text(s, "right") or text(s, "clean_answer"),
            text(s, "closed"),
        )
        for s in samples
    ]
    truth = pl.DataFrame(rows, schema=TRUTH, orient="row")
    if truth["sample_id"].n_unique() < truth.height:
        double = truth.filter(pl.col("sample_id").is_duplicated())["sample_id"][0]
        raise DataError(f"two samples have the id {double!r}, so their records cannot be told apart; pass every sample once")
    return truth


def join_truth(records: pl.DataFrame, truth: pl.DataFrame, *, name: str = "records", strict: bool = True) -> pl.DataFrame:
    """Answers with what would have been right; set, task, modality and subject are the truth's.

    Args:
        records: frame in schema RECORDS.
        truth: frame of `truth_frame`.
        name: what to call the records in messages.
        strict: whether records of unknown samples are an error; otherwise they are left out.

    Raises:
        DataError: there is no record, a record belongs to no sample, or an answer is recorded twice.
    """
    judged = pl.col(_JUDGED) if _JUDGED in records.columns else pl.lit(None, dtype=pl.Float64).alias(_JUDGED)
    answered = records.select(*_ANSWERED, judged)
    if answered.is_empty():
        raise DataError(f"{name}: there are no records, so there is nothing to score; answer the samples first")
    known = answered.join(truth.select("sample_id"), on="sample_id", how="semi")
    if strict and known.height < answered.height:
        stray = answered.join(truth.select("sample_id"), on="sample_id", how="anti")["sample_id"][0]
        raise DataError(f"{name}: sample {stray!r} is recorded but not among the samples; pass the samples that were answered")
    missing = truth.height - known["sample_id"].n_unique()
    if missing:
        warnings.warn(f"{name}: {missing} of {truth.height} samples have no record and are not scored", stacklevel=3)
    if known.select(KEYS).is_duplicated().any():
        double = known.filter(known.select(KEYS).is_duplicated())["sample_id"][0]
        raise DataError(f"{name}: sample {double!r} is recorded twice in one view; remove one of the two rows")
    return known.join(truth, on="sample_id", how="inner", maintain_order="left")


def values_frame(frame: pl.DataFrame, metrics: Sequence[Metric]) -> pl.DataFrame:
    """One row per answer and metric: KEYS, `metric`, `value`; answers without a value are left out.

    Raises:
        AssertionError: a metric leaves its declared bounds.
    """
    parts = []
    for metric in metrics:
        rows = frame.filter(pl.col("task").is_in(metric.tasks) & pl.col("view").is_in(metric.views))
        values = metric.values(rows).cast(pl.Float64).fill_nan(None)
        low, high = values.min(), values.max()
        if isinstance(low, float) and isinstance(high, float):
            assert metric.bounds[0] - 1e-9 <= low and high <= metric.bounds[1] + 1e-9, f"{metric.name}: {low} to {high}"
        parts.append(rows.select(*KEYS, pl.lit(metric.name).alias("metric"), values.alias("value")).drop_nulls("value"))
    return pl.concat(parts)


def join_models(
    records: pl.DataFrame, truth: pl.DataFrame, given: Mapping[str, pl.DataFrame | None]
) -> dict[str, pl.DataFrame | None]:
    """Answers of several models, each with the truth: the scored model's under "value", the others' under their names."""
    others = {
        name: None if frame is None else join_truth(frame, truth, name=f"{name} records", strict=False)
        for name, frame in given.items()
    }
    return {"value": join_truth(records, truth), **others}


def beside(
    models: Mapping[str, pl.DataFrame | None], values_of: Callable[[pl.DataFrame], pl.DataFrame], *, by: Sequence[str]
) -> pl.DataFrame:
    """Values of the scored model, beside those of the other models for the same answer (null without such a model).

    Args:
        models: frames of `join_models`.
        values_of: frame -> rows with KEYS, the columns `by`, and `value`.
        by: what, with KEYS, identifies a value.
    """
    scored = models["value"]
    assert scored is not None
    values = values_of(scored)
    for name, frame in models.items():
        if name == "value":
            continue
        if frame is None:
            values = values.with_columns(pl.lit(None, dtype=pl.Float64).alias(name))
            continue
        other = values_of(frame).select(*KEYS, *by, pl.col("value").alias(name))
        values = values.join(other, on=[*KEYS, *by], how="left", maintain_order="left")
    return values
