"""SVG by a few words: shapes that share one outline however many of them overlap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Point = tuple[float, float]


class Shape(NamedTuple):
    """A filled outline, or a line where `width` is given."""

    path: str
    width: float = 0.0


class Part(NamedTuple):
    """Shapes of one colour that are outlined together."""

    shapes: tuple[Shape, ...]
    color: str


def oval(x: float, y: float, rx: float, ry: float | None = None) -> Shape:
    ry = rx if ry is None else ry
    return Shape(f"M{x - rx:g},{y:g} a{rx:g},{ry:g} 0 1,0 {2 * rx:g},0 a{rx:g},{ry:g} 0 1,0 {-2 * rx:g},0 Z")


def polygon(*points: Point) -> Shape:
    return Shape("M" + " L".join(f"{x:g},{y:g}" for x, y in points) + " Z")


def line(width: float, *points: Point) -> Shape:
    return Shape("M" + " L".join(f"{x:g},{y:g}" for x, y in points), width)


def drawn(part: Part, *, ink: str, outline: float) -> str:
    """The SVG of a part: first every outline, then every area, so that overlapping shapes become one."""
    edges = areas = ""
    for path, width in part.shapes:
        if width:
            edges += _stroke(path, ink, width + 2 * outline) if outline else ""
            areas += _stroke(path, part.color, width)
        else:
            edges += f'<path d="{path}" fill="{ink}" stroke="{ink}" stroke-width="{2 * outline:g}" stroke-linejoin="round"/>'
            areas += f'<path d="{path}" fill="{part.color}"/>'
    return (edges if outline else "") + areas


def silhouette(shapes: Iterable[Shape]) -> str:
    """Shapes in white, for a mask."""
    return drawn(Part(tuple(shapes), "#fff"), ink="#fff", outline=0)


def _stroke(path: str, color: str, width: float) -> str:
    ends = 'stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:g}" {ends}/>'
