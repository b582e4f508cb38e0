"""Salt and pepper: the easiest disguise of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def salt_and_pepper(image: Image.Image, *, share: float, seed: int) -> Image.Image:
    """An RGB picture in which a share of the pixels is black or white, half each; equal arguments give equal pixels."""
    import numpy as np
    from PIL import Image

    pixels = np.array(image)  # [height, width, 3]
    drawn = np.random.default_rng(seed).random(pixels.shape[:2])
    pixels[drawn < share / 2] = 0
    pixels[drawn > 1 - share / 2] = 255
    return Image.fromarray(pixels)
