"""AttackSuccess@B: how many deleted answers an attacker finds among B candidates, beside what luck and habit would find.

An attack on a model that never knew the facts, or that was never edited, and attackers without a model stand beside it:
`random_tokens` tries B tokens of the vocabulary at random (B / vocabulary), `random_tokens_drawn` is the same with tokens that
were drawn, judged as lens attacks are, and `answer_prior` tries the B most frequent answers to such questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from unsee.attacks.base import BUDGETS, NEVER_KNOWN, NEVER_LEARNED, RANDOM_DRAWN
from unsee.errors import DataError
from unsee.metrics.answer_prior import ANSWER_PRIOR, answer_counts, prior_limit, prior_success
from unsee.metrics.attack_reference import Reference
from unsee.metrics.bootstrap import (
    FEW_SUBJECTS,
    FEW_SUBJECTS_MARK,
    Array,
    Resampler,
    estimate,
    family,
    percentiles,
    weighted_means,
)
from unsee.metrics.metric import MetricInfo
from unsee.sample import Sample
from unsee.schemas import ATTACKS, RESULTS

if TYPE_CHECKING:
    from unsee.metrics.cell_info import CellInfo

Found = Literal["first", "all", "sequence"]
POSITIONS: Mapping[Found, str] = {"first": "hit_position", "all": "hit_all", "sequence": "hit_sequence"}
"""What counts as found -> column of ATTACKS: the first token (a response, for attacks by prompts), every token, the answer."""
RANDOM_TOKENS = "random_tokens"
CONTROLS = (RANDOM_TOKENS, RANDOM_DRAWN, ANSWER_PRIOR)
"""Attackers without a model."""
BEFORE = "vanilla"

ATTACK_SUCCESS = MetricInfo("attack_success", 1, "knowledge", "facts whose answer is among an attack's first B candidates")
ATTACK_LEFT = MetricInfo(
    "attack_success_left", 1, "knowledge", "of the facts that an attack got before the edit, those that it still gets"
)
ATTACK_CANDIDATES = MetricInfo(
    "attack_candidates", 1, "nothing", "different candidates that an attack tried within its budget", (0.0, float("inf"))
)
_PLACE = ("set", "task", "modality")
_KEY = (*_PLACE, "attack", "level")
_ONE = pl.col("sample_id").is_not_null()
"""Every row counts once."""
_MADE = pl.col("prompts").ne_missing(0)
"""Attacks whose every prompt held the answer asked nothing: a miss there would pass for a fact that is hidden."""


def attack_success(
    attacks: pl.DataFrame,
    samples: Sequence[Sample],
    *,
    cell: CellInfo,
    before: pl.DataFrame | None = None,
    never_learned: pl.DataFrame | None = None,
    never_known: pl.DataFrame | None = None,
    vocabulary: int | None = None,
    prior: Iterable[Sample] = (),
    budgets: Sequence[int] = BUDGETS,
    seed: int = 0,
    bootstrap: int = 1000,
) -> pl.DataFrame:
    """AttackSuccess@B of every attack of a table, with intervals over subjects, its controls and its differences to them.

    Args:
        attacks: schema ATTACKS; one row per sample and attack of one model, which for single facts means of each fact's own.
        samples: the attacked questions; their sets decide.
        cell: identifying columns.
        before: the same samples attacked before the edit; gives differences with baseline `vanilla` and the share that is left.
        never_learned: facts that the model never learned, attacked alike; gives differences with baseline `never_learned`, the
            two groups being resampled apart.
        never_known: attacks on the start model of those among the samples that it does not know; gives differences with
            baseline `never_known`, to such facts of the same task and modality where there are enough of them.
        vocabulary: number of tokens; gives attack `random_tokens`, of which B find B / vocabulary, beside lens attacks.
        prior: taught samples; gives attack `answer_prior`, which tries the most frequent answers of an attribute.
        budgets: values of B. An attack that draws fewer candidates has the same value at larger ones; `reason` says so.
        seed, bootstrap: seed and number of resamples over subjects.

    Returns:
        Results in schema RESULTS: `attack`, `budget`, `level`; `group` is "found=all" or "found=sequence" where more than the
        first token has to be found, in rows of lens attacks. `attack_candidates` is the mean number of different candidates.
        `reason` counts facts that were left out because every prompt held the answer, and marks budgets at which the answer
        prior is above `prior_limit`: their values stand, but carry no verdict.

    Raises:
        DataError: an attacked sample is not among the samples, or a row occurs twice.
    """
    hits = _hits(attacks, samples, "attacks")
    earlier = None if before is None else _hits(before, samples, "attacks before the edit", strict=False)
    references = _references(never_learned, never_known, samples)
    resampler = Resampler(
        {family(str(name)): hits.filter(family=family(str(name)))["subject"].to_list() for name in hits["family"].unique()}
        | {one.name: one.rows["subject"].to_list() for one in references if not one.rows.is_empty()},
        draws=bootstrap,
        seed=seed,
    )
    priors = _prior(hits, samples, list(prior), budgets, resampler)
    rows: list[dict[str, Any]] = []
    for key, every in sorted(hits.partition_by(*_KEY, as_dict=True).items(), key=repr):
        place = dict(zip(_KEY, key))
        part = every.filter(_MADE)
        control = place["attack"] in CONTROLS
        made = _candidates(part, budgets, resampler, place) if not control else []
        for found, column in _ways(every):
            group = None if found == "first" else f"found={found}"
            named = place | {"group": group}
            made += _plain(part, column, budgets, resampler, named)
            if earlier is not None and not control:
                same = part.join(earlier, on=["sample_id", "attack", "level"], nulls_equal=True, suffix="_before")
                made += _against_before(same, column, budgets, resampler, named)
            for reference in references if not control else ():
                made += _excess(part, reference, column, budgets, resampler, named)
        notes = {} if control else _notes(every, budgets, _at(priors, place))
        rows += [row | {"reason": _joined(row.get("reason"), notes.get(row["budget"]))} for row in made]
    rows += _random(hits, budgets, vocabulary) if vocabulary is not None else []
    rows += priors
    return finished(rows, cell, (ATTACK_SUCCESS, ATTACK_LEFT, ATTACK_CANDIDATES))


def succeeded(position: pl.Expr, budget: int) -> pl.Expr:
    """1.0 where an answer stands among the first B candidates, else 0.0."""
    return (position <= budget).fill_null(False).cast(pl.Float64)


def _notes(part: pl.DataFrame, budgets: Sequence[int], priors: Mapping[int, float]) -> dict[int, str]:
    """What limits an attack's values, by budget."""
    facts, asked = part["subject"].n_unique(), part.filter(_MADE)["subject"].n_unique()
    left_out = f"{facts - asked} of {facts} facts left out: every prompt holds the answer" if asked < facts else None
    drawn = part.select(pl.coalesce(pl.col("prompts") * pl.col("samples"), pl.col("candidates").list.len()).max()).item()
    notes = {}
    for budget in budgets:
        short = f"at most {drawn} candidates were drawn" if asked and drawn is not None and drawn < budget else None
        habit = priors.get(budget, 0.0)
        known = (
            f"the answer prior alone finds {100 * habit:.3g} %, above the {100 * prior_limit(budget):.3g} % up to which B = "
            f"{budget} tells what a model holds"
        )
        notes[budget] = _joined(left_out, short, known if habit > prior_limit(budget) else None) or ""
    return notes


