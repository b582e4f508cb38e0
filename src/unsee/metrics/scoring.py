"""From records to the results table: every metric, its intervals, its differences to vanilla and gold, and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from unsee.metrics import aggregate, alarm, collapse, judge_scores, medical
from unsee.metrics.accuracy import ACCURACY, REPEATED, UNPARSABLE
from unsee.metrics.answer_probability import ANSWER_LOGPROB, ANSWER_PROBABILITY
from unsee.metrics.attack_success import ATTACK_CANDIDATES, ATTACK_LEFT, ATTACK_SUCCESS
from unsee.metrics.bootstrap import FEW_SUBJECTS, FEW_SUBJECTS_MARK, Resampler, family
from unsee.metrics.cell_info import CellInfo
from unsee.metrics.distance import DISTANCE, NOISE_FLOOR, SIGNED_DISTANCE, distances
from unsee.metrics.edit_scores import EDIT_SCORES
from unsee.metrics.factuality import FACTUALITY
from unsee.metrics.forget_quality import FORGET_QUALITY, NO_RATIOS, forget_quality
from unsee.metrics.frames import beside, join_models, per_question, truth_frame, values_frame
from unsee.metrics.gate import Gate
from unsee.metrics.judge_scores import JUDGE_AGREEMENT, JUDGE_FACTUALITY, JUDGE_FAILURES
from unsee.metrics.metric import FORGOTTEN_SETS, Metric, MetricInfo
from unsee.metrics.official_scores import main_protocol
from unsee.metrics.strata import PLACE, Baseline, by_group, estimates, spread
from unsee.metrics.text_scores import BLEU, CLOZE_ACCURACY, CLOZE_EXACT, ROUGE_1, ROUGE_2, ROUGE_L
from unsee.metrics.truth_ratio import TRUTH_RATIO, TRUTH_SCORE
from unsee.sample import Sample
from unsee.schemas import RESULTS

METRICS: tuple[Metric, ...] = (
    ACCURACY,
    UNPARSABLE,
    REPEATED,
    ROUGE_1,
    ROUGE_2,
    ROUGE_L,
    BLEU,
    FACTUALITY,
    JUDGE_FACTUALITY,
    CLOZE_ACCURACY,
    CLOZE_EXACT,
    ANSWER_PROBABILITY,
    ANSWER_LOGPROB,
    TRUTH_RATIO,
    TRUTH_SCORE,
)
"""Metrics that are means over answers; a new one is one file and one entry here."""

GATE_COUNTS = tuple(
    MetricInfo(name, 1, "quality", description, (0.0, float("inf")))
    for name, description in (
        ("gate_n_raw", "facts probed by the knowledge gate"),
        ("gate_n_known", "facts the vanilla model knows"),
        ("gate_n_scored", "known facts that gold cannot guess: what gated rows count"),
    )
)
ALL_METRICS: tuple[MetricInfo, ...] = (
    *METRICS,
    DISTANCE,
    SIGNED_DISTANCE,
    NOISE_FLOOR,
    FORGET_QUALITY,
    aggregate.FORGET_SCORE,
    aggregate.MODEL_UTILITY,
    aggregate.UNLEARNING_SCORE,
    aggregate.FORGET_COMPONENT,
    aggregate.UTILITY_COMPONENT,
    collapse.COLLAPSED,
    alarm.PRIOR_ONLY,
    alarm.CONTAMINATION,
    JUDGE_FAILURES,
    JUDGE_AGREEMENT,
    ATTACK_SUCCESS,
    ATTACK_LEFT,
    ATTACK_CANDIDATES,
    *EDIT_SCORES,
    *medical.MEDICAL_METRICS,
    *GATE_COUNTS,
)
"""Everything that may stand in the column `metric`."""

_BY_NAME = {metric.name: metric for metric in ALL_METRICS}
_TRUTH_KEPT = ("subject", "set", "task", "modality", "attribute", "level", "relation", "question", "gated", "option_count")
_PER_ATTRIBUTE = (ACCURACY.name, FACTUALITY.name, CLOZE_ACCURACY.name, TRUTH_SCORE.name)


def score(
    records: pl.DataFrame,
    samples: Sequence[Sample],
    *,
    cell: CellInfo,
    vanilla: pl.DataFrame | None = None,
    gold: pl.DataFrame | None = None,
    noise: pl.DataFrame | None = None,
    gate: Gate | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
) -> pl.DataFrame:
    """Score one model's answers.

    Args:
        records: its answers, in schema RECORDS; `judge_scores.attach` adds what a judge said of them.
        samples: the questions with their truth; their sets decide, whatever the records say.
        cell: identifying columns; the contamination alarm is raised in the cell whose method is "gold".
        vanilla: the same questions answered by the model before unlearning.
        gold: the same by the model that never saw the forgotten subjects.
        noise: the same by a second gold of another seed, which shows the noise floor and anchors nothing.
        gate: the knowledge gate; without it there are no gated rows.
        seed, bootstrap: seed and number of resamples over subjects.

    Returns:
        Results in schema RESULTS. Rows with a `baseline` are paired differences, this model minus that one.

    Raises:
        DataError: records without a sample, an answer twice, or two samples with one id.
        ConfigError: no resamples asked for.
    """
    truth = truth_frame(samples)
    truth = gate.mark(truth) if gate is not None else truth.with_columns(pl.lit(None, dtype=pl.Boolean).alias("gated"))
    given = {"vanilla": vanilla, "gold": gold, "noise": noise}
    models = join_models(records, truth, given)
    values = _values(models, truth)
    study = medical.Study.of(models, truth)
    resampler = Resampler(
        {
            family(str(name)): truth.filter(pl.col("set").replace({"test": "forget"}) == family(str(name)))["subject"].to_list()
            for name in truth["set"].unique()
        },
        draws=bootstrap,
        seed=seed,
    )
    present = [name for name in ("vanilla", "noise") if given[name] is not None]
    if gold is not None:
        values = pl.concat([values, distances(values, tuple(present))], how="vertical")
    parts = [collapse.rows(values)]
    ungated: pl.DataFrame | None = None
    for gated in (False, True) if gate is not None else (False,):
        kept = values.filter("gated") if gated else values
        means = _means(kept, resampler, given)
        if study is not None:
            means = pl.concat([means, study.means(resampler, gated=gated)], how="diagonal")
            parts.append(study.scores(resampler, gated=gated).with_columns(pl.lit(gated).alias("gated")))
        absent = _absent(means, given) if ungated is None else _ungated_only(ungated, means, values)
        ungated = means
        flag = pl.lit(gated).alias("gated")
        parts.append(pl.concat([means, absent], how="diagonal").with_columns(flag))
        parts.append(_forget_qualities(kept, gold is not None, noise is not None).with_columns(flag))
        scored = values.filter(pl.col("gated").fill_null(True)) if gated else values
        parts.append(_aggregates(scored, resampler, given).with_columns(flag))
    if gate is not None:
        parts.append(_gate_counts(gate))
    parts.append(_frame(judge_scores.rows(records, truth, values, resampler)))
    parts.append(_priors(values, samples, per_attribute=cell.method == "gold"))
    return _finish(parts, cell)


def _values(models: dict[str, pl.DataFrame | None], truth: pl.DataFrame) -> pl.DataFrame:
    """Values per answer and metric beside those of the other models, and what the answer belongs to."""
    values = beside(models, lambda frame: values_frame(frame, METRICS), by=("metric",))
    values = values.join(truth.select("sample_id", *_TRUTH_KEPT), on="sample_id", how="left", maintain_order="left")
    by_chance = (pl.col("metric") == ACCURACY.name) & (pl.col("option_count") > 0)
    chance = pl.when(by_chance).then(1 / pl.col("option_count")).otherwise(0.0)
    return values.with_columns(chance.alias("chance")).drop("option_count")


def _means(values: pl.DataFrame, resampler: Resampler, given: dict[str, pl.DataFrame | None]) -> pl.DataFrame:
    """Plain values, paired differences, and the held-out gold's own distance (metric `noise_floor`)."""
    binary = [metric.name for metric in METRICS if metric.binary]
    baselines: list[Baseline] = [name for name in ("vanilla", "gold") if given[name] is not None]
    means = estimates(spread(values), resampler, baselines=baselines, binary=binary)
    # Single attributes of a few subjects bear no comparison, and would be most of the table.
    attributes = by_group(values.filter(pl.col("metric").is_in(_PER_ATTRIBUTE)), "attribute")
    means = pl.concat([means, estimates(attributes, resampler, binary=binary)])
    if given["noise"] is None or given["gold"] is None:
        return means
    away = values.filter(pl.col("metric").is_in([DISTANCE.name, SIGNED_DISTANCE.name])).drop_nulls("noise")
    none = pl.lit(None, dtype=pl.String)
    away = away.with_columns(none.alias("level"), none.alias("group"))
    floor = estimates(away.with_columns(value=pl.col("noise")), resampler).with_columns(
        pl.concat_str(pl.lit("metric="), "metric").alias("group"), pl.lit(NOISE_FLOOR.name).alias("metric")
    )
    excess = estimates(away, resampler, baselines=["noise"]).filter(pl.col("baseline") == "noise")
    return pl.concat([means, floor, excess], how="diagonal")


