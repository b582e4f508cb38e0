"""Ten body plans: where body, limbs, head, eyes, tail and back of a creature are.

A creature is drawn around the origin, looks to the right, and stands on y = 28.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from unsee.benchmarks.creatures.shapes import Point, Shape, line, oval, polygon


@dataclass(frozen=True)
class Body:
    """A body plan.

    Attributes:
        main: shapes in the body's color, which bear the pattern.
        behind: limbs in the accent color behind the body.
        front: limbs in the accent color before it.
        crown: where headgear grows, and how large it is.
        eyes: where eyes are, and how large they are.
        tail: where the tail begins; it goes to the left.
        back: points along the back, from left to right.
        lines: ink lines on the body.
        mouth: its middle.
        belly: height below which a belly patch is.
    """

    main: tuple[Shape, ...]
    behind: tuple[Shape, ...]
    front: tuple[Shape, ...]
    crown: tuple[Point, float]
    eyes: tuple[Point, float]
    tail: Point
    back: tuple[Point, Point, Point]
    mouth: Point
    lines: tuple[Shape, ...] = ()
    belly: float = 9.0


def _blob() -> Body:
    return Body(
        main=(oval(0, 4, 24, 21),),
        behind=(),
        front=(oval(-10, 26, 8, 4), oval(11, 26, 8, 4)),
        crown=((4, -15), 1.0),
        eyes=((8, -2), 1.15),
        tail=(-21, 12),
        back=((-19, -7), (-13, -12), (-6, -15)),
        mouth=(10, 11),
    )


def _serpent() -> Body:
    return Body(
        main=(Shape("M-29,21 C-24,5 -14,5 -10,15 C-6,26 7,27 11,14 C13,6 13,0 16,-10", 14), oval(18, -12, 12, 10)),
        behind=(),
        front=(line(2.6, (30, -9), (35, -8), (38, -11)), line(2.6, (35, -8), (38, -5))),
        crown=((16, -20), 0.85),
        eyes=((19, -14), 0.85),
        tail=(-29, 22),
        back=((-20, 2), (-12, 5), (4, 8)),
        mouth=(22, -6),
    )


def _bird() -> Body:
    return Body(
        main=(oval(-3, 4, 17, 18), oval(7, -14, 12)),
        behind=(line(4, (-8, 20), (-8, 29), (-2, 29)), line(4, (4, 20), (4, 29), (10, 29))),
        front=(polygon((17, -18), (32, -12), (17, -7)),),
        crown=((6, -25), 0.85),
        eyes=((9, -16), 0.85),
        tail=(-18, 10),
        back=((-18, -2), (-13, -9), (-7, -14)),
        mouth=(12, -7),
        belly=6,
    )


def _fish() -> Body:
    return Body(
        main=(Shape("M-26,4 C-12,-20 22,-20 30,4 C22,26 -12,26 -26,4 Z"),),
        behind=(polygon((-4, 18), (-12, 29), (8, 21)),),
        front=(polygon((4, 6), (-10, 14), (4, 17)),),
        crown=((12, -13), 0.85),
        eyes=((16, -2), 0.95),
        tail=(-24, 4),
        back=((-13, -8), (-5, -12), (3, -14)),
        mouth=(24, 9),
    )


def _snail() -> Body:
    return Body(
        main=(oval(-5, 3, 20),),
        behind=(Shape("M-30,28 C-26,18 -12,18 8,18 C14,12 12,-8 22,-8 C32,-8 31,10 29,18 C27,27 20,28 12,28 Z"),),
        front=(),
        crown=((22, -8), 0.8),
        eyes=((22, 2), 0.8),
        tail=(-25, 25),
        back=((-20, -10), (-11, -17), (0, -17)),
        mouth=(24, 12),
        lines=(Shape("M-19,5 C-19,-8 8,-10 9,5 C9,16 -11,17 -11,6 C-11,-1 1,-1 1,5", 2.2),),
        belly=7,
    )


def _crab() -> Body:
    legs = tuple(line(4.4, (side * 14, 14), (side * x, y)) for side in (-1, 1) for x, y in ((34, 22), (28, 27), (19, 29)))
    arms = tuple(line(5, (side * 12, 0), (side * 21, -11)) for side in (-1, 1))
    claws = tuple(
        polygon((side * 17, -10), (side * 15, -23), (side * 22, -17), (side * 29, -23), (side * 28, -10), (side * 22, -6))
        for side in (-1, 1)
    )
    return Body(
        main=(oval(0, 9, 22, 15),),
        behind=(*legs, *arms),
        front=claws,
        crown=((0, -5), 0.9),
        eyes=((0, 4), 1.0),
        tail=(-22, 8),
        back=((-14, -1), (-8, -4), (-1, -6)),
        mouth=(0, 15),
        belly=12,
    )


def _caterpillar() -> Body:
    return Body(
        main=(oval(-25, 17, 9), oval(-12, 14, 10.5), oval(2, 13, 11), oval(18, 4, 13.5)),
        behind=tuple(line(4, (x, 20), (x, 29)) for x in (-25, -12, 1, 13)),
        front=(),
        crown=((18, -8), 0.95),
        eyes=((20, 2), 0.95),
        tail=(-33, 17),
        back=((-25, 9), (-13, 4), (1, 2)),
        mouth=(22, 11),
        belly=16,
    )


def _octopus() -> Body:
    arms = ((-18, -33, 24), (-10, -15, 29), (0, 0, 30), (10, 15, 29), (18, 33, 24))
    return Body(
        main=(Shape("M-22,6 C-26,-30 26,-30 22,6 C20,16 -20,16 -22,6 Z"),),
        behind=tuple(Shape(f"M{x},6 C{x},{y - 8} {to},{y - 12} {to},{y}", 6.4) for x, to, y in arms),
        front=(),
        crown=((2, -20), 0.95),
        eyes=((5, -5), 1.1),
        tail=(-20, 6),
        back=((-20, -10), (-14, -17), (-6, -21)),
        mouth=(6, 6),
        belly=3,
    )


def _turtle() -> Body:
    return Body(
        main=(Shape("M-29,18 C-29,-20 17,-20 17,18 C10,22 -22,22 -29,18 Z"),),
        behind=(Shape("M8,14 C16,14 16,2 24,-2", 10), oval(25, -4, 10, 9)),
        front=(oval(-19, 24, 7, 5), oval(7, 24, 7, 5)),
        crown=((24, -12), 0.8),
        eyes=((26, -5), 0.75),
        tail=(-27, 17),
        back=((-21, -5), (-13, -10), (-4, -11)),
        mouth=(29, 1),
        belly=6,
    )


def _dinosaur() -> Body:
    return Body(
        main=(oval(-8, 12, 20, 12), Shape("M2,10 C12,6 12,-8 16,-18", 11), oval(21, -20, 11, 8)),
        behind=tuple(line(6, (x, 18), (x, 27)) for x in (-21, -8, 5)),
        front=(),
        crown=((18, -27), 0.8),
        eyes=((22, -22), 0.75),
        tail=(-27, 12),
        back=((-21, 2), (-13, 0), (-4, 1)),
        mouth=(27, -15),
        belly=13,
    )


_PLANS: Mapping[str, Callable[[], Body]] = {
    "blob": _blob,
    "serpent": _serpent,
    "bird": _bird,
    "fish": _fish,
    "snail": _snail,
    "crab": _crab,
    "caterpillar": _caterpillar,
    "octopus": _octopus,
    "turtle": _turtle,
    "dinosaur": _dinosaur,
}


@cache
def body_plan(name: str) -> Body:
    return _PLANS[name]()
