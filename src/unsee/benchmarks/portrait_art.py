"""How portraits are drawn: what every word of a face or a scene looks like.

The art is Avataaars by Pablo Stanley ("free for personal and commercial use").
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from unsee.benchmarks.portraits import Face, Pattern, Scene

# Word -> what draws it: a colour, or a name in an enum of python_avatars. Left out is whatever
# hides the hair colour or the beard, and whatever looks like a listed value at 64 pixels.
# Hair colours keep off the line of skin tones, so that hair never melts into a face.
_SKINS = {
    "pale": "#FFE3D0",
    "light": "#EFBB90",
    "olive": "#C6A664",
    "tan": "#DB8A4A",
    "brown": "#A15E38",
    "dark": "#6A4331",
}
_HAIRSTYLES = {
    "long wavy": "BIG_HAIR",
    "bob": "BOB",
    "bun": "BUN",
    "cropped": "CAESAR",
    "curly bob": "CURLY",
    "long dreadlocks": "DREADS",
    "tuft": "FRIZZLE",
    "headband afro": "FRO_BAND",
    "afro": "FRO",
    "mullet": "SHAGGY_MULLET",
    "frizzy": "SHORT_DREADS_2",
    "side swept": "STRAIGHT_1",
    "long straight": "STRAIGHT_STRAND",
    "braided ponytail": "BRAIDS",
    "pigtails": "DREADLOCKS",
    "spiky mane": "EINSTEIN_HAIR",
    "horned": "EVIL_SPIKE",
    "half shaved": "HALF_SHAVED",
    "windswept": "MOWGLI",
    "pixie": "PIXIE",
    "pompadour": "POMPADOUR",
    "quiff": "QUIFF",
    "thin braids": "TWIST_LONG_HAIR",
    "layered": "WILD",
}
_HAIR_COLORS = {
    "black": "#17141A",
    "red": "#B5201C",
    "blond": "#F3D248",
    "silver": "#C6CED8",
    "blue": "#2D5DDA",
    "pink": "#FF74BC",
}
_FACIAL_HAIR = {
    "none": "NONE",
    "moustache": "MOUSTACHE_MAGNUM",
    "goatee": "NONE",  # drawn by _goatee
    "short beard": "BEARD_LIGHT",
    "full beard": "BEARD_MAGESTIC",
}
_GLASSES = {
    "none": "NONE",
    "blue glasses": "PRESCRIPTION_2",
    "red glasses": "PRESCRIPTION_1",
    "white sunglasses": "KURT",
    "black sunglasses": "WAYFARERS",
}
_GLASSES_COLORS = {"blue glasses": ("#252C2F", "#2A74FF"), "red glasses": ("#D6EAF2", "#E3202B")}
_EARRINGS = {  # one shape, drawn at both ears and over the hair
    "none": "",
    "gold hoops": '<circle cy="9" r="10" fill="none" stroke="#3A2A00" stroke-width="8"/>'
    '<circle cy="9" r="10" fill="none" stroke="#FFC414" stroke-width="5"/>',
    "pearls": '<circle cy="6" r="10" fill="#FFFFFF" stroke="#333333" stroke-width="3"/>',
    "green drops": '<path d="M0,-6 L10,22 L-10,22 Z" fill="#0FB34B" stroke="#03371B" stroke-width="3"/>',
}


class _Expression(NamedTuple):
    mouth: str
    eyes: str
    eyebrows: str


_EXPRESSIONS = {
    "neutral": _Expression("SERIOUS", "DEFAULT", "DEFAULT"),
    "laughing": _Expression("BIG_SMILE", "HAPPY", "DEFAULT"),
    "sad": _Expression("SAD", "CRY", "SAD_CONCERNED"),
    "surprised": _Expression("SCREAM_OPEN", "SURPRISED", "RAISED_EXCITED"),
    "angry": _Expression("GRIMACE", "SQUINT", "ANGRY"),
    "playful": _Expression("TONGUE", "WINK", "UP_DOWN"),
}
_CLOTHES = {
    "t-shirt": "SHIRT_CREW_NECK",
    "v-neck": "SHIRT_V_NECK",
    "hoodie": "HOODIE",
    "overalls": "OVERALL",
    "sweater": "COLLAR_SWEATER",
    "blazer": "BLAZER_SHIRT",
    "tuxedo": "BOND_SUIT",
    "robe": "JEDI_ROBE",
}
_DARK_SLEEVES = ("blazer", "tuxedo", "robe")
_CLOTHES_COLORS = {
    "red": "#D8343A",
    "orange": "#F58A1F",
    "yellow": "#F6DE3E",
    "green": "#2F9E4A",
    "blue": "#3B7BE0",
    "purple": "#8043B8",
    "white": "#F7F7F7",
    "gray": "#7F858C",
}
_BACKGROUNDS = {
    "white": "#FFFFFF",
    "sky blue": "#9AD8FA",
    "mint": "#A2E6BE",
    "lime": "#BCDD55",
    "lavender": "#B9A6EC",
    "teal": "#2B9A94",
    "slate": "#5C6878",
    "plum": "#75406F",
}

IDENTITY: Mapping[str, tuple[str, ...]] = {
    "skin tone": tuple(_SKINS),
    "hairstyle": tuple(_HAIRSTYLES),
    "hair color": tuple(_HAIR_COLORS),
    "facial hair": tuple(_FACIAL_HAIR),
    "glasses": tuple(_GLASSES),
    "earrings": tuple(_EARRINGS),
}
"""What makes a person, in the order of the fields of `Face`."""

SCENE: Mapping[str, tuple[str, ...]] = {
    "expression": tuple(_EXPRESSIONS),
    "clothing": tuple(_CLOTHES),
    "clothing color": tuple(_CLOTHES_COLORS),
    "background": tuple(_BACKGROUNDS),
}
"""What changes between pictures, in the order of the first fields of `Scene`."""

_SIDE = 260  # of the square cut out of the 264 x 280 drawing
_CENTER = (132, 128)
_POSTER_INKS = ((28, 16, 66), (122, 38, 120), (232, 96, 96), (255, 190, 110), (255, 246, 208))


def portrait(face: Face, scene: Scene, *, size: int) -> Image.Image:
    """Draws one picture.

    Args:
        face: Who.
        scene: How; equal arguments give equal bytes.
        size: Side in pixels.

    Returns:
        An RGB image, size x size.
    """
    import resvg_py

    drawn = resvg_py.svg_to_bytes(svg_string=_svg(face, scene), width=size, height=size, skip_system_fonts=True)
    image = Image.open(io.BytesIO(bytes(drawn))).convert("RGB")
    if scene.style == "color" and scene.light == 1.0:
        return image
    pixels = np.asarray(image, dtype=np.float32)  # [size, size, 3]
    if scene.style == "sketch":
        pixels = _sketch(pixels)
    elif scene.style == "poster":
        pixels = _poster(pixels)
    if scene.light != 1.0:
        noise = np.random.default_rng(scene.noise_seed).normal(0, 10, pixels.shape).astype(np.float32)
        pixels = pixels * scene.light + noise
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def _lightness(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array((0.299, 0.587, 0.114), dtype=np.float32)  # [size, size]


def _sketch(pixels: np.ndarray) -> np.ndarray:
    """Pencil: pale grays under dark edges."""
    gray = _lightness(pixels)
    down, across = np.gradient(gray)
    sheet = 255 - 0.5 * (255 - gray) - 1.6 * np.hypot(down, across)
    return np.repeat(sheet[:, :, None], 3, axis=2)


def _poster(pixels: np.ndarray) -> np.ndarray:
    """Five inks by lightness, none of them the true colour."""
    inks = np.array(_POSTER_INKS, dtype=np.float32)
    level = (_lightness(pixels) * len(inks) / 256).astype(int)
    return inks[level]


def _svg(face: Face, scene: Scene) -> str:
    center_x, center_y = _CENTER
    left, top = center_x - _SIDE / 2, center_y - _SIDE / 2
    area = f'x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}"'
    color = _BACKGROUNDS[scene.background]
    sleeves = "#222222" if scene.clothing in _DARK_SLEEVES else _CLOTHES_COLORS[scene.clothing_color]
    across = -scene.scale if scene.flip else scene.scale
    x, y = center_x + scene.shift[0] * _SIDE, center_y + scene.shift[1] * _SIDE
    cover = ""
    if scene.occlusion is not None:
        x0, y0, width, height = (value * _SIDE for value in scene.occlusion)
        cover = f'<rect x="{left + x0}" y="{top + y0}" width="{width}" height="{height}" fill="#3C3C3C"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {_SIDE} {_SIDE}"><rect {area} fill="{color}"/>'
        f"{_pattern(scene.pattern, area)}"
        f'<g transform="translate({x},{y}) rotate({scene.rotation}) scale({across},{scene.scale}) '
        f'translate({-center_x},{-center_y})">'
        f"{_avatar(face, scene)}{_goatee(face)}{_earrings(face)}"
        # The drawing ends at y = 280, which a shrunken or turned picture would show.
        f'<rect x="32" y="278" width="200" height="200" fill="{sleeves}"/></g>{cover}</svg>'
    )


def _avatar(face: Face, scene: Scene) -> str:
    import python_avatars as pa

    expression = _EXPRESSIONS[scene.expression]
    drawing = pa.Avatar(  # every field that matters is set: some defaults are random
        style=pa.AvatarStyle.TRANSPARENT,
        top=pa.HairType[_HAIRSTYLES[face.hairstyle]],
        eyebrows=pa.EyebrowType[expression.eyebrows],
        eyes=pa.EyeType[expression.eyes],
        nose=pa.NoseType.DEFAULT,
        mouth=pa.MouthType[expression.mouth],
        facial_hair=pa.FacialHairType[_FACIAL_HAIR[face.facial_hair]],
        skin_color=_SKINS[face.skin],
        hair_color=_HAIR_COLORS[face.hair_color],
        facial_hair_color=_HAIR_COLORS[face.hair_color],
        accessory=pa.AccessoryType[_GLASSES[face.glasses]],
        clothing=pa.ClothingType[_CLOTHES[scene.clothing]],
        clothing_color=_CLOTHES_COLORS[scene.clothing_color],
        shirt_graphic=pa.ClothingGraphic.NONE,
    ).render()
    if face.glasses in _GLASSES_COLORS:
        drawing = drawing.replace(*_GLASSES_COLORS[face.glasses])
    root, body = drawing.rpartition("</svg>")[0].split(">", 1)
    namespaces = " ".join(re.findall(r'xmlns:\w+="[^"]*"', root))
    return f"<g {namespaces}>{body}</g>"


def _goatee(face: Face) -> str:
    if face.facial_hair != "goatee":
        return ""
    path = "M108,168 Q132,176 156,168 Q158,196 132,212 Q106,196 108,168 Z"
    return f'<path d="{path}" fill="{_HAIR_COLORS[face.hair_color]}"/>'


def _earrings(face: Face) -> str:
    shape = _EARRINGS[face.earrings]
    return "".join(f'<g transform="translate({x},136)">{shape}</g>' for x in (69, 195) if shape)


def _pattern(pattern: Pattern, area: str) -> str:
    if pattern == "plain":
        return ""
    lines = '<path d="M0,0 H18 V36 H0 Z" fill="#000000" fill-opacity="0.28"/>'
    checks = '<path d="M0,0 H18 V36 H36 V18 H0 Z" fill="#000000" fill-opacity="0.28"/>'
    return (
        '<defs><pattern id="wall" width="36" height="36" patternUnits="userSpaceOnUse">'
        f"{lines if pattern == 'stripes' else checks}</pattern></defs>"
        f'<rect {area} fill="url(#wall)"/>'
    )
