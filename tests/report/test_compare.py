from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE
from medical_run import HOSTILE_PATIENT, HOSTILE_RULE

from conftest import opened
from unsee.cli import main
from unsee.errors import UserError
from unsee.report import report_runs, write_comparison


@pytest.fixture(scope="module")
def pair(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of one benchmark; in the second every plain accuracy is another."""
    folder = tmp_path_factory.mktemp("pair")
    first, second = (Path(shutil.copytree(small_run, folder / name)) for name in ("first", "second"))
    results = pl.read_parquet(second / "results.parquet")
    plain = (pl.col("metric") == "accuracy") & pl.col("baseline").is_null() & (pl.col("method") == "npo")
    results.with_columns(pl.when(plain).then(0.5).otherwise(pl.col("value")).alias("value")).write_parquet(
        second / "results.parquet"
    )
    text = (second / "experiment.toml").read_text()
    (second / "experiment.toml").write_text(text.replace("seeds = [0]", "seeds = [7]"))
    return first, second


@pytest.fixture(scope="module")
def page(pair: tuple[Path, Path]) -> str:
    path = write_comparison(pair)
    assert path == pair[0].parent / "comparison.html"
    return path.read_text(encoding="utf-8")


def test_each_method_has_a_row_per_run(page: str):
    rows = re.findall(r'<th scope="row">NPO <span class="run">(\w+)</span>', page)
    assert rows[:2] == ["first", "second"] and len(rows) == 4
    npo = re.search(r'<th scope="row">NPO <span class="run">second</span>.*?</tr>', page.partition("main sets")[2], re.DOTALL)
    assert npo and "<b>50</b>" in npo[0]


def test_points_of_the_trade_off_name_their_run(page: str):
    labels = re.findall(r'aria-label="Forgetting against Retain[^"]*"', page)
    assert labels and "NPO \u00b7 first" in labels[0] and "NPO \u00b7 second" in labels[0]


def test_settings_that_differ_are_listed(page: str):
    table = page.partition("What was set differently")[2].partition("</table>")[0]
    assert '<th scope="row">seeds</th><td>[0]</td><td>[7]</td>' in table and "benchmark.name" not in table


def test_csv_has_a_column_for_the_run(page: str):
    csv = re.search(r'data-file="comparison-main-strict-image-text-all.csv" data-text="([^"]*)"', page)
    assert csv and csv[1].startswith("Request,Model,Run,")


def test_other_data_are_a_warning(pair: tuple[Path, Path], tmp_path: Path):
    second = Path(shutil.copytree(pair[1], tmp_path / "second"))
    (second / "provenance.json").write_text(json.dumps({"inputs": {"benchmark": HOSTILE}}))
    html = write_comparison([pair[0], second], out=tmp_path / "c.html").read_text()
    assert "ask about different data" in html and HOSTILE not in opened(html)


def test_runs_of_different_benchmarks_are_refused(pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    other = Path(shutil.copytree(pair[1], tmp_path / "other"))
    results = pl.read_parquet(other / "results.parquet").with_columns(pl.lit("creatures").alias("benchmark"))
    results.write_parquet(other / "results.parquet")
    assert main(["report", str(pair[0]), str(other)]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "run of people" in error and "one of creatures" in error and str(other) in error
    assert not (pair[0].parent / "other.html").exists()


def test_a_run_without_results_is_refused(pair: tuple[Path, Path], tmp_path: Path):
    (tmp_path / "experiment.toml").write_text('name = "empty"\n')
    with pytest.raises(UserError, match="no scored cell"):
        report_runs([pair[0], tmp_path])


def test_the_same_run_twice_is_refused(pair: tuple[Path, Path]):
    with pytest.raises(UserError, match="given twice"):
        report_runs([pair[0], pair[0] / "."])


def test_one_run_is_no_comparison_and_none_is_no_report(pair: tuple[Path, Path], capsys: pytest.CaptureFixture):
    with pytest.raises(UserError, match="at least two"):
        write_comparison(pair[:1])
    assert main(["report"]) == 2
    assert "run folder" in capsys.readouterr().err


def test_folders_of_one_name_are_told_apart(pair: tuple[Path, Path], tmp_path: Path):
    places = [Path(shutil.copytree(run, tmp_path / run.name / "run")) for run in pair]
    html = write_comparison(places).read_text()
    assert '<span class="run">first/run</span>' in html and '<span class="run">second/run</span>' in html


@pytest.fixture(scope="module")
def medical_pair(medical_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two medical runs; the second has one scenario, no method but IDK and other leaks."""
    second = Path(shutil.copytree(medical_run, tmp_path_factory.mktemp("medical") / "second"))
    results = pl.read_parquet(second / "results.parquet")
    kept = pl.col("scenario").eq("privacy") & pl.col("method").is_in(["vanilla", "gold", "idk"])
    leaks = (pl.col("metric") == "volunteered_leak") & (pl.col("method") == "idk") & pl.col("baseline").is_null()
    changed = results.filter(kept).with_columns(pl.when(leaks).then(0.5).otherwise(pl.col("value")).alias("value"))
    changed.write_parquet(second / "results.parquet")
    return [medical_run, second]


@pytest.mark.slow
def test_medical_tables_of_several_runs_stand_side_by_side(medical_pair: list[Path], tmp_path: Path):
    page, files = report_runs(medical_pair, out=tmp_path / "c.html", export=tmp_path / "paper")
    html = opened(page.read_text(encoding="utf-8"))
    for part in ("leaks", "errors", "efficiency", "ability"):
        assert f'<section id="{part}"' in html and f'href="#{part}"' in html, part
    assert HOSTILE_RULE not in html and HOSTILE_PATIENT not in html
    names = {file.name for file in files}
    assert "comparison-volunteered-strict-all.csv" in names and "comparison-efficiency-incorrect-strict-all.tex" in names
    rows = list(csv.DictReader(io.StringIO((tmp_path / "paper/comparison-volunteered-strict-all.csv").read_text())))
    idk = {row["Run"]: row for row in rows if row["Model"] == "IDK"}
    assert set(idk) == {"patients", "second"}
    column = next(name for name in rows[0] if "Forget picture" in name and "low" not in name and "high" not in name)
    assert float(idk["second"][column]) == 50 != float(idk["patients"][column])
    # A run without the other scenario has no rows there.
    errors = list(csv.DictReader(io.StringIO((tmp_path / "paper/comparison-efficiency-incorrect-strict-all.csv").read_text())))
    assert {row["Run"] for row in errors} == {"patients"}
    heading = '<th scope="row">IDK <span class="run">second</span>'
    assert heading in html.partition("Without being asked")[2].partition("</table>")[0]
