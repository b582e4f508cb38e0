"""Figures of study pages: colours, shapes and files; tables go between markers of a page (`unsee.files.fill`)."""

from __future__ import annotations

from pathlib import Path

import altair as alt
from PIL import Image

INK, ACCENT, MUTED = "#1d2125", "#0b6e6e", "#646b73"
SHOWN = alt.Scale(domain=["with the picture", "by name"], range=[ACCENT, "#b5541c"])
DASHES = alt.Scale(domain=["with the picture", "by name"], range=[[1, 0], [5, 3]])
SHAPES = alt.Scale(domain=["with the picture", "by name"], range=["circle", "square"])


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
