"""Forgetting against one utility: a point with two intervals and a label per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from typing import Any, NamedTuple

import altair as alt
from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, DASHES, INK, MUTED, PAPER, layered, to_svg, unchecked, values
from unsee.report.labels import CHARACTER, Box, Label, Point, merge_close, place_labels

SHAPES = {
    "vanilla": ("circle",),
    "gold": ("diamond",),
    "second_gold": ("diamond",),
    "control": ("square", "triangle-up"),
    "method": ("circle", "square", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left"),
}
_WIDTH, _HEIGHT = 330, 250
_X = (-3.0, 103.0)
_STEP = 12.0
"""Pixels between the places of a line that labels should not cover."""


class Dot(NamedTuple):
    """One model in the trade-off plot, in percent; intervals are None where there are none.

    Dots of one `family`, such as a method in several runs, have one shape.
    """

    label: str
    kind: str
    x: float
    x_low: float | None
    x_high: float | None
    y: float
    y_low: float | None
    y_high: float | None
    family: str = ""


class Path(NamedTuple):
    """A way through the plot, in percent, to the last of its points; its marks have the shape of its family's dots."""

    points: Sequence[tuple[float, float]]
    family: str
    dash: int = 0


class _Plane(NamedTuple):
    """The vertical axis: it starts at 0 unless everything happens near the top."""

    low: float
    high: float

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        left, right = _X
        return (x - left) / (right - left) * _WIDTH, (self.high - y) / (self.high - self.low) * _HEIGHT

    def data(self, x: float, y: float) -> tuple[float, float]:
        left, right = _X
        return left + x / _WIDTH * (right - left), self.high - y / _HEIGHT * (self.high - self.low)


def _plane(dots: Sequence[Dot], paths: Sequence[Path]) -> _Plane:
    ends = [dot.y if dot.y_low is None else dot.y_low for dot in dots] + [y for path in paths for _, y in path.points]
    lowest = min(ends, default=0.0)
    start = max(0, 10 * math.floor((lowest - 5) / 10)) if lowest > 55 else 0
    high = 100 + 0.03 * (100 - start)
    return _Plane(start - 0.03 * (100 - start), high)


def _scale(low: float, high: float) -> alt.Scale:
    return alt.Scale(domain=[low, high], nice=False)


@unchecked
def trade_off(
    dots: Sequence[Dot],
    *,
    x_title: str,
    y_title: str,
    prefix: str,
    paths: Sequence[Path] = (),
    title: str = "",
    y_domain: tuple[float, float] | None = None,
    dashed_at: Sequence[float] = (),
) -> Markup:
    """Forgetting against one utility: a point with two intervals and a label per method.

    Args:
        dots: `kind` is `method`, `control`, `vanilla`, `gold` or `second_gold`. Vanilla and gold get lines across the plot; a
            band between the two golds shows the noise floor.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
        prefix: makes the SVG's ids unique within the page.
        paths: how methods came to their dots; each line has its own dashes, each point between its ends a small mark.
        title: above the plot.
        y_domain: ends of the vertical axis, for what is no share of 100.
        dashed_at: places on the horizontal axis that get a line.
    """
    plane = _plane(dots, paths) if y_domain is None else _Plane(*y_domain)
    x = alt.X("x:Q", scale=_scale(*_X), title=x_title, axis=alt.Axis(values=[0, 25, 50, 75, 100]))
    ticks = [tick for tick in range(0, 101, 25 if plane.low < 40 else 10) if tick >= plane.low]
    marked = {"values": ticks} if y_domain is None else {"tickCount": 5}
    y = alt.Y("y:Q", scale=_scale(plane.low, plane.high), title=y_title, axis=alt.Axis(**marked))

    layers: list[alt.Chart] = []
    golds = [dot.x for dot in dots if dot.kind in ("gold", "second_gold")]
    if len(golds) > 1:
        band = [{"x": min(golds), "x2": max(golds)}]
        layers.append(alt.Chart(values(band)).mark_rect(color=ACCENT, opacity=0.16).encode(x=x, x2=alt.X2("x2:Q")))
    for kind, dash in (("vanilla", [1, 3]), ("gold", [5, 3])):
        lines = alt.Chart(values([{"x": dot.x, "y": dot.y} for dot in dots if dot.kind == kind]))
        lines = lines.mark_rule(color=MUTED, strokeDash=dash, opacity=0.8)
        layers += [lines.encode(x=x), lines.encode(y=y)]
    if dashed_at:
        lines = alt.Chart(values([{"x": place} for place in dashed_at]))
        layers.append(lines.mark_rule(color=MUTED, strokeDash=[5, 3], opacity=0.8).encode(x=x))
    bars = [{"x": d.x_low, "x2": d.x_high, "y": d.y, "y2": d.y} for d in dots if None not in (d.x_low, d.x_high)]
    bars += [{"x": d.x, "x2": d.x, "y": d.y_low, "y2": d.y_high} for d in dots if None not in (d.y_low, d.y_high)]
    layers.append(_segments(bars, x, y, color=INK, opacity=0.35, strokeWidth=1.5))

    layers += [_line(path, x, y) for path in paths]

    placed = place_labels(
        merge_close([Point(*plane.pixel(dot.x, dot.y), dot.label) for dot in dots]),
        width=_WIDTH,
        height=_HEIGHT,
        obstacles=[
            *(box for dot in dots for box in _interval_boxes(dot, plane)),
            *(box for path in paths for box in _path_boxes(path, plane)),
        ],
    )
    far = [label for label in placed if abs(label.x - label.x0) > 14 or abs(label.y - label.y0) > 14]
    layers.append(_segments([_leader(label, plane) for label in far], x, y, color=MUTED, opacity=0.6, strokeWidth=0.8))
    texts = [{"text": label.text} | dict(zip("xy", plane.data(label.x, label.y), strict=True)) for label in placed]
    words = alt.Chart(values(texts)).mark_text(
        align="left", baseline="middle", fontSize=11.5, color=INK, stroke=PAPER, strokeWidth=3
    )
    layers.append(words.encode(x=x, y=y, text=alt.Text("text:N")))

    shapes = {kind: cycle(names) for kind, names in SHAPES.items()}
    taken: dict[tuple[str, str], str] = {}
    symbols = []
    for dot in dots:
        colour = ACCENT if dot.kind == "method" else INK
        fill = colour if dot.kind in ("method", "gold") else PAPER
        family = (dot.kind, dot.family or dot.label)
        if family not in taken:
            taken[family] = next(shapes[dot.kind])
        symbols.append({"x": dot.x, "y": dot.y, "shape": taken[family], "fill": fill, "stroke": colour})
    between = [
        {"x": px, "y": py, "shape": taken.get(("method", path.family), "circle"), "fill": PAPER, "stroke": ACCENT}
        for path in paths
        for px, py in path.points[1:-1]
    ]
    fixed = {"shape": alt.Shape, "fill": alt.Fill, "stroke": alt.Stroke}
    for rows, size in ((between, 26), (symbols, 75)):
        marks = alt.Chart(values(rows)).mark_point(size=size, opacity=1, filled=True, strokeWidth=1.6)
        layers.append(marks.encode(x=x, y=y, **{name: kind(f"{name}:N", scale=None) for name, kind in fixed.items()}))
    properties = {"title": title} if title else {}
    return to_svg(layered(layers, width=_WIDTH, height=_HEIGHT, **properties), prefix)


