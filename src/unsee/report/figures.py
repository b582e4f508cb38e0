"""Figures as inline SVG. Colours are fixed words of a palette that the page's style sheet maps to light or dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import altair as alt
import vl_convert
from markupsafe import Markup

from unsee.report.labels import CHARACTER, Box, Label, Point, merge_close, place_labels

INK, MUTED, FAINT, ACCENT, PAPER = "#1d2125", "#646b73", "#d9dce0", "#0b6e6e", "#fffffe"
"""Words of the palette; `style.css` replaces exactly these values in dark mode."""

SHAPES = {
    "vanilla": ("circle",),
    "gold": ("diamond",),
    "second_gold": ("diamond",),
    "control": ("square", "triangle-up"),
    "method": ("circle", "square", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left"),
}
_FONT = "system-ui, sans-serif"
_WIDTH, _HEIGHT = 300, 250
_DOMAIN = (-3.0, 103.0)
_MAX_STEPS = 240


class Dot(NamedTuple):
    """One method in the trade-off plot, in percent; intervals are None where there are none."""

    label: str
    kind: str
    x: float
    x_low: float | None
    x_high: float | None
    y: float
    y_low: float | None
    y_high: float | None


def trade_off(dots: Sequence[Dot], *, x_title: str, y_title: str, prefix: str) -> Markup:
    """Forgetting against one utility: a point with two intervals and a label per method.

    Args:
        dots: `kind` is `method`, `control`, `vanilla`, `gold` or `second_gold`. Vanilla and gold get lines across the plot; a
            band between the two golds shows the noise floor.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
        prefix: makes the SVG's ids unique within the page.
    """
    low, high = _DOMAIN
    scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(values=[0, 25, 50, 75, 100])
    x, y = alt.X("x:Q", scale=scale, title=x_title, axis=axis), alt.Y("y:Q", scale=scale, title=y_title, axis=axis)

    layers: list[alt.Chart] = []
    golds = [dot.x for dot in dots if dot.kind in ("gold", "second_gold")]
    if len(golds) > 1:
        band = [{"x": min(golds), "x2": max(golds)}]
        layers.append(alt.Chart(_values(band)).mark_rect(color=ACCENT, opacity=0.16).encode(x=x, x2="x2:Q"))
    for kind, dash in (("vanilla", [1, 3]), ("gold", [5, 3])):
        lines = alt.Chart(_values([{"x": dot.x, "y": dot.y} for dot in dots if dot.kind == kind]))
        lines = lines.mark_rule(color=MUTED, strokeDash=dash, opacity=0.8)
        layers += [lines.encode(x=x), lines.encode(y=y)]
    bars = [{"x": d.x_low, "x2": d.x_high, "y": d.y, "y2": d.y} for d in dots if None not in (d.x_low, d.x_high)]
    bars += [{"x": d.x, "x2": d.x, "y": d.y_low, "y2": d.y_high} for d in dots if None not in (d.y_low, d.y_high)]
    layers.append(_segments(bars, x, y, color=INK, opacity=0.35, strokeWidth=1.5))

    placed = place_labels(
        merge_close([Point(*_pixel(dot.x, dot.y), dot.label) for dot in dots]),
        width=_WIDTH,
        height=_HEIGHT,
        obstacles=[box for dot in dots for box in _interval_boxes(dot)],
    )
    far = [label for label in placed if abs(label.x - label.x0) > 14 or abs(label.y - label.y0) > 14]
    layers.append(_segments([_leader(label) for label in far], x, y, color=MUTED, opacity=0.6, strokeWidth=0.8))
    texts = [{"text": label.text} | dict(zip("xy", _data(label.x, label.y), strict=True)) for label in placed]
    words = alt.Chart(_values(texts)).mark_text(
        align="left", baseline="middle", fontSize=11.5, color=INK, stroke=PAPER, strokeWidth=3
    )
    layers.append(words.encode(x=x, y=y, text="text:N"))

    shapes = {kind: cycle(names) for kind, names in SHAPES.items()}
    symbols = []
    for dot in dots:
        colour = ACCENT if dot.kind == "method" else INK
        fill = colour if dot.kind in ("method", "gold") else PAPER
        symbols.append({"x": dot.x, "y": dot.y, "shape": next(shapes[dot.kind]), "fill": fill, "stroke": colour})
    marks = alt.Chart(_values(symbols)).mark_point(size=75, opacity=1, filled=True, strokeWidth=1.6)
    fixed = {"shape": alt.Shape, "fill": alt.Fill, "stroke": alt.Stroke}
    layers.append(marks.encode(x=x, y=y, **{name: kind(f"{name}:N", scale=None) for name, kind in fixed.items()}))
    return _svg(alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT), prefix)


def _segments(rows: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, **style: Any) -> alt.Chart:
    return alt.Chart(_values(rows)).mark_rule(**style).encode(x=x, x2="x2:Q", y=y, y2="y2:Q")


def _pixel(x: float, y: float) -> tuple[float, float]:
    low, high = _DOMAIN
    return (x - low) / (high - low) * _WIDTH, (high - y) / (high - low) * _HEIGHT


def _data(x: float, y: float) -> tuple[float, float]:
    low, high = _DOMAIN
    return low + x / _WIDTH * (high - low), high - y / _HEIGHT * (high - low)


def _interval_boxes(dot: Dot) -> list[Box]:
    """The boxes of a point's two interval lines, in pixels."""
    boxes = []
    if dot.x_low is not None and dot.x_high is not None:
        boxes.append((_pixel(dot.x_low, dot.y), _pixel(dot.x_high, dot.y)))
    if dot.y_low is not None and dot.y_high is not None:
        boxes.append((_pixel(dot.x, dot.y_high), _pixel(dot.x, dot.y_low)))
    return [Box(start[0] - 1, start[1] - 1, end[0] + 1, end[1] + 1) for start, end in boxes]


