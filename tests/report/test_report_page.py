from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE, Plan, fabricate_run

from conftest import opened
from unsee.errors import DataError, UserError
from unsee.report import write_report
from unsee.schemas import RESULTS


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.text += data


@pytest.fixture(scope="module")
def page(small_page: str) -> Page:
    """The page with all its panels open."""
    return Page(opened(small_page))


@pytest.fixture
def copy(small_run: Path, tmp_path: Path) -> Path:
    """A run that a test may damage."""
    return Path(shutil.copytree(small_run, tmp_path / "demo"))


def text(run: Path) -> str:
    return " ".join(Page(opened(write_report(run).read_text(encoding="utf-8"))).text.split())


def test_nothing_outside_is_asked_for(page: Page, small_page: str):
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base", "audio", "video"), tag
        for name in ("src", "href", "srcset", "action", "poster", "xlink:href", "data"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name])
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    styles = re.findall(r"<style>(.*?)</style>", small_page, re.DOTALL)
    assert len(styles) == 1 and not any("@import" in style or "url(" in style for style in styles)


def test_only_the_pages_own_script_may_run(page: Page):
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")


def test_what_models_and_users_wrote_is_text(page: Page, small_page: str):
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert HOSTILE not in opened(small_page) and "<img src=x" not in opened(small_page)
    # The matrix names the people, in its words and in its picture.
    assert any('Ada "<img s' in attributes.get("aria-label", "") for _, attributes in page.tags)
    assert "<img s" in page.text


def test_hostile_methods_and_settings_are_text_too(copy: Path):
    hostile = "</script><script>alert(1)</script>"
    results = pl.read_parquet(copy / "results.parquet").with_columns(
        pl.when(pl.col("method") == "npo").then(pl.lit(hostile)).otherwise(pl.col("method")).alias("method"),
        pl.when(pl.col("value").is_null()).then(pl.lit(hostile)).otherwise(pl.col("reason")).alias("reason"),
        pl.lit(hostile).alias("benchmark"),
        pl.when(pl.col("set") == "near_retain").then(pl.lit(hostile)).otherwise(pl.col("set")).alias("set"),
    )
    results.write_parquet(copy / "results.parquet")
    (copy / "provenance.json").write_text(
        json.dumps({"command": hostile, hostile: {hostile: hostile}, "missed_gates": [hostile]})
    )
    (copy / "experiment.toml").write_text(f"name = {json.dumps(hostile)}\n# {hostile}\n")
    html = opened(write_report(copy).read_text(encoding="utf-8"))
    assert hostile not in html
    assert [tag for tag, _ in Page(html).tags].count("script") == 1


def test_a_hostile_folder_name_is_text(small_run: Path, tmp_path: Path):
    hostile = "<script>alert(1)<"
    run = Path(shutil.copytree(small_run, tmp_path / hostile))
    (run / "cells" / f"npo-{hostile}").mkdir()
    html = write_report(run).read_text(encoding="utf-8")
    assert hostile not in opened(html) and hostile in Page(html).text


def test_ids_are_unique(page: Page):
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {a["href"][1:] for tag, a in page.tags if tag == "a" and a.get("href", "").startswith("#")}
    assert targets <= set(ids)


def test_pictures_and_figures_have_words(page: Page):
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    figures = [attributes for _, attributes in page.tags if attributes.get("class", "").split()[:1] == ["figure"]]
    # Retain, celebrity, near-retain and model utility in four choices, less celebrity where facts are gated (it is not
    # probed); bars and distances with and without gate; seven models in the matrix; three trained methods; the examples.
    assert len(figures) == 4 * 4 - 2 + 2 + 2 + 7 + 3 + 1
    assert page.text.count("absent: the knowledge gate did not probe this set") == 2
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in figures)


