"""Results of a run for people: one HTML page (`page.py`), one table for the terminal (`console.py`).

Both read the main table of `main_table.py`. Figures are made in `figures.py`, the only importer of altair.
"""

from unsee.report.main_table import main_table
from unsee.report.page import write_report

__all__ = ["main_table", "write_report"]