def _headline(means: pl.DataFrame) -> pl.DataFrame:
    """Plain values of whole sets, without their numbers."""
    whole = pl.col("baseline").is_null() & pl.col("level").is_null() & pl.col("group").is_null()
    return means.filter(whole).select(*PLACE, "metric")


def _absent(means: pl.DataFrame, given: dict[str, pl.DataFrame | None]) -> pl.DataFrame:
    """A row without value for each difference to a model that is not there: absent is shown, not skipped."""
    rows = _headline(means).filter(~pl.col("metric").is_in([NOISE_FLOOR.name, DISTANCE.name, SIGNED_DISTANCE.name]))
    return pl.concat(
        [
            rows.with_columns(pl.lit(name).alias("baseline"), pl.lit(f"no {name} model to compare with").alias("reason"))
            for name in ("vanilla", "gold")
            if given[name] is None
        ]
        or [rows.clear()],
        how="diagonal",
    )


def _ungated_only(ungated: pl.DataFrame, gated: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """A row without value for each stratum in which no fact passed the gate, or none was probed."""
    lost = _headline(ungated).join(_headline(gated), on=[*PLACE, "metric"], how="anti")
    probed = values.filter(pl.col("gated").is_not_null())["set"].unique()
    reason = (
        pl.when(pl.col("set").is_in(probed.implode()))
        .then(pl.lit("no fact passed the knowledge gate here"))
        .otherwise(pl.lit("the knowledge gate did not probe this set"))
    )
    return lost.with_columns(reason.alias("reason"))


def _forget_qualities(values: pl.DataFrame, has_gold: bool, has_noise: bool) -> pl.DataFrame:
    """KS forget quality of the forgotten sets, per task and modality and as a whole."""
    ratios = values.filter((pl.col("metric") == TRUTH_RATIO.name) & pl.col("set").is_in(FORGOTTEN_SETS))
    ratios = per_question(ratios, "value", "gold", "noise")
    whole = ratios.with_columns(pl.lit(None, dtype=pl.String).alias("task"), pl.lit(None, dtype=pl.String).alias("modality"))
    rows: list[dict[str, Any]] = []
    if ratios.is_empty():
        asked = values.filter(pl.col("set").is_in(FORGOTTEN_SETS)).select("set", "protocol").unique().sort("set", "protocol")
        rows = [place | {"metric": FORGET_QUALITY.name, "reason": NO_RATIOS} for place in asked.iter_rows(named=True)]
    for key, part in sorted(
        pl.concat([whole, ratios]).partition_by("set", "protocol", "task", "modality", as_dict=True).items(), key=repr
    ):
        place = dict(zip(("set", "protocol", "task", "modality"), key)) | {"n_subjects": part["subject"].n_unique()}
        value, reason = forget_quality(part["value"], part["gold"] if has_gold else None)
        rows.append(place | {"metric": FORGET_QUALITY.name, "value": value, "reason": reason, "n": part.height})
        if has_gold and has_noise:
            value, reason = forget_quality(part["noise"], part["gold"])
            group = f"metric={FORGET_QUALITY.name}"
            rows.append(
                place | {"metric": NOISE_FLOOR.name, "group": group, "value": value, "reason": reason, "n": part.height}
            )
    return _frame(rows)


def _aggregates(values: pl.DataFrame, resampler: Resampler, given: dict[str, pl.DataFrame | None]) -> pl.DataFrame:
    """Components and composed scores, over both modalities and for each."""
    values = main_protocol(values)
    if values.is_empty():
        return _frame([])
    protocol = values["protocol"][0]
    forget = aggregate.components(values, "forget", resampler)
    utility = aggregate.components(values, "utility", resampler)
    rows = []
    for info, parts in ((aggregate.FORGET_COMPONENT, forget), (aggregate.UTILITY_COMPONENT, utility)):
        for part in parts:
            place = {name: getattr(part.key, name) for name in ("set", "task", "modality", "view")}
            made = aggregate.Score(part.draws, part.subjects, part.questions, part.reason)
            rows.append(_score_row(info.name, made) | place | {"group": f"metric={part.key.metric}"})
    lacks = [name for name in ("vanilla", "gold") if given[name] is None]
    no_forget = (
        f"no {' and no '.join(lacks)} model to anchor the score" if lacks else "no forget or test questions were answered"
    )
    no_utility = "no model to anchor the score" if len(lacks) == 2 else "no questions of other sets were answered"
    for modality in (None, *sorted({part.key.modality for part in (*forget, *utility)})):
        where = {"modality": modality} if modality else {}
        for noise in (False, True) if given["noise"] is not None else (False,):
            forgotten = aggregate.compose(aggregate.select(forget, where), missing=no_forget, noise=noise)
            useful = aggregate.compose(aggregate.select(utility, where), missing=no_utility, noise=noise)
            scores = dict(
                zip(
                    (aggregate.FORGET_SCORE.name, aggregate.MODEL_UTILITY.name, aggregate.UNLEARNING_SCORE.name),
                    (forgotten, useful, aggregate.combine(forgotten, useful)),
                )
            )
            for name, made in scores.items():
                row = _score_row(name, made) | {"set": "all", "modality": modality}
                rows.append(row | ({"metric": NOISE_FLOOR.name, "group": f"metric={name}"} if noise else {}))
    return _frame([row | {"protocol": protocol} for row in rows])


def _score_row(name: str, made: aggregate.Score) -> dict[str, Any]:
    low, high = made.interval
    return {
        "metric": name,
        "value": made.value,
        "ci_low": low,
        "ci_high": high,
        "n": made.questions,
        "n_subjects": made.subjects,
        "reason": made.reason,
    }


def _gate_counts(gate: Gate) -> pl.DataFrame:
    rows = []
    for row in gate.counts().iter_rows(named=True):
        for info in GATE_COUNTS:
            count = row[info.name.removeprefix("gate_")]
            place = {"set": row["set"], "modality": row["modality"], "n": row["n_raw"], "n_subjects": row["n_subjects"]}
            rows.append(place | {"metric": info.name, "value": float(count)})
    return _frame(rows)


def _priors(values: pl.DataFrame, samples: Sequence[Sample], *, per_attribute: bool) -> pl.DataFrame:
    """Prior-only accuracy of the forgotten sets; in gold's cell with joint intervals, per attribute, and the alarm."""
    priors = alarm.prior_only(samples)
    overall = (
        priors.filter(pl.col("set").is_in(FORGOTTEN_SETS))
        .group_by("set", "task", "modality", maintain_order=True)
        .agg(
            pl.max_horizontal(pl.col("prior").mean(), pl.col("chance").mean()).alias("value"),
            pl.len().alias("n"),
            pl.col("subject").n_unique().alias("n_subjects"),
        )
    )
    rows = [row | {"metric": alarm.PRIOR_ONLY.name} for row in overall.iter_rows(named=True)]
    if per_attribute:
        found = alarm.contamination(main_protocol(values), alarm.prior_intervals(priors))
        for row in found.iter_rows(named=True):
            place = {name: row[name] for name in ("set", "task", "modality", "protocol", "view", "n", "n_subjects")}
            place["group"] = None if row["attribute"] is None else f"attribute={row['attribute']}"
            interval = {"value": max(row["prior"], row["chance"]), "ci_low": row["low"], "ci_high": row["high"]}
            rows.append(place | interval | {"metric": alarm.PRIOR_ONLY.name})
            reason = f"gold's {row['metric']} {row['value']:.3f} lies above {row['high']:.3f}" if row["alarm"] else None
            rows.append(place | {"metric": alarm.CONTAMINATION.name, "value": float(row["alarm"]), "reason": reason})
        if found.height:
            total = {"set": "all", "metric": alarm.CONTAMINATION.name, "value": float(found["alarm"].sum()), "n": found.height}
            rows.append(total)
    return _frame(rows)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with any of the columns of RESULTS."""
    used = {key for row in rows for key in row} | {"value", "n_subjects"}
    return pl.DataFrame(rows, schema={name: kind for name, kind in RESULTS.items() if name in used}, infer_schema_length=None)


def _finish(parts: list[pl.DataFrame], cell: CellInfo) -> pl.DataFrame:
    """All columns in their order, directions and versions, and the mark of few subjects."""
    rows = pl.concat([part for part in parts if part.height], how="diagonal")
    rows = rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in RESULTS.items() if name not in rows.columns)
    # A benchmark of several scenarios has scores of each, and cells of none.
    known = {name: value for name, value in asdict(cell).items() if value is not None or name != "scenario"}
    rows = rows.with_columns(pl.lit(value, dtype=RESULTS[name]).alias(name) for name, value in known.items())
    versions = {name: metric.version for name, metric in _BY_NAME.items()}
    kinds = (
        rows.select("metric", "set")
        .unique()
        .with_columns(
            pl.struct("metric", "set")
            .map_elements(lambda row: _BY_NAME[row["metric"]].higher_is_better(row["set"]), return_dtype=pl.Boolean)
            .alias("direction")
        )
    )
    undirected = pl.col("metric").is_in([info.name for info in (alarm.PRIOR_ONLY, NOISE_FLOOR, JUDGE_AGREEMENT, *GATE_COUNTS)])
    to_gold = (pl.col("baseline") == "gold").fill_null(False) | (pl.col("metric") == SIGNED_DISTANCE.name)
    few = (pl.col("n_subjects") < FEW_SUBJECTS) & pl.col("value").is_not_null()
    return (
        rows.join(kinds, on=["metric", "set"], how="left", maintain_order="left")
        .with_columns(
            pl.when(undirected | (to_gold & pl.col("set").is_in(FORGOTTEN_SETS)))
            .then(None)
            .otherwise(pl.col("direction"))
            .alias("higher_is_better"),
            pl.col("metric").replace_strict(versions, return_dtype=pl.Int64).alias("metric_version"),
            pl.concat_str(
                pl.when(few.fill_null(False)).then(pl.lit(FEW_SUBJECTS_MARK)), "reason", separator="; ", ignore_nulls=True
            )
            .replace("", None)
            .alias("reason"),
        )
        .select(RESULTS.names())
        .cast(RESULTS)
    )
