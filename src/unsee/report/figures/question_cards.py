"""A question on a card: picture, wording, truth, and what models said, as one SVG."""

from __future__ import annotations

import textwrap
from typing import NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup

from unsee.report.figures.svg import FAINT, FONT, INK, MUTED, PAPER

_WIDTH, _EDGE, _PICTURE, _LINE = 264, 14, 84, 17
_WIDE = 36
"""Characters per line."""
_LONGEST = 26
"""Characters of a word, before it is broken."""


class Said(NamedTuple):
    """What one model said."""

    model: str
    text: str
    right: bool

    @property
    def mark(self) -> str:
        return "right" if self.right else "wrong"


class Card(NamedTuple):
    """What stands on a card; `picture` is a `data:` address."""

    title: str
    hint: str
    kind: str
    question: str
    options: tuple[str, ...]
    truth: str
    picture: str | None
    said: tuple[Said, ...]


def draw_card(card: Card, *, prefix: str) -> Markup:
    """One card; its height follows from its text."""
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": "12.5"})
    left, y = _EDGE, _EDGE
    beside = left
    if card.picture is not None:
        clip = ElementTree.SubElement(ElementTree.SubElement(root, "defs"), "clipPath", {"id": f"{prefix}-clip"})
        box = {"x": str(left), "y": str(y), "width": str(_PICTURE), "height": str(_PICTURE)}
        ElementTree.SubElement(clip, "rect", box | {"rx": "8"})
        ElementTree.SubElement(root, "image", box | {"href": card.picture, "clip-path": f"url(#{prefix}-clip)"})
        beside = left + _PICTURE + 14
    head = y + 16
    _text(root, beside, head, card.title, size="15", weight="600")
    for line in _wrapped(card.hint, 20 if card.picture else _WIDE):
        head += 16
        _text(root, beside, head, line, colour=MUTED, size="11.5")
    _text(root, beside, head + 17, card.kind, colour=MUTED, size="11.5")
    y = max(head + 17, y + _PICTURE if card.picture is not None else 0) + 26
    for line in _wrapped(card.question, _WIDE - 2):
        _text(root, left, y, line, weight="600")
        y += _LINE
    for option in card.options:
        for line in _wrapped(option, _WIDE):
            _text(root, left, y, line)
            y += _LINE
    y += 5
    _text(root, left, y, "truth", colour=MUTED, size="11.5")
    for line in _wrapped(card.truth, _WIDE):
        y += _LINE
        _text(root, left, y, line)
    for said in card.said:
        y += 13
        rule = {"x1": str(left), "x2": str(_WIDTH - _EDGE), "y1": str(y), "y2": str(y), "stroke": FAINT}
        ElementTree.SubElement(root, "line", rule)
        y += 19
        _text(root, left, y, said.model, colour=MUTED, size="11.5")
        edge = _WIDTH - _EDGE
        _text(root, edge, y, said.mark, colour=INK, size="11.5", weight="600" if said.right else "400", anchor="end")
        # Drawn, since few fonts have these letters.
        sign = "m0,-4 l3,3 l5,-7" if said.right else "m1,-1 l6,-6 m0,6 l-6,-6"
        shape = {"d": f"M{edge - 50},{y}{sign}", "fill": "none", "stroke": INK, "stroke-width": "1.5"}
        ElementTree.SubElement(root, "path", shape)
        for line in _wrapped(said.text or "no answer", _WIDE):
            y += _LINE
            _text(root, left, y, line)
    height = y + _EDGE + 2
    frame = {
        "x": "0.5",
        "y": "0.5",
        "width": str(_WIDTH - 1),
        "height": str(height - 1),
        "rx": "10",
        "fill": PAPER,
        "stroke": FAINT,
    }
    root.insert(0, ElementTree.Element("rect", frame))
    root.attrib |= {"width": str(_WIDTH), "height": str(height), "viewBox": f"0 0 {_WIDTH} {height}"}
    # The tree escapes whatever a model or a user wrote.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _text(
    root: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    size: str = "",
    weight: str = "",
    anchor: str = "",
) -> None:
    given = {"font-size": size, "font-weight": weight, "text-anchor": anchor}
    place = {"x": f"{x:g}", "y": f"{y:g}", "fill": colour}
    ElementTree.SubElement(root, "text", place | {name: value for name, value in given.items() if value}).text = _printable(
        text
    )


def _printable(text: str) -> str:
    """Text without characters that XML cannot hold."""
    return "".join(letter for letter in text if letter >= " " and letter not in "\ufffe\uffff")


def _wrapped(text: str, width: int, *, most: int = 5) -> list[str]:
    # What no space ends is mostly wide letters, and would leave the card.
    words = [word[at : at + _LONGEST] for word in text.split() for at in range(0, len(word), _LONGEST)]
    return textwrap.wrap(" ".join(words), width, max_lines=most, placeholder=" \u2026")