def test_every_table_and_figure_can_be_downloaded(page: Page):
    files = [attributes["data-file"] for tag, attributes in page.tags if "data-file" in attributes]
    assert len(set(files)) == len(files)
    tables = {a["data-name"] for tag, a in page.tags if tag == "table" and "data-name" in a} | {"demo-gate"}
    assert {name for name in files if name.endswith((".csv", ".tex"))} == {f"{t}.{s}" for t in tables for s in ("csv", "tex")}
    drawn = sum(a.get("class", "").split()[:1] == ["figure"] for _, a in page.tags)
    assert sum(name.endswith(".svg") for name in files) == sum(name.endswith(".png") for name in files) == drawn


def test_the_demo_calls_itself_an_illustration(page: Page):
    assert "Illustration, no verdict: 3 people were forgotten, fewer than the 20 a verdict needs." in page.text
    assert "In this illustration," in page.text


def test_every_section_is_there(page: Page):
    sections = [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        "results", "examples", "trade-off", "differences", "facts", "people", "closer", "distance", "training", "words",
        "provenance",
    ]  # fmt: skip
    for words in ("Near", "Far", "Foreign", "birthplace", "unsee run demo/experiment.toml", "Gold", "60 steps", "Guessing"):
        assert words in page.text, words


def test_panels_and_switches(page: Page, small_page: str):
    panels = [a for tag, a in page.tags if a.get("class") == "panel"]
    keys = {(a["data-protocol"], a["data-modality"], a["data-gated"]) for a in panels if "data-modality" in a}
    assert keys == {("strict", m, g) for m in ("image_text", "text") for g in ("False", "True")}
    # One axis of four, one model of seven and one way of asking of three are open; the rest is packed.
    shown = [a for tag, a in Page(small_page).tags if a.get("class") == "panel" and "hidden" not in a]
    assert len(shown) == 2 + 1 + 1 + 2 + 1 + 2
    assert all(a.get("data-gated", "False") == "False" and a.get("data-modality", "image_text") == "image_text" for a in shown)
    radios = {(a["name"], a["value"]) for tag, a in page.tags if tag == "input" and "name" in a}
    assert radios == {("modality", "image_text"), ("modality", "text"), ("gated", "False"), ("gated", "True")}
    for name in ("Vanilla", "Gold", "Do nothing", "Prompt guard", "Gradient ascent", "NPO", "IDK"):
        assert opened(small_page).count(f'<th scope="row">{name}') >= 4 + 2, name


def test_costs_stand_beside_the_scores(copy: Path):
    cell = copy / "cells" / "npo-15-mixed-s0-00c0ffee"
    (cell / "DONE").write_text(
        json.dumps({"unlearn_seconds": 130, "answer_seconds": 9, "tokens": 1234567, "peak_memory_gib": 2.5, "steps": 60})
    )
    words = text(copy)
    for shown in ("Making it", "2.2 min", "1,234,567", "2.5 GiB"):
        assert shown in words, shown


def test_costs_of_several_seeds_are_averaged(tmp_path: Path):
    from unsee.report.costs import cost_cells
    from unsee.report.run_data import read_run
    from unsee.report.sources import Source, Sources

    plan = Plan(name="p", forget=1, retain=2, near=1, celebrities=0, methods=("vanilla", "gold", "ga"), seeds=(0, 1))
    run = fabricate_run(tmp_path / "p", plan)
    (run / "cells" / "ga-15-mixed-s1-00c0ffee" / "DONE").write_text(json.dumps({"unlearn_seconds": 34.1}))
    sources = Sources([Source(read_run(run))], "p")
    cell = cost_cells(sources, sources.requests[0])["ga", "corrected", ""]["cost/seconds"]
    assert (cell.value, cell.n_seeds, cell.text) == (pytest.approx((24.1 + 34.1) / 2), 2, "29.1 s")


def test_writing_again_gives_the_same_page(small_run: Path, small_page: str):
    assert write_report(small_run).read_text(encoding="utf-8") == small_page
    assert [path.name for path in small_run.iterdir() if path.name.startswith(".")] == []


def test_the_page_is_small(small_page: str):
    assert len(small_page) < 700_000


def test_without_gold_the_row_says_so(copy: Path):
    results = pl.read_parquet(copy / "results.parquet").filter(pl.col("method") != "gold")
    results.write_parquet(copy / "results.parquet")
    shutil.rmtree(copy / "cells" / "gold-15-none-s0-00c0ffee")
    assert "absent: its cell has not finished" in text(copy)


