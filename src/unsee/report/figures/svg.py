"""From a chart to inline SVG. Colours are fixed words of a palette that the page's style sheet maps to light or dark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar
from xml.etree import ElementTree

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

P = ParamSpec("P")
R = TypeVar("R")

INK, MUTED, FAINT, ACCENT, PAPER = "#1d2125", "#646b73", "#d9dce0", "#0b6e6e", "#fffffe"
"""Words of the palette; `style.css` replaces exactly these values in dark mode."""

DASHES = ((1, 0), (5, 3), (1.5, 2.5), (8, 3, 2, 3))
"""Lines that stand for different things, in this order."""

FONT = "system-ui, sans-serif"
_SVG = "http://www.w3.org/2000/svg"
_AXIS = {
    "domainColor": MUTED,
    "tickColor": FAINT,
    "gridColor": FAINT,
    "gridOpacity": 0.6,
    "labelColor": MUTED,
    "titleColor": INK,
}
_AXIS_TEXT = {"labelFontSize": 11, "titleFontSize": 11.5, "titleFontWeight": "normal", "titlePadding": 8}
_TITLE = {"color": INK, "fontSize": 12, "fontWeight": "normal", "anchor": "start", "frame": "group", "offset": 6}
# As a plain dictionary: altair copies the whole chart for each part that is configured.
_CONFIG = {"font": FONT, "view": {"stroke": None}, "axis": _AXIS | _AXIS_TEXT, "title": _TITLE}
_NOISE = ("role", "aria-roledescription", "aria-label", "aria-hidden", "class", "pointer-events", "font-family", "version")
_DEFAULTS = {
    "opacity": "1",
    "stroke-width": "1",
    "text-anchor": "start",
    "font-weight": "normal",
    "transform": "translate(0,0)",
}
_NUMBERS = ("transform", "d", "x", "y", "x1", "x2", "y1", "y2", "width", "height")


@dataclass(frozen=True)
class Figure:
    """A figure in words and as pictures; without pictures the words say why.

    Attributes:
        name: of its files, without a suffix.
        title: short heading.
        description: what it shows, in words.
        pictures: SVG elements, laid out in a grid.
        columns: of the grid where there is room.
        wide: whether it scrolls sideways where there is little room, since its letters must not shrink.
    """

    name: str
    title: str
    description: str
    pictures: tuple[Markup, ...] = ()
    columns: int = 1
    wide: bool = False


def values(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Rows as data of a chart."""
    return alt.Data(values=[dict(row) for row in rows])


def unchecked(draw: Callable[P, R]) -> Callable[P, R]:
    """A drawing function without altair's check of every part, which takes longer than drawing."""

    @wraps(draw)
    def quick(*arguments: P.args, **named: P.kwargs) -> R:
        with debug_mode(False):
            return draw(*arguments, **named)

    return quick


def layered(charts: Sequence[alt.Chart], **properties: Any) -> dict[str, Any]:
    """Charts on each other, as a Vega-Lite specification. `alt.layer` would copy every chart several times."""
    layers = [chart.to_dict(validate=False) for chart in charts]
    for layer in layers:
        layer.pop("config", None)
        layer.pop("$schema", None)
    return {"layer": layers} | properties


def to_svg(spec: Mapping[str, Any], prefix: str, *, room: float = 4) -> Markup:
    """Render a specification; `prefix` makes the ids of the SVG unique within the page.

    `room` is left above and at the left, since readers' fonts may be wider than the renderer's.
    """
    padding = {"left": room, "top": room, "right": 16, "bottom": 2}
    whole = dict(spec) | {"config": _CONFIG, "background": "transparent", "padding": padding}
    return shrink(_drawn(json.dumps(whole)), prefix)


@lru_cache(maxsize=256)
def _drawn(spec: str) -> str:
    """A figure that several choices share is drawn once."""
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def shrink(svg: str, prefix: str) -> Markup:
    """The same picture without roles, classes and digits that nobody sees: a third of the size."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            shape = child.get("d")
            if child.get("display") == "none" or (shape is not None and child.get("class") == "background"):
                parent.remove(child)
    for element in root.iter():
        for name in _NOISE:
            element.attrib.pop(name, None)
        for name, value in list(element.attrib.items()):
            if _DEFAULTS.get(name) == value:
                del element.attrib[name]
            elif name in _NUMBERS:
                element.set(name, re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value))
            elif name == "id":
                element.set(name, f"{prefix}-{value}")
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{prefix}-"))
        if element.tag == f"{{{_SVG}}}text" and "stroke" in element.attrib:
            # The halo of a label belongs behind its letters.
            element.set("paint-order", "stroke")
    root.set("font-family", FONT)
    # Names of methods, people and loss terms are text of the tree, so writing it escapes them.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def grid(pictures: Sequence[str], columns: int, *, gap: float = 24) -> str:
    """Several SVG elements as one, row by row, on paper of the light palette."""
    ElementTree.register_namespace("", _SVG)
    parts = [ElementTree.fromstring(picture) for picture in pictures]
    sizes = [(float(part.get("width", 0)), float(part.get("height", 0))) for part in parts]
    lines = [range(start, min(start + columns, len(parts))) for start in range(0, len(parts), columns)]
    wide = [max(sizes[n][0] for n in range(column, len(parts), columns)) for column in range(min(columns, len(parts)))]
    width = sum(wide) + gap * (len(wide) + 1)
    top = gap
    for line in lines:
        left = gap
        for n in line:
            parts[n].set("x", f"{left:g}")
            parts[n].set("y", f"{top:g}")
            left += wide[n % columns] + gap
        top += max(sizes[n][1] for n in line) + gap
    size = {"width": f"{width:g}", "height": f"{top:g}", "viewBox": f"0 0 {width:g} {top:g}", "font-family": FONT}
    root = ElementTree.Element(f"{{{_SVG}}}svg", size)
    ElementTree.SubElement(root, f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": PAPER})
    root.extend(parts)
    return ElementTree.tostring(root, encoding="unicode")
