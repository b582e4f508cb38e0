"""Tokens drawn blindly: they find what chance says, by the rule that lens attacks are judged by."""

from __future__ import annotations

from typing import Any

import pytest

from unsee.attacks.random_tokens import RandomTokens
from unsee.sample import Sample

VOCABULARY = 200


def fact(number: int) -> Sample:
    return Sample(
        id=f"f{number}",
        benchmark="b",
        subject=f"s{number}",
        set="forget",
        task="generation",
        modality="text",
        question="What?",
        answer="word",
    )


def guesses(number: int, answer: list[int], *, budget: int = 50, read: Any = str, seed: int = 0) -> Any:
    made = RandomTokens(vocabulary=VOCABULARY, seed=seed)
    return made.candidates(fact(number), [{"view": "lens", "answer_ids": answer}], budget=budget, read=read)


@pytest.mark.parametrize("budget", [1, 5, 20, 50])
def test_they_find_as_many_as_chance_says(budget: int) -> None:
    """4,000 facts, B / V of them: within four standard errors."""
    count, chance = 4000, budget / VOCABULARY
    found = sum(guesses(n, [n % VOCABULARY], budget=budget).hit is not None for n in range(count)) / count
    assert abs(found - chance) < 4 * (chance * (1 - chance) / count) ** 0.5


def test_two_tokens_are_found_together_as_often_as_their_ranks_say() -> None:
    """Both within B = 20 with chance (20 / 200)^2; as a pair, one of the first 20 pairs of 200^2."""
    count = 6000
    made = [guesses(n, [n % VOCABULARY, 7], budget=20) for n in range(count)]
    both = sum(one.hit_all is not None for one in made) / count
    whole = sum(one.hit_sequence is not None for one in made) / count
    assert both == pytest.approx(0.01, abs=4 * (0.01 * 0.99 / count) ** 0.5)
    # In order of a b, the last of equals: 1, 3, 5, 8, 10, 14, 16 and 20 pairs have a product of at most 1, 2, ..., 8.
    chance = 20 / VOCABULARY**2
    assert whole == pytest.approx(chance, abs=4 * (chance / count) ** 0.5)


def test_draws_are_exact_distinct_and_seeded() -> None:
    one = guesses(0, [3])
    assert len(one.candidates) == len(set(one.candidates)) == 50 and (one.prompts, one.layers) == (1, 1)
    assert guesses(0, [3]) == one != guesses(1, [3]) and guesses(0, [3], seed=1) != one
    assert guesses(0, [3], budget=5).candidates == one.candidates[:5]
    # Texts that two tokens share are tried once, and either token is the answer.
    halves = guesses(0, [3], read=lambda token: str(token // 2))
    assert len(set(halves.candidates)) == 50
    assert halves.hit == (halves.candidates.index("1") + 1 if "1" in halves.candidates else None)
