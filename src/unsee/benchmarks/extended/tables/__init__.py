"""Tables of pictures, questions and answers that a user holds, read as one kind of table.

    table = read_source("okvqa", "OK-VQA").table
    table.rows[0].question, table.licenses, table.skipped

Nothing is downloaded. One file per layout; `FORMATS` lists those that are read from a folder, and `people` takes a benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from unsee.benchmarks.extended.tables import of_benchmark, okvqa, vqa_json
from unsee.benchmarks.extended.tables.of_benchmark import Source
from unsee.benchmarks.faults import Faults
from unsee.benchmarks.medical.formats import llava_med, slake
from unsee.benchmarks.medical.formats.reading import Reader, read
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import ConfigError, nearest

__all__ = ["FORMATS", "PEOPLE", "Source", "format_names", "read_source"]

PEOPLE = "people"
_LLAVA = "LLaVA chat JSON"


def _chats(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of LLaVA-Med's reader under a name of their own; a licence is only what a row says."""
    return (replace(row, source=_LLAVA) for row in llava_med.rows(folder, faults, license=""))


FORMATS: Mapping[str, Reader] = {
    "okvqa": okvqa.READER,
    "vqa-json": vqa_json.READER,
    "slake": slake.READER,
    "llava-json": replace(llava_med.READER, title=_LLAVA, license="", rows=_chats),
}
"""Name of a layout -> its reader."""


def format_names() -> tuple[str, ...]:
    return (*FORMATS, PEOPLE)


def read_source(format: str, data: Path | str | None, *, license: str | None = None, skip_invalid: bool = False) -> Source:
    """The rows of a user's table; every picture is decoded once.

    Args:
        format: one of `format_names()`.
        data: the folder; for `people` a benchmark by name or folder, the embedded one where None.
        license: of rows that name none; an SPDX identifier.
        skip_invalid: leave faulty rows out and list them in `skipped`, instead of stopping at the first one.

    Raises:
        ConfigError: the format is unknown, or there is no folder.
        DataError: folder, file or row cannot be used; names file, row and remedy.
    """
    if format != PEOPLE and format not in FORMATS:
        raise ConfigError(f"there is no format {format!r}; {nearest(format, format_names())}")
    if format == PEOPLE:
        source = of_benchmark.read_benchmark(PEOPLE if data is None else data)
    elif data is None:
        raise ConfigError(f"format {format} is read from a folder; give it with --data DIR")
    else:
        source = Source(read(FORMATS[format], Path(data), skip_invalid=skip_invalid))
    return source if license is None else source.each(partial(_licensed, license=license))


def _licensed(row: VqaRow, *, license: str) -> VqaRow:
    return row if row.license else replace(row, license=license)
