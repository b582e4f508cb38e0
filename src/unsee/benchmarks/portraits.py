"""Cartoon portraits of invented people, drawn from a few words.

A `Face` is who somebody is and a `Scene` is everything that may change between two pictures
of them; `portrait(face, scene, size=96)` of `portrait_art` draws the pair, always with the same bytes.

    faces = draw_faces(8, seed=0, partition="fictitious")
    picture = portrait(faces[0], draw_scene(random.Random(0), "near"), size=96)

Scenes come in four grades of distance from a plain picture: `canonical` (upright), `near`
(small rotation, scale, shift, perhaps mirrored), `far` (transforms outside the range of near, on
a patterned background) and `foreign` (another drawing style, a covered area, or low light).
"""

import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from unsee.benchmarks.portrait_art import IDENTITY, SCENE

Partition = Literal["pretraining", "fictitious"]
Grade = Literal["canonical", "near", "far", "foreign"]
Pattern = Literal["plain", "stripes", "checks"]
Style = Literal["color", "sketch", "poster"]


def _check_words(values: Iterable[str], allowed: Mapping[str, tuple[str, ...]]) -> None:
    for value, (attribute, words) in zip(values, allowed.items(), strict=True):
        if value not in words:
            raise ValueError(f"{attribute} {value!r} cannot be drawn; use one of {list(words)}")


@dataclass(frozen=True)
class Face:
    """A person: never changes between two pictures of them. Values are words of `IDENTITY`."""

    skin: str
    hairstyle: str
    hair_color: str
    facial_hair: str
    glasses: str
    earrings: str = "none"

    def __post_init__(self) -> None:
        _check_words(self.words, IDENTITY)

    @property
    def words(self) -> tuple[str, ...]:
        """The values, in the order of `IDENTITY`."""
        return (self.skin, self.hairstyle, self.hair_color, self.facial_hair, self.glasses, self.earrings)

    def distance(self, other: "Face") -> int:
        """Number of attributes in which two faces differ."""
        return sum(mine != theirs for mine, theirs in zip(self.words, other.words))

    @property
    def partition(self) -> Partition:
        """The side this face falls on, by a hash of its words: about 60 % pretraining."""
        digest = hashlib.sha256("|".join(self.words).encode()).digest()
        return "pretraining" if int.from_bytes(digest[:8], "big") % 100 < 60 else "fictitious"


