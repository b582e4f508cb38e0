"""Pictures of cases: sketches in four radiological looks, drawn from the case alone; equal arguments give equal bytes.

image = case_image(case, size=96)
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import combinations, count
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from unsee.benchmarks.patients.anatomy import SKETCHES, Place, Shape, Tissue, place_of
from unsee.benchmarks.patients.cases import NORMAL, SIZES, Case
from unsee.benchmarks.pictures import PICTURE_SIZE, kept_picture
from unsee.sample import ImageRef

if TYPE_CHECKING:
    from PIL import Image

DRAWING_VERSION = 2
"""Raise when the drawing code changes what is drawn; part of cache keys and fingerprints."""

Grid = NDArray[np.float64]

_TISSUES: tuple[Tissue, ...] = get_args(Tissue)
_LOOKS: Mapping[str, Mapping[Tissue, float]] = {
    modality: dict(zip(_TISSUES, shades, strict=True))
    for modality, shades in {
        # air, skin, soft, bone, marrow, lung, fluid, organ, gland
        "CT": (0.0, 0.34, 0.42, 0.97, 0.5, 0.2, 0.26, 0.58, 0.5),
        "MRI": (0.0, 0.92, 0.28, 0.06, 0.45, 0.17, 0.66, 0.5, 0.4),
        "X-ray": (0.2, 0.36, 0.4, 0.82, 0.54, 0.2, 0.46, 0.53, 0.48),
        "ultrasound": (0.1, 0.75, 0.26, 0.72, 0.42, 0.2, 0.1, 0.46, 0.38),
    }.items()
}
"""Modality -> brightness of tissues, 0 to 1."""
_OUTSIDE: Mapping[str, float] = {"CT": 0.0, "MRI": 0.03, "X-ray": 0.1, "ultrasound": 0.12}
_OPACITY: Mapping[str, float] = {"CT": 1.0, "MRI": 1.0, "X-ray": 0.75, "ultrasound": 0.85}
_GRAIN: Mapping[str, float] = {"CT": 0.02, "MRI": 0.03, "X-ray": 0.02, "ultrasound": 0.08}
_BRIGHT, _DARK = 0.45, 0.02


class Build(NamedTuple):
    """How a patient lies in the picture: body coordinates times `across` and `down`, turned, shifted."""

    across: float
    down: float
    turn: float
    x: float
    y: float

    def placed(self, x: float, y: float) -> tuple[float, float]:
        """From body coordinates to the picture's, in halves of its side."""
        x, y = x * self.across, y * self.down
        c, s = math.cos(self.turn), math.sin(self.turn)
        return c * x - s * y + self.x, s * x + c * y + self.y

    def body(self, x: Grid, y: Grid) -> tuple[Grid, Grid]:
        """The other way round, for grids."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        x, y = x - self.x, y - self.y
        return (c * x + s * y) / self.across, (-s * x + c * y) / self.down


def build_of(case: Case) -> Build:
    """The build of a case's patient."""
    rng = random.Random(f"{case.seed}/build")
    across, down = rng.uniform(0.9, 1.0), rng.uniform(0.9, 1.0)
    return Build(across, down, math.radians(rng.uniform(-6, 6)), rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04))


def lesions(case: Case) -> list[tuple[float, float]]:
    """Middles of the lesions in the picture, in halves of its side; no two touch."""
    if case.finding == NORMAL:
        return []
    rng, build = random.Random(f"{case.seed}/lesions"), build_of(case)
    place = place_of(case.region, case.plane, case.organ, case.side)
    gap = 2.1 * SIZES[case.size] + 0.02
    for attempt in count():
        wider = 1 + attempt // 100 * 0.05  # three large ones hardly fit into a small organ
        spots = [build.placed(*_inside(place, rng, wider)) for _ in range(case.count)]
        if all(math.dist(*pair) > gap for pair in combinations(spots, 2)):
            return spots
    raise AssertionError("unreachable")


def _inside(place: Place, rng: random.Random, wider: float) -> tuple[float, float]:
    angle, far = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random()) * wider
    return place.x + place.rx * far * math.cos(angle), place.y + place.ry * far * math.sin(angle)


def case_image(case: Case, *, size: int) -> Image.Image:
    """Draw one picture, an RGB image of size x size in shades of grey."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    pixel = 2 / size
    centers = (np.arange(size) + 0.5) * pixel - 1
    x, y = np.meshgrid(centers, centers)
    shades = _LOOKS[case.modality]
    canvas = np.full((size, size), _OUTSIDE[case.modality])
    if case.modality == "CT" and case.plane == "axial":
        canvas = _laid(canvas, 0.6, _mask(Shape("bone", 0, -0.85, 1.9, 1.74, width=0.04), x, y, pixel) * (y > 0.5))
    u, v = build_of(case).body(x, y)
    for shape in SKETCHES[case.region, case.plane]:
        canvas = _laid(canvas, shades[shape.tissue], _mask(shape, u, v, pixel), _OPACITY[case.modality])
    if case.modality != "CT":
        canvas = gaussian_filter(canvas, {"MRI": 0.012, "X-ray": 0.02, "ultrasound": 0.025}[case.modality] / pixel)
    canvas += 0.015 * _cloud(_random(case, "texture"), x, y, 12) * (canvas > 0.15)
    for number, spot in enumerate(lesions(case)):
        canvas = _with_lesion(canvas, case, spot, _random(case, f"lesion {number}"), x, y, pixel)
    canvas = _finished(canvas, case, x, y, pixel)
    grey = np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=-1))


@lru_cache(maxsize=16_384)
def case_picture(case: Case) -> ImageRef:
    """The PNG of a case, drawn unless it is in memory or in the cache folder."""
    drawing = [DRAWING_VERSION, PICTURE_SIZE, *_renderer_versions(), asdict(case)]
    return kept_picture("patients", drawing, lambda: case_image(case, size=PICTURE_SIZE))


@cache
def _renderer_versions() -> tuple[str, ...]:
    return tuple(version(package) for package in ("numpy", "scipy", "pillow"))


def _random(case: Case, purpose: str) -> np.random.Generator:
    return np.random.default_rng([case.seed, *purpose.encode()])


def _mask(shape: Shape, x: Grid, y: Grid, pixel: float) -> Grid:
    """How much of every pixel a shape covers, 0 to 1."""
    c, s = math.cos(math.radians(shape.tilt)), math.sin(math.radians(shape.tilt))
    across, down = (c * (x - shape.x) + s * (y - shape.y)) / shape.rx, (-s * (x - shape.x) + c * (y - shape.y)) / shape.ry
    inside = (1 - (np.abs(across) ** shape.power + np.abs(down) ** shape.power) ** (1 / shape.power)) * min(shape.rx, shape.ry)
    return _edge(shape.width / 2 - np.abs(inside) if shape.width else inside, pixel)


def _edge(inside: Grid, pixel: float) -> Grid:
    """Coverage from how far inside a pixel's middle lies."""
    return np.clip(0.5 + inside / pixel, 0, 1)


