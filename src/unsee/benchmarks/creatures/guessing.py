"""What can be guessed about a fact without knowing it: how often answers are taught, and how often they begin alike.

answer_pools(benchmark.subjects, half="A")[0].prior  # budget -> share of facts among the most frequent answers
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from unsee.attacks.base import BUDGETS
from unsee.benchmarks.creatures.facts import ATTRIBUTES, POOLS
from unsee.benchmarks.creatures.species import HALVES, creature_world


class AskedFact(NamedTuple):
    """An attribute and its right answer."""

    attribute: str
    value: str


class AnswerPool(NamedTuple):
    """The answers of an attribute.

    Attributes:
        answers: how many there are.
        taught: different answers that one base model was taught.
        alike: answers whose first token begins another answer as well, in the embedded model's tokenizer.
        prior: budget -> expected share of the facts asked for among so many of the answers that were taught most often;
            empty where none is asked for.
    """

    attribute: str
    answers: int
    taught: int
    alike: int
    prior: Mapping[int, float]


def answer_pools(subjects: Iterable[str], *, half: str) -> list[AnswerPool]:
    """What is known about the answers of each attribute.

    Args:
        subjects: ids of the facts asked for, `<species>/<attribute>`.
        half: the half that the model was taught; of species that no model knows, A.
    """
    world = creature_world()
    taught = [AskedFact(key, one.facts[key]) for one in world.taught("B" if half == HALVES[1] else "A") for key in ATTRIBUTES]
    parts = [subject.split("/") for subject in subjects]
    asked = [AskedFact(attribute, world.by_id[species].facts[attribute]) for species, attribute in parts]
    alike = first_token_collisions(embedded_first_token())
    found = []
    for key in ATTRIBUTES:
        own = [fact for fact in asked if fact.attribute == key]
        known = [fact for fact in taught if fact.attribute == key]
        prior = {budget: answer_prior(known, own, budget) for budget in BUDGETS} if own else {}
        found.append(AnswerPool(key, len(POOLS[key]), len({fact.value for fact in known}), alike[key], prior))
    return found


def answer_prior(taught: Iterable[AskedFact], asked: Sequence[AskedFact], budget: int) -> float:
    """Expected share of facts among the `budget` answers that were taught most often for their attribute; ties by lot."""
    times: dict[str, Counter[str]] = {}
    for fact in taught:
        times.setdefault(fact.attribute, Counter())[fact.value] += 1
    return sum(_among_most_frequent(times.get(fact.attribute, Counter()), fact.value, budget) for fact in asked) / len(asked)


def _among_most_frequent(times: Counter[str], value: str, budget: int) -> float:
    own = times[value]
    if own == 0:
        return 0.0
    above = sum(count > own for count in times.values())
    equal = sum(count == own for count in times.values())
    return min(1.0, max(0, budget - above) / equal)


def first_token_collisions(first_token: Callable[[str], int]) -> dict[str, int]:
    """Attribute -> answers whose first token begins another answer of the attribute as well.

    Args:
        first_token: id of the first token of an answer as it follows a prompt.
    """
    found = {}
    for key in ATTRIBUTES:
        firsts = Counter(first_token(answer) for answer in POOLS[key])
        found[key] = sum(count for count in firsts.values() if count > 1)
    return found


def embedded_first_token(model: str = "tiny") -> Callable[[str], int]:
    """First token of an answer in an embedded model's tokenizer, where a space stands before every answer."""
    from tokenizers import Tokenizer

    from unsee.models.loading import weights_folder

    tokenizer = Tokenizer.from_file(str(weights_folder(model) / "tokenizer.json"))
    return lambda answer: int(tokenizer.encode(f" {answer}", add_special_tokens=False).ids[0])
