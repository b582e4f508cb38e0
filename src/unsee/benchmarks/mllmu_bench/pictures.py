"""Pictures of rows of official files, read when samples need them and held only as long as somebody holds the samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from weakref import WeakValueDictionary

from unsee.benchmarks.faults import Faults, Place, row_name
from unsee.benchmarks.mllmu_bench.files import read_pictures
from unsee.benchmarks.mllmu_bench.rows import PersonRow, TaughtRow
from unsee.sample import ImageError, ImageRef


class Pictures:
    """Gives rows their pictures; every picture is decoded once per process, so that a bad one is found before a model loads.

    Equal pictures are one, whatever files they stand in.

    Memory: the encoded bytes of the pictures of live samples, each once however many samples show it, and one row group more
    while a file is read. Nothing is kept for rows that were not asked for or whose samples are gone.

    Args:
        root: pictures given by path must lie in this folder.
    """

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root.resolve()
        self._faults = faults
        self._known: dict[Place, tuple[str | None, ...]] = {}
        self._sound: set[str] = set()
        self._alive: WeakValueDictionary[str, ImageRef] = WeakValueDictionary()

    def of(self, rows: Iterable[PersonRow | TaughtRow]) -> dict[Place, tuple[ImageRef | None, ...]]:
        """Pictures by row; None in place of one that is faulty, where faults are skipped.

        Raises:
            DataError: a row has no picture, or one that is missing, too large or cannot be decoded.
        """
        found: dict[Place, tuple[ImageRef | None, ...]] = {}
        wanted: dict[Path, dict[int, str]] = {}
        for row in rows:
            held = self._held(row.place)
            if held is not None:
                found[row.place] = held
            else:
                wanted.setdefault(row.place.file, {})[row.place.number] = row.id
        for file, ids in wanted.items():
            for number, given in read_pictures(file, ids):
                place = Place(file, number)
                found[place] = self._take(place, given, row_name(number, ids[number]))
        return found

    def _held(self, place: Place) -> tuple[ImageRef | None, ...] | None:
        """What is still in memory of a row's pictures, None where something has to be read again."""
        if place not in self._known:
            return None
        held = tuple(self._alive.get(sha256) if sha256 else None for sha256 in self._known[place])
        complete = all(picture is not None or sha256 is None for picture, sha256 in zip(held, self._known[place], strict=True))
        return held if complete else None

    def _take(self, place: Place, given: list[bytes | str | None], row: str) -> tuple[ImageRef | None, ...]:
        checked = place in self._known
        if not given and not checked:
            self._faults.add(place.file, row, "the row has no picture; add one to the column image (images in Test_Set)")
        made: list[ImageRef | None] = []
        for index, value in enumerate(given):
            if checked and self._known[place][index] is None:
                made.append(None)
                continue
            try:
                picture = self._picture(value, place.file)
                if picture.sha256 not in self._sound:
                    picture.open()
                    self._sound.add(picture.sha256)
            except ImageError as error:
                self._faults.add(place.file, row, f"image {index}: {error}")
                made.append(None)
                continue
            made.append(self._alive.setdefault(picture.sha256, picture))
        self._known[place] = tuple(picture.sha256 if picture else None for picture in made)
        return tuple(made)

    def _picture(self, value: bytes | str | None, file: Path) -> ImageRef:
        if isinstance(value, bytes):
            return ImageRef.from_bytes(value)
        if value is None:
            raise ImageError("it holds neither bytes nor a path; store the encoded picture")
        path = (file.parent / value).resolve()
        if not path.is_relative_to(self._root):
            raise ImageError(f"its path {value!r} leads out of {self._root}; put the file beside the parquet file")
        return ImageRef.from_path(path)


def first_of(pictures: Mapping[Place, tuple[ImageRef | None, ...]], place: Place) -> ImageRef | None:
    """The one picture of a row that is not of Test_Set."""
    return next(iter(pictures.get(place, ())), None)
