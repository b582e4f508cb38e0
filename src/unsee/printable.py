"""Words of servers and of people's files: on a terminal, and in files."""

from __future__ import annotations


def printable(text: str, length: int | None = None) -> str:
    """A text as it may be shown: one line without control characters, cut to a length where one is given."""
    line = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(line.split())
    return line if length is None or len(line) <= length else f"{line[:length]}..."


def half_character(text: str) -> int | None:
    """Where a text holds half a character (a lone surrogate), which no file can hold; None where all are whole."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None
