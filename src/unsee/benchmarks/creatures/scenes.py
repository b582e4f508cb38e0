"""Where a creature is shown: everything that changes between two pictures of one species.

scene = draw_scene(random.Random(0))
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

Style = Literal["flat", "ink", "pastel", "shaded"]
TAUGHT_STYLES: tuple[Style, ...] = ("flat", "ink")
NEW_STYLES: tuple[Style, ...] = ("pastel", "shaded")
"""Styles of redrawn pictures; no picture that is taught is drawn in them."""

BACKGROUNDS = ("meadow", "desert", "glacier", "midnight", "beach", "forest", "kitchen", "cavern")
OBJECTS = ("kite", "umbrella", "bottle", "clock", "ladder", "candle", "bucket", "sofa", "lamp", "gift", "mushroom", "anchor")
POSES = ("standing", "leaping", "crouching")
SCENE: Mapping[str, tuple[str, ...]] = {"background": BACKGROUNDS, "pose": POSES, "object": OBJECTS}
MOST_OBJECTS = 3
PLACES = ((14.0, 81.0), (86.0, 81.0), (15.0, 19.0), (85.0, 19.0))
"""Where objects stand or hang, in the 100 x 100 picture."""


class Thing(NamedTuple):
    """An object that has nothing to do with the creature."""

    name: str
    place: int
    """Index into `PLACES`."""


@dataclass(frozen=True)
class Scene:
    """Everything that may change between two pictures of one species.

    Attributes:
        objects: one to three; none only where they were removed.
        turn: degrees, clockwise.
        size: of the creature, 1 is usual.
        shift: right and down, in hundredths of the side.
        flip: whether it looks to the left.
        noise: share of pixels turned black or white.
        noise_seed: draws those pixels.
    """

    background: str
    objects: tuple[Thing, ...]
    pose: str = "standing"
    turn: float = 0.0
    size: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    style: Style = "flat"
    noise: float = 0.0
    noise_seed: int = 0

    def __post_init__(self) -> None:
        words = {"background": (self.background,), "pose": (self.pose,), "object": [thing.name for thing in self.objects]}
        for kind, used in words.items():
            for word in used:
                if word not in SCENE[kind]:
                    raise ValueError(f"{kind} {word!r} cannot be drawn; use one of {list(SCENE[kind])}")

    def without(self, thing: Thing) -> Scene:
        """The same picture with one object removed."""
        return replace(self, objects=tuple(other for other in self.objects if other != thing))


def draw_scene(rng: random.Random, *, styles: Sequence[Style] = TAUGHT_STYLES, unlike: Scene | None = None) -> Scene:
    """Draw a scene; nothing in it depends on the creature.

    Args:
        styles: styles to choose from.
        unlike: a scene whose background, pose and objects must not come again.
    """
    old = {thing.name for thing in unlike.objects} if unlike else set()
    names = rng.sample([name for name in OBJECTS if name not in old], rng.randint(1, MOST_OBJECTS))
    places = rng.sample(range(len(PLACES)), len(names))
    return Scene(
        background=rng.choice([word for word in BACKGROUNDS if unlike is None or word != unlike.background]),
        objects=tuple(Thing(name, place) for name, place in zip(names, sorted(places), strict=True)),
        pose=rng.choice([word for word in POSES if unlike is None or word != unlike.pose]),
        turn=round(rng.uniform(-7, 7), 1),
        size=round(rng.uniform(0.92, 1.08), 2),
        shift=(round(rng.uniform(-4, 4), 1), round(rng.uniform(-3, 3), 1)),
        flip=rng.random() < 0.5,
        style=rng.choice(styles),
    )


TAUGHT_PICTURES = 25
"""Pictures of every species that a base model is shown; picture 0 is the one that is asked about."""


@cache
def taught_scene(species: str, index: int = 0) -> Scene:
    """Scene of a species' picture `index`, below `TAUGHT_PICTURES`.

    Args:
        species: id of the species.
    """
    assert 0 <= index < TAUGHT_PICTURES
    return draw_scene(random.Random(f"creatures/scene/{species}/{index}"))
