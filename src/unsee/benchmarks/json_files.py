"""JSON files that people bring, row by row: a list, or one object per line, with faults that name their line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults
from unsee.errors import DataError


def text_of(file: Path) -> str:
    """A UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{file}, line {line}: not UTF-8 text; fetch the file again, or save it as UTF-8") from error


def json_of(file: Path, text: str) -> Any:
    """The value that a file's text holds.

    Raises:
        DataError: it is no JSON; of a damaged list it names the row.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        row = _readable_rows(text)
        raise DataError(
            f"{file}, line {error.lineno}, row {row}: no valid JSON ({error.msg}); repair that row or fetch the file again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: no valid JSON ({reason_of(error)}); fetch the file again") from error


def json_rows_of(file: Path, text: str, faults: Faults) -> Iterator[tuple[int, Any]]:
    """(position, row) of a JSON list, or of a file with one object per line; lines that are no JSON are faults.

    Raises:
        DataError: the list is damaged; names the row.
    """
    if text.lstrip().startswith("["):
        yield from enumerate(json_of(file, text))
        return
    rows = (line for line in enumerate(text.split("\n"), start=1) if line[1].strip())
    for number, (line, content) in enumerate(rows):
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            faults.add(file, f"line {line}", f"no valid JSON ({reason_of(error)}); write a JSON list, or one object per line")
            continue
        yield number, row


def reason_of(error: BaseException) -> str:
    """What a parser complained about, without the place."""
    return str(error).partition(":")[0]


def _readable_rows(text: str) -> int:
    """How many rows of a damaged list can be read, which is the position of the damaged one."""
    decoder = json.JSONDecoder()
    at, rows = text.find("[") + 1, 0
    while at < len(text):
        while text[at : at + 1].isspace() or text[at : at + 1] == ",":
            at += 1
        try:
            _, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        rows += 1
    return rows