def _leader(label: Label) -> dict[str, float]:
    """A line from a label that stands apart to its point."""
    end = min(max(label.x0, label.x), label.x + len(label.text) * CHARACTER)
    (x, y), (x2, y2) = _data(end, label.y), _data(label.x0, label.y0)
    return {"x": x, "y": y, "x2": x2, "y2": y2}


def training_curves(log: Sequence[Mapping[str, Any]], *, prefix: str) -> Markup | None:
    """Probes (share known) above, loss terms below, over steps; None where the log is empty."""
    steps = _thin([step for step in log if isinstance(step.get("step"), int)])
    probes: list[dict[str, Any]] = []
    terms: list[dict[str, Any]] = []
    for step in steps:
        for key, name in (("probe_forget", "forget"), ("probe_retain", "retain")):
            if _finite(step.get(key)):
                probes.append({"step": step["step"], "value": step[key], "name": name})
        named = step.get("terms")
        for name, value in (named if isinstance(named, Mapping) else {}).items():
            if _finite(value):
                terms.append({"step": step["step"], "value": value, "name": str(name)})
    panels = [_lines(rows, title) for rows, title in ((probes, "probe"), (terms, "loss term")) if rows]
    if not panels:
        return None
    return _svg(alt.vconcat(*panels, spacing=14).resolve_scale(x="shared"), prefix)


def _lines(rows: list[dict[str, Any]], title: str) -> Any:
    names = list(dict.fromkeys(row["name"] for row in rows))
    last = max(row["step"] for row in rows)
    width, height = 235, 105
    low, high = min(row["value"] for row in rows), max(row["value"] for row in rows)
    if title == "probe":
        low, high = min(low, 0.0), max(high, 1.0)
    elif low == high:
        low, high = low - 1, high + 1
    x = alt.X(
        "step:Q", title=None, scale=alt.Scale(domain=[0, max(last, 1)], nice=False), axis=alt.Axis(tickCount=4, grid=False)
    )
    y = alt.Y("value:Q", title=title, scale=alt.Scale(domain=[low, high], nice=False), axis=alt.Axis(tickCount=3))
    layers: list[alt.Chart] = []
    ends: list[Point] = []
    dashes = ([1, 0], [5, 3], [1.5, 2.5], [8, 3, 2, 3])
    for number, name in enumerate(names):
        mine = [row for row in rows if row["name"] == name]
        colour = ACCENT if number == 0 else INK
        line = alt.Chart(_values(mine)).mark_line(color=colour, strokeWidth=1.8, strokeDash=list(dashes[number % 4]))
        point = alt.Chart(_values(mine)).mark_point(color=colour, size=14, filled=True, opacity=1)
        layers.append((line if len(mine) > 1 else point).encode(x=x, y=y))
        ends.append(Point(width + 6, (high - mine[-1]["value"]) / (high - low) * height, name))
    for end in _spread(ends, height):
        text = alt.Chart(_values([{"text": end.text}])).mark_text(align="left", baseline="middle", fontSize=11, color=INK)
        layers.append(text.encode(x=alt.value(end.x), y=alt.value(end.y), text="text:N"))
    return alt.layer(*layers).properties(width=width, height=height)


def _spread(ends: list[Point], height: float, *, line: float = 13.0) -> list[Point]:
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


def _thin(steps: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(steps) <= _MAX_STEPS:
        return steps
    every = len(steps) / _MAX_STEPS
    return [steps[int(number * every)] for number in range(_MAX_STEPS)] + [steps[-1]]


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _values(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=[dict(row) for row in rows])


def _svg(chart: Any, prefix: str) -> Markup:
    styled = (
        chart.configure(font=_FONT, background="transparent", padding={"left": 2, "top": 4, "right": 16, "bottom": 2})
        .configure_view(stroke=None)
        .configure_axis(
            domainColor=MUTED,
            tickColor=FAINT,
            gridColor=FAINT,
            gridOpacity=0.6,
            labelColor=MUTED,
            titleColor=INK,
            labelFontSize=11,
            titleFontSize=11.5,
            titleFontWeight="normal",
            titlePadding=8,
        )
    )
    svg = vl_convert.vegalite_to_svg(styled.to_dict(validate=False), allowed_base_urls=[])
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    # Vega writes only escaped text into the picture; names of methods pass through it, nothing else of a user's does.
    return Markup(svg)
