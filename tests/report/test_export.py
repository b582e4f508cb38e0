from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from markupsafe import Markup
from PIL import Image

from conftest import opened
from unsee.cli import main
from unsee.report.export import export_page
from unsee.report.figures.svg import Figure
from unsee.report.panels import Panel, summary_panels
from unsee.report.run_data import read_run
from unsee.report.sources import Source, Sources


@pytest.fixture(scope="module")
def folder(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "files"
    out = folder.parent / "page.html"
    assert main(["report", str(small_run), "--out", str(out), "--export", str(folder)]) == 0
    assert out.is_file()
    return folder


def test_nothing_is_written_outside_the_folder(small_run: Path, tmp_path: Path):
    """Modes of planted errors stand in names, and a run may come from elsewhere."""
    panels = summary_panels(Sources([Source(read_run(small_run))], "demo"))
    table = replace(next(panel.table for panel in panels if panel.table), name="run-errors-../../owned")
    picture = Figure(
        "../owned", "Title", "told", (Markup('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"></svg>'),)
    )
    written = export_page({"panels": [Panel({}, table=table), Panel({}, figure=picture)]}, tmp_path / "deep/paper")
    assert written and {path.resolve().parent for path in written} == {(tmp_path / "deep/paper").resolve()}
    assert all(path.is_file() for path in written)


def test_files_are_those_the_page_offers(folder: Path):
    page = opened((folder.parent / "page.html").read_text(encoding="utf-8"))
    offered = set(re.findall(r'data-file="([^"]+)"', page))
    assert {path.name for path in folder.iterdir()} == offered


def test_tables_are_those_of_the_page(folder: Path):
    page = opened((folder.parent / "page.html").read_text(encoding="utf-8"))
    texts = re.findall(r'data-file="([^"]+)" data-text="([^"]*)"', page)
    assert len(texts) > 20
    for name, text in texts:
        assert (folder / name).read_text(encoding="utf-8") == unescape(text), name


def test_numbers_are_those_of_the_results(folder: Path, small_run: Path):
    results = pl.read_parquet(small_run / "results.parquet").filter(
        pl.col("baseline").is_null() & pl.col("level").is_null() & pl.col("group").is_null() & (pl.col("gated") == False)  # noqa: E712
    )
    rows = list(csv.DictReader(io.StringIO((folder / "demo-main-strict-text-all.csv").read_text())))
    npo = next(row for row in rows if row["Model"] == "NPO")
    for title, set_name, metric, view in (
        ("Forget Choice (%)", "forget", "accuracy", "options"),
        ("Celebrity ROUGE-L (%)", "celebrity", "rouge_l", "generate"),
        ("Retain Factual (%)", "retain", "factuality", "generate"),
        ("Near-retain Cloze (%)", "near_retain", "cloze_accuracy", "generate"),
    ):
        task = {"accuracy": "classification", "cloze_accuracy": "cloze"}.get(metric, "generation")
        place = {"set": set_name, "metric": metric, "view": view, "modality": "text", "method": "npo", "task": task}
        (row,) = results.filter(*(pl.col(name) == value for name, value in place.items())).iter_rows(named=True)
        for end, column in (("", "value"), (" low", "ci_low"), (" high", "ci_high")):
            shown = npo[title + end]
            assert (float(shown) if shown else None) == (
                None if row[column] is None else pytest.approx(100 * row[column], rel=1e-5)
            )


def test_figures_are_whole_pictures(folder: Path):
    pictures = sorted(folder.glob("*.svg"))
    assert len(pictures) == len(list(folder.glob("*.png"))) > 10
    for path in pictures:
        tree = ElementTree.parse(path).getroot()
        with Image.open(path.with_suffix(".png")) as image:
            assert image.width == pytest.approx(2 * float(tree.get("width", 0)), abs=2)
            assert len(set(image.convert("L").resize((64, 64)).getdata())) > 1, path.name


def test_a_file_is_no_folder(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "file").write_text("")
    page = tmp_path / "page.html"
    assert main(["report", str(small_run), "--out", str(page), "--export", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert main(["report", str(small_run), "--out", str(tmp_path)]) == 2
    assert "--out names the page" in capsys.readouterr().err
