"""The parts of a page about single facts, its files, the comparison and the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from fabricate import HOSTILE
from rich.console import Console
from single_fact_run import FactPlan, fabricate_facts
from test_report_page import Page

from conftest import opened
from unsee.errors import DataError
from unsee.experiment import Cell
from unsee.report import report_runs, write_comparison, write_report
from unsee.report.console import print_table
from unsee.report.fact_gallery import fact_gallery
from unsee.report.figures.heat_map import HeatColumn, HeatRow, Shade, heat_map
from unsee.report.figures.line_panel import Curve, line_panel
from unsee.report.figures.svg import ACCENT
from unsee.report.run_data import read_run
from unsee.report.single_facts import Model
from unsee.run_folder import RunFolder
from unsee.sample_tables import read_samples
from unsee.schemas import ATTACKS

SVG = "{http://www.w3.org/2000/svg}"
FACT_SECTIONS = ("attacks", "curves", "damage", "several-edits", "single-facts")
MARKUP = "</text></svg><script>alert(1)</script>"


def texts(picture: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def page(facts_page: str) -> Page:
    return Page(opened(facts_page))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of few facts, defences and nothing else; tests must not write into it."""
    methods = ("vanilla", "fact_erasure", "max_entropy")
    plan = FactPlan(name="few", facts=3, methods=methods, budgets=(5, 20), sequence=(), never_learned=False, gate=False)
    return fabricate_facts(tmp_path_factory.mktemp("runs") / "few", plan)


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """A run that a test may damage."""
    return Path(shutil.copytree(small, tmp_path / "few"))


# The page -----------------------------------------------------------------------------------------------------------------


def test_every_section_is_there(page: Page):
    sections = [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    assert sections == ["attacks", "curves", "damage", "several-edits", "single-facts", "closer", "words", "provenance"]
    assert ("a", {"class": "skip", "href": "#attacks"}) in page.tags
    for words in ("24 facts were deleted one at a time", "the vanilla model knew 22", "24 facts deleted", "Never learned"):
        assert words in page.text, words
    assert "people to forget" not in page.text


def test_other_pages_have_no_such_parts(small_page: str):
    assert not [a for _, a in Page(small_page).tags if a.get("id") in FACT_SECTIONS]
    assert "fact-list" not in small_page and "White-box" not in small_page


def test_ids_and_files_are_unique(page: Page):
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {a["href"][1:] for tag, a in page.tags if tag == "a" and a.get("href", "").startswith("#")}
    assert targets <= set(ids)
    files = [attributes["data-file"] for _, attributes in page.tags if "data-file" in attributes]
    assert len(set(files)) == len(files)
    drawn = [a for _, a in page.tags if a.get("class", "").split()[:1] == ["figure"]]
    # Five budgets, two ways to count, three views of the matrix; curves per way, layers per budget, planes and several edits
    # per both.
    assert len(drawn) == 5 * 2 * 3 + 2 + 5 + 5 * 2 * 2
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in drawn)
    assert all(figure.get("tabindex") == "0" for figure in drawn if "wide" in figure["class"] or "strip" in figure["class"])


def test_what_models_and_users_wrote_is_text(page: Page, facts_page: str, facts_run: Path):
    assert any(
        HOSTILE in text for text in pl.read_parquet(next(facts_run.glob("cells/*/attacks.parquet")))["candidates"].explode()
    )
    assert [tag for tag, _ in page.tags].count("script") == 1 and HOSTILE not in opened(facts_page)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "sha256-" in policy


def test_hostile_methods_and_attacks_are_text_too(copy: Path):
    results = pl.read_parquet(copy / "results.parquet").with_columns(
        pl.when(pl.col("method") == "max_entropy").then(pl.lit(MARKUP)).otherwise(pl.col("method")).alias("method"),
        pl.when(pl.col("attack") == "rephrase_image").then(pl.lit(MARKUP)).otherwise(pl.col("attack")).alias("attack"),
        pl.when(pl.col("level") == "hard").then(pl.lit(MARKUP)).otherwise(pl.col("level")).alias("level"),
        pl.when(pl.col("metric") == "edit_score").then(pl.lit(MARKUP)).otherwise(pl.col("reason")).alias("reason"),
    )
    results.write_parquet(copy / "results.parquet")
    html = opened(write_report(copy).read_text(encoding="utf-8"))
    assert MARKUP not in html and [tag for tag, _ in Page(html).tags].count("script") == 1
    assert "alert(1)" in Page(html).text


