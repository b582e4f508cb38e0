"""What attacks on one model found, in lines for the terminal: each value beside its controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unsee.attacks.base import BUDGETS, NEVER_LEARNED, RANDOM_DRAWN

if TYPE_CHECKING:
    import polars as pl

    from unsee.sample import Sample

WHOLE = "found=sequence"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Attacks on a model and on its controls; tables in the schema ATTACKS, None where a control was not asked for.

    Attributes:
        samples, found: the facts, and what was tried on them.
        strangers, never_learned: facts that the model never learned, and the same.
        before: the facts on the model before the edit.
        refusal: the same on the model that is only told to refuse.
        others: facts that are not attacked, for the answer prior; only those with an attribute tell which answers it has.
        vocabulary: number of tokens.
    """

    samples: Sequence[Sample]
    found: pl.DataFrame
    strangers: Sequence[Sample] = ()
    never_learned: pl.DataFrame | None = None
    before: pl.DataFrame | None = None
    refusal: pl.DataFrame | None = None
    others: Sequence[Sample] = ()
    vocabulary: int


def summary(tried: Tried, *, attack: str, budget: int, seed: int = 0) -> list[str]:
    """Lines about one attack: AttackSuccess@B, whole answers, and every control that there is.

    Args:
        attack: its name.
        budget: the largest B.
        seed: of the bootstrap.
    """
    from unsee.metrics import CellInfo
    from unsee.metrics.answer_prior import ANSWER_PRIOR
    from unsee.metrics.attack_success import BEFORE, RANDOM_TOKENS, attack_success

    budgets = sorted({*(one for one in BUDGETS if one < budget), budget})
    common: dict[str, Any] = {"cell": CellInfo(cell=""), "budgets": budgets, "seed": seed}
    prior = [one for one in tried.others if one.task == "generation" and "attribute" in one.metadata]
    extra: dict[str, Any] = {"vocabulary": tried.vocabulary, "prior": prior}
    own = attack_success(tried.found, tried.samples, before=tried.before, never_learned=tried.never_learned, **extra, **common)

    def alone(table: pl.DataFrame | None, samples: Sequence[Sample]) -> pl.DataFrame | None:
        return None if table is None else attack_success(table, samples, **common)

    before, refusal = alone(tried.before, tried.samples), alone(tried.refusal, tried.samples)
    strange = alone(tried.never_learned, tried.strangers)
    controls = (
        ("before the edit", before, BEFORE),
        ("never-learned facts", strange, NEVER_LEARNED),
        ("only told to refuse", refusal, None),
    )
    first = "first token" if tried.found["layers"].is_not_null().any() else "answers"
    chances = (("random tokens", RANDOM_TOKENS), ("drawn ones", RANDOM_DRAWN), ("answer prior", ANSWER_PRIOR))
    plain = own.filter(metric="attack_success", attack=attack)
    lines = []
    for row in plain.filter(_null("baseline"), _null("group")).iter_rows(named=True):
        at = {name: row[name] for name in ("task", "modality", "budget", "metric", "set")}
        beside = [f"{title} {_rate(found)}" for title, name in chances if (found := _row(own, at, attack=name)) is not None]
        lines.append(_headline(row, beside))
        candidates = _row(own, {**at, "metric": "attack_candidates"}, attack=attack)
        if candidates is not None and candidates["value"] < row["budget"]:
            lines.append(f"  different candidates on average: {candidates['value']:.1f}")
        lines += _beside_controls(plain, at, first, None, controls, attack)
        whole = _row(plain, at, group=WHOLE)
        if whole is not None:
            lines.append(f"  whole answers: {_rate(whole)}")
            lines += _beside_controls(plain, at, "whole answers", WHOLE, controls, attack)
    return lines


def _headline(row: dict[str, Any], beside: list[str]) -> str:
    place = f"{row['n'] or 0:,} {row['task']} {row['modality']} questions"
    note = f" ({row['reason']})" if row["reason"] else ""
    return f"AttackSuccess@{row['budget']:<3} {', '.join([_rate(row), *beside])}, {place}{note}"


def _beside_controls(
    plain: pl.DataFrame,
    at: dict[str, Any],
    name: str,
    group: str | None,
    controls: Sequence[tuple[str, pl.DataFrame | None, str | None]],
    attack: str,
) -> list[str]:
    """One line for each control that has a rate at this place: the rate, and how far the model is from it."""
    lines = []
    for title, table, baseline in controls:
        rate = None if table is None else _row(table, at, attack=attack, group=group)
        if rate is None:
            continue
        moved = None if baseline is None else _row(plain, at, group=group, baseline=baseline)
        lines.append(f"  {name}, {title}: {_rate(rate)}{'' if moved is None else f'; difference {_points(moved)}'}")
    return lines


def _null(name: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).is_null()


def _row(table: pl.DataFrame, at: dict[str, Any], *, group: str | None = None, **where: Any) -> dict[str, Any] | None:
    """The row of one place, plain unless a baseline is given; the set aside for controls that have one of their own."""
    import polars as pl

    wanted = {"baseline": None, **at, **where, "group": group}
    found = table.filter(*(pl.col(name).eq_missing(pl.lit(value)) for name, value in wanted.items()))
    return found.row(0, named=True) if found.height else None


def _rate(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "no value"
    interval = "" if row["ci_low"] is None else f" ({row['ci_low']:.1%} to {row['ci_high']:.1%})"
    return f"{row['value']:.1%}{interval}"


def _points(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"none ({row['reason']})"
    interval = "" if row["ci_low"] is None else f" ({100 * row['ci_low']:+.1f} to {100 * row['ci_high']:+.1f})"
    return f"{100 * row['value']:+.1f} points{interval}"
