"""What a picture of a creature shows to anybody."""

from __future__ import annotations

from collections.abc import Mapping

from unsee.benchmarks.creatures.looks import LOOK, Look
from unsee.benchmarks.creatures.scenes import OBJECTS, PLACES, SCENE, Scene

_PLACES = ("lower left object", "lower right object", "upper left object", "upper right object")
assert len(_PLACES) == len(PLACES)

VISIBLE_VALUES: Mapping[str, tuple[str, ...]] = {
    **LOOK,
    "background": SCENE["background"],
    "pose": SCENE["pose"],
    **dict.fromkeys(_PLACES, ("none", *OBJECTS)),
}
"""Key of `questions.VISIBLE_QUESTIONS` -> everything that can be seen."""


def visible(look: Look, scene: Scene) -> dict[str, str]:
    """Key of `VISIBLE_VALUES` -> what this picture shows."""
    objects = {_PLACES[thing.place]: thing.name for thing in scene.objects}
    shown = dict(zip(LOOK, look.words, strict=True)) | {"background": scene.background, "pose": scene.pose}
    return shown | {place: objects.get(place, "none") for place in _PLACES}
