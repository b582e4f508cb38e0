"""Kappa against values computed by hand and against formulas of another shape, with its intervals."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from review.votes import cohen, decision, decisions
from unsee.errors import ConfigError
from unsee.metrics.bootstrap import Resampler
from unsee.review.agreement import FEW_FACTS_MARK, agreement, fact_of


def crossed(table: Sequence[Sequence[int]]) -> dict[str, str]:
    """Votes of two annotators from a table of counts, rows the first one's; keep, reject, unsure."""
    letters = "kru"
    cells = [(row, column) for row in range(len(table)) for column in range(len(table)) for _ in range(table[row][column])]
    return {"a": "".join(letters[row] for row, _ in cells), "b": "".join(letters[column] for _, column in cells)}


def fleiss(rows: Sequence[Sequence[str]]) -> Fraction:
    """By going over all pairs of annotators of every item."""
    rows = [row for row in rows if len(row) > 1]
    agree = [Fraction(sum(x == y for x, y in combinations(row, 2)), len(list(combinations(row, 2)))) for row in rows]
    shares = [sum(Fraction(row.count(letter), len(row)) for row in rows) / len(rows) for letter in "kru"]
    chance = sum(share * share for share in shares)
    return (sum(agree) / len(agree) - chance) / (1 - chance)


@pytest.mark.parametrize(
    ("table", "kappa"),
    [([[20, 5], [10, 15]], 0.4), ([[10, 2, 1], [3, 8, 2], [0, 1, 5]], 376 / 664), ([[0, 5], [5, 0]], -1.0)],
)
def test_cohen_by_hand(table: list[list[int]], kappa: float) -> None:
    found = agreement(decisions(crossed(table)))
    assert found.statistic == "cohen" and found.kappa.value == pytest.approx(kappa, abs=1e-12)
    total = sum(map(sum, table))
    assert found.kappa.items == found.kappa.facts == total
    (pair,) = found.pairs
    assert pair.agreement.value == pytest.approx(sum(table[i][i] for i in range(len(table))) / total)
    assert pair.kappa == found.kappa


def test_fleiss_by_hand() -> None:
    # Counts (3,0,0) (0,3,0) (2,1,0) (0,1,2): observed 2/3, shares 5/12 5/12 2/12, by chance 54/144.
    found = agreement(decisions({"a": "krku", "b": "krku", "c": "krrr"}))
    assert found.statistic == "fleiss" and found.kappa.value == pytest.approx(7 / 15, abs=1e-12)
    assert [pair.annotators for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.pairs[0].kappa.value == 1.0 and found.pairs[0].agreement.value == 1.0


def test_other_formulas_give_the_same() -> None:
    rng = random.Random(7)
    for _ in range(20):
        n = rng.randrange(4, 30)
        votes = {name: "".join(rng.choices("kru.", (5, 3, 2, 2), k=n)) for name in "abcd"[: rng.choice((2, 3, 4))]}
        found = agreement(decisions(votes), draws=20)
        for pair in found.pairs:
            both = [(x, y) for x, y in zip(*(votes[name] for name in pair.annotators), strict=True) if "." not in x + y]
            if pair.kappa.value is not None:
                assert pair.kappa.value == pytest.approx(float(cohen(*zip(*both, strict=True))), abs=1e-9)
            assert pair.kappa.items == len(both)
        if found.statistic == "fleiss" and found.kappa.value is not None:
            rows = ["".join(column).replace(".", "") for column in zip(*votes.values(), strict=True)]
            assert found.kappa.value == pytest.approx(float(fleiss(rows)), abs=1e-9)


def test_intervals_are_those_of_facts_drawn_again() -> None:
    rng = random.Random(3)
    items = [f"f{number % 9}/question/easy/{number}" for number in range(45)]
    first = rng.choices("kru", k=45)
    votes = {"a": "".join(first), "b": "".join(x if rng.random() < 0.7 else rng.choice("kru") for x in first)}
    found = agreement(decisions(votes, items), seed=5, draws=200).kappa
    sampler = Resampler({"fact": sorted({fact_of(item) for item in items})}, draws=200, seed=5)
    values = []
    for draw in sampler.weights("fact"):
        times = [int(draw[sampler.index["fact"][fact_of(item)]]) for item in items]
        again = [pair for pair, many in zip(zip(*votes.values(), strict=True), times, strict=True) for _ in range(many)]
        values.append(float(cohen(*zip(*again, strict=True))))
    assert (found.low, found.high) == pytest.approx(np.percentile(values, (2.5, 97.5)), abs=1e-9)
    assert found.facts == 9 and found.items == 45 and found.reason == FEW_FACTS_MARK
    assert agreement(decisions(votes, items), seed=5, draws=200).kappa == found


def test_one_verdict_only_has_no_kappa() -> None:
    found = agreement(decisions({"a": "kkkk", "b": "kkkk"}))
    assert found.kappa.value is None and "same verdict (keep)" in found.kappa.reason
    assert found.pairs[0].agreement.value == 1.0
    three = agreement(decisions({"a": "uu", "b": "uu", "c": "uu"}))
    assert three.kappa.value is None and "same verdict (unsure)" in three.kappa.reason


def test_annotators_who_never_meet_have_no_kappa() -> None:
    found = agreement(decisions({"a": "kr..", "b": "..kr"}))
    assert found.kappa.value is None and found.kappa.reason == "no variant was judged by both"
    three = agreement(decisions({"a": "k..", "b": ".k.", "c": "..k"}))
    assert three.kappa.value is None and three.kappa.reason == "no variant was judged by two annotators"
    alone = agreement(decisions({"a": "krk"}))
    assert alone.statistic is None and alone.pairs == () and alone.kappa.reason == "agreement needs two annotators"
    assert agreement([]).annotators == ()


def test_one_fact_has_no_interval() -> None:
    found = agreement(decisions(crossed([[3, 1], [1, 3]]), [f"f/question/easy/{number}" for number in range(8)]))
    assert found.kappa.value == pytest.approx(0.5) and found.kappa.low is None and found.kappa.high is None


def test_only_standing_verdicts_count() -> None:
    given = decisions({"a": "kr", "b": "kr"})
    later = [decision(given[0].item, "a", "r", second=9), decision(given[1].item, "b", "x", second=9)]
    found = agreement([*later, *given])
    assert found.pairs[0].agreement.items == 1 and found.pairs[0].agreement.value == 0.0


def test_facts_may_be_told() -> None:
    given = decisions({"a": "kr", "b": "kk"}, ["one", "two"])
    assert agreement(given).kappa.facts == 2
    assert agreement(given, facts={"one": "f", "two": "f"}).kappa.facts == 1
    with pytest.raises(ConfigError, match="bootstrap=0"):
        agreement(given, draws=0)
