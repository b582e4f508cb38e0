"""Writes that are whole or absent, folders with one writer, and what the operating system says when they cannot be."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError, DataError, UserError, first_line

if TYPE_CHECKING:
    import polars as pl

_ASIDE = ".part"
_STORAGE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another folder with --out",
    errno.EACCES: "access is denied; choose another folder with --out or change its owner",
    errno.EPERM: "the operation is not permitted; choose another folder with --out",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another folder with --out",
    errno.EEXIST: "a file stands where a folder is needed; choose another folder with --out",
    errno.EISDIR: "a folder stands where a file is needed; choose another folder with --out",
    errno.EIO: "the device reports an input/output error; check the disk",
}


class StorageError(UserError):
    """The disk is full, read-only or not ours; finished work is kept."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: aside, flushed to disk, then renamed."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}{_ASIDE}")
    with aside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end name -->` of a Markdown page.

    Raises:
        ValueError: the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
        found = pattern.search(text)
        if found is None:
            raise ValueError(f"{page} has no markers <!-- {name} --> and <!-- end {name} -->; add them where the table belongs")
        text = f"{text[: found.start()]}{found[1]}{content}\n{found[2]}{text[found.end() :]}"
    write_text(page, text)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    import io

    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_bytes(path, buffer.getvalue())


def refuse_used(folder: Path, *, flag: str = "") -> None:
    """Refuse to write into a folder that holds something, or in the place of a file.

    Args:
        flag: that named it, for the message.

    Raises:
        ConfigError: something is there.
    """
    if is_used(folder):
        raise ConfigError(f"{f'{flag} ' if flag else ''}{folder} exists and is not empty; choose a new folder")


def is_used(folder: Path) -> bool:
    """Whether a path holds something that a new folder would have to replace."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def read_json(path: Path, *, remedy: str) -> dict[str, Any]:
    """A JSON object of ours from disk.

    Raises:
        DataError: it is missing, no JSON or no object; ends with the remedy.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (no JSON object); {remedy}")
    return content


def read_parquet(path: Path, *, schema: pl.Schema, remedy: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A table of ours from disk, in the columns and types of the schema; columns that came later may be missing.

    Args:
        columns: read these only; that the others are there is still checked. All of the schema where None.

    Raises:
        DataError: it is missing, no parquet file, or holds other columns; ends with the remedy.
    """
    import polars as pl

    from unsee.schemas import ADDED

    try:
        table = pl.scan_parquet(path)
        there = table.collect_schema().names()
        late = [pl.lit(None, dtype=schema[name]).alias(name) for name in schema.names() if name in ADDED - {*there}]
        whole = table.with_columns(late).select(schema.names()).cast(schema)
        return (whole if columns is None else whole.select(columns)).collect()
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; {remedy}") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is damaged ({first_line(error)}); {remedy}") from error


def write_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write into a folder aside, then put it in place of `path` in one rename."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}{_ASIDE}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    fill(aside)
    for file in aside.rglob("*"):
        if file.is_file():
            _sync(file)
    shutil.rmtree(path, ignore_errors=True)
    aside.replace(path)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half-written."""
    for path in list(folder.rglob(f".*{_ASIDE}")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        StorageError: none can be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # Where the system makes its own files, such as /proc, it says that the new folder does not exist.
        raise StorageError(f"cannot write {folder}: no folder can be made there; choose another folder with --out") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    # Some network file systems refuse to flush a folder; the rename is atomic all the same.
    with suppress(OSError):
        _sync(path)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for one process; the lock goes away with the process, however it ends.

    Raises:
        UserError: another process writes there.
    """
    import fcntl

    make_folder(folder)
    with (folder / ".lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise
            raise UserError(f"{folder} is in use by another run; wait for it or choose another folder with --out") from error
        yield


def storage_problem(error: BaseException) -> StorageError | None:
    """The storage trouble behind an error as one clear line, or None where the disk is not to blame."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, StorageError):
            return seen
        if isinstance(seen, ValueError):
            return None  # somebody already said what is wrong, in words about what was read
        if isinstance(seen, OSError) and seen.errno in _STORAGE:
            where = f" {seen.filename}" if seen.filename else ""
            return StorageError(f"cannot write{where}: {_STORAGE[seen.errno]}; finished work is kept, run the command again")
        # Libraries written in Rust give the number of the operating system's error in their text only.
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            if f"(os error {number})" in str(seen):
                return StorageError(f"cannot write: {_STORAGE[number]}; finished work is kept, run the command again")
        seen = seen.__cause__ or seen.__context__
    return None
