"""What an extension has finished, beside the folder it will be: a killed command goes on where it was.

    .DIR.work/replies.jsonl            what the rewriter said
    .DIR.work/pictures/<key>.<sha>.png pictures made, by the hash of everything that decides them and their own
    .DIR.work/answers/                 what a model said to variants

Nothing here has a date or an order, so that it does not matter how often the command was killed. Pictures are not flushed to
disk one by one; those that a power cut spoils do not have the hash that their name says, and are made again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.benchmarks.extended.files import ABOUT, holds_extension
from unsee.chat import ReplyCache
from unsee.files import only_writer, read_json, remove_leftovers
from unsee.provenance import digest
from unsee.sample import ImageRef

if TYPE_CHECKING:
    from PIL import Image

VERSION = 1
"""Raise when rules make other pictures of equal ones; part of every key."""


class WorkFolder:
    """Finished items of the extension that will be `out`; open it by `work_for`.

    Attributes:
        path: the folder.
        replies: of the rewriter.
        answers: where answers of a model are kept.
    """

    def __init__(self, path: Path, replies: ReplyCache) -> None:
        self.path, self.replies = path, replies
        self.answers = path / "answers"
        self._folder = path / "pictures"
        self._folder.mkdir(exist_ok=True)
        self._made = {file.name.partition(".")[0]: file for file in self._folder.glob("*.png")}

    def find(self, request: list[Any]) -> ImageRef | None:
        """The picture of a request, where it was made before.

        Args:
            request: all that decides it, as JSON can hold it.
        """
        file = self._made.get(_key(request))
        if file is None:
            return None
        found = ImageRef.from_path(file)
        return found if found.sha256 == file.name.split(".")[1] else None

    def keep(self, request: list[Any], picture: Image.Image) -> ImageRef:
        """The picture that was made for a request, now as PNG on disk."""
        encoded = ImageRef.from_image(picture)
        file = self._folder / f"{_key(request)}.{encoded.sha256}.png"
        aside = file.with_name(f".{file.name}.part")
        aside.write_bytes(encoded.read())
        aside.replace(file)
        self._made[_key(request)] = file
        return ImageRef.from_path(file)

    def picture(self, request: list[Any], make: Callable[[], Image.Image]) -> ImageRef:
        """The picture of a request, made unless it is there."""
        return self.find(request) or self.keep(request, make())


def _key(request: list[Any]) -> str:
    return digest([VERSION, *request])


def work_path(out: Path) -> Path:
    """Where unfinished work for a folder lies."""
    return out.with_name(f".{out.name}.work")


@contextmanager
def work_for(out: Path) -> Iterator[WorkFolder]:
    """The work folder of an extension, held for this process; it stays until `discard_work`.

    Raises:
        UserError: another process works on the same folder.
    """
    path = work_path(out)
    with only_writer(path):
        remove_leftovers(path)
        with ReplyCache(path / "replies.jsonl") as replies:
            yield WorkFolder(path, replies)


def discard_work(out: Path) -> None:
    """Remove the work folder of a finished extension."""
    with suppress(OSError):
        shutil.rmtree(work_path(out))


def is_finished(out: Path, options: Mapping[str, Any]) -> bool:
    """Whether the same command wrote `out` and was killed before it could remove its work folder.

    Args:
        options: of the command, as they stand in the history of what it writes.
    """
    if not (work_path(out).is_dir() and holds_extension(out)):
        return False
    history = read_json(out / ABOUT, remedy="choose a new folder").get("history")
    step = history[-1] if isinstance(history, list) and history else None
    return isinstance(step, dict) and step.get("options") == dict(options)
