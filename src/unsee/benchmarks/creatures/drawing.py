"""Pictures of creatures: our own parametric SVG, rendered by resvg; equal arguments give equal bytes.

image = creature_image(look, scene, size=96)
"""

from __future__ import annotations

import io
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from unsee.benchmarks.creatures.backdrops import backdrop, thing_svg
from unsee.benchmarks.creatures.bodies import Body, body_plan
from unsee.benchmarks.creatures.looks import ACCENT_COLORS, BODY_COLORS, Look
from unsee.benchmarks.creatures.scenes import PLACES, Scene, Style
from unsee.benchmarks.creatures.shapes import Part, Point, Shape, drawn, line, oval, polygon, silhouette
from unsee.benchmarks.noise import salt_and_pepper
from unsee.benchmarks.pictures import PICTURE_SIZE, kept_picture
from unsee.sample import ImageRef

if TYPE_CHECKING:
    from PIL import Image

DRAWING_VERSION = 1
"""Raise when the drawing code changes what is drawn; part of cache keys and fingerprints."""

_INK = "#14141C"
_OUTLINES: dict[Style, float] = {"flat": 1.3, "ink": 2.6, "pastel": 0.9, "shaded": 0.9}
_MOUTH = "q3,3.4 6,0"


def creature_image(look: Look, scene: Scene, *, size: int) -> Image.Image:
    """Draw one picture, an RGB image of size x size."""
    import resvg_py
    from PIL import Image

    rendered = resvg_py.svg_to_bytes(svg_string=creature_svg(look, scene), width=size, height=size, skip_system_fonts=True)
    image = Image.open(io.BytesIO(bytes(rendered))).convert("RGB")
    return salt_and_pepper(image, share=scene.noise, seed=scene.noise_seed) if scene.noise else image


@lru_cache(maxsize=16_384)
def creature_picture(look: Look, scene: Scene) -> ImageRef:
    """The PNG of a picture, drawn unless it is in memory or in the cache folder."""
    drawing = [DRAWING_VERSION, PICTURE_SIZE, *_renderer_versions(), asdict(look), asdict(scene)]
    return kept_picture("creatures", drawing, lambda: creature_image(look, scene, size=PICTURE_SIZE))


@cache
def _renderer_versions() -> tuple[str, ...]:
    return tuple(version(package) for package in ("resvg-py", "pillow", "numpy"))


def creature_svg(look: Look, scene: Scene) -> str:
    """The picture as SVG, 100 x 100, without its noise."""
    things = "".join(thing_svg(thing.name, PLACES[thing.place]) for thing in scene.objects)
    x, y = 50 + scene.shift[0], 54 + scene.shift[1]
    turn, across, down = scene.turn, scene.size * 0.98, scene.size * 0.98
    if scene.pose == "leaping":
        y, turn = y - 5, turn - 24
    elif scene.pose == "crouching":
        y, across, down = y + 6, across * 1.08, down * 0.76
    if scene.flip:
        across, turn = -across, -turn
    shadow = f'<ellipse cx="{x:g}" cy="85" rx="25" ry="3.4" fill="#000" fill-opacity="0.22"/>'
    creature = (
        f'<g transform="translate({x:g},{y:g}) rotate({turn:g}) scale({across:g},{down:g})">{_creature(look, scene.style)}</g>'
    )
    filters = _filters(scene.style)
    open_group = '<g filter="url(#style)">' if filters else "<g>"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f"{filters}{open_group}{backdrop(scene.background)}{things}{shadow}{creature}</g></svg>"
    )


def _filters(style: Style) -> str:
    if style == "pastel":
        rows = "0.7 0.04 0.04 0 0.2 0.04 0.7 0.04 0 0.2 0.04 0.04 0.7 0 0.2 0 0 0 1 0"
        return (
            '<filter id="style" x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">'
            f'<feColorMatrix type="matrix" values="{rows}"/></filter>'
        )
    return ""


