"""The control that changes nothing: the whole path with zero steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from unsee.methods.base import B, Method, Need


@dataclass(frozen=True)
class DoNothing(Method):
    """Takes no step; the model must equal the one it started from."""

    name: ClassVar[str] = "do_nothing"
    needs: ClassVar[frozenset[Need]] = frozenset()

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        yield from ()
