"""Extensions on disk and servers as processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from review.serving import Served, servers
from review.toy_garden import toy_extension
from unsee.benchmarks.extended.files import read_extension, write_extension
from unsee.benchmarks.extended.variants import Extension


@pytest.fixture(scope="session")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extension of three facts; tests must not write into it."""
    folder = tmp_path_factory.mktemp("extensions") / "garden"
    write_extension(folder, toy_extension())
    return folder


@pytest.fixture(scope="session")
def extension(garden: Path) -> Extension:
    return read_extension(garden)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """See `servers`; all end with the test."""
    with servers() as start:
        yield start
