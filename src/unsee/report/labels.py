"""Where the labels of a plot go so that they neither cover each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

CHARACTER = 6.1
"""Mean width of a character in pixels, at the labels' size."""


class Point(NamedTuple):
    """A point in pixels, y downwards."""

    x: float
    y: float
    text: str


class Label(NamedTuple):
    """A text with its middle-left corner in pixels; `x0, y0` is the point it belongs to."""

    x: float
    y: float
    text: str
    x0: float
    y0: float


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area shared with another box."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return width * height if width > 0 and height > 0 else 0.0


def merge_close(points: Sequence[Point], *, distance: float = 4.0, longest: int = 30) -> list[Point]:
    """Give points that lie on each other one common label; names beyond `longest` characters are counted instead."""
    groups: list[tuple[Point, list[str]]] = []
    for point in points:
        for first, names in groups:
            if abs(point.x - first.x) <= distance and abs(point.y - first.y) <= distance:
                names.append(point.text)
                break
        else:
            groups.append((point, [point.text]))
    return [first._replace(text=_together(names, longest)) for first, names in groups]


def _together(names: list[str], longest: int) -> str:
    for kept in range(len(names), 0, -1):
        text = ", ".join(names[:kept]) + (f" +{len(names) - kept}" if kept < len(names) else "")
        if len(text) <= longest:
            return text
    return text


def place_labels(
    points: Sequence[Point],
    *,
    width: float,
    height: float,
    obstacles: Sequence[Box] = (),
    line: float = 13.0,
    radius: float = 6.0,
) -> list[Label]:
    """Place one label per point: the nearest free position, tried in a fixed order, or else the one that covers least.

    Args:
        points: positions in pixels.
        width: of the plot; labels stay inside where they can.
        height: of the plot.
        obstacles: what labels should not cover either, such as interval lines.
        line: height of a line.
        radius: of a point's symbol.
    """
    symbols = [Box(p.x - radius, p.y - radius, p.x + radius, p.y + radius) for p in points]
    taken: list[Box] = []
    labels: list[Label] = []
    for point in points:
        length = len(point.text) * CHARACTER
        best: tuple[float, Box] | None = None
        for left, middle in _candidates(point, length, radius, line):
            left = max(0.0, min(left, width - length))
            middle = max(line / 2, min(middle, height - line / 2))
            box = Box(left, middle - line / 2, left + length, middle + line / 2)
            outside = max(0.0, -box.left) + max(0.0, box.right - width) + max(0.0, -box.top) + max(0.0, box.bottom - height)
            covered = sum(box.overlap(other) for other in obstacles)
            cost = outside * line + covered + 4 * sum(box.overlap(other) for other in (*symbols, *taken))
            if best is None or cost < best[0]:
                best = (cost, box)
            if cost == 0:
                break
        assert best is not None
        taken.append(best[1])
        labels.append(Label(best[1].left, (best[1].top + best[1].bottom) / 2, point.text, point.x, point.y))
    return labels


def _candidates(point: Point, length: float, radius: float, line: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for gap in (radius + 2, radius + 12, radius + 24, radius + 38):
        right, left, centre = point.x + gap, point.x - gap - length, point.x - length / 2
        above, below = point.y - gap - line / 4, point.y + gap + line / 4
        beside, before = point.x + gap / 3, point.x - gap / 3 - length
        found += [(right, point.y), (left, point.y), (beside, above), (beside, below), (before, above), (before, below)]
        found += [(centre, above), (centre, below), (right, above), (right, below), (left, above), (left, below)]
    return found


def spread(ends: Sequence[Point], height: float, *, line: float = 13.0) -> list[Point]:
    """Push labels apart that would cover each other, from top to bottom and back from the lower edge."""
    ordered = sorted(ends, key=lambda end: end.y)
    placed: list[Point] = []
    for end in ordered:
        floor = placed[-1].y + line if placed else 0.0
        placed.append(end._replace(y=max(end.y, floor)))
    limit = height
    for number in range(len(placed) - 1, -1, -1):
        placed[number] = placed[number]._replace(y=min(placed[number].y, limit))
        limit = placed[number].y - line
    return placed