def test_the_matrix_prints_every_number(page: Page, facts_run: Path):
    results = pl.read_parquet(facts_run / "results.parquet").filter(
        pl.col("metric") == "attack_success", pl.col("budget") == 20, pl.col("group").is_null(), pl.col("layer").is_null()
    )
    described = next(
        a["aria-label"]
        for _, a in page.tags
        if a.get("aria-label", "").startswith("AttackSuccess in percent, success, B = 20, first")
    )
    for method, title in (("vanilla", "Vanilla"), ("head_projection", "Head projection")):
        (value,) = results.filter(
            pl.col("method") == method, pl.col("attack") == "finetune_lens", pl.col("baseline").is_null(),
            pl.col("n_edits").fill_null(1) == 1,
        )["value"]  # fmt: skip
        told = described.partition(f"{title}: ")[2].partition(";")[0]
        assert f"Fine-tune {100 * value:.0f}" in told


def test_csv_holds_the_numbers_of_the_results(facts_page: str, facts_run: Path):
    html = opened(facts_page)
    found = re.search(r'data-file="creatures-attacks-excess-b5.csv" data-text="([^"]*)"', html)
    assert found
    rows = {line["Defence"]: line for line in csv.DictReader(io.StringIO(unescape(found[1])))}
    results = pl.read_parquet(facts_run / "results.parquet").filter(
        pl.col("method") == "error_injection", pl.col("attack") == "lens_prob_delta", pl.col("budget") == 5,
        pl.col("baseline") == "never_learned", pl.col("group").is_null(), pl.col("n_edits") == 1,
    )  # fmt: skip
    for end, column in (("", "value"), (" low", "ci_low"), (" high", "ci_high")):
        assert float(rows["Error injection"][f"White-box Prob. \u0394 (%){end}"]) == pytest.approx(
            100 * results[column][0], rel=1e-5
        )
    assert float(rows["Error injection"]["Damage Random (%)"]) == pytest.approx(3.0)


def test_exported_files_are_those_the_page_offers(small: Path, tmp_path: Path):
    path, written = report_runs([small], out=tmp_path / "page.html", export=tmp_path / "paper")
    offered = set(re.findall(r'data-file="([^"]+)"', opened(path.read_text(encoding="utf-8"))))
    assert {file.name for file in written} == offered and "few-heat-map-success-b20.png" in offered


def test_a_small_run_says_what_it_lacks(small: Path, tmp_path: Path):
    html = opened(write_report(small, out=tmp_path / "page.html").read_text(encoding="utf-8"))
    text = " ".join(Page(html).text.split())
    assert "Illustration, no verdict: 3 facts were deleted, fewer than the 20 a verdict needs." in text
    assert "No never-learned facts were attacked" in text and "yardstick" not in text
    assert "excess over never-learned facts" not in text and "* Fewer than 20 facts" in text
    assert "absent: this run has no model that never saw these facts" in text
    assert "whether the model knew them before was not probed" in text


def test_the_page_and_the_terminal_name_the_reference(facts_run: Path, tmp_path: Path):
    run = Path(shutil.copytree(facts_run, tmp_path / "run"))
    results = pl.read_parquet(run / "results.parquet")
    results.with_columns(pl.col("baseline").replace("never_learned", "never_known")).write_parquet(run / "results.parquet")
    text = " ".join(Page(opened(write_report(run).read_text(encoding="utf-8"))).text.split())
    assert "The yardstick is never known" in text and "They may be harder than the facts that it knew" in text
    assert "excess over never-known facts" in text and "excess over never-learned facts" not in text
    assert "Dashed: the same attack on facts that vanilla did not know." in text
    out = printed(run)
    assert "excess is over never-known facts" in " ".join(out.split()) and "Never known" in out and "Never learned" not in out


def test_the_page_is_small(facts_page: str):
    assert len(facts_page) < 1_050_000


def test_unfinished_cells_are_named(copy: Path):
    results = pl.read_parquet(copy / "results.parquet").filter(pl.col("method") != "max_entropy")
    results.write_parquet(copy / "results.parquet")
    cell = copy / "cells" / "max_entropy-single_fact-image_text-s0-1a2b3c4d"
    (cell / "DONE").unlink()
    (cell / "FAILED").write_text("the loss is not finite at step 3\n\ntraceback")
    text = " ".join(Page(opened(write_report(copy).read_text(encoding="utf-8"))).text.split())
    assert "1 cell has not finished" in text and "absent: failed: the loss is not finite at step 3" in text


def test_requests_and_single_facts_may_share_a_run(small: Path, small_run: Path, tmp_path: Path):
    run = Path(shutil.copytree(small_run, tmp_path / "both"))
    facts = pl.read_parquet(small / "results.parquet")
    pl.concat([pl.read_parquet(run / "results.parquet"), facts]).write_parquet(run / "results.parquet")
    html = opened(write_report(run).read_text(encoding="utf-8"))
    sections = [attributes.get("id") for tag, attributes in Page(html).tags if tag == "section"]
    assert sections[:3] == ["results", "attacks", "curves"] and "people" in sections
    main = html.partition('<div class="panels paper">')[2].partition("</table>")[0]
    assert "Fact erasure" not in main and "NPO" in main


