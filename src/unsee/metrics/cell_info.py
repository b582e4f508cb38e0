"""What identifies the cell that results are about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CellInfo:
    """What identifies a cell; every field is a column of the results."""

    cell: str
    benchmark: str | None = None
    scenario: str | None = None
    model: str | None = None
    method: str | None = None
    variant: str | None = None
    forget_ratio: float | None = None
    unlearn_modality: str | None = None
    seed: int | None = None
