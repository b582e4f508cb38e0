"""Training curves: probes above, loss terms below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, DASHES, INK, layered, to_svg, unchecked, values
from unsee.report.labels import Point, spread

_MAX_STEPS = 240


@unchecked
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
    return to_svg({"vconcat": panels, "spacing": 14, "resolve": {"scale": {"x": "shared"}}}, prefix)


def _lines(rows: list[dict[str, Any]], title: str) -> dict[str, Any]:
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
    for number, name in enumerate(names):
        mine = [row for row in rows if row["name"] == name]
        colour = ACCENT if number == 0 else INK
        line = alt.Chart(values(mine)).mark_line(color=colour, strokeWidth=1.8, strokeDash=list(DASHES[number % len(DASHES)]))
        point = alt.Chart(values(mine)).mark_point(color=colour, size=14, filled=True, opacity=1)
        layers.append((line if len(mine) > 1 else point).encode(x=x, y=y))
        ends.append(Point(width + 6, (high - mine[-1]["value"]) / (high - low) * height, name))
    for end in spread(ends, height):
        text = alt.Chart(values([{"text": end.text}])).mark_text(align="left", baseline="middle", fontSize=11, color=INK)
        layers.append(text.encode(x=alt.value(end.x), y=alt.value(end.y), text=alt.Text("text:N")))
    return layered(layers, width=width, height=height)


def _thin(steps: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(steps) <= _MAX_STEPS:
        return steps
    every = len(steps) / _MAX_STEPS
    return [steps[int(number * every)] for number in range(_MAX_STEPS)] + [steps[-1]]


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
