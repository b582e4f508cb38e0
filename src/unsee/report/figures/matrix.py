"""Which facts of which person are still told: a matrix that reads without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, INK, PAPER, layered, to_svg, unchecked, values

_STEP = 24


@unchecked
def fact_matrix(
    shares: Mapping[tuple[str, str], tuple[int, int]], *, people: Sequence[str], facts: Sequence[str], title: str, prefix: str
) -> Markup:
    """A ring per person and fact, filled by the share of questions that were answered right.

    Args:
        shares: (person, fact) -> (right, asked); pairs that were not asked stay blank.
        people: rows, from above.
        facts: columns, from the left.
        title: above the matrix.
        prefix: makes the SVG's ids unique within the page.
    """
    rows: list[dict[str, Any]] = [
        {"person": person, "fact": fact, "share": right / asked}
        for (person, fact), (right, asked) in shares.items()
        if asked and person in people and fact in facts
    ]
    scale = alt.Scale(domain=list(people), paddingOuter=0)
    label = alt.Axis(title=None, domain=False, ticks=False, labelColor=INK, labelLimit=150)
    y = alt.Y("person:N", sort=None, scale=scale, axis=label)
    top = alt.Axis(
        title=None, domain=False, ticks=False, labelColor=INK, labelLimit=120, orient="top", labelAngle=-50, labelAlign="left"
    )
    x = alt.X("fact:N", sort=None, scale=alt.Scale(domain=list(facts), paddingOuter=0), axis=top)
    base = alt.Chart(values(rows))
    cells = base.mark_rect(stroke=PAPER, strokeWidth=2, fill=ACCENT).encode(
        x=x, y=y, opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.05, 0.3]), legend=None)
    )
    rings = base.mark_point(shape="circle", size=110, stroke=INK, fill=PAPER, strokeWidth=1.1, opacity=1).encode(x=x, y=y)
    discs = (
        alt.Chart(values([row for row in rows if row["share"] > 0]))
        .mark_point(shape="circle", fill=INK, stroke=INK, strokeWidth=0, opacity=1)
        .encode(x=x, y=y, size=alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 110]), legend=None))
    )
    heading = {"text": title, "fontSize": 12.5, "fontWeight": 600, "frame": "bounds", "offset": 10}
    chart = layered([cells, rings, discs], width=_STEP * len(facts), height=_STEP * len(people), title=heading)
    return to_svg(chart, prefix, room=18)