def _joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None


def _at(priors: Iterable[Mapping[str, Any]], place: Mapping[str, Any]) -> dict[int, float]:
    """Budget -> what the answer prior finds there."""
    return {row["budget"]: row["value"] for row in priors if all(row[name] == place[name] for name in _PLACE)}


def _only_once(attacks: pl.DataFrame, name: str) -> pl.DataFrame:
    double = attacks.filter(attacks.select("sample_id", "attack", "level").is_duplicated())
    if double.height:
        raise DataError(
            f"{name}: sample {double['sample_id'][0]!r} is attacked twice by {double['attack'][0]}; pass one row of each"
        )
    return attacks


def _hits(attacks: pl.DataFrame, samples: Sequence[Sample], name: str, *, strict: bool = True) -> pl.DataFrame:
    """Attack rows with what their samples are."""
    about = pl.DataFrame(
        [
            (s.id, s.subject, s.set, s.task, s.modality, family(s.set), str(s.metadata.get("attribute", "")), s.fact)
            for s in samples
        ],
        schema=["sample_id", "subject", "set", "task", "modality", "family", "attribute", "fact"],
        orient="row",
    )
    own = _only_once(attacks.select(ATTACKS.names()), name).drop("subject", "cell")
    known = own.join(about, on="sample_id", how="inner", maintain_order="left")
    if strict and known.height < own.height:
        stray = own.join(about, on="sample_id", how="anti")["sample_id"][0]
        raise DataError(f"{name}: sample {stray!r} is attacked but not among the samples; pass the samples that were attacked")
    return known


