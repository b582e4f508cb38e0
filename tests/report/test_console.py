from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
from rich.console import Console

from unsee.report.console import print_table


def printed(run: Path, width: int = 80) -> str:
    stream = io.StringIO()
    print_table(run, console=Console(file=stream, width=width))
    return stream.getvalue()


def test_the_table_fits_eighty_columns(small_run: Path):
    lines = printed(small_run).splitlines()
    assert max(map(len, lines)) <= 80 and not any("\u2026" in line for line in lines)


def test_it_shows_what_the_page_shows(small_run: Path, small_page: str):
    out = " ".join(printed(small_run).split())
    for words in ("Vanilla", "Gold", "Guessing", "NPO", "* fewer than 20 subjects", "Illustration, no verdict", "Forget 15 %"):
        assert words in out, words


def test_absent_rows_say_why(small_run: Path, tmp_path: Path):
    run = Path(shutil.copytree(small_run, tmp_path / "demo"))
    pl.read_parquet(run / "results.parquet").filter(pl.col("method") != "gold").write_parquet(run / "results.parquet")
    assert "Gold is absent: its cell has not finished" in printed(run)


def test_an_empty_run_prints_one_line(tmp_path: Path):
    (tmp_path / "experiment.toml").write_text('name = "empty"\n')
    assert printed(tmp_path).startswith("No cell of this run has been scored yet.")


def test_importing_it_loads_neither_torch_nor_figures():
    code = (
        "import sys, unsee.report.console; print([m for m in ('torch', 'altair', 'vl_convert', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
