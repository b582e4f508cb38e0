"""One number for forgetting, one for utility, and their combination.

Components are (set, task, modality, view, metric). With v, g and x the values of vanilla, gold and the model:

    forgetting   u = (v - x) / (v - g)          0 = as vanilla, 1 = as gold, above 1 = past gold
                 c = clip(1 - max(0, |u - 1| - f) / (1 - f), 0, 1)
    utility      c = clip((x - chance) / (v - chance), 0, 1)

f is the noise floor, 1.96 sqrt(2) sd(g) / (v - g): how far a second gold would stand from the first by the choice of
subjects alone; nearer than that is not told from gold. A component whose anchors differ by less than twice its noise is
left out. Scores are harmonic means, so that one dead component kills them: what is still told by name is not forgotten
because the picture no longer tells it, and a model that no longer speaks has no utility because its option likelihoods
survived. `unlearning_score` is the harmonic mean of both. Only vanilla and one gold anchor the scores; a held-out gold
does not enter them and can be scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from unsee.metrics.bootstrap import Z95, Array, Resampler, family, percentiles, weighted_means
from unsee.metrics.metric import FORGOTTEN_SETS, MetricInfo

FORGET_SCORE = MetricInfo("forget_score", 1, "quality", "0 = as vanilla, 1 = as gold, on forget and test; two-sided, harmonic")
MODEL_UTILITY = MetricInfo("model_utility", 1, "quality", "1 = as vanilla, 0 = chance, on all other sets; harmonic")
UNLEARNING_SCORE = MetricInfo("unlearning_score", 1, "quality", "harmonic mean of forget_score and model_utility")
FORGET_COMPONENT = MetricInfo("forget_component", 1, "quality", "one anchored component of forget_score")
UTILITY_COMPONENT = MetricInfo("utility_component", 1, "quality", "one anchored component of model_utility")

_FORGET_METRICS = {
    ("classification", "options"): ("accuracy", "answer_probability", "truth_score"),
    ("classification", "letter"): ("accuracy",),
    ("generation", "generate"): ("factuality", "answer_probability", "truth_score"),
    ("cloze", "generate"): ("cloze_accuracy", "answer_probability", "truth_score"),
}
_UTILITY_METRICS = {
    ("classification", "options"): ("accuracy",),
    ("classification", "letter"): ("accuracy",),
    ("generation", "generate"): ("rouge_l", "factuality"),
    ("cloze", "generate"): ("cloze_accuracy",),
}
COMPONENT = ("set", "task", "modality", "view", "metric")
_NONE: Array = np.empty(0)
_MODELS = ("value", "vanilla", "gold", "noise")

Kind = Literal["forget", "utility"]


class Key(NamedTuple):
    """What a component is about."""

    set: str
    task: str
    modality: str
    view: str
    metric: str


@dataclass(frozen=True)
class Component:
    """One anchored component.

    Attributes:
        key: what it is about.
        draws: [1 + draws] anchored values of the model, the first from all subjects; empty where it is left out.
        noise: the same for a held-out gold, empty without one.
        questions, subjects: what it rests on.
        reason: why it is left out, else None.
    """

    key: Key
    questions: int
    subjects: int
    draws: Array
    noise: Array
    reason: str | None = None


class Score(NamedTuple):
    """A composed score; `draws` is [1 + draws], empty with a `reason` where there is none."""

    draws: Array
    subjects: int
    questions: int
    reason: str | None = None

    @property
    def value(self) -> float | None:
        return float(self.draws[0]) if self.draws.size else None

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """95 % percentile interval over subjects, widened to hold the value: clipping pulls draws to one side."""
        if not self.draws.size or self.subjects < 2:
            return None, None
        low, high = percentiles(self.draws[1:, None])
        return min(float(low[0]), float(self.draws[0])), max(float(high[0]), float(self.draws[0]))


def harmonic_mean(parts: Iterable[Array]) -> Array:
    """Harmonic mean along the parts, [draws]; 0 where a part is 0, and parts without a value (NaN) do not count."""
    stacked = np.stack(list(parts))
    present = ~np.isnan(stacked)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(present, 1.0 / stacked, 0.0).sum(axis=0)
        result: Array = present.sum(axis=0) / inverse
    return result


def forgetting(value: Array, vanilla: Array, gold: Array, floor: float) -> Array:
    """Two-sided closeness to gold, 0 (as vanilla, or as far past gold) to 1 (within the noise floor of gold).

    Args:
        value, vanilla, gold: [draws]; draws in which vanilla does not exceed gold give NaN.
        floor: noise floor as a share of vanilla - gold, below 1.
    """
    gap = np.where(vanilla > gold, vanilla - gold, np.nan)
    away = np.abs((vanilla - value) / gap - 1.0)
    return np.clip(1.0 - np.maximum(0.0, away - floor) / (1.0 - floor), 0.0, 1.0)


def kept(value: Array, anchor: Array, chance: float) -> Array:
    """Ability kept, 0 (chance or below) to 1 (the anchor or above); draws in which the anchor is at chance give NaN."""
    return np.clip((value - chance) / np.where(anchor > chance, anchor - chance, np.nan), 0.0, 1.0)


def components(values: pl.DataFrame, kind: Kind, resampler: Resampler) -> list[Component]:
    """Anchored components of one kind.

    Args:
        values: one row per answer and metric: `subject`, the COMPONENT columns, `chance` (what a blind guess gets),
            `value`, `vanilla`, `gold`, `noise`. Forgetting needs vanilla and gold; utility is anchored at vanilla, and at
            gold without it.
        kind: which components.
        resampler: shared draws of subjects.
    """
    wanted = _FORGET_METRICS if kind == "forget" else _UTILITY_METRICS
    allowed = [f"{task}/{view}/{metric}" for (task, view), metrics in wanted.items() for metric in metrics]
    of_kind = pl.col("set").is_in(FORGOTTEN_SETS)
    rows = values.filter(
        (of_kind if kind == "forget" else ~of_kind) & pl.concat_str("task", "view", "metric", separator="/").is_in(allowed)
    )
    have = [name for name in _MODELS if rows[name].is_not_null().any()]
    needed = {"value", "vanilla", "gold"} if kind == "forget" else {"value"}
    if not needed <= set(have) or not {"vanilla", "gold"} & set(have):
        return []
    if kind == "utility":
        # Utility needs one anchor; the other model may lack answers (gold is not asked everything in every run).
        have = [name for name in have if name != "gold" or "vanilla" not in have]
    rows = rows.drop_nulls(have)
    sums = rows.group_by(*COMPONENT, "subject", maintain_order=True).agg(
        pl.col(*have, "chance").sum(), pl.len().cast(pl.Float64).alias("count")
    )
    made = []
    for key, part in sorted(sums.partition_by(*COMPONENT, as_dict=True).items()):
        made.append(_component(Key(*(str(k) for k in key)), part, kind, have, resampler))
    return made


def _component(key: Key, part: pl.DataFrame, kind: Kind, have: list[str], resampler: Resampler) -> Component:
    name = family(key.set)
    at = [resampler.index[name][subject] for subject in part["subject"]]
    drawn = resampler.weights(name)[:, at]
    weights = np.vstack([np.ones((1, len(at))), drawn])
    means = weighted_means(part.select(have).to_numpy(), part.select("count").to_numpy(), weights)  # [1 + draws, models]
    by_model = {model: means[:, i] for i, model in enumerate(have)}
    questions, subjects = int(part["count"].to_numpy().sum()), part.height
    value, noise = by_model["value"], by_model.get("noise", _NONE)
    if kind == "forget":
        vanilla, gold = by_model["vanilla"], by_model["gold"]
        gap = float(vanilla[0] - gold[0])
        apart = Z95 * np.sqrt(2) * float(np.nanstd(gold[1:]))
        if gap <= 2 * max(apart, Z95 * float(np.nanstd(vanilla[1:] - gold[1:]))) or gap <= 1e-9:
            reason = f"left out: vanilla ({vanilla[0]:.3g}) and gold ({gold[0]:.3g}) do not differ beyond noise"
            return Component(key, questions, subjects, _NONE, _NONE, reason)
        anchored = [forgetting(x, vanilla, gold, apart / gap) if x.size else x for x in (value, noise)]
    else:
        anchor = by_model["vanilla"] if "vanilla" in by_model else by_model["gold"]
        chance = float(part["chance"].to_numpy().sum() / part["count"].to_numpy().sum())
        if anchor[0] - chance <= 2 * Z95 * float(np.nanstd(anchor[1:])) or anchor[0] - chance <= 1e-9:
            reason = f"left out: the anchor ({anchor[0]:.3g}) does not exceed chance ({chance:.3g}) beyond noise"
            return Component(key, questions, subjects, _NONE, _NONE, reason)
        anchored = [kept(x, anchor, chance) if x.size else x for x in (value, noise)]
    return Component(key, questions, subjects, anchored[0], anchored[1])


def compose(parts: list[Component], *, missing: str, noise: bool = False) -> Score:
    """Harmonic mean of the components that are not left out.

    Args:
        parts: components of one kind.
        missing: reason to give where there is no component at all.
        noise: whether to compose the held-out gold's values instead of the model's.
    """
    live = [part for part in parts if part.reason is None and (part.noise.size if noise else part.draws.size)]
    if not live:
        return Score(_NONE, 0, 0, f"all {len(parts)} components are left out" if parts else missing)
    draws = harmonic_mean(part.noise if noise else part.draws for part in live)
    dropped = len(parts) - len([part for part in parts if part.reason is None])
    reason = f"{dropped} of {len(parts)} components left out" if dropped else None
    return Score(draws, min(p.subjects for p in live), sum(p.questions for p in live), reason)


def combine(forget: Score, utility: Score) -> Score:
    """Harmonic mean of forgetting and utility."""
    if not forget.draws.size or not utility.draws.size:
        return Score(_NONE, 0, 0, (forget.reason if not forget.draws.size else utility.reason) or "a part is missing")
    draws = harmonic_mean([forget.draws, utility.draws])
    return Score(draws, min(forget.subjects, utility.subjects), forget.questions + utility.questions)


def select(parts: list[Component], where: Mapping[str, str]) -> list[Component]:
    """Components whose key has the given values."""
    return [part for part in parts if all(part.key._asdict()[name] == value for name, value in where.items())]