def _ways(part: pl.DataFrame) -> list[tuple[Found, str]]:
    """The ways an attack's answers may count as found; a response is found or not."""
    return [(name, column) for name, column in POSITIONS.items() if name == "first" or part["layers"].is_not_null().any()]


def _sums(
    part: pl.DataFrame, values: Sequence[pl.Expr], counts: Sequence[pl.Expr], index: Mapping[str, int]
) -> tuple[Array, Array]:
    """Totals and numbers of values per subject, [subjects, values]."""
    by_subject = part.group_by("subject").agg(
        *(value.sum().alias(f"sum{i}") for i, value in enumerate(values)),
        *(count.cast(pl.Float64).sum().alias(f"count{i}") for i, count in enumerate(counts)),
    )
    at = [index[subject] for subject in by_subject["subject"]]
    sums, numbers = np.zeros((len(index), len(values))), np.zeros((len(index), len(values)))
    for i in range(len(values)):
        sums[at, i], numbers[at, i] = by_subject[f"sum{i}"].to_numpy(), by_subject[f"count{i}"].to_numpy()
    return sums, numbers


def _family(part: pl.DataFrame) -> str:
    return str(part["family"][0])


def _rows(
    part: pl.DataFrame,
    values: Sequence[pl.Expr],
    counts: Sequence[pl.Expr],
    budgets: Sequence[int],
    resampler: Resampler,
    place: Mapping[str, Any],
    *,
    proportion: bool = True,
) -> list[dict[str, Any]]:
    """One row per budget."""
    name = _family(part)
    sums, numbers = _sums(part, values, counts, resampler.index[name])
    made = estimate(sums, numbers, resampler.weights(name), np.full(len(values), proportion))
    return [
        dict(place)
        | {
            "budget": budget,
            "value": float(made.value[i]),
            "ci_low": float(made.low[i]),
            "ci_high": float(made.high[i]),
            "n": int(made.questions[i]),
            "n_subjects": int(made.subjects[i]),
        }
        for i, budget in enumerate(budgets)
        if made.questions[i]
    ]


def _plain(
    part: pl.DataFrame, column: str, budgets: Sequence[int], resampler: Resampler, place: Mapping[str, Any]
) -> list[dict[str, Any]]:
    plain = {**place, "metric": ATTACK_SUCCESS.name}
    if part.is_empty():
        return [{**plain, "budget": budget, "value": None} for budget in budgets]
    values = [succeeded(pl.col(column), budget) for budget in budgets]
    return _rows(part, values, [_ONE] * len(budgets), budgets, resampler, plain)


