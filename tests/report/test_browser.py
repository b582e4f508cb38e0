"""The page in a real browser; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs headless Chromium")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(small_run: Path, small_page: str) -> Path:
    return small_run / "report.html"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_quietly_and_alone(browser: Browser, page: Path, width: int, dark: bool):
    browser.messages.clear()
    browser.requests.clear()
    browser.open(page, width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.messages == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_injected_scripts_do_not_run(browser: Browser, page: Path):
    browser.open(page)
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned=1\">')")
    browser.run("(() => { const s = document.createElement('script'); s.text = 'window.owned=1'; document.body.append(s); })()")
    assert browser.run("typeof window.owned") == "undefined"
    assert any("Content Security Policy" in message for message in browser.messages)


def test_switches_change_tables_and_plots(browser: Browser, page: Path):
    browser.open(page)
    shown = (
        "[...document.querySelectorAll('.panel')].filter(p => !p.hidden).map(p => p.dataset.modality + p.dataset.gated).join()"
    )
    assert browser.run(shown) == "image_textFalse,image_textFalse"
    browser.run("document.querySelector('input[value=text]').click()")
    assert browser.run(shown) == "textFalse,textFalse"
    browser.run("document.querySelector('input[value=True]').click()")
    assert browser.run(shown) == "textTrue,textTrue"


def test_switches_obey_the_keyboard(browser: Browser, page: Path):
    browser.open(page)
    browser.run("document.querySelector('input[value=image_text]').focus()")
    browser.press("ArrowRight", 39)
    assert browser.run("new FormData(document.getElementById('switches')).get('modality')") == "text"


def test_people_can_be_picked(browser: Browser, page: Path):
    browser.open(page)
    pick = "(v => {const s = document.getElementById('person'); s.value = v; s.dispatchEvent(new Event('change'));})"
    shown = (
        "[...document.querySelectorAll('.person')].filter(p => !p.hidden).map(p => p.dataset.set + (p.open ? '!' : '')).join()"
    )
    browser.run(f"{pick}('person:2')")
    assert browser.run(shown) == "forget!"
    browser.run(f"{pick}('set:forget')")
    assert browser.run(shown).replace("!", "") == "forget,forget,forget"
    browser.run(f"{pick}('set:others')")
    assert "forget" not in browser.run(shown)


def test_dark_pages_are_dark_and_figures_follow(browser: Browser, page: Path):
    def brightness(script: str) -> float:
        colour = browser.run(script)
        return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3

    for dark in (False, True):
        browser.open(page, dark=dark)
        paper = brightness("getComputedStyle(document.body).backgroundColor")
        ink = brightness("getComputedStyle(document.querySelector('.figure text[fill=\"#1d2125\"]')).fill")
        assert (paper < 80 < 180 < ink) if dark else (ink < 80 < 180 < paper)


def test_without_scripts_tables_and_gallery_can_be_read(browser: Browser, page: Path):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        shown = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
        assert browser.run(shown.format("table.main")) > 2 and browser.run(shown.format("figure svg")) > 3
        assert browser.run(shown.format("#switches, #person")) == 0
        assert browser.run("document.body.innerText.includes('Without JavaScript this page shows')")
        browser.run("document.querySelectorAll('summary')[1].click()")
        assert browser.run("document.querySelectorAll('details.person')[1].open")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
