"""Errors that the command line prints as one line: what a user can cause and mend (exit code 2), and work gone wrong (1)."""

from __future__ import annotations

_LINE = 300


class UserError(ValueError):
    """Wrong input: says what was given, why it cannot work and what to change."""


class ConfigError(UserError):
    """A key, value or combination of options that cannot work."""


class DataError(UserError):
    """A file, row or picture of a data set that cannot be read."""


class CheckpointError(UserError):
    """A model folder that is incomplete, unsafe or of another kind."""


class WorkError(RuntimeError):
    """Work that went wrong although the input was right; the cell fails, other work goes on."""


class TrainingError(WorkError):
    """Training that went wrong."""


class AnsweringError(WorkError):
    """Answering that went wrong."""


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """A hint naming the closest known name, for error messages."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def first_line(error: Exception) -> str:
    """What a library complains about, as it fits into a line; some list every class they know."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return line if len(line) <= _LINE else f"{line[:_LINE]} ..."
