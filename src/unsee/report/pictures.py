"""Pictures inside the page: small, and each once."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

from unsee.sample import ImageError, ImageRef

PIXELS = 112
_LIGHT = 3_000


class PictureStore:
    """Data addresses of pictures by number; a picture that many questions show is kept once."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._numbers: dict[str, int | None] = {}

    def number(self, image: ImageRef) -> int | None:
        """Where the picture stands in `addresses`; None where it cannot be decoded."""
        if image.sha256 not in self._numbers:
            address = data_address(image)
            self._numbers[image.sha256] = None if address is None else len(self.addresses)
            if address is not None:
                self.addresses.append(address)
        return self._numbers[image.sha256]


def data_address(image: ImageRef, *, pixels: int = PIXELS, png: bool = False) -> str | None:
    """The picture as a `data:` address; see `encoded`."""
    made = encoded(image, pixels=pixels, png=png)
    return None if made is None else f"data:image/{made.kind};base64,{base64.b64encode(made.data).decode()}"


class Encoded(NamedTuple):
    """A picture as a file; `kind` is png or webp."""

    data: bytes
    kind: str


def encoded(image: ImageRef, *, pixels: int = PIXELS, png: bool = False) -> Encoded | None:
    """The picture as a small file, scaled down where it is large; None where it cannot be decoded.

    Args:
        image: the picture.
        pixels: longest side.
        png: for figures, whose renderers know no WEBP.
    """
    from PIL import Image

    try:
        picture = image.open()
    except ImageError:
        return None
    data, kind = image.read(), "png"
    if len(data) > _LIGHT or not data.startswith(b"\x89PNG") or (png and max(picture.size) > pixels):
        picture.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        kind = "png" if png else "webp"
        picture.save(buffer, format=kind.upper(), **({"optimize": True} if png else {"quality": 78, "method": 4}))
        data = buffer.getvalue()
    return Encoded(data, kind)
