"""Pictures of facts: found by file name when the benchmark is made, decoded once before they are used, never replaced.

A missing picture is a fault that names the row and the file. Only the easy rephrased picture can be made: it is the original
with salt-and-pepper noise, drawn from the row's id, where no folder holds published ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from unsee.benchmarks.faults import Faults
from unsee.benchmarks.noise import salt_and_pepper
from unsee.benchmarks.unlok_vqa.levels import (
    EXTENSION,
    NEIGHBOURS,
    ORIGINALS,
    REPHRASED,
    SUFFIXES,
    Level,
    neighbour_name,
    original_name,
)
from unsee.benchmarks.unlok_vqa.rows import FactRow
from unsee.errors import DataError
from unsee.sample import ImageError, ImageRef

NOISE = 0.05
"""Share of pixels that salt and pepper take, half each; the published share is unknown."""
NOISE_VERSION = 1


class Pictures:
    """Finds and checks the pictures of a folder.

    Memory: a path per picture; pictures made by noise are held as encoded bytes once they were asked for.

    Raises:
        DataError: one level has two folders.
    """

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root
        self._faults = faults
        self._rephrased = _folders(root, REPHRASED)
        self._neighbours = _folders(root, NEIGHBOURS)
        self._checked: dict[Path, ImageRef | None] = {}
        self._noisy: dict[tuple[int, str], ImageRef] = {}

    @property
    def rephrased_levels(self) -> Mapping[Level, Path]:
        """Levels of rephrased pictures that have a folder."""
        return self._rephrased

    @property
    def neighbour_levels(self) -> Mapping[Level, Path]:
        """Levels of neighbour pictures that have a folder."""
        return self._neighbours

    def original(self, row: FactRow) -> Path | None:
        """The fact's own picture; None where it is missing and faults are skipped."""
        name = original_name(row.image_id)
        found = next((file for folder in ORIGINALS if (file := _file(self._root / folder, name)) is not None), None)
        folders = ", ".join(folder for folder in ORIGINALS if folder)
        text = f"its picture {name}{EXTENSION} is in none of {folders} and {self._root}; add it from COCO 2017"
        return self._there(found, row, text)

    def rephrased(self, row: FactRow, level: Level) -> Path | None:
        """The fact's picture in disguise; None where it is missing and faults are skipped."""
        folder = self._rephrased.get(level, self._root / REPHRASED[level][0])
        text = f"its {level} rephrased picture {folder / str(row.id)}{EXTENSION} is missing; add it"
        return self._there(_file(folder, str(row.id)), row, text)

    def neighbour(self, row: FactRow, level: Level) -> Path | None:
        """The picture that shows another answer; None where it is missing and faults are skipped."""
        folder = self._neighbours.get(level, self._root / NEIGHBOURS[level][0])
        name = neighbour_name(row.id, row.neighbour)
        text = f"its {level} neighbour picture {folder / name}{EXTENSION} is missing; add it"
        return self._there(_file(folder, name), row, text)

    def picture(self, path: Path, row: FactRow) -> ImageRef | None:
        """A picture that decodes; None where it does not and faults are skipped."""
        if path not in self._checked:
            try:
                made = ImageRef.from_path(path)
                made.open()
            except ImageError as error:
                self._faults.add(row.place.file, row.name, str(error))
                self._checked[path] = None
                return None
            self._checked[path] = made
        return self._checked[path]

    def noisy(self, row: FactRow, original: ImageRef) -> ImageRef:
        """The original with salt and pepper, the same whenever it is asked for."""
        key = (row.id, original.sha256)
        if key not in self._noisy:
            seed = int.from_bytes(hashlib.sha256(f"{NOISE_VERSION}/{row.id}".encode()).digest()[:8], "big")
            self._noisy[key] = ImageRef.from_image(salt_and_pepper(original.open(), share=NOISE, seed=seed))
        return self._noisy[key]

    def _there(self, found: Path | None, row: FactRow, text: str) -> Path | None:
        if found is None:
            self._faults.add(row.place.file, row.name, text)
        return found


def _folders(root: Path, names: Mapping[Level, tuple[str, ...]]) -> dict[Level, Path]:
    """Level -> its one folder, of levels that have one; a folder around another one of the level does not count."""
    chosen: dict[Level, Path] = {}
    for level, listed in names.items():
        there = [root / name for name in listed if (root / name).is_dir()]
        found = [one for one in there if not any(one in other.parents for other in there)]
        if len(found) > 1:
            raise DataError(f"{found[0]} and {found[1]} both hold {level} pictures; keep one of the two")
        if found:
            chosen[level] = found[0]
    return chosen


def _file(folder: Path, stem: str) -> Path | None:
    return next((file for suffix in SUFFIXES if (file := folder / f"{stem}{suffix}").is_file()), None)