# Several runs, and the terminal ---------------------------------------------------------------------------------------------


def test_runs_can_be_compared(small: Path, tmp_path: Path):
    other = Path(shutil.copytree(small, tmp_path / "other"))
    html = opened(write_comparison([small, other], out=tmp_path / "c.html").read_text(encoding="utf-8"))
    table = html.partition('class="panels matrix-tables"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">Fact erasure <span class="run">(\w+)</span>', table) == ["few", "other"]
    assert re.findall(r'<th scope="row">Answer prior <span class="run">(\w+)</span>', table) == ["few", "other"]
    ids = Counter(attributes["id"] for _, attributes in Page(html).tags if "id" in attributes)
    assert max(ids.values()) == 1 and "results" not in ids


def printed(run: Path) -> str:
    stream = io.StringIO()
    print_table(run, console=Console(file=stream, width=80))
    return stream.getvalue()


def test_the_terminal_shows_the_matrix(facts_run: Path):
    out = printed(facts_run)
    assert max(map(len, out.splitlines())) <= 80 and "\u2026" not in out
    for words in ("facts found with 20 candidates", "Max-entropy", "Never learned", "No single winner", "Lost"):
        assert words in out, words
    assert "Celeb" not in out


def test_the_terminal_says_what_is_absent(small: Path):
    out = printed(small)
    assert "Gold is absent: this run has no model that never saw these facts" in out and "* fewer than 20 facts" in out


