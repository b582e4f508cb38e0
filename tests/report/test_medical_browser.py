"""The parts about patients in a real browser; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from medical_run import HOSTILE_PATIENT, HOSTILE_RULE

from browser import CHROMIUM, Browser

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs headless Chromium")]


def test_parts_about_patients(browser: Browser, medical_run: Path, medical_page: str):
    page = medical_run / "report.html"
    browser.messages.clear()
    browser.requests.clear()
    for width in (1280, 390):
        for dark in (False, True):
            browser.open(page, width=width, dark=dark)
            browser.wait("!document.querySelector('[aria-busy]')")
            assert browser.run("document.documentElement.scrollWidth") <= width
            small = (
                "[...document.querySelectorAll('.leak-heat svg text, .transitions svg text')].filter(e => e.checkVisibility())"
            )
            assert browser.run(f"Math.min(...{small}.map(e => e.getBoundingClientRect().height))") > 8
    browser.open(page)
    browser.wait("!document.querySelector('[aria-busy]')")

    # Every table of the page sorts, and names of users are text.
    worst = "document.querySelector('.leak-worst > .panel:not([hidden]) table')"
    browser.run(f"{worst}.querySelector('th[data-c=\"2\"] button').click()")
    values = browser.run(f"[...{worst}.tBodies[0].rows].filter(r => r.cells[2]).map(r => Number(r.cells[2].dataset.v))")
    assert values == sorted(values, reverse=True)
    assert HOSTILE_PATIENT in browser.run(f"{worst}.innerText")
    assert HOSTILE_RULE in browser.run("document.querySelector('.error-rules').innerText")

    # Switches: how errors are asked about, one scenario only, known facts only.
    title = "document.querySelector('.transitions > .panel:not([hidden]) figcaption').innerText"
    assert browser.run(title).startswith("Single answers, as taught")
    browser.run("document.querySelector('input[name=posed][value=test]').click()")
    browser.wait("!document.querySelector('[aria-busy]')")
    assert browser.run(title).startswith("Single answers, in disguise")
    browser.run(
        "(() => { const s = document.getElementById('switch-scope'); s.value = '1';"
        " s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    browser.wait("!document.querySelector('[aria-busy]')")
    shown = "[...document.querySelectorAll('.{} tbody')].filter(e => e.checkVisibility()).length"
    assert browser.run(shown.format("volunteered")) == 0 and browser.run(shown.format("errors")) == 2
    assert browser.run("[...document.querySelectorAll('.leak-heat .panel')].every(e => e.hidden)")
    assert browser.run("document.querySelector('.volunteered .nothing').checkVisibility()")
    browser.run("document.querySelector('input[name=gated][value=True]').click()")
    browser.wait("!document.querySelector('[aria-busy]')")
    note = browser.run("document.querySelector('.efficiency > .panel:not([hidden]) .table-title').textContent")
    assert "known facts only" in note
    assert browser.messages == [] and set(browser.requests) == {page.resolve().as_uri()}
