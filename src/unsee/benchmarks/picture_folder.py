"""Pictures of a benchmark of ours on disk, called by the SHA-256 of their bytes."""

from __future__ import annotations

from pathlib import Path

from unsee.errors import DataError
from unsee.sample import ImageError, ImageRef


def suffix_of(data: bytes) -> str:
    """Ending of the file that holds an encoded picture."""
    return ".png" if data.startswith(b"\x89PNG") else ".jpg" if data.startswith(b"\xff\xd8") else ".img"


class PictureFolder:
    """Pictures in a folder within a benchmark's folder; each is written and read once.

    Args:
        benchmark: the benchmark's folder.
        name: of the folder of pictures, without a path.
        remedy: what to do where a picture is not what it should be, the end of a message.
    """

    def __init__(self, benchmark: Path, name: str, *, remedy: str) -> None:
        self._benchmark, self._folder, self._remedy = benchmark, name, remedy
        self._names: dict[str, str] = {}
        self._read: dict[str, ImageRef] = {}

    def write(self, picture: ImageRef) -> str:
        """Its path within the benchmark, as rows give it.

        Raises:
            ImageError: it cannot be read.
        """
        if picture.sha256 not in self._names:
            data = picture.read()
            name = f"{self._folder}/{picture.sha256}{suffix_of(data)}"
            (self._benchmark / self._folder).mkdir(exist_ok=True)
            (self._benchmark / name).write_bytes(data)
            self._names[picture.sha256] = name
        return self._names[picture.sha256]

    def read(self, name: str, *, where: str) -> ImageRef:
        """The picture at a path that `write` gave.

        Args:
            where: the row that names it, for messages.

        Raises:
            DataError: it lies elsewhere, is missing or was changed.
        """
        if name not in self._read:
            path = Path(name)
            if path.is_absolute() or len(path.parts) != 2 or path.parts[0] != self._folder:
                raise DataError(f"{where}: picture {name!r} does not lie in {self._folder}/; {self._remedy}")
            try:
                found = ImageRef.from_path(self._benchmark / path)
            except ImageError as error:
                raise DataError(f"{where}: {error}") from error
            if found.sha256 != path.stem:
                raise DataError(f"{where}: picture {self._benchmark / path} was changed; {self._remedy}")
            self._read[name] = found
        return self._read[name]
