"""A heat map that reads without colour: every cell holds its number and interval."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup

from unsee.report.figures.svg import ACCENT, FONT, INK, MUTED
from unsee.report.labels import CHARACTER

_WIDE, _HIGH, _GAP = 70, 36, 14
"""A cell, and the room between groups, in pixels."""
_HEAD, _EDGE = 66, 8
_PALE, _DARK = 0.03, 0.46
"""Opacity at 0 and 1; darker would hide the numbers."""


class Shade(NamedTuple):
    """One cell: what it says, and how dark it is, from 0 to 1."""

    text: str
    interval: str
    part: float


class HeatRow(NamedTuple):
    """A row; a gap sets neighbours of different groups apart."""

    title: str
    group: str
    cells: Sequence[Shade | None]


class HeatColumn(NamedTuple):
    """A column; neighbours of one group stand under its title."""

    title: str
    hint: str
    group: str


def heat_map(rows: Sequence[HeatRow], columns: Sequence[HeatColumn]) -> Markup:
    """Rows by columns; a cell that is None says that it was not measured.

    Args:
        rows: from above.
        columns: from the left.
    """
    side = 2 * _EDGE + CHARACTER * 1.12 * max((len(row.title) for row in rows), default=0)
    tops, height = _starts([row.group for row in rows], _HEAD, _HIGH)
    lefts, width = _starts([column.group for column in columns], side, _WIDE)
    size = {
        "width": f"{width + _EDGE:g}",
        "height": f"{height + _EDGE:g}",
        "viewBox": f"0 0 {width + _EDGE:g} {height + _EDGE:g}",
    }
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT} | size)
    for title, members in groupby(zip(columns, lefts, strict=True), key=lambda pair: pair[0].group):
        own = [left for _, left in members]
        _text(root, own[0] + 2, 14, title, size="11.5", weight="600", anchor="start")
        line = {"x1": f"{own[0] + 1:g}", "x2": f"{own[-1] + _WIDE - 1:g}", "y1": "22", "y2": "22", "stroke": MUTED}
        ElementTree.SubElement(root, "line", line | {"stroke-width": "0.8"})
    for column, left in zip(columns, lefts, strict=True):
        _text(root, left + _WIDE / 2, 41, column.title, size="11")
        _text(root, left + _WIDE / 2, 56, column.hint, size="10", colour=MUTED)
    for row, top in zip(rows, tops, strict=True):
        _text(root, side - _EDGE, top + _HIGH / 2 + 4, row.title, size="12", anchor="end")
        for cell, left in zip(row.cells, lefts, strict=True):
            _cell(root, cell, left, top)
    # The tree escapes whatever names models and runs have.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _cell(root: ElementTree.Element, cell: Shade | None, left: float, top: float) -> None:
    middle = left + _WIDE / 2
    if cell is None:
        _text(root, middle, top + _HIGH / 2 + 4, "\u2013", size="12", colour=MUTED)
        return
    dark = _PALE + (_DARK - _PALE) * min(1.0, max(0.0, cell.part))
    box = {"x": f"{left + 1:g}", "y": f"{top + 1:g}", "width": f"{_WIDE - 2}", "height": f"{_HIGH - 2}", "rx": "3"}
    ElementTree.SubElement(root, "rect", box | {"fill": ACCENT, "fill-opacity": f"{dark:.2f}"})
    _text(root, middle, top + (17 if cell.interval else _HIGH / 2 + 4), cell.text, size="13", weight="600")
    _text(root, middle, top + 30, cell.interval, size="9.5")


def _text(
    root: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    size: str,
    colour: str = INK,
    weight: str = "400",
    anchor: str = "middle",
) -> None:
    if text:
        look = {"font-size": size, "font-weight": weight, "text-anchor": anchor, "fill": colour}
        ElementTree.SubElement(root, "text", {"x": f"{x:g}", "y": f"{y:g}"} | look).text = text


def _starts(groups: Sequence[str], first: float, size: float) -> tuple[list[float], float]:
    """Where each begins, with a gap before each new group, and where the last ends."""
    starts: list[float] = []
    at = first
    for number, group in enumerate(groups):
        at += _GAP if number and group != groups[number - 1] else 0.0
        starts.append(at)
        at += size
    return starts, at