def test_edits_that_were_not_attacked_have_their_damage(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    results.filter(pl.col("attack").is_null()).write_parquet(copy / "results.parquet")
    page = Page(opened(write_report(copy).read_text(encoding="utf-8")))
    assert "No defence has been attacked yet." in page.text and "there is no matrix yet" in page.text
    assert "damage" in [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    out = printed(copy)
    assert out.startswith("No defence has been attacked yet. 3 facts were deleted") and "absent" not in out
    # One defence that was not attacked stands beside the others.
    results.filter(pl.col("attack").is_null() | (pl.col("method") != "max_entropy")).write_parquet(copy / "results.parquet")
    assert "Max-entropy is absent: it was not attacked" in printed(copy)


# Single facts one by one ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(facts_run: Path):
    return fact_gallery(
        read_run(facts_run), read_samples(facts_run / "samples.parquet"), focus=Model("max_entropy", "corrected")
    )


def test_facts_stand_as_the_benchmark_gives_them(data, facts_run: Path):
    samples = [sample for sample in read_samples(facts_run / "samples.parquet") if sample.set == "forget"]
    assert [data["texts"][fact[0]] for fact in data["facts"]] == [sample.subject for sample in samples]
    assert [data["texts"][fact[3]] for fact in data["facts"]] == [sample.fact for sample in samples]
    assert data["models"][data["focus"]] == "Max-entropy" and data["models"][data["vanilla"]] == "Vanilla"
    assert all([data["texts"][level] for level, _ in fact[5]] == ["easy", "medium", "hard"] for fact in data["facts"])


def test_tries_are_those_of_the_cells(data, facts_run: Path):
    cell = facts_run / "cells" / "max_entropy-single_fact-image_text-s0-1a2b3c4d" / "attacks.parquet"
    own = pl.read_parquet(cell).filter(pl.col("edit_id") == pl.col("subject"))
    rows = {(r["subject"], r["attack"]): r for r in own.iter_rows(named=True)}
    number = data["attacks"].index("Fine-tuning, then lens")
    late = 0
    for fact in data["facts"]:
        shown, count, first, whole, right, refused = fact[7][data["focus"]][number]
        row = rows[data["texts"][fact[0]], "finetune_lens"]
        assert [data["texts"][n] for n in shown] == [" ".join(text.split()) for text in row["candidates"][:10]]
        assert (count, first or None, whole or None) == (50, row["hit_position"], row["hit_sequence"])
        assert refused == row["refused"]
        if first:
            assert data["texts"][right] == row["candidates"][first - 1].strip()
        late += first > 10
    assert late > 0


def test_facts_beyond_the_limit_are_counted(facts_run: Path):
    few = fact_gallery(read_run(facts_run), read_samples(facts_run / "samples.parquet"), most=5, top=2)
    assert len(few["facts"]) == 5 and few["left_out"] == 19
    tries = [one for fact in few["facts"] for own in fact[7] for one in own]
    assert max(len(one[0]) for one in tries) == 2 and {one[1] for one in tries} >= {50}


def test_the_page_says_what_was_left_out(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from unsee.report import fact_page

    monkeypatch.setattr(fact_page, "fact_gallery", lambda *given, **named: fact_gallery(*given, **named, most=2))
    text = Page(write_report(small, out=tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "The first 2 facts as the benchmark gives them" in text and "1 fact is left out" in text


def test_texts_and_pictures_are_kept_once(data):
    assert len(set(data["texts"])) == len(data["texts"]) and len(set(data["pictures"])) == len(data["pictures"])
    assert all(picture.startswith("data:image/") for picture in data["pictures"])
    assert any(HOSTILE in text for text in data["texts"])
    assert json.loads(json.dumps(data)) == data


# Figures ----------------------------------------------------------------------------------------------------------------------


def test_a_heat_map_reads_without_colour():
    rows = [
        HeatRow("Vanilla", "control", [Shade("95", "90\u201399", 0.95), None]),
        HeatRow(MARKUP, "x", [Shade("5", "", 0.05), None]),
    ]
    picture = heat_map(rows, [HeatColumn("Head", "", "White-box"), HeatColumn("Image", "hard", MARKUP)])
    assert {"95", "90\u201399", "5", "\u2013", "Vanilla", "hard", MARKUP} <= set(texts(picture)) and "<script" not in picture
    shades = [float(e.get("fill-opacity", 0)) for e in ElementTree.fromstring(picture).iter(f"{SVG}rect")]
    assert len(shades) == 2 and shades[0] > 3 * shades[1]


def test_shades_stay_within_bounds():
    picture = heat_map(
        [HeatRow("a", "", [Shade("1", "", 1.7), Shade("2", "", -0.4)])], [HeatColumn("x", "", ""), HeatColumn("y", "", "")]
    )
    assert [e.get("fill-opacity") for e in ElementTree.fromstring(picture).iter(f"{SVG}rect")] == ["0.46", "0.03"]


def test_lines_are_named_and_told_apart_without_colour():
    curves = [
        Curve("A", "method", ((1, 10), (50, 40))),
        Curve(MARKUP, "method", ((1, 20), (50, 40))),
        Curve("N", "base", ((1, 0), (50, 5))),
        Curve("R", "blind", ((1, 0), (50, 1))),
    ]
    picture = line_panel(curves, x_title="B", ticks=[1, 50], prefix="t", log=True, room=60)
    assert {"A", MARKUP, "N", "R"} <= set(texts(picture)) and "<script" not in picture
    tree = ElementTree.fromstring(picture)
    marks = [e.get("d") for e in tree.iter(f"{SVG}path") if e.get("fill") == ACCENT]
    assert len(marks) == 4 and len(set(marks)) == 2
    assert {e.get("stroke-dasharray") for e in tree.iter(f"{SVG}path")} >= {"1,0", "5,3", "1.5,2.5"}
    # Names of lines that end together stand below each other.
    places = [e.get("transform") for e in tree.iter(f"{SVG}text") if "".join(e.itertext()) in ("A", MARKUP)]
    assert len(set(places)) == 2


# Files ------------------------------------------------------------------------------------------------------------------------


def test_attacks_of_a_cell_are_read(facts_run: Path, tmp_path: Path):
    name = "gold-single_fact-none-s0-1a2b3c4d"
    cell = Cell("gold", "corrected", 0.1, "none", 0, 0, {})
    folder = RunFolder(tmp_path)
    assert folder.attacks(cell) is None
    folder.cell(cell).mkdir(parents=True)
    shutil.copy(facts_run / "cells" / name / "attacks.parquet", folder.cell(cell) / "attacks.parquet")
    assert folder.attacks(cell) is None
    (folder.cell(cell) / "DONE").write_text("{}")
    read = folder.attacks(cell)
    assert read is not None and read.schema == ATTACKS and read.height == 24 * 7
    (folder.cell(cell) / "attacks.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="run again"):
        folder.attacks(cell)
    run = read_run(facts_run)
    assert run.attacks(name).equals(read) and run.attacks("nothing").is_empty()


def test_records_of_older_versions_lack_later_columns(small_run: Path, tmp_path: Path):
    run = Path(shutil.copytree(small_run, tmp_path / "old"))
    cell = "npo-15-mixed-s0-00c0ffee"
    path = run / "cells" / cell / "records.parquet"
    pl.read_parquet(path).drop("answer_ids", "temperature").write_parquet(path)
    records = read_run(run).records(cell)
    assert records["answer_ids"].null_count() == records.height > 0
    pl.read_parquet(path).drop("response").write_parquet(path)
    with pytest.raises(DataError, match="lacks the columns response"):
        read_run(run).records(cell)
