"""What every reader of medical files offers, and how a table is put together from its rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

from unsee.benchmarks.faults import Faults
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.errors import ConfigError, DataError, nearest
from unsee.settings import convert


@dataclass(frozen=True)
class Reader:
    """How the files of one data set are read.

    Attributes:
        title: the data set, as its authors call it.
        layout: what the user's folder holds.
        group: what rows are grouped by, so that they stay on one side of every split.
        license: licence of its rows.
        rows: `rows(folder, faults, **options)` gives them in the order of the files; options are keyword-only.
    """

    title: str
    layout: str
    group: str
    license: str
    rows: Callable[..., Iterator[VqaRow]]

    @property
    def options(self) -> tuple[str, ...]:
        """Names that `rows` takes beside folder and faults."""
        parameters = inspect.signature(self.rows).parameters.values()
        return tuple(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options in the types that `rows` takes.

        Raises:
            ConfigError: there is no such option, or its value is of another type.
        """
        hints = get_type_hints(self.rows)
        for name in options:
            if name not in self.options:
                known = nearest(name, self.options) if self.options else "its files are read in one way, leave it out"
                raise ConfigError(f"{self.title} has no option {name!r}; {known}")
        return {name: convert(hints[name], value, name) for name, value in options.items()}


def read(reader: Reader, folder: Path, *, skip_invalid: bool = False, limit: int | None = None, **options: Any) -> VqaTable:
    """The table of a folder; see `unsee.benchmarks.medical.formats.read_table`."""
    options = reader.checked(options)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}, but a table has at least one row; give a number from 1 on")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; pass the folder that holds {reader.layout}")
    faults = Faults(skip=skip_invalid)
    rows = tuple(islice(_unique(reader.rows(folder, faults, **options), faults), limit))
    if not rows:
        first = next(iter(faults.found), None)
        why = f"the first fault is in {first}" if first is not None else f"it should hold {reader.layout}"
        raise DataError(f"{folder} holds no row of {reader.title} that can be used; {why}")
    return VqaTable(reader.title, rows, tuple(str(fault) for fault in faults.found))


def _unique(rows: Iterable[VqaRow], faults: Faults) -> Iterator[VqaRow]:
    """Rows with an id that no earlier row has."""
    first: dict[str, str] = {}
    for row in rows:
        if first.setdefault(row.id, row.where) == row.where:
            yield row
        else:
            file, _, name = row.where.rpartition(", row ")
            faults.add(Path(file), f"row {name}", f"{first[row.id]} has the same id; give it an id of its own, or remove it")
