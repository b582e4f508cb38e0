"""Questions whose answers are measured in the picture: neighbours for pictures that a table asks nothing else about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

DARK, BRIGHT = 85, 170
"""A picture is called dark or bright where its mean grey value, 0 to 255, is below or above; between them it is not asked."""
GREY, COLOURFUL = 2, 12
"""The mean distance of the colour channels, 0 to 255, below and above which a picture is called black and white or coloured."""


class Measured(NamedTuple):
    """A question with its right answer."""

    question: str
    answer: str


def measured_questions(picture: Image.Image) -> Iterator[Measured]:
    """Shape, colour and brightness of an RGB picture, so far as they are clear; the shape always is."""
    import numpy as np

    shape = "wide" if picture.width > picture.height else "tall" if picture.width < picture.height else "square"
    yield Measured("Is this picture wide, tall or square?", shape)
    picture = picture.copy()
    picture.thumbnail((256, 256))
    pixels = np.asarray(picture, dtype=np.float64)  # [height, width, 3]
    spread = float((pixels.max(axis=2) - pixels.min(axis=2)).mean())
    if spread < GREY or spread > COLOURFUL:
        yield Measured("Is this picture coloured or black and white?", "coloured" if spread > COLOURFUL else "black and white")
    brightness = float(pixels.mean())
    if brightness < DARK or brightness > BRIGHT:
        yield Measured("Is this picture dark or bright as a whole?", "bright" if brightness > BRIGHT else "dark")