def _segments(rows: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, **style: Any) -> alt.Chart:
    return alt.Chart(values(rows)).mark_rule(**style).encode(x=x, x2=alt.X2("x2:Q"), y=y, y2=alt.Y2("y2:Q"))


def _line(path: Path, x: alt.X, y: alt.Y) -> alt.Chart:
    points = [{"x": px, "y": py, "n": number} for number, (px, py) in enumerate(path.points)]
    dashes = list(DASHES[path.dash % len(DASHES)])
    line = alt.Chart(values(points)).mark_line(color=ACCENT, strokeWidth=1.6, strokeDash=dashes)
    # Without an order the line would run from left to right.
    return line.encode(x=x, y=y, order=alt.Order("n:Q"))


def _interval_boxes(dot: Dot, plane: _Plane) -> list[Box]:
    """The boxes of a point's two interval lines, in pixels."""
    boxes = []
    if dot.x_low is not None and dot.x_high is not None:
        boxes.append((plane.pixel(dot.x_low, dot.y), plane.pixel(dot.x_high, dot.y)))
    if dot.y_low is not None and dot.y_high is not None:
        boxes.append((plane.pixel(dot.x, dot.y_high), plane.pixel(dot.x, dot.y_low)))
    return [Box(start[0] - 1, start[1] - 1, end[0] + 1, end[1] + 1) for start, end in boxes]


def _path_boxes(path: Path, plane: _Plane) -> list[Box]:
    """Small boxes along a line, in pixels."""
    pixels = [plane.pixel(*point) for point in path.points]
    boxes = []
    for (x, y), (x2, y2) in pairwise(pixels):
        steps = max(1, round(math.hypot(x2 - x, y2 - y) / _STEP))
        places = [(x + (x2 - x) * n / steps, y + (y2 - y) * n / steps) for n in range(steps + 1)]
        boxes += [Box(px - 4, py - 4, px + 4, py + 4) for px, py in places]
    return boxes


def _leader(label: Label, plane: _Plane) -> dict[str, float]:
    """A line from a label that stands apart to its point."""
    end = min(max(label.x0, label.x), label.x + len(label.text) * CHARACTER)
    (x, y), (x2, y2) = plane.data(end, label.y), plane.data(label.x0, label.y0)
    return {"x": x, "y": y, "x2": x2, "y2": y2}
