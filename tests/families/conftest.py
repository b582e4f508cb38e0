"""Models of many families. Their tests import torchvision, which others must not see: processors then take another backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

import pytest

import test_only_torchvision

HAS_TORCHVISION = test_only_torchvision.install()

from builders import FAMILIES, build  # noqa: E402
from family_samples import pictured  # noqa: E402
from unsee.models.model import Model  # noqa: E402
from unsee.sample import Sample  # noqa: E402

_kept = lru_cache(maxsize=None)(build)


@pytest.fixture(
    params=[pytest.param(name, marks=() if family.quick else pytest.mark.slow) for name, family in FAMILIES.items()],
    scope="module",
)
def family(request: pytest.FixtureRequest) -> str:
    """Name of one family after another."""
    name: str = request.param
    _require(name)
    return name


@pytest.fixture(scope="session")
def fresh() -> Callable[[str], Model]:
    """Builds one family's model, about which nothing is known yet."""

    def made(name: str) -> Model:
        _require(name)
        return build(name)

    return made


def _require(name: str) -> None:
    if FAMILIES[name].videos and not HAS_TORCHVISION:
        missing = "its processor needs torchvision; `make test` installs it for tests only"
        if os.environ.get("UNSEE_REQUIRE_FAMILIES"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def model(family: str) -> Model:
    """A family's model, of which tests leave the weights as they are."""
    kept = _kept(family)
    made = Model(kept.network, kept.processor, name=kept.name)
    made.prompter = kept.prompter
    return made


@pytest.fixture(scope="session")
def shown() -> list[Sample]:
    return pictured()
