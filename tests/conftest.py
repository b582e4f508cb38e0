"""Fixtures every test shares."""

from __future__ import annotations

import pytest

from toy import random_model, toy_samples
from unsee.sample import Sample


@pytest.fixture
def samples() -> list[Sample]:
    return toy_samples()


@pytest.fixture
def model():
    """See `random_model`."""
    return random_model()
