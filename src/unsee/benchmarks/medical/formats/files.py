"""Files of medical data sets row by row: JSON, CSV and parquet, and the split that a file's name says."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place, row_name
from unsee.benchmarks.json_files import json_rows_of, reason_of, text_of
from unsee.benchmarks.medical.formats.fields import Unusable
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import DataError, first_line

Rows = Iterator[tuple[Place, Any]]
SPLITS: Mapping[str, SourceSplit] = {
    "train": "train",
    "validation": "validation",
    "validate": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""Word in a file's name -> split."""
_ORDER: tuple[SourceSplit, ...] = ("train", "validation", "test")
_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(SPLITS)})(?![a-z])", re.IGNORECASE)
_ROWS_AT_ONCE = 16
_BUFFER = 2**20


def made_rows(
    rows: Rows, make: Callable[[Place, Mapping[str, Any], str], Sequence[VqaRow]], faults: Faults, *, id_key: str = ""
) -> Iterator[VqaRow]:
    """Rows of a table, made by `make(place, values, where)`; what cannot be used is a fault.

    Args:
        id_key: key whose value names a row in messages.
    """
    for place, values in rows:
        if not isinstance(values, Mapping):
            faults.add(place.file, row_name(place.number, None), "holds no object; write {...} with the published keys")
            continue
        id_ = values.get(id_key)
        name = row_name(place.number, id_ if isinstance(id_, str | int) else None)
        try:
            made = make(place, values, f"{place.file}, {name}")
        except Unusable as reason:
            faults.add(place.file, name, str(reason))
        else:
            yield from made


def by_split(files: Iterable[Path], root: Path) -> list[tuple[Path, SourceSplit]]:
    """Files with the split that their name says, or a folder of theirs below the root; training first.

    A file that names no split is for training.
    """
    named = [(file, _split_of(file.relative_to(root))) for file in files]
    return sorted(named, key=lambda pair: (_ORDER.index(pair[1]), str(pair[0])))


def _split_of(file: Path) -> SourceSplit:
    for name in (file.stem, *reversed(file.parts[:-1])):
        found = _SPLIT.search(name)
        if found:
            return SPLITS[found[1].casefold()]
    return "train"


def below(folder: Path, suffix: str) -> list[Path]:
    """Files with a suffix in a folder and its folders, hidden ones apart."""
    found = (file for file in folder.rglob(f"*{suffix}") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


# JSON ----------------------------------------------------------------------------------------------------------------------


def json_rows(file: Path, faults: Faults) -> Rows:
    """Items of a JSON list, or of a file with one object per line.

    Raises:
        DataError: the file cannot be read, is empty or no UTF-8, or the list is damaged; names the row.
    """
    content = text_of(file)
    if not content.strip():
        raise DataError(f"{file} is empty; fetch the file again, or write [] where it is to hold no rows")
    yield from ((Place(file, number), item) for number, item in json_rows_of(file, content, faults))


def json_value(value: Any, key: str) -> Any:
    """What a column holds as JSON text, or already as a list or object.

    Raises:
        Unusable: the text is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"its {key} is no valid JSON ({reason_of(error)}); repair it or remove the row") from error


# CSV -----------------------------------------------------------------------------------------------------------------------


def csv_rows(file: Path, faults: Faults, *, needed: Collection[str], aliases: Mapping[str, str]) -> Rows:
    """Rows by column; columns are called in small letters with single spaces, whatever the file's spelling.

    Args:
        needed: columns without which no row can be used.
        aliases: other spellings of a column -> its name.

    Raises:
        DataError: the file cannot be read or lacks a column.
    """
    reader = csv.reader(io.StringIO(text_of(file), newline=""))
    try:
        header = [_column(name, aliases) for name in next(reader, [])]
        require(file, needed, header)
        for number, values in enumerate(row for row in reader if row):
            if len(values) != len(header):
                says = f"has {len(values)} values for {len(header)} columns; quote texts that hold a comma"
                faults.add(file, row_name(number, None), says)
            else:
                yield Place(file, number), dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{file}, line {reader.line_num}: no valid CSV ({error}); repair the row or fetch the file again"
        ) from error


def _column(name: str, aliases: Mapping[str, str]) -> str:
    plain = " ".join(name.replace("_", " ").split()).casefold()
    return aliases.get(plain, plain)


def require(file: Path, needed: Collection[str], there: Collection[str]) -> None:
    """Raises DataError unless a table has all columns."""
    missing = [name for name in needed if name not in there]
    if missing:
        listed = ", ".join(sorted(name for name in there if name)[:12]) or "none"
        raise DataError(
            f"{file} has no column {', '.join(missing)} (its columns: {listed}); "
            "check that --format names the data set of this file, or fetch the file again"
        )


# Parquet -------------------------------------------------------------------------------------------------------------------


def parquet_rows(file: Path, *, needed: Collection[str], columns: Collection[str] = ()) -> Rows:
    """Rows by column, read a few at a time.

    Args:
        needed: columns without which no row can be used.
        columns: further ones to read where they are there.

    Raises:
        DataError: no parquet file, a damaged one, or one that lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
            there = opened.schema_arrow.names
            require(file, needed, there)
            wanted = [name for name in there if name in needed or name in columns]
            for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=wanted, use_threads=False):
                for values in batch.to_pylist():
                    yield Place(file, number), values
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}, row {number}: cannot be read as parquet ({first_line(error)}); fetch the file again"
        ) from error
