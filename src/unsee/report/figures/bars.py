"""Bars or dots per model in panels, one below the other: the paper's comparison of tasks and modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, INK, MUTED, PAPER, layered, to_svg, unchecked, values

_WIDTH, _BAR, _DOT, _LONG = 170, 10, 7, 26
_DASHES = {0: [1, 0], 1: [1, 0], 2: [3, 2]}


class Bar(NamedTuple):
    """One value: `series` counts from 0, solid, hollow, dashed."""

    model: str
    series: int
    value: float
    low: float | None
    high: float | None


class Panel(NamedTuple):
    """Bars of one task; `domain` is shared by panels that are compared."""

    title: str
    bars: list[Bar]
    domain: tuple[float, float]


@unchecked
def bar_panels(
    panels: Sequence[Panel], *, models: Sequence[str], prefix: str, title: str, mark: Literal["bar", "dot"] = "bar"
) -> Markup:
    """Panels stacked on a common list of models.

    Args:
        panels: in order from above.
        models: names in order from above; models without a bar keep their place.
        prefix: makes the SVG's ids unique within the page.
        title: above the first panel.
        mark: bars start at zero, dots stand alone.
    """
    series = sorted({bar.series for panel in panels for bar in panel.bars})
    charts = [_panel(panel, models, series, mark) for panel in panels]
    heading = {"text": title, "fontSize": 12.5, "fontWeight": 600, "frame": "bounds", "offset": 8}
    return to_svg({"vconcat": charts, "spacing": 18, "title": heading}, prefix, room=14)


def _panel(panel: Panel, models: Sequence[str], series: Sequence[int], mark: str) -> dict[str, Any]:
    low, high = panel.domain
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=3))
    axis = alt.Axis(title=None, ticks=False, domain=False, labelColor=INK, labelLimit=150, labelPadding=6)
    y = alt.Y("model:N", sort=None, scale=alt.Scale(domain=list(models), paddingInner=0.28, paddingOuter=0.14), axis=axis)
    offset = alt.YOffset("series:N", sort=None, scale=alt.Scale(domain=[str(n) for n in series]))
    height = len(models) * ((_BAR if mark == "bar" else _DOT) * max(len(series), 1) + 7)
    zero = (
        alt.Chart(values([{"at": 0.0}])).mark_rule(color=MUTED, strokeWidth=1).encode(x=alt.X("at:Q", title=None, scale=scale))
    )
    layers: list[alt.Chart] = [zero] if low <= 0 <= high else []
    for number in series:
        rows = [
            {"model": bar.model, "series": str(number), "value": bar.value, "zero": 0.0}
            for bar in panel.bars
            if bar.series == number
        ]
        look: dict[str, Any] = {
            "fill": ACCENT if number == 0 else PAPER,
            "fillOpacity": 0.55 if number == 0 and mark == "bar" else 1,
            "stroke": ACCENT,
            "strokeWidth": 1.3,
            "strokeDash": _DASHES.get(number, [1, 2]),
        }
        chart = alt.Chart(values(rows))
        if mark == "bar":
            layers.append(chart.mark_bar(**look).encode(x=x, x2=alt.X2("zero:Q"), y=y, yOffset=offset))
        else:
            shape = ("circle", "square", "triangle-up")[number % 3]
            layers.append(chart.mark_point(size=46, shape=shape, opacity=1, **look).encode(x=x, y=y, yOffset=offset))
    whiskers = [
        {"model": bar.model, "series": str(bar.series), "value": bar.low, "end": bar.high}
        for bar in panel.bars
        if bar.low is not None and bar.high is not None
    ]
    rule = alt.Chart(values(whiskers)).mark_rule(color=INK, opacity=0.75, strokeWidth=1.2)
    # Dots stand on their interval, bars below it.
    layers.insert(len(layers) if mark == "bar" else 1, rule.encode(x=x, x2=alt.X2("end:Q"), y=y, yOffset=offset))
    return layered(layers, width=_WIDTH, height=max(height, _LONG), title=panel.title)
