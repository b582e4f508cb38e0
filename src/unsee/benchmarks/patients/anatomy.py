"""The bodies that are drawn: outlines of every region in every plane, and where each organ's lesions may lie.

Positions are in halves of the picture's side, (0, 0) in its middle, x to the viewer's right, y down; in sagittal pictures the
patient looks to the viewer's left. Everything is a sketch that a model of 64 x 64 pixels can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from unsee.benchmarks.patients.cases import NORMAL, Plane

Tissue = Literal["air", "skin", "soft", "bone", "marrow", "lung", "fluid", "organ", "gland"]


class Shape(NamedTuple):
    """A filled super-ellipse, or its outline where `width` is given.

    Attributes:
        tilt: degrees, clockwise.
        power: 2 is an ellipse; larger is more like a box.
    """

    tissue: Tissue
    x: float
    y: float
    rx: float
    ry: float
    tilt: float = 0.0
    power: float = 2.0
    width: float = 0.0


class Place(NamedTuple):
    """The ellipse in which the middles of lesions lie."""

    x: float
    y: float
    rx: float
    ry: float


def _both(shape: Shape) -> list[Shape]:
    """A shape and its mirror image."""
    return [shape, shape._replace(x=-shape.x, tilt=-shape.tilt)]


def _body(x: float, y: float, rx: float, ry: float, power: float = 2.0) -> list[Shape]:
    """Skin with what is below it."""
    return [Shape("skin", x, y, rx, ry, power=power), Shape("soft", x, y, rx - 0.06, ry - 0.06, power=power)]


def _spine(x: float, first: float, last: float, rx: float, step: float = 0.22) -> list[Shape]:
    count = round((last - first) / step) + 1
    return [Shape("bone", x, first + step * n, rx, 0.38 * step, power=4) for n in range(count)]


def _skull(x: float, y: float, rx: float, ry: float) -> list[Shape]:
    outer, inner = Shape("bone", x, y, rx - 0.05, ry - 0.05), Shape("soft", x, y, rx - 0.13, ry - 0.13)
    return [Shape("skin", x, y, rx, ry), outer, inner]


SKETCHES: Mapping[tuple[str, Plane], list[Shape]] = {
    ("head", "axial"): [
        Shape("skin", 0, -0.9, 0.1, 0.1),
        *_skull(0, 0, 0.78, 0.9),
        *_both(Shape("organ", 0.31, -0.2, 0.29, 0.5)),
        *_both(Shape("gland", 0.25, 0.5, 0.24, 0.22)),
        Shape("fluid", 0, -0.2, 0.02, 0.52),
        *_both(Shape("fluid", 0.08, -0.1, 0.045, 0.17, tilt=15)),
    ],
    ("head", "coronal"): [
        *_body(0, 0.55, 0.46, 0.42, 3),
        *_skull(0, -0.22, 0.74, 0.72),
        *_both(Shape("organ", 0.3, -0.38, 0.28, 0.36)),
        *_both(Shape("gland", 0.25, 0.15, 0.24, 0.18)),
        Shape("fluid", 0, -0.45, 0.02, 0.36),
        Shape("bone", 0, 0.74, 0.26, 0.05, power=4),
    ],
    ("head", "sagittal"): [
        *_body(0.28, 0.75, 0.26, 0.4, 3),
        *_body(-0.36, 0.45, 0.36, 0.42, 3),
        Shape("skin", -0.74, 0.2, 0.12, 0.12),
        *_skull(0.04, -0.2, 0.82, 0.7),
        Shape("organ", -0.03, -0.3, 0.58, 0.38),
        Shape("gland", 0.4, 0.16, 0.24, 0.18),
        Shape("organ", 0.12, 0.3, 0.08, 0.3),
        Shape("bone", -0.5, 0.6, 0.16, 0.04, power=4),
    ],
    ("neck", "axial"): [
        *_body(0, 0, 0.8, 0.76),
        *_both(Shape("gland", 0.5, 0.18, 0.2, 0.26)),
        *_both(Shape("organ", 0.26, -0.34, 0.15, 0.24)),
        Shape("air", 0, -0.32, 0.12, 0.12),
        Shape("bone", 0, 0.3, 0.22, 0.17, power=3),
        Shape("bone", 0, 0.52, 0.05, 0.13),
    ],
    ("neck", "coronal"): [
        *_body(0, 0.95, 1.1, 0.36, 4),
        *_body(0, 0, 0.64, 1.2, 4),
        *_body(0, -0.95, 0.8, 0.22, 3),
        *_spine(0, -0.7, 0.8, 0.11),
        Shape("air", 0, 0.45, 0.05, 0.4),
        *_both(Shape("gland", 0.38, -0.42, 0.18, 0.3)),
        *_both(Shape("organ", 0.27, 0.36, 0.15, 0.27)),
    ],
    ("neck", "sagittal"): [
        *_body(-0.35, -0.8, 0.55, 0.28, 3),
        *_body(0.05, 0, 0.56, 1.2, 4),
        *_spine(0.33, -0.85, 0.9, 0.12),
        Shape("air", -0.08, 0.3, 0.05, 0.6),
        Shape("gland", -0.08, -0.5, 0.24, 0.26),
        Shape("organ", -0.27, 0.4, 0.14, 0.27),
    ],
    ("chest", "axial"): [
        *_body(0, 0, 0.97, 0.7),
        Shape("bone", 0, 0, 0.85, 0.58, width=0.05),
        *_both(Shape("lung", 0.46, 0, 0.35, 0.46)),
        Shape("organ", 0.1, -0.2, 0.25, 0.28),
        Shape("bone", 0, 0.4, 0.15, 0.14, power=3),
        Shape("bone", 0, -0.56, 0.13, 0.05),
    ],
    ("chest", "coronal"): [
        *_body(0, -0.6, 1.0, 0.32, 3),
        *_body(0, 0.1, 0.84, 1.1, 3),
        *_both(Shape("lung", 0.43, -0.05, 0.31, 0.66)),
        *(rib for y in (-0.4, -0.1, 0.2, 0.5) for rib in _both(Shape("bone", 0.43, y, 0.34, 0.14, tilt=12, width=0.035))),
        *_both(Shape("bone", 0.45, -0.76, 0.34, 0.04, tilt=-8)),
        *_spine(0, -0.7, 0.9, 0.09),
        Shape("organ", 0.1, 0.34, 0.27, 0.28),
    ],
    ("chest", "sagittal"): [
        *_body(0, 0.05, 0.72, 1.05, 2.6),
        Shape("lung", 0, -0.1, 0.47, 0.7),
        *(Shape("bone", 0, y, 0.5, 0.12, tilt=-25, width=0.035) for y in (-0.4, -0.1, 0.2)),
        *_spine(0.54, -0.7, 0.9, 0.1),
        Shape("bone", -0.58, -0.05, 0.05, 0.45),
        Shape("organ", -0.26, 0.38, 0.27, 0.28),
    ],
    ("abdomen", "axial"): [
        *_body(0, 0, 0.97, 0.78),
        Shape("organ", -0.42, -0.16, 0.4, 0.42),
        Shape("fluid", 0.2, -0.42, 0.2, 0.14, tilt=20),
        Shape("gland", 0.58, -0.12, 0.24, 0.32),
        *_both(Shape("organ", 0.4, 0.4, 0.17, 0.21, tilt=-20)),
        Shape("bone", 0, 0.4, 0.15, 0.14, power=3),
        Shape("bone", 0, 0.6, 0.04, 0.1),
        Shape("fluid", 0.04, 0.16, 0.07, 0.07),
    ],
    ("abdomen", "coronal"): [
        *_body(0, 0, 0.88, 1.2, 4),
        *_spine(0, -0.9, 0.95, 0.11),
        Shape("organ", -0.36, -0.52, 0.42, 0.32),
        Shape("gland", 0.5, -0.5, 0.22, 0.32),
        *_both(Shape("organ", 0.42, 0.2, 0.18, 0.3, tilt=-10)),
        *_both(Shape("fluid", 0.3, 0.74, 0.2, 0.12, tilt=25)),
    ],
    ("abdomen", "sagittal"): [
        *_body(0, 0, 0.7, 1.2, 4),
        *_spine(0.47, -0.9, 0.95, 0.11),
        Shape("organ", -0.32, -0.46, 0.26, 0.36),
        Shape("gland", 0.16, -0.5, 0.18, 0.28),
        Shape("organ", 0.1, 0.2, 0.17, 0.3),
        Shape("fluid", -0.33, 0.3, 0.16, 0.14),
        Shape("fluid", -0.26, 0.7, 0.2, 0.13),
    ],
    ("pelvis", "axial"): [
        *_body(0, 0, 0.97, 0.72),
        Shape("bone", 0, 0.44, 0.28, 0.15, power=3),
        *_both(Shape("bone", 0.34, 0.3, 0.06, 0.22, tilt=-35)),
        *_both(Shape("bone", 0.6, 0.02, 0.27, 0.3)),
        *_both(Shape("marrow", 0.6, 0.02, 0.21, 0.24)),
        Shape("organ", 0, -0.24, 0.27, 0.26),
    ],
    ("pelvis", "coronal"): [
        *_body(0, 0, 0.92, 1.2, 4),
        *_both(Shape("bone", 0.54, -0.42, 0.2, 0.4, tilt=-28)),
        Shape("bone", 0, -0.3, 0.2, 0.36, power=3),
        *_both(Shape("bone", 0.6, 0.85, 0.12, 0.4, power=3)),
        *_both(Shape("bone", 0.54, 0.34, 0.25, 0.27)),
        *_both(Shape("marrow", 0.54, 0.34, 0.19, 0.21)),
        Shape("organ", 0, 0.4, 0.23, 0.22),
    ],
    ("pelvis", "sagittal"): [
        *_body(0, 0, 0.72, 1.2, 4),
        *_spine(0.44, -0.9, -0.2, 0.13),
        Shape("bone", 0.5, 0.1, 0.09, 0.34, tilt=-20),
        Shape("bone", -0.54, 0.5, 0.08, 0.14),
        Shape("bone", 0.16, 0.52, 0.25, 0.27),
        Shape("marrow", 0.16, 0.52, 0.19, 0.21),
        Shape("organ", -0.28, 0.08, 0.23, 0.27),
    ],
}
"""Region and plane -> shapes, the first lowest."""

PLACES: Mapping[tuple[str, Plane], Mapping[str, Place]] = {
    ("head", "axial"): {"brain": Place(0.35, -0.24, 0.2, 0.32), "cerebellum": Place(0.28, 0.48, 0.21, 0.2)},
    ("head", "coronal"): {"brain": Place(0.34, -0.42, 0.21, 0.26), "cerebellum": Place(0.28, 0.15, 0.21, 0.2)},
    ("head", "sagittal"): {"brain": Place(-0.12, -0.32, 0.4, 0.26), "cerebellum": Place(0.4, 0.16, 0.21, 0.2)},
    ("neck", "axial"): {"parotid": Place(0.5, 0.2, 0.2, 0.24), "thyroid": Place(0.3, -0.36, 0.2, 0.22)},
    ("neck", "coronal"): {"parotid": Place(0.38, -0.42, 0.2, 0.28), "thyroid": Place(0.3, 0.36, 0.2, 0.27)},
    ("neck", "sagittal"): {"parotid": Place(-0.08, -0.5, 0.22, 0.25), "thyroid": Place(-0.22, 0.4, 0.2, 0.27)},
    ("chest", "axial"): {"lung": Place(0.52, 0.02, 0.21, 0.34), "heart": Place(0.08, -0.2, 0.21, 0.22)},
    ("chest", "coronal"): {"lung": Place(0.46, -0.2, 0.2, 0.38), "heart": Place(0.1, 0.36, 0.21, 0.22)},
    ("chest", "sagittal"): {"lung": Place(0.06, -0.28, 0.3, 0.34), "heart": Place(-0.26, 0.4, 0.21, 0.22)},
    ("abdomen", "axial"): {
        "liver": Place(-0.45, -0.22, 0.25, 0.28),
        "spleen": Place(0.56, -0.16, 0.2, 0.26),
        "kidney": Place(0.4, 0.4, 0.2, 0.2),
    },
    ("abdomen", "coronal"): {
        "liver": Place(-0.42, -0.53, 0.26, 0.24),
        "spleen": Place(0.5, -0.52, 0.2, 0.26),
        "kidney": Place(0.42, 0.22, 0.2, 0.26),
    },
    ("abdomen", "sagittal"): {
        "liver": Place(-0.34, -0.46, 0.2, 0.27),
        "spleen": Place(0.16, -0.5, 0.2, 0.26),
        "kidney": Place(0.1, 0.22, 0.2, 0.26),
    },
    ("pelvis", "axial"): {"bladder": Place(0, -0.24, 0.22, 0.22), "hip": Place(0.6, 0.04, 0.2, 0.24)},
    ("pelvis", "coronal"): {"bladder": Place(0, 0.4, 0.21, 0.21), "hip": Place(0.54, 0.34, 0.2, 0.24)},
    ("pelvis", "sagittal"): {"bladder": Place(-0.28, 0.08, 0.2, 0.26), "hip": Place(0.16, 0.5, 0.21, 0.22)},
}
"""Region and plane -> organ -> where its lesions lie; of paired organs on the viewer's right, the patient's left."""


def place_of(region: str, plane: Plane, organ: str, side: str) -> Place:
    """Where lesions of an organ lie.

    Args:
        side: the patient's; `none` where the picture shows no sides.
    """
    assert organ != NORMAL
    place = PLACES[region, plane][organ]
    return place._replace(x=-abs(place.x)) if side == "right" else place
