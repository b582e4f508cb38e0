"""Reading the project's own Markdown pages: code blocks, prose, tables, anchors, commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CHANGELOG.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block."""

    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The file name in the comment on its first line."""
        found = re.match(r"# ([\w/.-]+\.\w+)\n", self.code)
        return found[1] if found else None


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(text)]


def prose(text: str) -> str:
    """The text without fenced blocks."""
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    """What stands in backticks, line breaks as blanks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """Anchors of headings as GitHub makes them."""
    titles = re.findall(r"^#{1,6} (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table as rows by column title."""
    found: list[list[list[str]]] = [[]]
    for line in prose(text).splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[dict(zip(table[0], row, strict=True)) for row in table[2:]] for table in found if table]


def table(text: str, *columns: str) -> list[dict[str, str]]:
    """Rows of all tables that have these columns, in page order."""
    rows = [row for rows in tables(text) for row in rows if rows and set(columns) <= set(rows[0])]
    assert rows, f"no table has the columns {columns}"
    return rows


def bare(cell: str) -> str:
    """A cell without its backticks."""
    return cell.strip("`")


def commands(text: str, program: str) -> list[tuple[list[str], bool]]:
    """Command lines of a program as (words, whether it stands in a block)."""
    lines = [line for block in blocks(text) if block.language in ("", "sh", "bash") for line in block.code.splitlines()]
    whole = [(line, True) for line in lines] + [(code, False) for code in inline_code(text)]
    return [(shlex.split(line, comments=True)[1:], block) for line, block in whole if line.startswith(f"{program} ")]
