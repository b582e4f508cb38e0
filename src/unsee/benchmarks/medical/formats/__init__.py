"""Medical question answering data sets that a user holds, read as one kind of table.

    table = read_table("slake", Path("Slake1.0"))
    table.rows[0].question, table.groups, table.licenses

Nothing is downloaded. One file per format; `FORMATS` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsee.benchmarks.medical.formats import (
    llava_med,
    medforget,
    mimic_cxr_vqa,
    path_vqa,
    pmc_vqa,
    slake,
    vqa_rad,
)
from unsee.benchmarks.medical.formats.reading import Reader, read
from unsee.benchmarks.medical.table import VqaTable
from unsee.errors import ConfigError, nearest

__all__ = ["FORMATS", "Reader", "read_table", "reader_of"]

FORMATS: Mapping[str, Reader] = {
    "slake": slake.READER,
    "vqa-rad": vqa_rad.READER,
    "path-vqa": path_vqa.READER,
    "pmc-vqa": pmc_vqa.READER,
    "mimic-cxr-vqa": mimic_cxr_vqa.READER,
    "llava-med": llava_med.READER,
    "medforget": medforget.READER,
}
"""Name of a format -> its reader."""


def reader_of(format: str) -> Reader:
    """The reader of a format.

    Raises:
        ConfigError: there is no such format.
    """
    if format not in FORMATS:
        raise ConfigError(f"there is no format {format!r}; {nearest(format, list(FORMATS))}")
    return FORMATS[format]


def read_table(
    format: str, folder: Path | str, *, skip_invalid: bool = False, limit: int | None = None, **options: Any
) -> VqaTable:
    """The rows of a data set in its published layout; every picture is decoded once.

    Args:
        format: one of `FORMATS`.
        skip_invalid: leave faulty rows out and list them in `skipped`, instead of stopping at the first one.
        limit: read no further than so many rows; a group may be cut.
        options: of the format, such as `language="zh"` for SLAKE.

    Raises:
        ConfigError: the format or an option is unknown.
        DataError: folder, file or row cannot be used; names file, row and remedy.
    """
    return read(reader_of(format), Path(folder), skip_invalid=skip_invalid, limit=limit, **options)
