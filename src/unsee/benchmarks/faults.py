"""What is wrong with a row of official files: where it stands, and whether it stops the reading or is counted and left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unsee.errors import DataError


@dataclass(frozen=True)
class Place:
    """Where a row stands: its file and its position in it, from 0."""

    file: Path
    number: int


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row."""

    file: Path
    row: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}, {self.row}: {self.text}"


class Faults:
    """Where faults go: the first one is raised, or with `skip` they are kept and what is faulty is left out.

    Attributes:
        found: faults in the order they were met, each once.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self.found: dict[Fault, None] = {}

    def add(self, file: Path, row: str, text: str) -> None:
        """Raises DataError unless faults are skipped."""
        fault = Fault(file, row, text)
        if not self.skip:
            raise DataError(f"{fault}; or pass --skip-invalid (skip_invalid=True) to go on without it")
        self.found[fault] = None


def row_name(number: int, id_: str | int | None) -> str:
    """How messages call a row."""
    return f"row {number} (ID {id_})" if id_ is not None else f"row {number}"
