"""Damage and extraction over the number of facts deleted from one model: what is drawn, what stands in the table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from single_fact_run import FactPlan, fabricate_facts
from test_report_page import Page
from test_single_facts import ASK, DELTA, HEAD, attacked, model, row, sources_of
from test_single_facts_page import SVG, printed, texts

from conftest import opened
from unsee.report import write_report
from unsee.report.damage import damage_cells
from unsee.report.edit_curves import edit_curve_panels, edit_number_panels
from unsee.report.figures.line_panel import Curve, line_panel
from unsee.report.figures.svg import ACCENT, INK, PAPER, Figure
from unsee.report.run_data import read_run
from unsee.report.single_facts import fact_tables
from unsee.report.sources import Source, Sources
from unsee.report.tables import Table


def scored(method: str, metric: str, set: str, value: float, n_edits: int, half: float = 0.1, **more: Any) -> dict[str, Any]:
    ends = {"ci_low": value - half, "ci_high": value + half}
    return row(method, value, metric=metric, set=set, budget=None, n_edits=n_edits, **ends, **more)


def lost(method: str, value: float, n_edits: int, **more: Any) -> dict[str, Any]:
    return scored(method, "delta_accuracy", "retain", value, n_edits, **more)


ROWS = [
    attacked("vanilla", HEAD, 0.9),
    attacked("vanilla", HEAD, 0.8, baseline="never_learned"),
    attacked("vanilla", DELTA, 0.9),
    attacked("prompt_guard", HEAD, 0.5),
    attacked("npo", HEAD, 0.1, n_edits=1),
    attacked("npo", DELTA, 0.3, n_edits=1),
    attacked("npo", HEAD, 0.5, n_edits=5, n_subjects=5),
    lost("npo", -0.05, 1),
    lost("npo", 0.4, 5, n_subjects=10),
    scored("npo", "rewrite_score", "forget", 0.9, 1),
    scored("npo", "rewrite_score", "forget", 0.6, 5),
]


def shown(rows: Sequence[dict[str, Any]]) -> tuple[list[Figure], list[Table]]:
    sources = sources_of(*rows)
    tables = fact_tables(sources)
    figures, numbers = edit_curve_panels(sources, tables), edit_number_panels(sources, tables)
    return [p.figure for p in figures if p.figure], [p.table for p in numbers if p.table]


def test_values_are_kept_apart_by_number_of_edits():
    (table,) = fact_tables(sources_of(*ROWS))
    npo = model("npo")
    assert table.n_edits == [1, 5] and table.n_facts == 30
    found = [table.success(npo, HEAD, 20, n_edits=n) for n in (1, 2, 5)]
    assert [cell and cell.value for cell in found] == [0.1, None, 0.5]
    assert [damage_cells(table, npo, n_edits=n)["damage/random"].value for n in (1, 5)] == [-0.05, 0.4]
    assert "damage/random" not in damage_cells(table, npo, n_edits=2)
    one, five = table.over_attacks(npo, 20), table.over_attacks(npo, 20, n_edits=5)
    assert one is not None and five is not None
    # An attack that was not made after five edits is missed.
    assert (one[0].value, one[0].remark) == (pytest.approx(0.2), "")
    assert (five[0].value, five[0].remark) == (0.5, "over 1 of 2 attacks")


def test_the_table_has_a_column_per_number_of_edits():
    (figure,), (table,) = shown(ROWS)
    assert [line.title for line in table.lines] == ["NPO"]
    assert [(group.title, group.arrow, [h.title for h in group.headings]) for group in table.groups] == [
        ("Random after n edits", "\u2193", ["1", "5"]),
        ("Found after n edits", "\u2193", ["1", "5"]),
        ("Rewrite after n edits", "\u2191", ["1", "5"]),
    ]
    cells = [table.lines[0].cells[heading.key] for heading in table.headings]
    assert [cell.value for cell in cells] == pytest.approx([-0.05, 0.4, 0.2, 0.5, 0.9, 0.6])
    assert [cell.interval for cell in cells[:2]] == ["\u221215\u20135", "30\u201350"]
    assert [cell.few for cell in cells] == [False, True, False, True, False, False]
    assert [(note.where, note.text) for note in table.notes.listed] == [("Found after 5 edits", "over 1 of 2 attacks")]
    assert len(figure.pictures) == 3 and "Accuracy lost on other facts, points: NPO -5 to 40" in figure.description
    assert "Found with 20 candidates, mean over attacks, %: NPO 20 to 50, Never learned 10 to 10" in figure.description


def marks_of(picture: str) -> list[list[str]]:
    """Outlines of the filled marks, one list per shape."""
    shapes = [str(e.get("d")) for e in ElementTree.fromstring(picture).iter(f"{SVG}path") if e.get("fill") == ACCENT]
    return [[one for one in shapes if one == shape] for shape in dict.fromkeys(shapes)]


def test_nothing_is_shown_where_each_model_carries_one_edit():
    assert shown([one for one in ROWS if one["n_edits"] != 5]) == ([], [])
    assert shown([*ROWS[:6], row("npo", 0.5, attack="lens_head_projection", layer=3, n_edits=5)]) == ([], [])


def test_a_missing_value_leaves_its_line_out():
    (figure,), (table,) = shown([*ROWS, row("ga", None, metric="rewrite_score", n_edits=5, budget=None, reason="not read")])
    assert [line.title for line in table.lines] == ["Gradient ascent", "NPO"]
    assert ("Rewrite after 5 edits of Gradient ascent", "not read") in [(n.where, n.text) for n in table.notes.listed]
    assert "Gradient ascent" not in figure.description and not any("Gradient ascent" in texts(p) for p in figure.pictures)
    # NPO keeps its mark in every plot, whether or not gradient ascent has a line there.
    (beside,), _ = shown([*ROWS, *(lost("ga", 0.1, n) for n in (1, 5))])
    assert [list(map(len, marks_of(picture))) for picture in beside.pictures] == [[2, 2], [2], [2]]
    with_ga, *without = [marks_of(picture) for picture in beside.pictures]
    assert all(marks[-1][0] == with_ga[1][0] != with_ga[0][0] for marks in without)


def test_damage_without_attacks_has_no_candidates():
    (figure,), (table,) = shown([one for one in ROWS if one["attack"] is None])
    assert (figure.title, len(figure.pictures), table.note) == ("After several edits", 2, "percent, damage in points")
    assert [group.title for group in table.groups] == ["Random after n edits", "Rewrite after n edits"]


def test_each_choice_of_candidates_has_its_own_values():
    more = [attacked("npo", HEAD, 0.7, n_edits=n, budget=50, group=group) for n in (1, 5) for group in (None, "found=sequence")]
    whole = [attacked("npo", HEAD, 0.3, n_edits=n, group="found=sequence") for n in (1, 5)]
    _, tables = shown([*ROWS, attacked("npo", ASK, 0.1, n_edits=1), *more, *whole])
    notes = [table.note.partition("; ")[2] for table in tables]
    assert notes == ["B = 20, first token", "B = 50, first token", "B = 20, whole answer", "B = 50, whole answer"]
    assert [table.lines[0].cells["found/5"].value for table in tables] == [0.5, 0.7, 0.3, 0.7]
    assert len({table.name for table in tables}) == 4


def test_lines_may_go_below_zero():
    curve = Curve("NPO", "method", ((1, -20), (10, 80)))
    picture = line_panel([curve], x_title="edits", ticks=[1, 10], prefix="t", log=True, height=200, y_domain=(-20, 80))
    tree = ElementTree.fromstring(picture)
    (line,) = [e.get("d") for e in tree.iter(f"{SVG}path") if e.get("stroke") == ACCENT and e.get("fill") in (None, "none")]
    places = [float(number) for number in re.findall(r"-?[\d.]+", line)]
    # From the lower left corner to the upper right one.
    assert places == [0, 200, 185, 0]
    assert {"\u221220", "0", "80"} <= set(texts(picture))


# The page -----------------------------------------------------------------------------------------------------------------


def test_the_page_prints_the_numbers_of_the_results(facts_page: str, facts_run: Path):
    found = re.search(r'data-file="creatures-several-edits-5-first-numbers.csv" data-text="([^"]*)"', opened(facts_page))
    assert found
    lines = {line["Defence"]: line for line in csv.DictReader(io.StringIO(unescape(found[1])))}
    assert list(lines) == [
        "Do nothing", "Fact erasure", "Empty response", "Error injection", "Head projection", "Max-entropy", "Input rephrasing",
    ]  # fmt: skip
    results = pl.read_parquet(facts_run / "results.parquet").filter(pl.col("method") == "max_entropy", pl.col("n_edits") == 10)
    for column, metric, set in (("Random", "delta_accuracy", "retain"), ("Rewrite", "rewrite_score", "forget")):
        (one,) = results.filter(metric=metric, set=set).filter(pl.col("group").is_null()).iter_rows(named=True)
        for end, name in (("", "value"), (" low", "ci_low"), (" high", "ci_high")):
            assert float(lines["Max-entropy"][f"{column} after n edits 10 (%){end}"]) == pytest.approx(
                100 * one[name], rel=1e-5
            )
    mean = results.filter(
        pl.col("metric") == "attack_success", pl.col("budget") == 5, pl.col("baseline").is_null(), pl.col("group").is_null(),
        pl.col("layer").is_null(), ~pl.col("attack").is_in(["random_tokens", "answer_prior"]),
    )["value"].mean()  # fmt: skip
    assert isinstance(mean, float)
    assert float(lines["Max-entropy"]["Found after n edits 10 (%)"]) == pytest.approx(100 * mean, rel=1e-5)


def test_every_line_is_named_in_every_plot(facts_run: Path):
    sources = Sources([Source(read_run(facts_run))], "creatures")
    (figure, *_) = [panel.figure for panel in edit_curve_panels(sources, fact_tables(sources)) if panel.figure]
    names = {"Do nothing", "Fact erasure", "Max-entropy", "Input rephrasing", "1", "2", "5", "10", "20"}
    assert len(figure.pictures) == 4 and all(names <= set(texts(picture)) for picture in figure.pictures)
    assert ["Never learned" in texts(picture) for picture in figure.pictures] == [False, True, False, False]
    assert not any("Vanilla" in texts(picture) or "Prompt guard" in texts(picture) for picture in figure.pictures)
    # Seven models, five marks each; the control's are hollow.
    marks = [(e.get("fill"), e.get("stroke")) for e in ElementTree.fromstring(figure.pictures[0]).iter(f"{SVG}path")]
    assert (marks.count((ACCENT, ACCENT)), marks.count((PAPER, INK))) == (6 * 5, 5)


def test_the_part_is_shown_where_models_carry_several_edits(tmp_path: Path):
    told = []
    for sequence, there in (((2,), True), ((), False)):
        plan = FactPlan(
            facts=3, methods=("vanilla", "do_nothing", "fact_erasure"), budgets=(20,), sequence=sequence, hostile=False
        )
        run = fabricate_facts(tmp_path / str(len(sequence)), plan)
        page = Page(write_report(run).read_text(encoding="utf-8"))
        assert ("several-edits" in [a.get("id") for tag, a in page.tags if tag == "section"]) == there
        assert ("from two on, they are of one model that carries all edits" in " ".join(page.text.split())) == there
        assert (("a", {"href": "#several-edits"}) in page.tags) == there
        told.append(printed(run))
    assert told[0] == told[1]
