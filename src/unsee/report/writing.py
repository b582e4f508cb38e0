"""Writes pages and files; whatever draws is imported only then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unsee.errors import ConfigError
from unsee.files import write_text


def write_report(run: Path | str, *, out: Path | None = None) -> Path:
    """Write the page of a run, whole or not at all; an unfinished run gets a page that says what is missing.

    Args:
        run: run folder.
        out: the page; `report.html` in the run folder by default.

    Returns:
        The page's path.

    Raises:
        UserError: the folder is no run.
        DataError: one of its files is damaged.
    """
    return report_runs([run], out=out)[0]


def write_comparison(runs: Sequence[Path | str], *, out: Path | None = None) -> Path:
    """Write one page that compares runs of one benchmark; `comparison.html` beside the first run by default.

    Raises:
        UserError: a folder is no run, holds no scored cell, is given twice, or the runs are of different benchmarks.
        DataError: a file of a run is damaged.
    """
    if len(runs) < 2:
        raise ConfigError("a comparison needs at least two runs; name another one, or write the report of the one")
    return report_runs(runs, out=out)[0]


def report_runs(runs: Sequence[Path | str], *, out: Path | None = None, export: Path | None = None) -> tuple[Path, list[Path]]:
    """Write the page of one run or of several, and on request every table and figure as files.

    Args:
        runs: run folders.
        out: the page; see `write_report` and `write_comparison` for the defaults.
        export: folder for CSV, LaTeX, SVG and PNG.

    Returns:
        The page's path, and the files that were exported.

    Raises:
        UserError: see `write_report` and `write_comparison`; or the export folder is a file.
        DataError: a file of a run is damaged.
    """
    from unsee.report.compare import comparison_page, read_sources
    from unsee.report.page import page_of
    from unsee.report.rendering import render_template
    from unsee.report.run_data import read_run

    if not runs:
        raise ConfigError("`unsee report` needs a run folder; for example `unsee report runs/demo`")
    folders = [Path(run) for run in runs]
    if len(folders) == 1:
        template, page, path = "report.html", page_of(read_run(folders[0])), out or folders[0] / "report.html"
    else:
        template, page = "compare.html", comparison_page(read_sources(folders))
        path = out or folders[0].resolve().parent / "comparison.html"
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; --out names the page, for example {path / 'report.html'}")
    html = render_template(template, page)
    write_text(path, html)
    if export is None:
        return path, []
    from unsee.report.export import export_page

    return path, export_page(page, export)