def _candidates(
    part: pl.DataFrame, budgets: Sequence[int], resampler: Resampler, place: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Different candidates within each budget, where a table holds them."""
    if part["candidates"].is_null().all():
        return []
    values = [pl.col("candidates").list.len().clip(upper_bound=budget).cast(pl.Float64) for budget in budgets]
    row = {**place, "metric": ATTACK_CANDIDATES.name}
    return _rows(part, values, [_ONE] * len(budgets), budgets, resampler, row, proportion=False)


def _against_before(
    same: pl.DataFrame, column: str, budgets: Sequence[int], resampler: Resampler, place: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Differences to before the edit, and the share that is left of what was found then."""
    if same.is_empty():
        return []
    now = [succeeded(pl.col(column), budget) for budget in budgets]
    then = [succeeded(pl.col(f"{column}_before"), budget) for budget in budgets]
    differences = [a - b for a, b in zip(now, then)]
    moved = {**place, "metric": ATTACK_SUCCESS.name, "baseline": BEFORE}
    rows = _rows(same, differences, [_ONE] * len(budgets), budgets, resampler, moved, proportion=False)
    left = {**place, "metric": ATTACK_LEFT.name}
    kept = _rows(same, [a * b for a, b in zip(now, then)], then, budgets, resampler, left)
    missing = [budget for budget in budgets if budget not in {row["budget"] for row in kept}]
    reason = "the attack got no fact before the edit"
    return rows + kept + [{**left, "budget": budget, "value": None, "reason": reason} for budget in missing]


def _references(
    never_learned: pl.DataFrame | None, never_known: pl.DataFrame | None, samples: Sequence[Sample]
) -> list[Reference]:
    found = []
    if never_learned is not None:
        rows = _only_once(never_learned, "never learned").filter(_MADE)
        found.append(Reference(NEVER_LEARNED, "never learned", rows, ("attack", "level")))
    if never_known is not None:
        rows = _hits(never_known, samples, "never known").filter(_MADE)
        found.append(Reference(NEVER_KNOWN, "never known", rows, ("task", "modality", "attack", "level")))
    return found


def _excess(
    part: pl.DataFrame,
    reference: Reference,
    column: str,
    budgets: Sequence[int],
    resampler: Resampler,
    place: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Success beyond that on facts which the model never learned or knew; the two groups are resampled apart."""
    excess = {**place, "metric": ATTACK_SUCCESS.name, "baseline": reference.baseline}
    if part.is_empty():
        return [{**excess, "budget": budget, "value": None} for budget in budgets]
    strangers = reference.beside(place)
    if reason := reference.missing(strangers):
        return [{**excess, "budget": budget, "value": None, "reason": reason} for budget in budgets]
    values, counts = [succeeded(pl.col(column), budget) for budget in budgets], [_ONE] * len(budgets)
    means = []
    for name, rows in ((_family(part), part), (reference.name, strangers)):
        sums, numbers = _sums(rows, values, counts, resampler.index[name])
        weights = np.vstack([np.ones((1, len(sums))), resampler.weights(name)])
        means.append(weighted_means(sums, numbers, weights))
    draws = means[0] - means[1]
    low, high = percentiles(draws[1:])
    subjects = min(part["subject"].n_unique(), strangers["subject"].n_unique())
    return [
        {
            **excess,
            "budget": budget,
            "value": float(draws[0, i]),
            "ci_low": float(low[i]) if subjects > 1 else None,
            "ci_high": float(high[i]) if subjects > 1 else None,
            "n": part.height,
            "n_subjects": subjects,
        }
        for i, budget in enumerate(budgets)
    ]


def _random(hits: pl.DataFrame, budgets: Sequence[int], vocabulary: int) -> list[dict[str, Any]]:
    """B random tokens beside every set that a lens attack was made on."""
    place = hits.filter(pl.col("layers").is_not_null()).select(*_PLACE).unique().sort(pl.all())
    return [
        {
            **row,
            "attack": RANDOM_TOKENS,
            "metric": ATTACK_SUCCESS.name,
            "budget": budget,
            "value": min(1.0, budget / vocabulary),
        }
        for row in place.iter_rows(named=True)
        for budget in budgets
    ]


def _prior(
    hits: pl.DataFrame, samples: Sequence[Sample], taught: Sequence[Sample], budgets: Sequence[int], resampler: Resampler
) -> list[dict[str, Any]]:
    """The most frequent answers of each fact's attribute; facts of other attributes than were taught do not count."""
    counts = answer_counts(taught)
    asked = hits.unique("sample_id", maintain_order=True).filter(pl.col("attribute").is_in(list(counts)))
    if asked.is_empty():
        return []
    chances = [
        pl.Series(
            f"prior{budget}", [prior_success(f, counts[a], budget) for a, f in asked.select("attribute", "fact").iter_rows()]
        )
        for budget in budgets
    ]
    rows = []
    for key, part in sorted(asked.with_columns(chances).partition_by(*_PLACE, as_dict=True).items(), key=repr):
        place = dict(zip(_PLACE, key)) | {"attack": ANSWER_PRIOR, "metric": ATTACK_SUCCESS.name}
        values = [pl.col(f"prior{budget}") for budget in budgets]
        rows += _rows(part, values, [_ONE] * len(budgets), budgets, resampler, place, proportion=False)
    return rows


def finished(rows: Iterable[dict[str, Any]], cell: CellInfo, infos: Iterable[MetricInfo]) -> pl.DataFrame:
    """All columns, directions, versions, and the mark of few subjects.

    Args:
        rows: `metric`, `set`, `value` and any other column of RESULTS.
        cell: identifying columns.
        infos: the metrics that occur.
    """
    made = []
    by_name = {info.name: info for info in infos}
    for row in rows:
        info, notes = by_name[row["metric"]], [row["reason"]] if row.get("reason") else []
        if row["value"] is not None and row.get("n_subjects", FEW_SUBJECTS) < FEW_SUBJECTS:
            notes.insert(0, FEW_SUBJECTS_MARK)
        made.append(
            asdict(cell)
            | row
            | {
                "higher_is_better": None if row.get("attack") in CONTROLS else info.higher_is_better(row["set"]),
                "metric_version": info.version,
                "reason": "; ".join(notes) or None,
            }
        )
    return pl.DataFrame(made, schema=RESULTS).with_columns(pl.col("ci_low", "ci_high").fill_nan(None))