def _creature(look: Look, style: Style) -> str:
    body = body_plan(look.body)
    main, accent = BODY_COLORS[look.color], ACCENT_COLORS[look.accent]
    outline = _OUTLINES[style]

    def draw(color: str, *shapes: Shape) -> str:
        return drawn(Part(shapes, color), ink=_INK, outline=outline) if shapes else ""

    tail_line, tail_tip = _tail(look.tail, body.tail)
    shade = _shade() if style == "shaded" else ""
    return "".join(
        (
            f'<defs><mask id="hide" maskUnits="userSpaceOnUse" x="-60" y="-60" width="120" height="120">'
            f"{silhouette(body.main)}</mask></defs>",
            draw(main, *tail_line),
            draw(accent, *tail_tip),
            draw(accent, *_back(look.back, body)),
            draw(accent, *body.behind),
            draw(main, *body.main),
            f'<g mask="url(#hide)">{_pattern(look.pattern, accent, body.belly)}{shade}</g>',
            "".join(drawn(Part((shape,), _INK), ink=_INK, outline=0) for shape in body.lines),
            draw(accent, *body.front),
            draw(accent, *_headgear(look.headgear, *body.crown)),
            _eyes(look.eyes, *body.eyes),
            _mouth(body.mouth),
        )
    )


def _pattern(name: str, color: str, belly: float) -> str:
    if name == "spots":
        spots = [(x + (row % 2) * 6, y) for row, y in enumerate(range(-30, 34, 9)) for x in range(-42, 44, 12)]
        return "".join(f'<circle cx="{x}" cy="{y}" r="3.1" fill="{color}"/>' for x, y in spots)
    if name == "stripes":
        return "".join(f'<rect x="{x}" y="-40" width="4.6" height="80" fill="{color}"/>' for x in range(-42, 44, 11))
    if name == "bands":
        return "".join(f'<rect x="-50" y="{y}" width="100" height="4.6" fill="{color}"/>' for y in range(-37, 40, 11))
    if name == "zigzag":
        steps = [(x, y) for x, y in zip(range(-48, 54, 6), (0, 7) * 9)]
        return "".join(
            drawn(Part((line(3.6, *((x, y + shift) for x, y in steps)),), color), ink=color, outline=0)
            for shift in range(-36, 36, 14)
        )
    return f'<rect x="-50" y="{belly:g}" width="100" height="40" fill="{color}"/>'


def _shade() -> str:
    return (
        '<defs><linearGradient id="light" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#fff" stop-opacity="0.45"/>'
        '<stop offset="0.5" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#000" stop-opacity="0.5"/>'
        '</linearGradient></defs><rect x="-45" y="-30" width="90" height="62" fill="url(#light)"/>'
    )


def _headgear(name: str, at: Point, scale: float) -> tuple[Shape, ...]:
    x, y = at

    def p(dx: float, dy: float) -> Point:
        return (round(x + scale * dx, 2), round(y + scale * dy, 2))

    if name == "one horn":
        return (polygon(p(-5, 4), p(3, -20), p(6, 4)),)
    if name == "bull horns":
        return tuple(
            polygon(p(side * 3, 4), p(side * 12, 2), p(side * 19, -12), p(side * 10, -5), p(side * 4, -4)) for side in (-1, 1)
        )
    if name == "antlers":
        width = 3.4 * scale
        return tuple(
            shape
            for side in (-1, 1)
            for shape in (
                line(width, p(side * 4, 2), p(side * 9, -9), p(side * 7, -18)),
                line(width, p(side * 9, -9), p(side * 17, -14)),
                line(width, p(side * 6, -4), p(side * 15, -5)),
            )
        )
    if name == "antennae":
        return tuple(
            shape
            for side in (-1, 1)
            for shape in (line(2.6 * scale, p(side * 3, 3), p(side * 9, -13)), oval(*p(side * 10, -15), 4 * scale))
        )
    if name == "long ears":
        return tuple(
            Shape(
                "M{:g},{:g} C{:g},{:g} {:g},{:g} {:g},{:g} C{:g},{:g} {:g},{:g} {:g},{:g} Z".format(
                    *p(side * 1, 4),
                    *p(side * 0, -14),
                    *p(side * 6, -26),
                    *p(side * 11, -22),
                    *p(side * 15, -18),
                    *p(side * 13, -4),
                    *p(side * 9, 4),
                )
            )
            for side in (-1, 1)
        )
    if name == "comb":
        return (polygon(p(-12, 4), p(-13, -9), p(-6, -4), p(-3, -15), p(2, -5), p(8, -14), p(9, -3), p(14, -8), p(12, 4)),)
    return ()


