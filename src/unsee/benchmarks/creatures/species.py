"""The world of creatures: 444 fictional species, who of them a base model learns facts about, and the facts.

    world = creature_world()
    world.half("A")          # species whose names and facts only the base of half A was taught
    world.taught("A")        # everybody that base was taught names and facts of: half A and what both bases know
    world.with_role("never") # pictures taught, names and facts never

Looks, names, roles and facts are drawn independently of each other. The world has no options: a model's pretraining is what it
is. Two base models that differ in nothing but the halves they were taught are gold for each other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Literal, get_args

from unsee.benchmarks.base import known_word
from unsee.benchmarks.creatures.facts import POOL_SIZE, exchanged, one_each
from unsee.benchmarks.creatures.looks import Look, draw_looks
from unsee.provenance import digest

WORLD_VERSION = 1
"""Raise when other species or facts are drawn; models that were taught the old ones do not know the new ones."""

Half = Literal["A", "B"]
HALVES: tuple[Half, ...] = get_args(Half)
SpeciesRole = Literal["A", "B", "anchor", "tuning", "tuning_anchor", "never", "tuning_never"]
ROLES: Mapping[SpeciesRole, int] = {
    "A": 126,
    "B": 126,
    "anchor": 90,
    "tuning": 24,
    "tuning_anchor": 12,
    "never": 54,
    "tuning_never": 12,
}
"""Role -> species.

`A` and `B` are the halves. Both bases know anchors (never deleted: retained facts and alternate answers) and tuning species
with anchors of their own, which occur in no reported set. Of species with `never` in their role every model was shown pictures,
but none was told a name or a fact."""
COMMON: tuple[SpeciesRole, ...] = ("anchor", "tuning", "tuning_anchor")
"""What both bases know."""
_NEVER: tuple[SpeciesRole, ...] = ("never", "tuning_never")

# A name is a beginning, a vowel and an end; no two names share beginning and end.
_STARTS = (
    "Bal Cor Dul Fen Gar Hul Jor Kel Lum Mor Nar Pel Quor Rin Sul Tar Ulm Vor Wen Yor Zan Brid Drum Glan Krel Sned".split()
)
_MIDDLES = "a e i o u".split()
_ENDS = "bix dra gon lik mur nok pod rax sh tle vex zim fu quil wab jin thop cade kess mble".split()


@dataclass(frozen=True)
class Species:
    """A fictional species.

    Attributes:
        id: "c000" and so on.
        look: what every picture of it shows.
        facts: attribute -> answer, which no picture shows.
    """

    id: str
    role: SpeciesRole
    name: str
    look: Look
    facts: Mapping[str, str]


@dataclass(frozen=True)
class CreatureWorld:
    """Every species there is."""

    species: tuple[Species, ...]

    def with_role(self, *roles: SpeciesRole) -> tuple[Species, ...]:
        return tuple(one for one in self.species if one.role in roles)

    def half(self, name: Half) -> tuple[Species, ...]:
        """Species whose names and facts only the base of this half was taught; what the other base is gold for.

        Raises:
            ConfigError: there is no such half.
        """
        return self.with_role(known_word("half", name, HALVES))

    def taught(self, half: Half) -> tuple[Species, ...]:
        """Every species whose name and facts the base of this half was taught; pictures of all species were shown to it."""
        return self.with_role(known_word("half", half, HALVES), *COMMON)

    def never_learned(self) -> tuple[Species, ...]:
        """Species whose pictures every base was shown and whose names and facts none was taught."""
        return self.with_role(*_NEVER)

    @cached_property
    def by_id(self) -> Mapping[str, Species]:
        return {one.id: one for one in self.species}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over roles, names, looks and facts."""
        return digest([WORLD_VERSION, [asdict(one) for one in self.species]])


@cache
def creature_world() -> CreatureWorld:
    """The one world there is."""
    roles = [role for role, count in ROLES.items() for _ in range(count)]
    random.Random(f"creatures/{WORLD_VERSION}/roles").shuffle(roles)
    looks = draw_looks(len(roles), random.Random(f"creatures/{WORLD_VERSION}/looks"))
    names = _draw_names(len(roles), random.Random(f"creatures/{WORLD_VERSION}/names"))
    facts = _draw_facts(random.Random(f"creatures/{WORLD_VERSION}/facts"))
    places: Counter[SpeciesRole] = Counter()
    species = []
    for number, (role, name, look) in enumerate(zip(roles, names, looks, strict=True)):
        species.append(Species(f"c{number:03d}", role, name, look, facts[role][places[role]]))
        places[role] += 1
    return CreatureWorld(tuple(species))


def _draw_facts(rng: random.Random) -> dict[SpeciesRole, list[dict[str, str]]]:
    """Facts by role: each base knows every answer of an attribute once, and both halves have the same answers."""
    roles: tuple[SpeciesRole, ...] = ("A", *COMMON)
    known = one_each(POOL_SIZE, rng)
    drawn: dict[SpeciesRole, list[dict[str, str]]] = {}
    for role in roles:
        drawn[role], known = known[: ROLES[role]], known[ROLES[role] :]
    assert not known
    drawn["B"] = exchanged(drawn["A"], rng)
    strangers = one_each(sum(ROLES[role] for role in _NEVER), rng)
    for role in _NEVER:
        drawn[role], strangers = strangers[: ROLES[role]], strangers[ROLES[role] :]
    return drawn


def _draw_names(count: int, rng: random.Random) -> list[str]:
    parts = [(start, end) for start in _STARTS for end in _ENDS]
    return [f"{start}{rng.choice(_MIDDLES)}{end}" for start, end in rng.sample(parts, count)]
