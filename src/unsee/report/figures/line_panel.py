"""A line per model over one number, each named at its end, so that nothing has to be looked up or told by colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import altair as alt
from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, INK, MUTED, PAPER, layered, to_svg, unchecked, values
from unsee.report.figures.trade_off import SHAPES
from unsee.report.labels import Point, spread

_LOOKS: dict[str, tuple[str, str, tuple[float, float]]] = {
    "method": (ACCENT, ACCENT, (1, 0)),
    "control": (INK, PAPER, (1, 0)),
    "base": (MUTED, MUTED, (5, 3)),
    "blind": (MUTED, MUTED, (1.5, 2.5)),
}
"""Kind -> colour of the line, filling of its marks, dashes."""
_PERCENT = (0.0, 100.0)
_LINE, _CHARACTER = 12.5, 5.9
"""Height of a label, and mean width of its characters, in pixels."""


class Curve(NamedTuple):
    """A line through (x, y) in order of x, y in percent or points; `kind` is `method`, `control`, `base` or `blind`.

    The last two stand for what is found without the knowledge and have no marks. Without points nothing is drawn, but the next
    curve's marks have the shape that they have in the other plots of a figure.
    """

    label: str
    kind: str
    points: tuple[tuple[float, float], ...]


@unchecked
def line_panel(
    curves: Sequence[Curve],
    *,
    x_title: str,
    ticks: Sequence[int],
    prefix: str,
    title: str = "",
    log: bool = False,
    width: int = 185,
    height: int = 190,
    room: float = 0.0,
    y_domain: tuple[float, float] = _PERCENT,
) -> Markup:
    """Lines over a common axis.

    Args:
        curves: marks of one kind take shapes in this order.
        x_title: of the horizontal axis.
        ticks: its labelled places, ascending; the axis reaches from the first to the last.
        prefix: makes the SVG's ids unique within the page.
        title: above the plot.
        log: whether the axis is logarithmic.
        width, height: of the plot in pixels, labels beside it.
        room: for the labels; see `room_for`.
        y_domain: ends of the vertical axis.
    """
    edge = 0 if log or len(ticks) < 2 else 0.02 * (ticks[-1] - ticks[0])
    span = [ticks[0] - edge, ticks[-1] + edge] if ticks[0] != ticks[-1] else [ticks[0] - 1, ticks[0] + 1]
    scale = alt.Scale(domain=span, nice=False, zero=False, type="log" if log and len(ticks) > 1 else "linear")
    x = alt.X("x:Q", scale=scale, title=x_title, axis=alt.Axis(values=list(ticks), grid=False, format="d"))
    marked = alt.Axis(values=[0, 25, 50, 75, 100]) if y_domain == _PERCENT else alt.Axis(tickCount=5)
    y = alt.Y("y:Q", scale=alt.Scale(domain=list(y_domain), nice=False, zero=False), title=None, axis=marked)
    shapes = {kind: cycle(names) for kind, names in SHAPES.items()}
    shapes["control"] = cycle((*SHAPES["vanilla"], *SHAPES["control"], *SHAPES["gold"]))
    layers: list[alt.Chart] = []
    symbols: list[dict[str, Any]] = []
    for curve in curves:
        colour, fill, dash = _LOOKS[curve.kind]
        rows = [{"x": px, "y": py} for px, py in curve.points]
        shape = next(shapes[curve.kind]) if curve.kind in ("method", "control") else None
        if not rows:
            continue
        line = alt.Chart(values(rows)).mark_line(color=colour, strokeWidth=1.4, strokeDash=list(dash), opacity=0.85)
        layers.append(line.encode(x=x, y=y))
        if shape is not None:
            look = {"shape": shape, "fill": fill, "stroke": colour}
            symbols += [row | look for row in rows]
    fixed = {"shape": alt.Shape, "fill": alt.Fill, "stroke": alt.Stroke}
    marks = alt.Chart(values(symbols)).mark_point(size=34, opacity=1, filled=True, strokeWidth=1.3)
    layers.append(marks.encode(x=x, y=y, **{name: kind(f"{name}:N", scale=None) for name, kind in fixed.items()}))
    layers += _names(curves, _Plane(span[0], span[1], *y_domain, width, height, log and len(ticks) > 1), room, x, y)
    properties = {"title": title} if title else {}
    return to_svg(layered(layers, width=width, height=height, **properties), prefix, room=6)


class _Plane(NamedTuple):
    """From pixels back to data, since everything in a plot shares its scales."""

    low: float
    high: float
    bottom: float
    top: float
    width: float
    height: float
    log: bool

    def data(self, x: float, y: float) -> tuple[float, float]:
        """The place of a pixel, inside or outside the plot."""
        part = x / self.width
        across = self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)
        return across, self.top - (self.top - self.bottom) * y / self.height

    def down(self, y: float) -> float:
        """Pixels below the upper edge."""
        return self.height * (self.top - y) / (self.top - self.bottom)


def _names(curves: Sequence[Curve], plane: _Plane, room: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """A label beside the end of each line, and a hair line to it where it had to move."""
    left = plane.width + 16
    ends = [Point(left, plane.down(curve.points[-1][1]), curve.label) for curve in curves if curve.points]
    ordered = sorted(ends, key=lambda end: end.y)
    placed = spread(ordered, plane.height, line=_LINE)
    # The first one cannot be seen: pictures of one figure are equally wide, whatever their labels.
    hairs = [_segment(plane, (plane.width, 0), (plane.width + room, 0), 0.0)]
    for start, end in zip(ordered, placed, strict=True):
        if abs(start.y - end.y) > 2:
            hairs.append(_segment(plane, (plane.width + 4, start.y), (left - 2, end.y), 0.8))
    texts = [{"text": end.text} | dict(zip("xy", plane.data(end.x, end.y), strict=True)) for end in placed]
    lines = alt.Chart(values(hairs)).mark_rule(color=MUTED, strokeWidth=0.7)
    words = alt.Chart(values(texts)).mark_text(align="left", baseline="middle", fontSize=10.5, color=INK)
    seen = alt.Opacity("seen:Q", scale=None)
    return [
        lines.encode(x=x, x2=alt.X2("x2:Q"), y=y, y2=alt.Y2("y2:Q"), opacity=seen),
        words.encode(x=x, y=y, text=alt.Text("text:N")),
    ]


def _segment(plane: _Plane, start: tuple[float, float], end: tuple[float, float], seen: float) -> dict[str, float]:
    (x, y), (x2, y2) = plane.data(*start), plane.data(*end)
    return {"x": x, "x2": x2, "y": y, "y2": y2, "seen": seen}


def room_for(curves: Sequence[Curve]) -> float:
    """Pixels that the longest label takes beside the plot."""
    return 16 + _CHARACTER * max((len(curve.label) for curve in curves), default=0)
