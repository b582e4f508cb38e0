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


def test_a_medical_run_shows_harm_ability_and_the_score(medical_run: Path):
    lines = printed(medical_run).splitlines()
    assert max(map(len, lines)) <= 80 and not any("\u2026" in line for line in lines)
    out = " ".join(" ".join(lines).split())
    for words in (
        "Privacy, 100 % of harm listed",
        "Leak Leak",
        "Errors, 100 % of harm listed",
        "Still Right",
        "known facts only",
    ):
        assert words in out, words
    assert "Forget score" not in out and "Celeb" not in out
    results = pl.read_parquet(medical_run / "results.parquet")
    own = (pl.col("method") == "idk") & (pl.col("scenario") == "privacy") & pl.col("gated") & pl.col("baseline").is_null()
    own &= pl.all_horizontal(pl.col("group", "level").is_null())
    idk = next(number for number, line in enumerate(lines) if line.strip().startswith("IDK"))
    shown = lines[idk].split()[1:]
    leaks = results.filter(own, metric="volunteered_leak", set="forget")
    assert shown[0] == f"{100 * leaks['value'].item():.0f}"
    score = results.filter(own, metric="ues_r")
    assert shown[-1] == f"{score['value'].item():.2f}"
    assert lines[idk + 1].split()[-1] == f"{score['ci_low'].item():.2f}\u2013{score['ci_high'].item():.2f}*"
    # Ability: closed questions right and words of open answers recalled, each answer counting once.
    # The gate probes no set that is kept, so that all its questions count.
    ungated = (pl.col("method") == "idk") & (pl.col("scenario") == "privacy") & ~pl.col("gated") & pl.col("baseline").is_null()
    whole = pl.all_horizontal(pl.col("group", "level").is_null())
    of_it = pl.col("metric").is_in(["closed_accuracy", "token_recall"]) & (pl.col("set") == "near_retain")
    able = results.filter(ungated & whole & of_it)
    assert able.height == 2 and shown[3] == f"{100 * (able['value'] * able['n']).sum() / able['n'].sum():.0f}"


def test_without_known_facts_all_answers_are_shown(medical_run: Path, tmp_path: Path):
    run = Path(shutil.copytree(medical_run, tmp_path / "patients"))
    everything = pl.read_parquet(run / "results.parquet").filter(~pl.col("gated").fill_null(False))
    everything.write_parquet(run / "results.parquet")
    out = " ".join(printed(run).split())
    assert "known facts only" not in out and "Leak Leak" in out