class Box(NamedTuple):
    """A rectangle in fractions of the side, from the upper left corner."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Scene:
    """Everything that may change between two pictures of one person."""

    expression: str
    clothing: str
    clothing_color: str
    background: str
    rotation: float = 0.0
    """Degrees, clockwise."""
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    """Right and down, in fractions of the side."""
    flip: bool = False
    grade: Grade = "canonical"
    """How far from a plain picture; a label, the drawing follows the other fields."""
    pattern: Pattern = "plain"
    style: Style = "color"
    occlusion: Box | None = None
    """A covered area."""
    light: float = 1.0
    """Below 1 the picture is darkened and noisy."""
    noise_seed: int = 0
    """Draws the noise of a dark picture."""

    def __post_init__(self) -> None:
        words = (self.expression, self.clothing, self.clothing_color, self.background)
        _check_words(words, SCENE)


def draw_faces(
    count: int,
    *,
    seed: int,
    partition: Partition,
    avoid: Iterable[Face] = (),
    min_distance: int = 2,
) -> list[Face]:
    """Draws faces of one partition that differ from each other, and from those to avoid.

    The same seed gives the same faces, and fewer faces are a prefix of more.

    Args:
        count: How many.
        seed: Seed of the order in which faces are tried.
        partition: The side of the face space; no face is on both.
        avoid: Faces, of either side, to keep the same distance from.
        min_distance: Smallest number of attributes in which two faces differ, at least 1.

    Raises:
        ValueError: There is no room for that many faces.
    """
    if partition not in ("pretraining", "fictitious"):
        raise ValueError(f"partition {partition!r}: use 'pretraining' or 'fictitious'")
    if not 1 <= min_distance <= len(IDENTITY):
        raise ValueError(f"min_distance {min_distance}: use 1 to {len(IDENTITY)}")
    taken = {key for face in avoid for key in _agreements(face, min_distance)}
    order = list(itertools.product(*IDENTITY.values()))
    random.Random(seed).shuffle(order)
    faces: list[Face] = []
    for values in order:
        if len(faces) == count:
            break
        face = Face(*values)
        if face.partition == partition and taken.isdisjoint(_agreements(face, min_distance)):
            faces.append(face)
            taken.update(_agreements(face, min_distance))
    if len(faces) < count:
        raise ValueError(
            f"only {len(faces)} {partition} faces at distance {min_distance} were found, "
            f"{count} were asked for; lower count or min_distance, or avoid fewer faces"
        )
    return faces


def _agreements(face: Face, min_distance: int) -> Iterator[tuple[tuple[int, str], ...]]:
    """Keys of which two faces share one exactly when they are closer than `min_distance`."""
    agreeing = len(IDENTITY) - min_distance + 1
    return itertools.combinations(enumerate(face.words), agreeing)


def look_alike(face: Face, *, rng: random.Random, avoid: Iterable[Face] = ()) -> Face:
    """Draws a face of the same partition that differs in one clearly visible attribute.

    Args:
        face: Whom to resemble.
        rng: Chooses among the candidates.
        avoid: Faces that must not be returned.

    Raises:
        ValueError: Every candidate is to be avoided.
    """
    avoided = set(avoid)
    changes = {
        "hair_color": IDENTITY["hair color"],
        "facial_hair": IDENTITY["facial hair"],
        "glasses": IDENTITY["glasses"],
        "skin": IDENTITY["skin tone"],
    }
    candidates = [
        other
        for field, words in changes.items()
        for word in words
        if (other := replace(face, **{field: word})) != face and other not in avoided and other.partition == face.partition
    ]
    if not candidates:
        raise ValueError(f"every look-alike of {face} is in `avoid`; avoid fewer faces")
    return rng.choice(candidates)


def draw_scene(rng: random.Random, grade: Grade = "near") -> Scene:
    """Draws a scene; expression, clothes and background are free in every grade.

    Args:
        rng: Source of every choice.
        grade: `canonical`: upright. `near`: rotated up to 12 degrees, scaled 0.9 to 1.1, shifted
            up to 5 % of the side, perhaps mirrored. `far`: rotated 15 to 30 degrees, scaled 0.65
            to 0.8 or 1.2 to 1.35, shifted 7 to 12 %, patterned background. `foreign`: as near,
            and one of another drawing style, a covered area, or low light.
    """
    plain = Scene(
        expression=rng.choice(SCENE["expression"]),
        clothing=rng.choice(SCENE["clothing"]),
        clothing_color=rng.choice(SCENE["clothing color"]),
        background=rng.choice(SCENE["background"]),
    )
    if grade == "canonical":
        return plain
    if grade == "far":
        return replace(
            plain,
            rotation=_either_sign(rng, 15, 30),
            scale=rng.choice((rng.uniform(0.65, 0.8), rng.uniform(1.2, 1.35))),
            shift=(_either_sign(rng, 0.07, 0.12), _either_sign(rng, 0.07, 0.12)),
            flip=rng.random() < 0.5,
            grade="far",
            pattern=rng.choice(("stripes", "checks")),
        )
    near = replace(
        plain,
        rotation=rng.uniform(-12, 12),
        scale=rng.uniform(0.9, 1.1),
        shift=(rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05)),
        flip=rng.random() < 0.5,
        grade="near",
    )
    if grade == "near":
        return near
    if grade != "foreign":
        raise ValueError(f"grade {grade!r}: use 'canonical', 'near', 'far' or 'foreign'")
    kind = rng.choice(("style", "occlusion", "light"))
    if kind == "style":
        return replace(near, grade="foreign", style=rng.choice(("sketch", "poster")))
    if kind == "occlusion":
        return replace(near, grade="foreign", occlusion=_draw_occlusion(rng))
    light = rng.uniform(0.3, 0.45)
    return replace(near, grade="foreign", light=light, noise_seed=rng.randrange(2**32))


def _either_sign(rng: random.Random, low: float, high: float) -> float:
    return rng.choice((-1, 1)) * rng.uniform(low, high)


def _draw_occlusion(rng: random.Random) -> Box:
    """A band across, a band down or a block over the head: 15 to 30 % of the picture."""
    area = rng.uniform(0.15, 0.3)
    kind = rng.choice(("across", "down", "block"))
    if kind == "across":
        return Box(0.0, rng.uniform(0.2, 0.65 - area), 1.0, area)
    if kind == "down":
        return Box(rng.uniform(0.25, 0.75 - area), 0.0, area, 1.0)
    side = area**0.5
    return Box(rng.uniform(0.2, 0.8 - side), rng.uniform(0.1, 0.75 - side), side, side)
