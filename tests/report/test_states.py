from __future__ import annotations

import csv
import io
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import opened
from unsee.errors import DataError
from unsee.report import paths, report_runs, write_report
from unsee.report.main_table import Scope, Slice, rows
from unsee.report.run_data import read_run
from unsee.report.sources import Source, Sources
from unsee.report.states import after_tables, state_panels, state_words, way_tables
from unsee.report.tables import Line, Table
from unsee.schemas import STATES

PICTURES = Slice("strict", "image_text", False)


def value(method: str, number: float, *, state: str = "relearned", step: int | None = None, seed: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(STATES.names())
    row |= {"cell": f"{method}-s{seed}", "method": method, "variant": "corrected", "seed": seed, "forget_ratio": 0.1}
    row |= {"unlearn_modality": "mixed", "set": "forget", "task": "classification", "metric": "accuracy"}
    row |= {"modality": "image_text", "protocol": "strict", "view": "options", "gated": False}
    return row | {"value": number, "n": 10, "n_subjects": 30, "state": state, "step": step}


def states_of(*made: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(made), schema=STATES)


def forgetting(table: pl.DataFrame, method: str) -> tuple[float | None, int]:
    (row,) = (row for row in rows(table, Scope(0.1, "mixed"), PICTURES) if row.method == method)
    cell = row.cells["forget/classification"]
    return cell.value, cell.n_seeds


def sources_of(run: Path) -> Sources:
    return Sources([Source(read_run(run))], "states")


def first_table(run: Path) -> Table:
    table = state_panels(sources_of(run))[0].table
    assert table is not None
    return table


def line_of(table: Table, request: int, title: str) -> Line:
    (line,) = (line for line in table.bodies[request].lines if line.title == title)
    return line


@pytest.fixture(autouse=True)
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures that have tests elsewhere: drawing them takes longest."""
    for name in ("difference_panels", "fact_panels"):
        monkeypatch.setattr(f"unsee.report.page.{name}", lambda *given, **named: [])


@pytest.fixture
def copy(states_run: Path, tmp_path: Path) -> Path:
    """A run that a test may change; pictures and all facts only, so that its page is written quickly."""
    run = Path(shutil.copytree(states_run, tmp_path / "states"))
    for name in ("results", "states"):
        few = (pl.col("modality") == "image_text").fill_null(True) & (pl.col("gated") == False).fill_null(True)  # noqa: E712
        pl.read_parquet(run / f"{name}.parquet").filter(few).write_parquet(run / f"{name}.parquet")
    return run


def change(run: Path, *expressions: pl.Expr, keep: pl.Expr | None = None) -> None:
    states = pl.read_parquet(run / "states.parquet").with_columns(*expressions)
    (states if keep is None else states.filter(keep)).write_parquet(run / "states.parquet")


def page(run: Path) -> str:
    return opened(write_report(run).read_text(encoding="utf-8"))


def test_states_are_tables_of_their_own_and_average_seeds():
    tables = after_tables(
        states_of(
            value("ga", 0.9, state="int4"),
            value("ga", 0.5, state="zeta"),
            value("ga", 0.7, state="int16"),
            value("ga", 0.2, seed=0),
            value("ga", 0.4, seed=1),
            value("ga", 0.1, state="step-00000008", step=8),
        )
    )
    assert list(tables) == ["relearned", "int16", "int4", "zeta"]
    assert forgetting(tables["relearned"], "ga") == (pytest.approx(0.3), 2)
    assert forgetting(tables["int4"], "ga") == (0.9, 1)


def test_points_on_the_way_are_counted_whatever_their_steps():
    tables = way_tables(
        states_of(
            value("ga", 0.8, state="step-00000010", step=10),
            value("ga", 0.4, state="step-00000020", step=20),
            value("ga", 0.6, state="step-00000020", step=20, seed=1),
            value("ga", 0.3, state="step-00000040", step=40, seed=1),
            value("npo", 0.5, state="step-00000020", step=20),
            value("ga", 0.1),
        )
    )
    assert [forgetting(table, "ga") for table in tables] == [(pytest.approx(0.7), 2), (pytest.approx(0.35), 2)]
    assert forgetting(tables[0], "npo") == (0.5, 1)


def test_every_model_with_states_has_a_row_per_request(states_run: Path):
    table = first_table(states_run)
    for body in table.bodies:
        assert [line.title for line in body.lines] == ["Vanilla", "Gold", "Gradient difference", "NPO"]
    assert [body.title.split("from ")[1] for body in table.bodies] == ["image + text", "text only"]
    states = ["as unlearned", "relearned", "int8", "int4"]
    assert [heading.title for heading in table.headings] == 2 * states
    groups = [("Forget accuracy", "\u2193"), ("Retain accuracy", "\u2191")]
    assert [(group.title, group.arrow) for group in table.groups] == groups


def test_numbers_are_those_of_the_states_and_of_the_results(states_run: Path):
    table = first_table(states_run)
    for state, name in (("as unlearned", "results"), ("relearned", "states"), ("int4", "states")):
        values = pl.read_parquet(states_run / f"{name}.parquet").filter(
            pl.col("method") == "npo", pl.col("unlearn_modality") == "text", pl.col("protocol") == "strict",
            pl.col("gated") == False, pl.all_horizontal(pl.col("baseline", "group", "level").is_null()),  # noqa: E712
        )  # fmt: skip
        if name == "states":
            values = values.filter(pl.col("state") == state)
        for key in ("forget/classification", "retain/classification"):
            set_name, _, task = key.partition("/")
            place = {"set": set_name, "task": task, "modality": "image_text", "view": "options", "metric": "accuracy"}
            (row,) = values.filter(*(pl.col(column) == wanted for column, wanted in place.items())).iter_rows(named=True)
            cell = line_of(table, 1, "NPO").cells[f"{key}/{state}"]
            assert (cell.value, cell.low, cell.high) == (row["value"], row["ci_low"], row["ci_high"]), (key, state)


def test_the_page_says_what_each_state_is(copy: Path):
    with (copy / "experiment.toml").open("a") as stream:
        stream.write("\n[states]\nrelearn = 0.125\nbits = [8, 4]\n")
    words = dict(state_words(sources_of(copy)))
    assert words["relearned"].startswith("12.5\u00a0% of the facts") and "not asked" in words["relearned"]
    assert "8 bits" in words["int8"] and "4 bits" in words["int4"]
    html = page(copy)
    assert '<section id="states"' in html and '<a href="#states">What comes back</a>' in html and words["relearned"] in html


def test_a_model_without_a_state_is_not_measured_there(copy: Path):
    change(copy, keep=~((pl.col("method") == "npo") & (pl.col("state") == "int8")))
    table = first_table(copy)
    line = line_of(table, 0, "NPO")
    assert "forget/classification/int8" not in line.cells and "forget/classification/int4" in line.cells
    assert table.has_blanks


def test_an_absent_model_says_why(copy: Path):
    results = pl.read_parquet(copy / "results.parquet").filter(pl.col("method") != "npo")
    results.write_parquet(copy / "results.parquet")
    change(copy, keep=pl.col("method") != "npo")
    for cell in (copy / "cells").glob("npo-*"):
        (cell / "DONE").unlink()
        (cell / "FAILED").write_text("out of memory")
    assert line_of(first_table(copy), 0, "NPO").absent == "failed: out of memory"


def test_a_collapse_in_a_state_is_noted(copy: Path):
    broken = (pl.col("metric") == "collapsed") & (pl.col("method") == "npo") & (pl.col("state") == "int4")
    change(
        copy,
        pl.when(broken).then(1.0).otherwise(pl.col("value")).alias("value"),
        pl.when(broken).then(pl.lit("collapsed: 71% are unparsable")).otherwise(pl.col("reason")).alias("reason"),
    )
    html = page(copy)
    assert re.search(r"<b>[^<]*Forget accuracy, int4[^<]* of NPO:</b> Collapsed: 71% are unparsable\.", html)
    assert "NPO collapsed." not in html


def test_hostile_names_are_text(copy: Path):
    hostile = "</script><script>alert(1)</script>"
    for name in ("results", "states"):
        table = pl.read_parquet(copy / f"{name}.parquet").with_columns(pl.col("method").replace("npo", hostile))
        table.write_parquet(copy / f"{name}.parquet")
    change(
        copy,
        pl.col("state").replace("int8", hostile),
        pl.when(pl.col("state") == "int4").then(pl.lit(hostile)).otherwise(pl.col("reason")).alias("reason"),
    )
    html = page(copy)
    assert hostile not in html and html.count("<script") == 1
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_without_states_nothing_of_them_is_shown(copy: Path):
    assert 'id="states"' in page(copy)
    (copy / "states.parquet").unlink()
    bare = page(copy)
    assert 'id="states"' not in bare and "What comes back" not in bare and "The way there" not in bare
    pl.DataFrame(schema=STATES).write_parquet(copy / "states.parquet")
    assert page(copy) == bare


def test_ways_and_states_are_shown_each_without_the_other(copy: Path):
    states = pl.read_parquet(copy / "states.parquet")
    states.filter(pl.col("step").is_null()).write_parquet(copy / "states.parquet")
    html = page(copy)
    assert 'id="states"' in html and "The way there" not in html
    states.filter(pl.col("step").is_not_null()).write_parquet(copy / "states.parquet")
    html = page(copy)
    assert 'id="states"' not in html and "The way there" in html


def test_a_damaged_table_is_one_clear_error_and_the_old_page_stays(copy: Path):
    before = write_report(copy).read_bytes()
    whole = pl.read_parquet(copy / "states.parquet")
    whole.drop("step").write_parquet(copy / "states.parquet")
    with pytest.raises(DataError, match=r"states\.parquet lacks the columns step"):
        write_report(copy)
    (copy / "states.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"states\.parquet cannot be read as a table"):
        write_report(copy)
    assert (copy / "report.html").read_bytes() == before


def test_files_are_exported_and_offered(copy: Path, tmp_path: Path):
    _, written = report_runs([copy], out=tmp_path / "page.html", export=tmp_path / "files")
    names = {path.name for path in written}
    assert names == set(re.findall(r'data-file="([^"]+)"', opened((tmp_path / "page.html").read_text(encoding="utf-8"))))
    stem = "strict-image-text-all"
    assert {f"states-states-{stem}.csv", f"states-states-{stem}.tex", f"states-path-retain-classification-{stem}.svg"} <= names
    assert f"states-path-model-utility-{stem}.png" in names
    listed = list(csv.DictReader(io.StringIO((tmp_path / "files" / f"states-states-{stem}.csv").read_text())))
    cell = line_of(first_table(copy), 0, "NPO").cells["forget/classification/relearned"]
    assert listed[3]["Model"] == "NPO" and cell.value is not None
    assert float(listed[3]["Forget accuracy relearned (%)"]) == pytest.approx(100 * cell.value, rel=1e-5)


def described(run: Path, axis: str = "0") -> dict[str, list[tuple[float, float]]]:
    """Line -> points of the first way that is shown, from its words."""
    (panel,) = (p for p in paths.path_panels(sources_of(run)) if p.keys["axis"] == axis and p.fits(
        {"protocol": "strict", "modality": "image_text", "gated": "False"}
    ))  # fmt: skip
    assert panel.figure is not None
    found = {}
    for line in panel.figure.description.split("all facts. ")[1].split("; "):
        name, _, points = line.partition(": ")
        found[name] = [(float(x), float(y)) for x, y in (point.split(" / ") for point in points.split(" to "))]
    return found


def test_ways_lead_from_vanilla_over_the_points_to_the_end(states_run: Path):
    lines = described(states_run)
    assert list(lines) == [f"{name}, {source}" for source in ("image + text", "text only") for name in ("GradDiff", "NPO")]
    results, states = (pl.read_parquet(states_run / f"{name}.parquet") for name in ("results", "states"))
    plain = (
        (pl.col("metric") == "accuracy") & (pl.col("view") == "options") & (pl.col("modality") == "image_text")
        & (pl.col("gated") == False) & pl.all_horizontal(pl.col("baseline", "group", "level").is_null())  # noqa: E712
    )  # fmt: skip

    def point(table: pl.DataFrame, cell: str) -> tuple[float, float]:
        here = dict(table.filter(plain & pl.col("cell").str.starts_with(cell)).select("set", "value").iter_rows())
        return float(f"{100 - 100 * here['forget']:.0f}"), float(f"{100 * here['retain']:.0f}")

    way = [states.filter(pl.col("step") == step) for step in (20, 40)]
    assert lines["NPO, text only"] == [
        point(results, "vanilla"), *(point(table, "npo-15-text") for table in way), point(results, "npo-15-text"),
    ]  # fmt: skip


def test_ways_follow_the_axis(states_run: Path):
    retain, utility = described(states_run), described(states_run, "3")
    assert [x for x, _ in retain["NPO, text only"]] == [x for x, _ in utility["NPO, text only"]]
    assert utility["NPO, text only"][0][1] == 100 and utility != retain


def test_lines_of_several_modalities_stand_in_one_picture_while_they_are_few(states_run: Path, monkeypatch: pytest.MonkeyPatch):
    def pictures() -> tuple[str, int]:
        figure = paths.path_panels(sources_of(states_run))[0].figure
        assert figure is not None
        return figure.title, len(figure.pictures)

    title, count = pictures()
    assert title.endswith("Solid: unlearned from image + text, dashed: unlearned from text only") and count == 1
    monkeypatch.setattr(paths, "MOST_LINES", 3)
    title, count = pictures()
    assert title == "Retain" and count == 2


def test_a_method_without_points_is_no_line(copy: Path):
    change(copy, keep=~((pl.col("method") == "npo") & pl.col("step").is_not_null()))
    assert {name.split(",")[0] for name in described(copy)} == {"GradDiff"}


def test_every_way_has_words(copy: Path):
    html = unescape(page(copy))
    assert "Forgetting / Retain in percent from vanilla over points on the way to the end, Image + text, all facts." in html
