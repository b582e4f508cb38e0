"""Drawn pictures as picture references, drawn once: kept in memory, and on disk where the user's cache folder is writable."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.benchmarks.portrait_art import portrait
from unsee.benchmarks.portraits import Face, Scene
from unsee.sample import ImageRef

if TYPE_CHECKING:
    from PIL import Image

PICTURE_SIZE = 96
"""Side in pixels of every drawn portrait."""
DRAWING_VERSION = 1
"""Raise when the drawing code changes what is drawn; part of cache keys and fingerprints."""

_PNG_END = b"IEND\xaeB`\x82"


@lru_cache(maxsize=16_384)
def portrait_picture(face: Face, scene: Scene) -> ImageRef:
    """The PNG of a portrait, drawn unless it is in memory or in the cache folder."""
    drawing = [DRAWING_VERSION, PICTURE_SIZE, *_renderer_versions(), asdict(face), asdict(scene)]
    return kept_picture("portraits", drawing, lambda: portrait(face, scene, size=PICTURE_SIZE))


def kept_picture(kind: str, drawing: Sequence[object], draw: Callable[[], Image.Image]) -> ImageRef:
    """A drawn picture as PNG, from the cache folder where it is there.

    Args:
        kind: name of its part of the cache folder.
        drawing: everything that the picture depends on, as JSON can hold it.
        draw: draws it.
    """
    key = hashlib.sha256(json.dumps(drawing, sort_keys=True).encode()).hexdigest()
    folder = cache_folder()
    path = folder / kind / key[:2] / f"{key}.png" if folder else None
    data = _read(path) if path else None
    if data is None:
        buffer = io.BytesIO()
        draw().save(buffer, format="PNG")
        data = buffer.getvalue()
        if path:
            _write(path, data)
    return ImageRef.from_bytes(data)


def cache_folder() -> Path | None:
    """Where reproducible data may be kept between runs: `$XDG_CACHE_HOME/unsee`, `~/.cache/unsee`, or None without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "unsee"
    try:
        return Path.home() / ".cache" / "unsee"
    except RuntimeError:  # a user id without a home
        return None


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if data.endswith(_PNG_END) else None


def _write(path: Path, data: bytes) -> None:
    """Aside and renamed, but not flushed to disk as results are: a lost picture is drawn again."""
    with suppress(OSError):  # a cache that cannot be written costs time only
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as aside:
            aside.write(data)
        Path(aside.name).replace(path)


@cache
def _renderer_versions() -> tuple[str, ...]:
    return tuple(version(package) for package in ("python-avatars", "resvg-py", "pillow"))
