"""What an extension has finished, beside the folder it will be: a killed command goes on where it was.

    .DIR.work/replies.jsonl            what the rewriter said
    .DIR.work/pictures/<key>.png       pictures made, by the hash of everything that decides them
    .DIR.work/answers/                 what a model said to variants

Nothing here has a date or an order, so that it does not matter how often the command was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.benchmarks.extended.files import ABOUT, holds_extension
from unsee.chat import ReplyCache
from unsee.files import only_writer, read_json, remove_leftovers, write_bytes
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

    def picture(self, request: list[Any], make: Callable[[], Image.Image]) -> ImageRef:
        """The picture of a request, made unless it is there; kept as PNG on disk.

        Args:
            request: all that decides it, as JSON can hold it.
        """
        file = self.path / "pictures" / f"{digest([VERSION, *request])}.png"
        if not file.is_file():
            encoded = ImageRef.from_image(make())
            write_bytes(file, encoded.read())
        return ImageRef.from_path(file)

    def has(self, request: list[Any]) -> bool:
        """Whether the picture of a request is there."""
        return (self.path / "pictures" / f"{digest([VERSION, *request])}.png").is_file()


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
