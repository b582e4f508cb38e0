"""What other packages add by entry points."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from unsee.errors import ConfigError

T = TypeVar("T")


def entries(group: str) -> tuple[EntryPoint, ...]:
    """What installed packages add to a group; nothing of them is imported."""
    return _entries_on(group, tuple(sys.path))


@cache
def _entries_on(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Looking through all packages takes milliseconds, and names are asked for hundreds of times."""
    return tuple(entry_points(group=group))


def subclass_of(base: type[T], entry: EntryPoint) -> type[T]:
    """The class behind an entry point.

    Raises:
        ConfigError: its package cannot be imported, or it is no subclass of `base`.
    """
    kind = base.__name__.lower()
    where = f"{kind} {entry.name} of package {entry.dist.name if entry.dist else entry.value}"
    try:
        made = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be imported ({error}); reinstall or remove the package") from error
    if not (isinstance(made, type) and issubclass(made, base)):
        raise ConfigError(f"{where} is {made!r}, not a subclass of unsee.{kind}s.{base.__name__}; fix its entry point")
    return made
