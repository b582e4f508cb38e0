"""Models of many families. These tests import torchvision, which others must not see: processors then choose another backend."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

import test_only_torchvision

HAS_TORCHVISION = test_only_torchvision.install()

from builders import FAMILIES, build  # noqa: E402
from toy import toy_samples  # noqa: E402
from unsee.models.model import Model  # noqa: E402
from unsee.sample import ImageRef, Sample  # noqa: E402

SIZES = [(40, 56), (64, 30), (33, 33), (120, 50)]
SNAPSHOTS = Path(__file__).parent / "snapshots"

_kept = lru_cache(maxsize=None)(build)


@pytest.fixture(
    params=[pytest.param(name, marks=() if family.quick else pytest.mark.slow) for name, family in FAMILIES.items()],
    scope="module",
)
def family(request: pytest.FixtureRequest) -> str:
    """Name of one family after another."""
    name: str = request.param
    if FAMILIES[name].videos and not HAS_TORCHVISION:
        pytest.skip("its processor needs torchvision; `make test` installs it for tests only")
    return name


@pytest.fixture
def model(family: str) -> Model:
    """A family's model, of which tests leave the weights as they are."""
    kept = _kept(family)
    made = Model(kept.network, kept.processor, name=kept.name)
    made.prompter = kept.prompter
    return made


@pytest.fixture(scope="session")
def shown() -> list[Sample]:
    """The toy people with pictures of several shapes and sizes."""
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
