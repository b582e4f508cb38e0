"""Study pages: generated tables go between markers of a page, figures beside it, all numbers into one CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import altair as alt
from PIL import Image

INK, ACCENT, MUTED = "#1d2125", "#0b6e6e", "#646b73"
SHOWN = alt.Scale(domain=["with the picture", "by name"], range=[ACCENT, "#b5541c"])
DASHES = alt.Scale(domain=["with the picture", "by name"], range=[[1, 0], [5, 3]])
SHAPES = alt.Scale(domain=["with the picture", "by name"], range=["circle", "square"])


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end name -->`.

    Raises:
        ValueError: the page lacks a marker.
    """
    text = page.read_text()
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{page} has no markers <!-- {name} --> and <!-- end {name} -->; add them where the table belongs")
        text = pattern.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
    page.write_text(text)


def save(chart: alt.TopLevelMixin, file: Path) -> None:
    """A figure as PNG; Markdown pages show it on dark backgrounds too, so it has a white one."""
    styled = (
        chart.configure(font="sans-serif", background="white", padding=8)
        .configure_view(stroke=None)
        .configure_axis(gridOpacity=0.5, labelColor=MUTED, titleColor=INK, titleFontWeight="normal")
        .configure_header(titleFontWeight="normal", labelFontWeight="normal", labelColor=INK, titleColor=INK)
        .configure_legend(titleFontWeight="normal")
    )
    styled.save(str(file), scale_factor=1.5)
    # Few colours are used, and pages are read over slow lines too.
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)
