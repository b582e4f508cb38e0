"""Questions about pictures of several shapes and sizes."""

from __future__ import annotations

from dataclasses import replace

from toy import toy_samples
from unsee.sample import ImageRef, Sample

SIZES = [(40, 56), (64, 30), (33, 33), (120, 50)]


def pictured() -> list[Sample]:
    """The toy people with pictures of several shapes and sizes, and what some methods want to know about them."""
    from PIL import Image

    pictures = {}
    for number, size in enumerate(SIZES * 2):
        rising = Image.linear_gradient("L").resize(size).rotate(40 * number)
        pictures[f"p{number}"] = ImageRef.from_image(Image.merge("RGB", (rising, rising.rotate(90), rising.rotate(180))))
    return [
        replace(
            sample,
            images=(pictures[sample.subject],) if sample.images else (),
            metadata={**sample.metadata, "name": f"Person {sample.subject}", "clean_answer": "soup"},
        )
        for sample in toy_samples()
    ]
