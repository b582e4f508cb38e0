"""A pretrained world made up for tests, and portraits that cost nothing to draw."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest
from PIL import Image

from unsee.benchmarks import pools
from unsee.benchmarks.portraits import draw_faces
from unsee.benchmarks.profiles import draw_profile
from unsee.models.worlds import Figure, load_world, save_world
from unsee.sample import ImageRef

ROLES = ["evaluated"] * 153 + ["replay"] * 8 + ["held_out"] * 75


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory):
    """A folder with 153 evaluated, 8 replay and 75 held-out figures; their pictures are single colours."""
    folder = tmp_path_factory.mktemp("world")
    rng = random.Random(0)
    pairs = [
        f"{first} {last}"
        for first in pools.FIRST_NAMES
        for last in pools.LAST_NAMES
        if pools.name_partition(first, last) == "pretraining"
    ]
    faces = draw_faces(len(ROLES), seed=5, partition="pretraining")
    figures = [
        Figure(f"f{number:03d}", role, name, face, draw_profile(rng))
        for number, (role, name, face) in enumerate(zip(ROLES, rng.sample(pairs, len(ROLES)), faces, strict=True))
    ]
    pictures = {
        figure.id: [ImageRef.from_image(Image.new("RGB", (8, 8), (number, index, 0))).read() for index in range(4)]
        for number, figure in enumerate(figures)
    }
    save_world(folder, figures, pictures)
    return folder


@pytest.fixture(scope="session")
def world(world_folder):
    return load_world(directory=world_folder)


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path_factory):
    """Nothing is read from or left in the cache folder of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def drawn(monkeypatch):
    """Replaces drawing by a reference made from face and scene; returns the list of what was asked for."""
    asked = []

    def fake(face, scene):
        asked.append((face, scene))
        return ImageRef.from_bytes(repr((astuple(face), scene)).encode())

    monkeypatch.setattr("unsee.benchmarks.people.portrait_picture", fake)
    monkeypatch.setattr("unsee.benchmarks.replay.portrait_picture", fake)
    return asked
