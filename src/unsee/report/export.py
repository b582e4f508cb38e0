"""Every table and figure of a page as files: CSV and LaTeX, SVG and PNG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unsee.errors import UserError
from unsee.files import make_folder, write_bytes, write_text
from unsee.report.figures.svg import Figure, grid
from unsee.report.panels import Panel
from unsee.report.table_files import to_csv, to_latex
from unsee.report.tables import Table

_SCALE = 2


def export_page(page: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write what a page shows, for every choice of its switches.

    Args:
        page: what `page_of` or `comparison_page` returned.
        folder: made where it is missing; files of the same name are replaced.

    Returns:
        The written files.

    Raises:
        UserError: the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, so nothing can be written into it; name a folder for --export")
    make_folder(folder)
    written = []
    for table in _tables(page):
        for suffix, text in ((".csv", to_csv(table)), (".tex", to_latex(table))):
            written.append(folder / f"{_file_name(table.name)}{suffix}")
            write_text(written[-1], text)
    for figure in _figures(page):
        picture = grid(figure.pictures, figure.columns)
        written.append(folder / f"{_file_name(figure.name)}.svg")
        write_text(written[-1], picture)
        written.append(folder / f"{_file_name(figure.name)}.png")
        write_bytes(written[-1], _png(picture))
    return written


def _tables(page: Mapping[str, Any]) -> list[Table]:
    found = [panel.table for panel in _panels(page) if panel.table]
    found += [table for table in page.values() if isinstance(table, Table) and table]
    return list({table.name: table for table in found}.values())


def _figures(page: Mapping[str, Any]) -> list[Figure]:
    found = [panel.figure for panel in _panels(page) if panel.figure]
    found += [value for value in page.values() if isinstance(value, Figure)]
    found += [item for value in page.values() if isinstance(value, list) for item in value if isinstance(item, Figure)]
    return list({figure.name: figure for figure in found if figure.pictures}.values())


def _panels(page: Mapping[str, Any]) -> Iterable[Panel]:
    return (item for value in page.values() if isinstance(value, list) for item in value if isinstance(item, Panel))


def _file_name(name: str) -> str:
    """A name as part of a path; some hold words of results, which may come from elsewhere."""
    return re.sub(r"[^\w.-]", "-", name).lstrip(".")


def _png(picture: str) -> bytes:
    import vl_convert

    return vl_convert.svg_to_png(picture, scale=_SCALE)
