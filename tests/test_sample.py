"""Pictures: what is decoded, and to what."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from unsee.sample import ImageError, ImageRef


def encoded(image: Image.Image, format: str) -> ImageRef:
    buffer = io.BytesIO()
    image.save(buffer, format=format)
    return ImageRef.from_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("values", "kind", "format"),
    [
        ((0, 65535), "uint16", "PNG"),
        ((700, 2100), "uint16", "TIFF"),
        ((700, 2100), ">u2", "TIFF"),
        ((-1000, 3000), "int32", "TIFF"),
        ((-0.5, 0.25), "float32", "TIFF"),
    ],
)
def test_deep_grey_values_keep_their_steps(values: tuple[float, float], kind: str, format: str) -> None:
    """Twelve and sixteen bits, signed numbers and fractions; the lowest becomes black and the highest white."""
    ramp = np.linspace(*values, 256).reshape(16, 16).astype(kind)
    shown = np.asarray(encoded(Image.fromarray(ramp), format).open())
    assert shown.shape == (16, 16, 3) and (shown[..., 0] == shown[..., 2]).all()
    assert np.abs(shown[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1


def test_what_is_no_number_is_black_and_one_value_too() -> None:
    pixels = np.array([[np.nan, 1.0], [2.0, np.inf]], dtype=np.float32)
    assert np.asarray(encoded(Image.fromarray(pixels), "TIFF").open())[..., 0].tolist() == [[0, 0], [255, 0]]
    flat = encoded(Image.fromarray(np.full((4, 4), 9000, dtype=np.uint16)), "PNG")
    assert not np.asarray(flat.open()).any()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO"])
def test_usual_formats_are_read(format: str) -> None:
    """MPO is what some telephones call their JPEG."""
    assert encoded(Image.new("RGB", (8, 6), "red"), format).open().size == (8, 6)


@pytest.mark.parametrize("format", ["EPS", "PPM", "ICO", "TGA"])
def test_other_formats_reach_no_decoder(format: str) -> None:
    with pytest.raises(ImageError, match="no known picture format"):
        encoded(Image.new("RGB", (8, 6), "red"), format).open()


def test_eight_bits_stay_as_they_are() -> None:
    pixels = np.arange(60, 124, dtype=np.uint8).reshape(8, 8)
    assert (np.asarray(encoded(Image.fromarray(pixels), "PNG").open())[..., 1] == pixels).all()