def _tail(name: str, at: Point) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    """(what is drawn in the body's color, what is drawn in the accent)."""
    x, y = at
    stalk = line(5, (x + 4, y), (x - 6, y - 5))
    if name == "curl":
        return (Shape(f"M{x + 4:g},{y:g} c-10,4 -19,-2 -16,-11 c3,-8 14,-5 11,2 c-1,3 -5,3 -6,1", 4.4),), ()
    if name == "arrow":
        return (stalk,), (polygon((x - 5, y - 14), (x - 15, y - 9), (x - 5, y + 1)),)
    if name == "ball":
        return (stalk,), (oval(x - 8, y - 8, 6.4),)
    if name == "fan":
        return (), (polygon((x + 4, y + 2), (x - 5, y - 17), (x - 12, y - 12), (x - 15, y - 3), (x - 12, y + 6)),)
    if name == "fork":
        return (stalk,), (polygon((x - 2, y - 6), (x - 6, y - 19), (x - 10, y - 9), (x - 19, y - 9), (x - 7, y - 1)),)
    return (), ()


def _back(name: str, body: Body) -> tuple[Shape, ...]:
    (x0, y0), (x1, y1), (x2, y2) = body.back
    if name == "spikes":
        return tuple(polygon((x - 5, y + 4), (x - 3, y - 9), (x + 5, y + 3)) for x, y in body.back)
    if name == "wings":
        return (
            Shape(
                f"M{x1 + 7:g},{y1 + 5:g} C{x1 + 3:g},{y1 - 16:g} {x1 - 16:g},{y1 - 22:g} {x1 - 21:g},{y1 - 17:g} "
                f"l4,5 l-6,1 l4,5 l-6,2 C{x1 - 18:g},{y1 + 3:g} {x1 - 8:g},{y1 + 6:g} {x1 + 7:g},{y1 + 5:g} Z"
            ),
        )
    if name == "sail":
        return (Shape(f"M{x0 - 6:g},{y0 + 5:g} C{x0 - 6:g},{y0 - 14:g} {x2 + 2:g},{y2 - 16:g} {x2 + 6:g},{y2 + 5:g} Z"),)
    return ()


def _eyes(name: str, at: Point, scale: float) -> str:
    x, y = at
    places: tuple[tuple[float, float, float], ...] = {
        "one eye": ((0.0, 0.0, 6.4),),
        "two eyes": ((-4.6, 0.0, 4.2), (4.6, 0.0, 4.2)),
        "three eyes": ((-5.0, 2.2, 3.5), (5.0, 2.2, 3.5), (0.0, -5.0, 3.5)),
        "masked eyes": ((-4.6, 0.0, 3.0), (4.6, 0.0, 3.0)),
    }[name]
    svg = ""
    if name == "masked eyes":
        svg = f'<ellipse cx="{x:g}" cy="{y:g}" rx="{11.5 * scale:g}" ry="{5.6 * scale:g}" fill="{_INK}"/>'
    for dx, dy, radius in places:
        cx, cy, r = x + dx * scale, y + dy * scale, radius * scale
        pupil = r * (0.5 if name != "masked eyes" else 0.42)
        svg += (
            f'<circle cx="{cx:g}" cy="{cy:g}" r="{r:g}" fill="#fff" stroke="{_INK}" stroke-width="1.1"/>'
            f'<circle cx="{cx + 0.2 * r:g}" cy="{cy + 0.1 * r:g}" r="{pupil:g}" fill="{_INK}"/>'
        )
    return svg


def _mouth(at: Point) -> str:
    return (
        f'<path d="M{at[0] - 3:g},{at[1]:g} {_MOUTH}" fill="none" stroke="{_INK}" stroke-width="1.5" stroke-linecap="round"/>'
    )
