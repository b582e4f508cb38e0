"""What a species looks like: eight visible attributes, drawn so that any two species can be told apart by eye.

looks = draw_looks(444, random.Random(0))
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

BODY_COLORS = {
    "red": "#D8322F",
    "orange": "#F28A1C",
    "yellow": "#F4D332",
    "green": "#3FA648",
    "turquoise": "#2CBFB6",
    "blue": "#2F62D9",
    "purple": "#8A3FC2",
    "pink": "#F489BC",
    "brown": "#8A5A33",
    "gray": "#8B9199",
}
ACCENT_COLORS = {"white": "#FAFAF5", "black": "#3B3B47", "yellow": "#FFE23A", "red": "#E5231F", "blue": "#2450E0"}

LOOK: Mapping[str, tuple[str, ...]] = {
    "body": ("blob", "serpent", "bird", "fish", "snail", "crab", "caterpillar", "octopus", "turtle", "dinosaur"),
    "color": tuple(BODY_COLORS),
    "pattern": ("spots", "stripes", "bands", "belly patch", "zigzag"),
    "accent": tuple(ACCENT_COLORS),
    "headgear": ("none", "one horn", "bull horns", "antlers", "antennae", "long ears", "comb"),
    "eyes": ("one eye", "two eyes", "three eyes", "masked eyes"),
    "tail": ("none", "curl", "arrow", "ball", "fan", "fork"),
    "back": ("bare", "spikes", "wings", "sail"),
}
"""Attribute -> words, in the order of the fields of `Look`."""
BIG = ("body", "color", "pattern", "accent", "headgear")
"""Attributes that are seen at a glance."""
DISTANCE, BIG_DISTANCE = 3, 2
"""Any two species differ in so many attributes, and in so many of the big ones."""
_BIG_PLACES = tuple(list(LOOK).index(key) for key in BIG)


@dataclass(frozen=True)
class Look:
    """What never changes between pictures of a species; values are words of `LOOK`."""

    body: str
    color: str
    pattern: str
    accent: str
    headgear: str
    eyes: str
    tail: str
    back: str

    def __post_init__(self) -> None:
        for word, (attribute, words) in zip(self.words, LOOK.items(), strict=True):
            if word not in words:
                raise ValueError(f"{attribute} {word!r} cannot be drawn; use one of {list(words)}")
        if self.color == self.accent:
            raise ValueError(f"color and accent are both {self.color!r}, so that no pattern is seen; change one of them")

    @property
    def words(self) -> tuple[str, ...]:
        """The values, in the order of `LOOK`."""
        return (self.body, self.color, self.pattern, self.accent, self.headgear, self.eyes, self.tail, self.back)

    def distance(self, other: Look) -> int:
        """Number of attributes in which two looks differ."""
        return sum(mine != theirs for mine, theirs in zip(self.words, other.words, strict=True))


def random_look(rng: random.Random) -> Look:
    """Any look, each value as likely as another; only the accent keeps off the color."""
    words = {key: rng.choice(values) for key, values in LOOK.items()}
    while words["accent"] == words["color"]:
        words["color"], words["accent"] = rng.choice(LOOK["color"]), rng.choice(LOOK["accent"])
    return Look(**words)


def draw_looks(count: int, rng: random.Random, *, avoid: Iterable[Look] = ()) -> tuple[Look, ...]:
    """Looks that keep their distance from each other and from those to avoid; fewer are a prefix of more."""
    taken = {key for look in avoid for key in _agreements(look)}
    looks: list[Look] = []
    while len(looks) < count:
        look = random_look(rng)
        keys = set(_agreements(look))
        if taken.isdisjoint(keys):
            taken |= keys
            looks.append(look)
    return tuple(looks)


def strange_looks(count: int, rng: random.Random, *, avoid: Iterable[Look]) -> tuple[Look, ...]:
    """Looks that keep their distance from those to avoid, but not from each other."""
    taken = {key for look in avoid for key in _agreements(look)}
    looks: list[Look] = []
    while len(looks) < count:
        look = random_look(rng)
        if taken.isdisjoint(_agreements(look)):
            looks.append(look)
    return tuple(looks)


def _agreements(look: Look) -> Iterator[tuple[tuple[int, str], ...]]:
    """Keys of which two looks share one exactly when they are too close."""
    words = tuple(enumerate(look.words))
    yield from combinations([words[place] for place in _BIG_PLACES], len(BIG) - BIG_DISTANCE + 1)
    yield from combinations(words, len(words) - DISTANCE + 1)