def test_failed_and_unfinished_cells_are_named(copy: Path):
    results = pl.read_parquet(copy / "results.parquet").filter(~pl.col("method").is_in(["npo", "idk"]))
    results.write_parquet(copy / "results.parquet")
    for method in ("npo", "idk"):
        (copy / "cells" / f"{method}-15-mixed-s0-00c0ffee" / "DONE").unlink()
    (copy / "cells" / "npo-15-mixed-s0-00c0ffee" / "FAILED").write_text("the loss is not finite at step 3\n\ntraceback")
    words = text(copy)
    assert "2 cells have not finished" in words and "absent: failed: the loss is not finite at step 3" in words
    assert "absent: its cell has not finished" in words and "traceback" not in words


def test_who_may_have_the_page_is_said_where_licences_ask_for_it(copy: Path):
    assert "pass it on only" not in text(copy)
    samples = pl.read_parquet(copy / "samples.parquet")
    licence = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("CC-BY-NC-4.0")).otherwise("source_license")
    samples.with_columns(licence.alias("source_license")).write_parquet(copy / "samples.parquet")
    assert "pictures under CC-BY-NC-4.0 (non-commercial): pass it on only" in text(copy)


def test_missed_gates_are_shown(copy: Path):
    (copy / "provenance.json").write_text(json.dumps({"missed_gates": ["vanilla knows 3 of 9 probed facts"]}))
    assert "vanilla knows 3 of 9 probed facts" in text(copy)


