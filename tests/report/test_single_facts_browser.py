"""The parts about single facts in a real browser; skipped where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE

from browser import CHROMIUM, Browser

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs headless Chromium")]

ENTRIES = "[...document.querySelectorAll('#fact-list .entry')]"
TITLE = "document.querySelector('{} > .panel:not([hidden]) figcaption').firstChild.textContent.trim()"


@pytest.fixture
def page(facts_run: Path, facts_page: str) -> Path:
    return facts_run / "report.html"


def load(browser: Browser, page: Path, **how: object) -> None:
    browser.open(page, **how)  # type: ignore[arg-type]
    browser.wait("!document.querySelector('[aria-busy]') && !document.querySelector('#fact-list[data-packed]')")


def pick(browser: Browser, name: str, value: str) -> None:
    """A radio button of the page."""
    browser.run(f"document.querySelector('input[name={name}][value=\"{value}\"]').click()")
    browser.wait("!document.querySelector('[aria-busy]')")


def narrow(browser: Browser, **filters: str) -> int:
    """Set filters of the browser of facts; how many facts are left."""
    for name, value in filters.items():
        browser.run(
            f"(() => {{ const s = document.getElementById('fact-{name}'); s.value = '{value}';"
            " s.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
    text = browser.run("document.getElementById('fact-count').textContent")
    return int(text.split()[0]) if text[0].isdigit() else 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_quietly_and_alone(browser: Browser, page: Path, width: int, dark: bool):
    browser.messages.clear()
    browser.requests.clear()
    load(browser, page, width=width, dark=dark)
    for name, value in (("budget", "50"), ("shown", "excess"), ("found", "sequence"), ("budget", "1")):
        pick(browser, name, value)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.messages == [] and browser.run("document.documentElement.scrollWidth") <= width
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.run("[...document.images].length > 5 && [...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_choices_change_matrix_tables_and_figures(browser: Browser, page: Path):
    load(browser, page)
    opens = "Percent of facts: excess over never-learned facts, B = 20, first token"
    assert browser.run(TITLE.format(".heat")) == opens
    pick(browser, "shown", "difference")
    pick(browser, "budget", "5")
    assert browser.run(TITLE.format(".heat")) == "Percent of facts: difference to vanilla, B = 5, first token"
    assert "B = 5" in browser.run("document.querySelector('.matrix-tables > .panel:not([hidden]) .table-title').textContent")
    assert browser.run(TITLE.format(".layer-curves")).startswith("First token among the best 5")
    assert browser.run(TITLE.format(".damage-plane")) == "What hiding costs, B = 5"
    assert browser.run(TITLE.format(".edit-curves")) == "After several edits, B = 5, first token"
    assert "B = 5" in browser.run("document.querySelector('.edit-numbers > .panel:not([hidden]) .table-title').textContent")
    assert browser.run("document.getElementById('fact-count').textContent").endswith("B = 5")
    pick(browser, "found", "sequence")
    assert "whole answer" in browser.run(TITLE.format(".heat") + " + " + TITLE.format(".candidate-curves"))


def test_the_matrix_shows_the_numbers_of_the_table(browser: Browser, page: Path):
    load(browser, page)
    rows = "[...document.querySelectorAll('.matrix-tables > .panel:not([hidden]) tbody tr')]"
    row = f"{rows}.find(r => r.innerText.startsWith('Max'))"
    cells = browser.run(f"[...{row}.querySelectorAll('td b')].slice(0, 9).map(b => b.textContent)")
    drawn = browser.run("[...document.querySelectorAll('.heat > .panel:not([hidden]) svg text')].map(t => t.textContent)")
    at = drawn.index("Max-entropy")
    # Every number is followed by its interval.
    assert drawn[at + 1 : at + 19 : 2] == cells and all("\u2013" in text for text in drawn[at + 2 : at + 20 : 2])


def test_edits_are_sorted_by_any_number_of_them(browser: Browser, page: Path):
    load(browser, page)
    table = "document.querySelector('.edit-numbers > .panel:not([hidden]) table')"
    browser.run(f"{table}.querySelector('th[data-c=\"5\"] button').click()")
    rows = browser.run(f"[...{table}.tBodies[0].rows].map(r => [r.cells[0].innerText, Number(r.cells[5].dataset.v)])")
    assert [name for name, _ in rows[:2]] == ["Max-entropy", "Head projection"] and rows[-1] == ["Do nothing", 0]
    assert [value for _, value in rows] == sorted((value for _, value in rows), reverse=True)


def test_tables_sort_by_any_attack(browser: Browser, page: Path):
    load(browser, page)
    rows = "[...document.querySelectorAll('.matrix-tables > .panel:not([hidden]) tbody tr')]"
    browser.run("document.querySelector('.matrix-tables > .panel:not([hidden]) th[data-c=\"5\"] button').focus()")
    browser.press("Enter", 13)
    found = [float(v) for v in browser.run(f"{rows}.map(r => r.cells[5] && r.cells[5].dataset.v || '')") if v]
    assert found == sorted(found, reverse=True) and len(found) == 10


def test_facts_are_found_and_hidden(browser: Browser, page: Path, facts_run: Path):
    load(browser, page)
    cell = facts_run / "cells" / "head_projection-single_fact-image_text-s0-1a2b3c4d" / "attacks.parquet"
    own = pl.read_parquet(cell).filter(pl.col("edit_id") == pl.col("subject"))
    hits = own.with_columns((pl.col("hit_position") <= 20).fill_null(False).alias("hit"))
    some = hits.group_by("sample_id").agg(pl.col("hit").any())["hit"].sum()
    models = browser.run("[...document.getElementById('fact-model').options].map(o => o.textContent)")
    assert narrow(browser, model=str(models.index("Head projection"))) == 24
    assert narrow(browser, outcome="found") == some and narrow(browser, outcome="hidden") == 24 - some
    attacks = browser.run("[...document.getElementById('fact-attack').options].map(o => o.textContent)")
    tuned = hits.filter(pl.col("attack") == "finetune_lens")
    assert narrow(browser, attack=str(attacks.index("Fine-tuning, then lens") - 1), outcome="found") == tuned["hit"].sum()
    assert browser.run(f"{ENTRIES}.every(e => e.querySelectorAll('.attempt').length === 1 && e.querySelector('.hit'))")
    pick(browser, "budget", "50")
    assert narrow(browser) == tuned["hit_position"].is_not_null().sum()
    gone = narrow(browser, outcome="gone")
    verdicts = f"{ENTRIES}.map(e => e.querySelector('.attempt .head').innerText)"
    assert gone > 0 and all("hidden" in text and "vanilla: \u2713 found" in text for text in browser.run(verdicts))


def test_the_right_candidate_has_a_sign(browser: Browser, page: Path):
    load(browser, page)
    narrow(browser, model="0", outcome="found")
    hit = "document.querySelector('#fact-list .hit')"
    assert browser.run(f"{hit}.querySelector('.sign').textContent") == "\u2713"
    assert browser.run(f"{hit}.querySelector('.hidden').textContent") == "right: "
    number = int(browser.run(f"{hit}.value"))
    head = browser.run(f"{hit}.closest('.attempt').querySelector('.verdict').textContent")
    assert re.search(r"found at (\d+)", head)[1] == str(number)  # type: ignore[index]
    weight = browser.run(f"getComputedStyle({hit}).borderTopWidth")
    assert (
        weight == "2px"
        and browser.run("getComputedStyle(document.querySelector('.candidates li:not(.hit)')).borderTopWidth") == "1px"
    )


def test_hostile_words_are_shown_as_text(browser: Browser, page: Path):
    browser.messages.clear()
    load(browser, page)
    browser.run("document.getElementById('fact-text').focus()")
    browser.call("Input.insertText", text="<SCRIPT>")
    assert narrow(browser, model="0") > 0
    browser.run("document.querySelectorAll('#fact-list details').forEach(d => d.open = true)")
    parts = ("document.querySelector('#fact-list .asked')", "document.querySelector('#fact-list .answer b')")
    assert all(HOSTILE in browser.run(f"{part}.textContent") for part in parts)
    assert HOSTILE in browser.run("document.querySelector('#fact-list .candidates').closest('.body').innerText")
    assert browser.run("document.querySelectorAll('#fact-list script').length") == 0
    assert browser.run("document.scripts.length") == 1 and browser.messages == []


def test_every_defence_and_attack_of_a_fact(browser: Browser, page: Path):
    load(browser, page)
    browser.run("[...document.querySelectorAll('#fact-list .entry details')][1].open = true")
    browser.wait("document.querySelectorAll('#fact-list .entry details table').length === 1")
    table = "document.querySelector('#fact-list .entry details table')"
    assert browser.run(f"[{table}.tBodies[0].rows.length, {table}.tHead.rows[0].cells.length]") == [10, 8]
    assert browser.run(f"[...{table}.querySelectorAll('td.right, td.wrong')].every(c => /found|hidden/.test(c.textContent))")
    assert browser.run(f"{table}.closest('.scroll').tabIndex") == 0


def test_more_facts_on_demand(browser: Browser, page: Path):
    load(browser, page)
    assert browser.run(f"{ENTRIES}.length") == 6
    browser.run("document.getElementById('fact-more').click()")
    assert browser.run(f"{ENTRIES}.length") == 12 and browser.run("document.activeElement.classList.contains('entry')")


def test_everything_that_acts_can_be_reached_by_keyboard(browser: Browser, page: Path):
    load(browser, page, width=390)
    acts = "[...document.querySelectorAll('button, select, input, summary, a[href]')].filter(e => e.checkVisibility())"
    assert browser.run(f"{acts}.filter(e => e.tabIndex < 0).length") == 0
    nameless = "e => !(e.textContent.trim() || e.ariaLabel || (e.labels && e.labels.length))"
    assert browser.run(f"{acts}.filter({nameless}).length") == 0
    wide = (
        "[...document.querySelectorAll('.scroll, .figure')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth)"
    )
    assert browser.run(f"{wide}.length") > 2 and browser.run(f"{wide}.every(e => e.tabIndex === 0)")
    browser.run("document.querySelector('input[name=budget]:checked').focus()")
    browser.press("ArrowLeft", 37)
    assert browser.run("document.querySelector('input[name=budget]:checked').value") == "10"


def test_without_scripts_the_matrix_can_be_read(browser: Browser, page: Path):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        shown = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
        assert browser.run(shown.format(".heat svg")) == 1 and browser.run(shown.format("table.main")) == 3
        assert browser.run(shown.format("#fact-filters, #fact-list, .get")) == 0
        assert browser.run("document.body.innerText.includes('needs JavaScript')")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
