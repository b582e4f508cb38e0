"""Text in the corner of a picture, as scanners put it there."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.sample import ImageRef

LINE = 12
"""Height of a line in pixels; letters are smaller where the picture is too narrow, and larger on large pictures."""
SMALLEST = 7
"""Letters below this height in pixels cannot be told apart."""


def burned(picture: ImageRef, lines: Sequence[str]) -> ImageRef:
    """The picture with white lines on black in its upper left corner.

    Raises:
        ValueError: the lines do not fit in letters that can be read.
    """
    from PIL import ImageDraw, ImageFont

    image = picture.open()
    drawing = ImageDraw.Draw(image)
    for size in range(max(LINE, image.height // 40), SMALLEST - 1, -1):
        font = ImageFont.load_default(size)
        boxes = [drawing.textbbox((0, 0), line, font=font) for line in lines]
        width, height = max(box[2] for box in boxes) + 4, (size + 2) * len(lines) + 2
        if width <= image.width and height <= image.height // 2:
            drawing.rectangle((0, 0, width, height), fill="black")
            for number, line in enumerate(lines):
                drawing.text((2, 1 + number * (size + 2)), line, font=font, fill="white")
            return ImageRef.from_image(image)
    raise ValueError(
        f"a picture of {image.width}x{image.height} pixels has no room for {len(lines)} lines of identifiers; take larger "
        "pictures, fewer identifiers, or leave out the carrier picture"
    )