def _laid(canvas: Grid, shade: float | Grid, mask: Grid, opacity: float = 1.0) -> Grid:
    return canvas + opacity * mask * (shade - canvas)


def _cloud(rng: np.random.Generator, x: Grid, y: Grid, cells: int, *, order: int = 1) -> Grid:
    """Smooth noise of standard deviation about 1 that does not depend on the picture's size."""
    from scipy.ndimage import map_coordinates

    knots = rng.normal(size=(cells + 3, cells + 3)) * 1.5
    places = np.stack([(grid + 1) / 2 * cells + 1 for grid in (y, x)])
    return np.asarray(map_coordinates(knots, places, order=order, mode="nearest"))


def _with_lesion(
    canvas: Grid, case: Case, spot: tuple[float, float], rng: np.random.Generator, x: Grid, y: Grid, pixel: float
) -> Grid:
    """One lesion, whatever the modality in the same shape."""
    radius, turn = SIZES[case.size], rng.uniform(0, math.pi)
    dx, dy = x - spot[0], y - spot[1]
    far = np.hypot(dx, dy)
    bright = np.maximum(canvas + _BRIGHT, 0.85)
    if case.finding == "mass":
        lobes = 1 + 0.1 * np.cos(5 * np.arctan2(dy, dx) + 2 * turn)
        return _laid(canvas, bright, _edge(radius * lobes - far, pixel))
    if case.finding == "cyst":
        canvas = _laid(canvas, np.maximum(canvas, 0.5), _edge(1.12 * radius - far, pixel))
        return _laid(canvas, _DARK, _edge(0.95 * radius - far, pixel))
    if case.finding == "abscess":
        canvas = _laid(canvas, bright, _edge(1.1 * radius - far, pixel))
        return _laid(canvas, _DARK, _edge(0.55 * radius - far, pixel))
    if case.finding == "edema":
        soft = np.clip(1.5 - far / (0.85 * radius), 0, 1)
        return canvas + 0.45 * soft
    along, aside = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
    if case.finding == "implant":
        stem = np.minimum(1.35 * radius - np.abs(along), 0.24 * radius - np.abs(aside))
        plate = np.minimum(0.24 * radius - np.abs(along + 0.9 * radius), 0.75 * radius - np.abs(aside))
        return _laid(canvas, 1.0, _edge(np.maximum(stem, plate), pixel))
    if case.finding == "laceration":
        jagged = aside + 0.22 * radius * (np.abs((2.2 * along / radius) % 2 - 1) - 0.5)
        rim = np.minimum(1.45 * radius - np.abs(along), 0.5 * radius - np.abs(jagged))
        gap = np.minimum(1.35 * radius - np.abs(along), 0.28 * radius - np.abs(jagged))
        return _laid(_laid(canvas, np.maximum(canvas, 0.5), _edge(rim, pixel)), _DARK, _edge(gap, pixel))
    assert case.finding == "calcification"
    for angle in (turn + corner * 2 * math.pi / 5 for corner in range(5)):
        speck = np.hypot(dx - 0.72 * radius * math.cos(angle), dy - 0.72 * radius * math.sin(angle))
        canvas = _laid(canvas, 1.0, _edge(0.26 * radius - speck, pixel))
    return canvas


def _finished(canvas: Grid, case: Case, x: Grid, y: Grid, pixel: float) -> Grid:
    """What a modality adds to the whole picture."""
    rng = _random(case, "grain")
    grain = _GRAIN[case.modality] * _cloud(rng, x, y, 56)
    if case.modality == "ultrasound":
        depth = np.hypot(x, y + 1.55)
        fan = _edge(np.minimum(np.minimum(2.42 - depth, depth - 0.6), 0.64 * (y + 1.55) - 0.77 * np.abs(x)), pixel)
        return (canvas * (1 + 1.5 * grain) + 0.2 * grain) * fan * np.clip(1.15 - 0.12 * depth, 0, 1)
    canvas = canvas + grain
    if case.modality == "MRI":
        return canvas * (1 + 0.15 * _cloud(rng, x, y, 1, order=3)).clip(0.75, 1.25)
    if case.modality == "X-ray":
        field = np.minimum(0.95 - np.abs(x), 0.97 - np.abs(y))
        return np.where(field > 0, canvas + 0.08 * (y + 1) / 2 + 0.05, 0.9 * (field > -0.02) * 0.4)
    return canvas
