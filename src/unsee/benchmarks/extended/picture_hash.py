"""Which pictures look alike: two perceptual hashes of 64 bits, and the mean difference of thumbnails.

The difference hash compares neighbouring pixels of a 9 x 8 picture, the frequency hash the lowest 64 cosine frequencies of a
32 x 32 picture with their median. Flat pictures have equal hashes whatever their colour, so that thumbnails decide there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

DIFFERENCE_BITS, FREQUENCY_BITS = 6, 10
"""At most so many of 64 bits differ between near-duplicates."""
THUMBNAIL_DIFFERENCE = 14.0
"""Most by which 8 x 8 thumbnails of near-duplicates differ in the mean, of 255."""
FLAT = 2.0
"""Standard deviation of the pixels, of 255, below which a picture shows nothing."""
_SIDE = 32


class PictureHash(NamedTuple):
    """What a picture looks like, roughly.

    Attributes:
        difference, frequency: the hashes, 64 bits each.
        thumbnail: 8 x 8 RGB pixels.
        spread: standard deviation of the grey values.
    """

    difference: int
    frequency: int
    thumbnail: bytes
    spread: float


def picture_hash(picture: Image.Image) -> PictureHash:
    """Hash an RGB picture."""
    import numpy as np
    from PIL import Image
    from scipy.fft import dctn

    grey = picture.convert("L")
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS), dtype=np.int16)
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    low = dctn(small, norm="ortho")[:8, :8]
    # The first coefficient is the mean brightness, which says nothing about what is shown.
    above = low > np.median(low.ravel()[1:])
    above[0, 0] = False
    thumbnail = picture.resize((8, 8), Image.Resampling.BOX).tobytes()
    return PictureHash(_bits(steps[:, 1:] > steps[:, :-1]), _bits(above), thumbnail, float(np.asarray(grey).std()))


def near_duplicates(one: PictureHash, other: PictureHash) -> bool:
    """Whether two pictures are so much alike that one of them adds nothing."""
    return (
        (one.difference ^ other.difference).bit_count() <= DIFFERENCE_BITS
        and (one.frequency ^ other.frequency).bit_count() <= FREQUENCY_BITS
        and _thumbnail_difference(one, other) <= THUMBNAIL_DIFFERENCE
    )


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures differ by less than what saving them again changes."""
    import numpy as np

    if one.size != other.size:
        return False
    return float(np.abs(np.asarray(one, dtype=np.int16) - np.asarray(other, dtype=np.int16)).mean()) < 0.5


def _thumbnail_difference(one: PictureHash, other: PictureHash) -> float:
    import numpy as np

    mine, theirs = (np.frombuffer(each.thumbnail, dtype=np.uint8).astype(np.int16) for each in (one, other))
    return float(np.abs(mine - theirs).mean())


def _bits(marks: np.ndarray) -> int:
    return int("".join("1" if mark else "0" for mark in marks.ravel()), 2)
