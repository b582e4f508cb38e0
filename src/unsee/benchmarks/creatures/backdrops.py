"""Backgrounds and the objects that stand in them, in muted colours, so that the creature stands out."""

from __future__ import annotations

from collections.abc import Mapping

from unsee.benchmarks.creatures.shapes import Point

_GROUND = 70


def _ground(sky: str, ground: str) -> str:
    return f'<rect width="100" height="100" fill="{sky}"/><rect y="{_GROUND}" width="100" height="30" fill="{ground}"/>'


_BACKDROPS: Mapping[str, str] = {
    "meadow": _ground("#CDE9F7", "#A9D48C") + '<path d="M0,70 Q25,56 50,70 T100,70 V72 H0 Z" fill="#A9D48C"/>',
    "desert": _ground("#FBEBC4", "#E5C283") + '<path d="M0,70 L22,52 L44,70 L70,58 L100,70 Z" fill="#EBD09B"/>',
    "glacier": _ground("#DDE8F2", "#F8FBFE")
    + '<path d="M0,70 L18,36 L34,62 L58,28 L78,58 L88,46 L100,66 V70 Z" fill="#B9CFE2"/>',
    "midnight": _ground("#4B568F", "#666C99")
    + "".join(
        f'<circle cx="{x}" cy="{y}" r="1.1" fill="#F4F0D0"/>' for x, y in ((34, 10), (48, 22), (66, 9), (30, 40), (70, 36))
    )
    + '<circle cx="52" cy="9" r="5" fill="#F4F0D0"/>',
    "beach": _ground("#D6F0F6", "#F0E3BF") + '<rect y="48" width="100" height="22" fill="#86BFDD"/>',
    "forest": _ground("#BFD3B4", "#8F9C6B")
    + "".join(f'<rect x="{x}" width="9" height="72" fill="#8B7A62"/>' for x in (3, 26, 48, 68, 89)),
    "kitchen": _ground("#F3DDD0", "#C9AE94")
    + "".join(
        f'<path d="M{x},0 V70 M0,{y} H100" stroke="#E3C5B4" stroke-width="1.4"/>'
        for x, y in ((20, 14), (40, 28), (60, 42), (80, 56))
    ),
    "cavern": _ground("#A39AA1", "#857E88")
    + '<path d="M0,0 H100 V8 L88,26 L78,8 L62,20 L50,6 L36,24 L24,8 L10,22 L0,8 Z" fill="#7A727C"/>',
}

# Around the origin, about 20 wide and 24 high.
_THINGS: Mapping[str, str] = {
    "kite": '<path d="M0,-12 L9,-1 L0,12 L-9,-1 Z" fill="#E96B9A" stroke="#333"/>'
    '<path d="M0,-12 V12 M-9,-1 H9" stroke="#333"/>',
    "umbrella": '<path d="M0,-2 V9 q0,4 4,3" fill="none" stroke="#444" stroke-width="1.8"/>'
    '<path d="M-12,-1 C-11,-15 11,-15 12,-1 Q8,-5 4,-1 Q0,-5 -4,-1 Q-8,-5 -12,-1 Z" fill="#6C4FB0" stroke="#333"/>',
    "bottle": '<path d="M-2.6,-12 h5.2 v6 q5,3 5,8 v10 h-15.2 v-10 q0,-5 5,-8 Z" fill="#5FA37C" stroke="#333"/>'
    '<rect x="-5.4" y="1" width="11" height="6" fill="#EEE"/>',
    "clock": '<circle r="11" fill="#FFF" stroke="#7A4B2A" stroke-width="3"/>'
    '<path d="M0,-7 V0 L5,3" fill="none" stroke="#222" stroke-width="2"/>',
    "ladder": '<path d="M-6,-12 V12 M6,-12 V12 M-6,-7 H6 M-6,-1 H6 M-6,5 H6" fill="none" stroke="#A9713C" stroke-width="2.6"/>',
    "candle": '<rect x="-4" y="-4" width="8" height="16" fill="#F6EFD9" stroke="#333"/>'
    '<path d="M0,-14 Q5,-8 0,-5 Q-5,-8 0,-14 Z" fill="#FF9A1F"/>',
    "bucket": '<path d="M-10,-6 H10 L7,12 H-7 Z" fill="#A7B4C2" stroke="#333" stroke-width="1.2"/>'
    '<path d="M-10,-6 Q0,-20 10,-6" fill="none" stroke="#333" stroke-width="1.6"/>',
    "sofa": '<path d="M-13,-2 q0,-4 4,-4 V-10 q0,-2 3,-2 H6 q3,0 3,2 V-6 q4,0 4,4 V11 H-13 Z" fill="#B2605A" stroke="#333"/>'
    '<path d="M-9,2 H9 V8 H-9 Z" fill="#C98680"/>',
    "lamp": '<path d="M-5,-12 H5 L10,-1 H-10 Z" fill="#F7E08A" stroke="#333"/>'
    '<path d="M0,-1 V10 M-6,11 H6" stroke="#333" stroke-width="2.4"/>',
    "gift": '<rect x="-10" y="-6" width="20" height="18" fill="#4FA3A0" stroke="#333"/>'
    '<path d="M0,-6 V12 M-10,2 H10" stroke="#F5E9E9" stroke-width="3.4"/>'
    '<path d="M0,-6 q-9,-9 -8,-1 q4,2 8,1 q9,-9 8,-1 q-4,2 -8,1" fill="none" stroke="#F5E9E9" stroke-width="2"/>',
    "mushroom": '<path d="M-3.6,0 H3.6 L5,12 H-5 Z" fill="#F1E6D2" stroke="#333"/>'
    '<path d="M-12,1 C-11,-16 11,-16 12,1 Z" fill="#B5533C" stroke="#333"/>'
    '<circle cx="-4" cy="-5" r="2.2" fill="#F1E6D2"/><circle cx="5" cy="-4" r="2" fill="#F1E6D2"/>',
    "anchor": '<circle cy="-9" r="3" fill="none" stroke="#33475C" stroke-width="2.4"/>'
    '<path d="M0,-6 V11 M-6,-2 H6 M-11,3 Q-9,11 0,11 Q9,11 11,3" fill="none" stroke="#33475C" stroke-width="2.8"/>',
}


def backdrop(name: str) -> str:
    """SVG of a background, 100 x 100."""
    return _BACKDROPS[name]


def thing_svg(name: str, at: Point) -> str:
    """SVG of an object, around a point."""
    return f'<g transform="translate({at[0]:g},{at[1]:g}) scale(0.98)">{_THINGS[name]}</g>'