def test_missing_values_point_to_their_reason(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    lost = (pl.col("metric") == "unlearning_score") & pl.col("modality").is_null()
    results = results.with_columns(
        pl.when(lost).then(None).otherwise(pl.col("value")).alias("value"),
        pl.when(lost).then(pl.lit("all 4 components are left out")).otherwise(pl.col("reason")).alias("reason"),
    )
    results.write_parquet(copy / "results.parquet")
    html = opened(write_report(copy).read_text(encoding="utf-8"))
    found = re.search(r'<li id="note-summary1-(\d+)"><b>Unlearning score:</b> All 4 components are left out.</li>', html)
    assert found and f'n/a<sup><a href="#note-summary1-{found[1]}"' in html
    assert "The methods of this run cannot be ranked." in html
    assert "There is no unlearning score: all 4 components are left out." in html


def test_values_that_rest_on_less_say_so(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    limited = (pl.col("metric") == "model_utility") & (pl.col("method") == "npo")
    reason = pl.lit("3 of 9 components left out; fewer than 20 subjects: no verdict")
    results.with_columns(pl.when(limited).then(reason).otherwise(pl.col("reason")).alias("reason")).write_parquet(
        copy / "results.parquet"
    )
    assert "Model utility of NPO: 3 of 9 components left out." in text(copy)


def test_the_headline_rests_on_known_facts_only_where_methods_have_some(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    methods = pl.col("gated") & ~pl.col("method").is_in(["vanilla", "gold"])
    results.filter(methods.not_().fill_null(True)).write_parquet(copy / "results.parquet")
    assert "No unlearning method has finished yet." not in text(copy)


def test_collapsed_models_are_marked_in_words(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    broken = (pl.col("metric") == "collapsed") & (pl.col("method") == "ga")
    results.with_columns(
        pl.when(broken).then(1.0).otherwise(pl.col("value")).alias("value"),
        pl.when(broken).then(pl.lit("collapsed: 71% are <b>unparsable</b>")).otherwise(pl.col("reason")).alias("reason"),
    ).write_parquet(copy / "results.parquet")
    words = text(copy)
    assert "Gradient ascent collapsed. 71% are <b>unparsable</b>. Low numbers in this row are damage" in words
    assert "After Gradient ascent the model no longer gives usable answers" in words


def test_contamination_has_a_banner(copy: Path):
    assert "Contamination alarm." not in text(copy)
    results = pl.read_parquet(copy / "results.parquet")
    raised = (pl.col("metric") == "contamination_alarm") & (pl.col("set") == "all")
    assert results.filter(raised).height
    results.with_columns(pl.when(raised).then(2.0).otherwise(pl.col("value")).alias("value")).write_parquet(
        copy / "results.parquet"
    )
    gold = "gold-15-none-s0-00c0ffee"
    (copy / "provenance.json").write_text(json.dumps({"missed_gates": [f"{gold} knows more", "vanilla knows less"]}))
    words = text(copy)
    assert "Contamination alarm." in words and f"{gold}: 2 alarms" in words
    assert f"{gold} knows more" not in words and "vanilla knows less" in words


def test_numbers_that_are_none_are_missing_values(copy: Path):
    results = pl.read_parquet(copy / "results.parquet")
    lost = (pl.col("metric") == "accuracy") & (pl.col("method") == "npo")
    nan = pl.lit(float("nan"))
    results.with_columns(pl.when(lost).then(nan).otherwise(pl.col("value")).alias("value")).write_parquet(
        copy / "results.parquet"
    )
    words = text(copy)
    assert "The value is not a finite number." in words and not re.search(r"\bnan\b", words)


def test_names_of_loss_terms_are_text(copy: Path):
    log = copy / "cells" / "npo-15-mixed-s0-00c0ffee" / "train.jsonl"
    hostile = "</text></svg><script>alert(1)</script>"
    log.write_text("\n".join(json.dumps({"step": n, "terms": {hostile: n / 9}}) for n in range(9)))
    html = write_report(copy).read_text(encoding="utf-8")
    assert hostile not in html and "&lt;script&gt;alert(1)" in html


def test_an_unfinished_run_has_a_page(tmp_path: Path):
    run = fabricate_run(tmp_path / "people", Plan(name="people", forget=1, retain=2, near=1, celebrities=0, finished=False))
    words = text(run)
    assert "No cell of this run has been scored yet." in words and "9 cells have not finished" in words


def test_an_empty_run_has_a_page(tmp_path: Path):
    (tmp_path / "experiment.toml").write_text('name = "empty"\n')
    words = text(tmp_path)
    assert "No cell of this run has finished and been scored, so there is no table yet." in words
    pl.DataFrame(schema=RESULTS).write_parquet(tmp_path / "results.parquet")
    assert text(tmp_path) == words


@pytest.mark.slow
def test_a_page_of_two_hundred_people_is_a_few_megabytes(tmp_path: Path):
    plan = Plan(name="people", forget=20, retain=180, near=20, celebrities=40, methods=("vanilla", "gold", "ga", "npo"))
    page = write_report(fabricate_run(tmp_path / "people", plan)).read_text(encoding="utf-8")
    assert len(page) < 2_500_000


def test_without_samples_the_gallery_is_absent(copy: Path):
    (copy / "samples.parquet").unlink()
    assert "this run holds no samples.parquet" in text(copy)


def test_a_log_cut_by_a_kill_is_read(copy: Path):
    log = copy / "cells" / "npo-15-mixed-s0-00c0ffee" / "train.jsonl"
    log.write_text(log.read_text() + '{"step": 61, "lo')
    assert "60 steps" in text(copy)
    log.write_text("no json\n" + log.read_text())
    with pytest.raises(DataError, match=r"train\.jsonl, line 1"):
        write_report(copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.parquet", b"no table"),
        ("provenance.json", b"{"),
        ("provenance.json", b"[]"),
        ("experiment.toml", b"name = "),
        ("cells/npo-15-mixed-s0-00c0ffee/records.parquet", b""),
    ],
)
def test_damaged_files_are_one_clear_error_and_the_old_page_stays(copy: Path, name: str, content: bytes):
    before = write_report(copy).read_bytes()
    (copy / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(Path(name).name)):
        write_report(copy)
    assert (copy / "report.html").read_bytes() == before


def test_results_of_another_layout_are_refused(copy: Path):
    pl.read_parquet(copy / "results.parquet").drop("gated").write_parquet(copy / "results.parquet")
    with pytest.raises(DataError, match="lacks the columns gated"):
        write_report(copy)


def test_a_folder_that_is_no_run(tmp_path: Path):
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path)
