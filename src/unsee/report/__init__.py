"""Results of a run for people: one HTML page (`page.py`), one page over several runs (`compare.py`), one table for the
terminal (`console.py`), files for a paper (`export.py`).

All read the main table of `main_table.py`. Figures are made in `figures/`, the only importer of altair.
"""

from unsee.report.main_table import main_table
from unsee.report.writing import report_runs, write_comparison, write_report

__all__ = ["main_table", "report_runs", "write_comparison", "write_report"]
