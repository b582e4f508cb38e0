"""Pictures of medical rows: found by name below the user's folder or taken from a table, and decoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from unsee.benchmarks.medical.formats.fields import Unusable
from unsee.sample import ImageError, ImageRef


class Pictures:
    """Finds and checks pictures; every one is decoded once, so that a bad one is found before a model loads.

    Memory: a path per picture file; the encoded bytes of each different picture of a table.

    Args:
        root: the user's folder.
        folders: where pictures may lie below it, most likely first; "" is the folder itself.
        archives: files in which the pictures are published, for the hint to unpack them.
    """

    def __init__(self, root: Path, folders: Sequence[str] = ("",), *, archives: Sequence[str] = ()) -> None:
        self._root = root
        self._folders = tuple(root / name for name in folders)
        self._archives = tuple(archives)
        self._named: dict[str, ImageRef | str] = {}
        self._sound: dict[str, ImageRef] = {}
        self._faulty: dict[str, str] = {}

    def named(self, name: str) -> ImageRef:
        """A picture by its path below one of the folders.

        Raises:
            Unusable: the path leads elsewhere, or the file is missing, no picture or too large.
        """
        if name not in self._named:
            try:
                self._named[name] = self._checked(ImageRef.from_path(self._find(name)))
            except (Unusable, ImageError) as fault:
                self._named[name] = str(fault)
        found = self._named[name]
        if isinstance(found, str):
            raise Unusable(found)
        return found

    def stored(self, value: Any) -> ImageRef:
        """A picture as tables hold it: bytes, or an object with `bytes` or with the `path` of a file.

        Raises:
            Unusable: there is none, or it is no picture or too large.
        """
        if isinstance(value, Mapping):
            if not value.get("bytes") and isinstance(value.get("path"), str):
                return self.named(value["path"])
            value = value.get("bytes")
        if not isinstance(value, bytes) or not value:
            raise Unusable("has no picture; store its encoded bytes in the column image")
        return self._checked(ImageRef.from_bytes(value))

    def _checked(self, picture: ImageRef) -> ImageRef:
        """The picture, or of equal bytes the first."""
        digest = picture.sha256
        if digest not in self._sound and digest not in self._faulty:
            try:
                picture.open()
                self._sound[digest] = picture
            except ImageError as error:
                self._faulty[digest] = str(error)
        if digest in self._faulty:
            raise Unusable(self._faulty[digest])
        return self._sound[digest]

    def _find(self, name: str) -> Path:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise Unusable(f"its picture {name!r} lies outside of {self._root}; write a path below that folder")
        found = next((folder / path for folder in self._folders if _is_file(folder / path)), None)
        if found is not None:
            return found
        packed = next((self._root / archive for archive in self._archives if (self._root / archive).is_file()), None)
        remedy = f"unpack {packed}" if packed else "add it or remove the row"
        places = ", ".join(str(folder) for folder in self._folders)
        raise Unusable(f"its picture {name} is missing (looked in {places}); {remedy}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is longer than the file system allows
        return False
