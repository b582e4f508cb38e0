"""What harnesses measured, put into a run's results and report, or beside a lone model's other results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.files import only_writer, read_parquet, write_parquet, write_text

if TYPE_CHECKING:
    import polars as pl

    from unsee.utility.targets import Target


def keep_of_run(path: Path, measured: Mapping[Target, pl.DataFrame]) -> list[str]:
    """Add values to the results and the report of a run; returns lines that say where.

    Raises:
        DataError: the run has no results of one of the cells.
    """
    from unsee.report import write_report
    from unsee.run_folder import RunFolder
    from unsee.run_results import write_utility

    with only_writer(path):
        results = write_utility(RunFolder(path), {cell: table for target, table in measured.items() for cell in target.cells})
        page = write_report(path)
    return [f"{results.height:,} values: {path / 'results.parquet'}", f"report: {page}"]


def keep_lone(home: Path, measured: Mapping[Target, pl.DataFrame]) -> list[str]:
    """Write results.parquet and results.json of models without a run; returns lines that say where."""
    import polars as pl

    from unsee.metrics import CellInfo
    from unsee.metrics.utility import utility_rows
    from unsee.schemas import RESULTS, UTILITY
    from unsee.utility.reading import merged

    remedy = "remove it and read the results again"
    with only_writer(home):
        for target, table in measured.items():
            kept = home / target.name / "utility.parquet"
            before = read_parquet(kept, schema=UTILITY, remedy=remedy) if kept.is_file() else None
            write_parquet(kept, merged(before, table))
        parts = [pl.DataFrame(schema=RESULTS)]
        for file in sorted(home.glob("*/utility.parquet")):
            name = file.parent.name
            parts.append(utility_rows(read_parquet(file, schema=UTILITY, remedy=remedy), cell=CellInfo(cell=name, model=name)))
        results = pl.concat(parts)
        write_parquet(home / "results.parquet", results)
        write_text(home / "results.json", results.write_json())
    return [f"{results.height:,} values: {home / 'results.parquet'}"]
