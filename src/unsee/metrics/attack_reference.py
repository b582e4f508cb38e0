"""What an attack's success is held against: the same attack on facts of which it can only find what luck finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from unsee.attacks.base import NEVER_LEARNED

FEWEST_UNKNOWN = 10
"""Facts that the start model does not know, from which on they are a reference."""


class Reference(NamedTuple):
    """Facts that were never learned, or that the start model does not know, attacked alike.

    Attributes:
        baseline: NEVER_LEARNED or NEVER_KNOWN.
        name: of their resamples.
        rows: schema ATTACKS, and what else `alike` names.
        alike: columns in which a place agrees with the facts that it is held against.
    """

    baseline: str
    name: str
    rows: pl.DataFrame
    alike: tuple[str, ...]

    def beside(self, place: Mapping[str, Any]) -> pl.DataFrame:
        """The rows that a place is held against."""
        return self.rows.filter(*(pl.col(name).eq_missing(pl.lit(place[name], dtype=pl.String)) for name in self.alike))

    def missing(self, strangers: pl.DataFrame) -> str | None:
        """Why they are no reference."""
        if self.baseline == NEVER_LEARNED:
            return "no never-learned fact was attacked" if strangers.is_empty() else None
        count = strangers["subject"].n_unique()
        if count >= FEWEST_UNKNOWN:
            return None
        return f"only {count} fact{'' if count == 1 else 's'} that the model does not know; {FEWEST_UNKNOWN} are needed"
