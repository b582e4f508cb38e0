"""Medical benchmarks: leaks, errors, clinical ability and the score over the subsets, as rows of results.

Only samples that carry a scenario are read, so other benchmarks have none of these rows. Per answer, the metrics are those of
`leaks`, `corrections` and `clinical`; a subject is a patient or a false rule, and intervals are over subjects. What the score
(`efficiency`) rests on is measured in `medical_subsets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from unsee.metrics.aggregate import Score
from unsee.metrics.bootstrap import Array, Resampler
from unsee.metrics.clinical import CLOSED_ACCURACY, TOKEN_RECALL
from unsee.metrics.corrections import (
    ABSTENTION,
    RIGHT_RECOVERY,
    STATES,
    TRANSITION,
    WRONG_MARGIN,
    WRONG_REPRODUCTION,
    states,
)
from unsee.metrics.distance import NOISE_FLOOR
from unsee.metrics.efficiency import (
    FORMULAS,
    OVER_FORGOTTEN,
    UES_PRESERVATION,
    UES_REMOVAL,
    Subsets,
)
from unsee.metrics.efficiency import removal as anchored
from unsee.metrics.frames import KEYS, beside, values_frame
from unsee.metrics.leaks import ANY, LEAK_RATE, VOLUNTEERED_LEAK, WORST_LEAK_RATE, planted, volunteered
from unsee.metrics.medical_subsets import (
    HARMS,
    NO_RIGHT,
    Harm,
    Measured,
    fewest,
    harm_and_ability,
    no_removal,
    noise_parts,
    parts_of,
    subsets_of,
)
from unsee.metrics.metric import Metric, MetricInfo
from unsee.metrics.official_scores import main_protocol
from unsee.metrics.strata import PLACE, Baseline, by_group, estimates, spread

PER_ANSWER: tuple[Metric, ...] = (
    LEAK_RATE,
    WRONG_REPRODUCTION,
    RIGHT_RECOVERY,
    ABSTENTION,
    WRONG_MARGIN,
    CLOSED_ACCURACY,
    TOKEN_RECALL,
)
MEDICAL_METRICS: tuple[MetricInfo, ...] = (
    *PER_ANSWER,
    VOLUNTEERED_LEAK,
    WORST_LEAK_RATE,
    TRANSITION,
    *FORMULAS,
    UES_REMOVAL,
    UES_PRESERVATION,
    OVER_FORGOTTEN,
)
_KEPT = ("subject", "set", "task", "modality", "level", "relation", "gated", "patient", "carrier", "mode", "error")
_BINARY = (*(metric.name for metric in PER_ANSWER if metric.binary), VOLUNTEERED_LEAK.name, TRANSITION.name)
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "identifier": (LEAK_RATE.name, VOLUNTEERED_LEAK.name),
    "carrier": (LEAK_RATE.name,),
    "error": (WRONG_REPRODUCTION.name, RIGHT_RECOVERY.name, ABSTENTION.name, WRONG_MARGIN.name),
    "mode": tuple(metric.name for metric in PER_ANSWER if metric is not LEAK_RATE),
}
"""What values are told apart by -> metrics."""
_NO_ANSWERS = "no clinical questions of other sets were answered"


@dataclass(frozen=True)
class Study:
    """What one model did to a medical benchmark.

    Attributes:
        values: one row per answer and metric: KEYS, `metric`, `identifier`, the columns that values are told apart by, and one
            column per model.
        states: one row per answer about an error: its place, `state` and `vanilla_state`, null without vanilla.
        given: models that are there beside the scored one.
    """

    values: pl.DataFrame
    states: pl.DataFrame
    given: tuple[str, ...]

    @staticmethod
    def of(models: Mapping[str, pl.DataFrame | None], truth: pl.DataFrame) -> Study | None:
        """The values of a benchmark; None where no sample carries a scenario.

        Args:
            models: frames of `join_models`.
            truth: frame of `truth_frame` with `gated`.
        """
        if truth["scenario"].null_count() == truth.height:
            return None
        identifiers = planted(truth)
        own = truth.select("sample_id", "identifier")
        per_answer = beside(models, lambda frame: values_frame(frame, PER_ANSWER), by=("metric",))
        leaks = beside(models, lambda frame: volunteered(frame, identifiers), by=("identifier",))
        values = pl.concat(
            [
                per_answer.join(own, on="sample_id", how="left", maintain_order="left"),
                leaks.with_columns(pl.col("identifier").replace(ANY, None), metric=pl.lit(VOLUNTEERED_LEAK.name)),
            ],
            how="diagonal",
        ).join(truth.select("sample_id", *_KEPT), on="sample_id", how="left", maintain_order="left")
        given = tuple(name for name, frame in models.items() if frame is not None and name != "value")
        return Study(values, _paired_states(models), given)

    def means(self, resampler: Resampler, *, gated: bool) -> pl.DataFrame:
        """Plain values and paired differences, over whole sets and levels and over everything values are told apart by."""
        values = self.values.filter("gated") if gated else self.values
        baselines: list[Baseline] = [name for name in ("vanilla", "gold") if name in self.given]
        whole = values.filter((pl.col("metric") != VOLUNTEERED_LEAK.name) | pl.col("identifier").is_null())
        kinds = [spread(whole)]
        for key, metrics in _GROUPS.items():
            of_key = values.filter(pl.col("metric").is_in(metrics)).with_columns(pl.col("level").alias("own_level"))
            kinds.append(by_group(of_key, key).drop("own_level"))
            with_level = by_group(of_key.filter(pl.col("level").is_not_null()), key)
            kinds.append(with_level.with_columns(pl.col("own_level").alias("level")).drop("own_level"))
        return estimates(pl.concat(kinds), resampler, baselines=baselines, binary=_BINARY)

    def scores(self, resampler: Resampler, *, gated: bool) -> pl.DataFrame:
        """Worst leaks, transitions, and the scores over the subsets with their parts."""
        values = self.values.filter("gated") if gated else self.values
        changed = self.states.filter("gated") if gated else self.states
        tables = [_worst(values, resampler), self._transitions(changed, resampler)]
        scored = self._scored(gated)
        rows = [row for harm in self.harms for row in self._efficiency(scored, harm, resampler)]
        if rows:
            made = pl.DataFrame(rows, infer_schema_length=None, schema_overrides=_NUMBERS)
            tables.append(made.with_columns(pl.lit(self._protocol).alias("protocol"), pl.lit("all").alias("set")))
        return pl.concat(tables, how="diagonal")

    def subsets(self, harm: Harm, resampler: Resampler, *, gated: bool) -> dict[str, Subsets] | None:
        """What the scores of one kind of harm are made of, [1 + draws] each: model -> its subsets.

        The scored model is called "value"; gold has no abilities. None where vanilla, gold or answers are missing, or where
        vanilla does no more harm than gold beyond noise.
        """
        if not {"vanilla", "gold"} <= {*self.given}:
            return None
        found = harm_and_ability(self._scored(gated), harm, resampler)
        if found is None or no_removal(found.whole, found.right) is not None:
            return None
        return {name: subsets_of(name, found.whole, found.kept, found.right) for name in ("value", "vanilla", "gold")}

    def _scored(self, gated: bool) -> pl.DataFrame:
        """Answers in words that scores rest on; sets that the gate did not probe count as they are."""
        scored = self.values.filter(pl.col("gated").fill_null(True)) if gated else self.values
        return main_protocol(scored).filter(pl.col("view") == "generate")

    @property
    def harms(self) -> tuple[Harm, ...]:
        """Scenarios that were asked about."""
        there = set(self.values["metric"])
        return tuple(harm for harm, components in HARMS.items() if {one.metric for one in components.values()} & there)

    @property
    def _protocol(self) -> str:
        return str(main_protocol(self.values)["protocol"][0])

    def _transitions(self, changed: pl.DataFrame, resampler: Resampler) -> pl.DataFrame:
        """Of the answers in each of vanilla's states, the shares in each of the model's; also by mode, as `level`."""
        every = changed.with_columns(metric=pl.lit(TRANSITION.name), level=pl.lit(None, dtype=pl.String))
        named = pl.concat([every, every.filter(pl.col("mode").is_not_null()).with_columns(level=pl.col("mode"))])
        if "vanilla" not in self.given:
            rows = named.select(*PLACE, "metric", "level").unique(maintain_order=True).sort(*PLACE, "level")
            return rows.with_columns(reason=pl.lit("no vanilla model to compare with"), value=pl.lit(None, dtype=pl.Float64))
        named = named.drop_nulls("vanilla_state")
        label = pl.lit("transition=") + pl.col("vanilla_state") + ">"
        moved = [
            named.with_columns((label + to).alias("group"), (pl.col("state") == to).cast(pl.Float64).alias("value"))
            for to in STATES
        ]
        return estimates(pl.concat(moved), resampler, binary=_BINARY)

    # The score over the subsets ------------------------------------------------------------------------------------------

    def _efficiency(self, values: pl.DataFrame, harm: Harm, resampler: Resampler) -> Iterator[dict[str, Any]]:
        """Rows of the formulas and of their parts."""
        lacks = [name for name in ("vanilla", "gold") if name not in self.given]
        if lacks:
            reason = f"no {' and no '.join(lacks)} model to anchor the score"
            for info in (*FORMULAS, UES_REMOVAL, OVER_FORGOTTEN):
                yield _row(info, harm, reason=reason)
            return
        measured = harm_and_ability(values, harm, resampler)
        if measured is None:
            for info in (*FORMULAS, UES_REMOVAL, OVER_FORGOTTEN):
                yield _row(info, harm, reason="no question about what is to be removed was answered, or none is known")
            return
        harmful, whole, right, kept, unkept = measured
        made = parts_of("value", whole, kept, right)
        lost = no_removal(whole, right)
        yield _row(UES_REMOVAL, harm, made.removal, whole, reason=lost)
        for name, one in harmful.items():
            own = anchored(one.models["value"], one.models["vanilla"], one.models["gold"])
            yield _row(UES_REMOVAL, harm, own, one, group=f"of={name}", reason=no_removal(one, None))
        if made.removal_of_wrong is not None and made.correction is not None and right is not None:
            yield _row(UES_REMOVAL, harm, made.removal_of_wrong, whole, group="of=wrong_answer", reason=no_removal(whole, None))
            unanchored = None if right.models["gold"][0] > 0 else NO_RIGHT
            yield _row(UES_REMOVAL, harm, made.correction, right, group="of=right_answer", reason=unanchored)
        yield _row(OVER_FORGOTTEN, harm, made.over, whole)
        for name, one in kept.items():
            yield _row(UES_PRESERVATION, harm, made.preservation[name], one, group=f"set={name}")
        for name in sorted(unkept):
            yield _row(UES_PRESERVATION, harm, group=f"set={name}", reason="left out: vanilla answers nothing right here")
        lost = lost or (None if kept else _NO_ANSWERS)
        total = Measured(whole.models, whole.n + sum(one.n for one in kept.values()), fewest(whole, *kept.values()))
        noisy = None if lost else noise_parts(whole, kept, right)
        for formula in FORMULAS:
            yield _row(formula, harm, None if lost else formula.score(made), total, reason=lost)
            if noisy is not None:
                row = _row(formula, harm, formula.score(noisy), total)
                yield row | {"metric": NOISE_FLOOR.name, "group": f"metric={formula.name}"}


_NUMBERS = {
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
    "n_subjects": pl.Int64,
    "group": pl.String,
    "reason": pl.String,
}


def _row(
    info: MetricInfo,
    harm: Harm,
    draws: Array | None = None,
    rests_on: Measured | None = None,
    *,
    group: str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """One row over all sets; without a value where there is a reason."""
    row: dict[str, Any] = {"metric": info.name, "scenario": harm, "group": group, "reason": reason}
    if rests_on is not None:
        row |= {"n": rests_on.n, "n_subjects": rests_on.subjects}
    if draws is None or reason is not None or rests_on is None:
        return row | {"value": None}
    made = Score(draws, rests_on.subjects, rests_on.n)
    low, high = made.interval
    return row | {"value": made.value, "ci_low": low, "ci_high": high}


def _paired_states(models: Mapping[str, pl.DataFrame | None]) -> pl.DataFrame:
    """States of answers about errors, beside vanilla's of the same answers."""

    def of(frame: pl.DataFrame) -> pl.DataFrame:
        asked = frame.filter(pl.col("task").is_in(WRONG_REPRODUCTION.tasks))
        return asked.with_columns(states(asked)).drop_nulls("state")

    scored, vanilla = models["value"], models["vanilla"]
    assert scored is not None
    mine = of(scored).select(*KEYS, "subject", "set", "task", "modality", "gated", "mode", "state")
    if vanilla is None:
        return mine.with_columns(pl.lit(None, dtype=pl.String).alias("vanilla_state"))
    before = of(vanilla).select(*KEYS, pl.col("state").alias("vanilla_state"))
    return mine.join(before, on=list(KEYS), how="left", maintain_order="left")


def _worst(values: pl.DataFrame, resampler: Resampler) -> pl.DataFrame:
    """The class of identifier and the patient that leak most in each place; of equals the first by name."""
    leaks = values.filter(pl.col("metric") == LEAK_RATE.name)
    found = []
    for key in ("identifier", "patient"):
        each = estimates(by_group(leaks, key), resampler, binary=_BINARY)
        top = each.filter(pl.col("value") == pl.col("value").max().over(PLACE)).sort(*PLACE, "group")
        equals = pl.len().over(PLACE) - 1
        reason = pl.when(equals > 0).then(pl.format("{} more leak as often", equals))
        found.append(top.with_columns(reason.alias("reason")).unique(PLACE, keep="first", maintain_order=True))
    return pl.concat(found).with_columns(pl.lit(WORST_LEAK_RATE.name).alias("metric"))
