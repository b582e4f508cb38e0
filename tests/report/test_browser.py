"""The pages in a real browser; skipped where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fabricate import HOSTILE, HOSTILE_NAME

from browser import CHROMIUM, Browser

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs headless Chromium")]

SHOWN = "[...document.querySelectorAll('{} > .panel')].filter(p => !p.hidden)"


@pytest.fixture
def page(small_run: Path, small_page: str) -> Path:
    return small_run / "report.html"


@pytest.fixture(scope="module")
def wide_page(wide_run: Path) -> Path:
    from unsee.report import write_report

    return write_report(wide_run)


@pytest.fixture(scope="module")
def states_page(states_run: Path) -> Path:
    from unsee.report import write_report

    return write_report(states_run)


def load(browser: Browser, page: Path, **how: object) -> None:
    """Open a page and wait until what is packed and shown has been unpacked."""
    browser.open(page, **how)  # type: ignore[arg-type]
    browser.wait("!document.querySelector('[aria-busy]') && !document.querySelector('#gallery[data-packed]')")


def choose(browser: Browser, name: str, value: str) -> None:
    """What a reader does with a select or a radio button."""
    browser.run(
        f"(() => {{ const s = document.querySelector('select[name={name}], #{name}');"
        f" if (s) {{ s.value = '{value}'; s.dispatchEvent(new Event('change', {{bubbles: true}})); }}"
        f" else document.querySelector('input[name={name}][value=\"{value}\"]').click(); }})()"
    )
    browser.wait("!document.querySelector('[aria-busy]')")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_quietly_and_alone(browser: Browser, page: Path, width: int, dark: bool):
    browser.messages.clear()
    browser.requests.clear()
    load(browser, page, width=width, dark=dark)
    for name, value in (("axis", ""), ("model", ""), ("modality", "text"), ("gated", "True")):
        choose(browser, name, value)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.messages == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.images].length > 5 && [...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_injected_scripts_do_not_run(browser: Browser, page: Path):
    load(browser, page)
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned=1\">')")
    browser.run("(() => { const s = document.createElement('script'); s.text = 'window.owned=1'; document.body.append(s); })()")
    assert browser.run("typeof window.owned") == "undefined"
    assert any("Content Security Policy" in message for message in browser.messages)


def test_hostile_words_are_shown_as_text(browser: Browser, page: Path):
    browser.messages.clear()
    load(browser, page)
    browser.run(
        "(() => { const f = document.getElementById('filter-text'); f.value = '<script>';"
        " f.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    told = browser.run("document.getElementById('gallery').innerText")
    # In the question and in what a broken model said; the name belongs to the first person.
    assert HOSTILE in told and HOSTILE_NAME in told
    browser.run("document.querySelectorAll('#gallery details').forEach(d => d.open = true)")
    assert browser.run("document.querySelectorAll('#gallery script, #gallery img[src=x]').length") == 0
    assert browser.run("document.scripts.length") == 1 and browser.messages == []


def test_switches_change_tables_and_figures(browser: Browser, page: Path):
    load(browser, page)
    shown = (
        SHOWN.format(".paper") + ".map(p => p.dataset.modality + p.dataset.gated + Boolean(p.querySelector('table'))).join()"
    )
    drawn = SHOWN.format(".trade-offs") + ".map(p => p.dataset.modality + Boolean(p.querySelector('svg'))).join()"
    assert browser.run(shown) == "image_textFalsetrue" and browser.run(drawn) == "image_texttrue"
    choose(browser, "modality", "text")
    assert browser.run(shown) == "textFalsetrue" and browser.run(drawn) == "texttrue"
    choose(browser, "gated", "True")
    assert browser.run(shown) == "textTruetrue"
    assert "known facts only" in browser.run("document.querySelector('.summary > .panel:not([hidden])').innerText")


def test_the_trade_off_has_an_axis_and_the_matrix_a_model(browser: Browser, page: Path):
    load(browser, page)
    titles = SHOWN.format(".trade-offs") + ".map(p => p.querySelector('figcaption').firstChild.textContent.trim()).join()"
    assert browser.run(titles) == "Retain"
    choose(browser, "axis", "3")
    assert browser.run(titles) == "Model utility"
    choose(browser, "axis", "")
    assert browser.run(titles) == "Retain,Celebrity,Near-retain,Model utility"
    choose(browser, "model", "0")
    assert browser.run(SHOWN.format(".matrix") + ".map(p => p.innerText).join()").startswith("Vanilla:")


def test_ways_and_states_follow_the_switches(browser: Browser, states_page: Path):
    browser.messages.clear()
    for width, dark in ((1280, False), (390, True)):
        load(browser, states_page, width=width, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") <= width
    titles = (
        SHOWN.format(".paths") + ".map(p => p.querySelector('figcaption').firstChild.textContent.trim().split('.')[0]).join()"
    )
    shown = (
        SHOWN.format(".states") + ".map(p => p.dataset.modality + p.dataset.gated + Boolean(p.querySelector('table'))).join()"
    )
    assert browser.run(titles) == "Retain" and browser.run(shown) == "image_textFalsetrue"
    choose(browser, "axis", "3")
    choose(browser, "modality", "text")
    assert browser.run(titles) == "Model utility" and browser.run(shown) == "textFalsetrue"
    choose(browser, "scope", "1")
    bodies = (
        "[...document.querySelectorAll('.states > .panel:not([hidden]) tbody:not([hidden]) .request')].map(t => t.innerText)"
    )
    assert browser.run(bodies) == ["Forget 15\u00a0%, unlearned from text only"]
    assert browser.run(titles) == "Model utility" and browser.messages == []


def test_switches_obey_the_keyboard(browser: Browser, page: Path):
    load(browser, page)
    browser.run("document.querySelector('input[value=image_text]').focus()")
    browser.press("ArrowRight", 39)
    assert browser.run("new FormData(document.getElementById('switches')).get('modality')") == "text"


def test_everything_that_acts_can_be_reached_by_keyboard(browser: Browser, page: Path):
    load(browser, page)
    acts = "[...document.querySelectorAll('button, select, input, summary, a[href]')].filter(e => e.checkVisibility())"
    assert browser.run(f"{acts}.filter(e => e.tabIndex < 0).length") == 0
    nameless = "e => !(e.textContent.trim() || e.ariaLabel || (e.labels && e.labels.length))"
    assert browser.run(f"{acts}.filter({nameless}).length") == 0
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth)"
    assert browser.run(f"{wide}.every(e => e.tabIndex === 0)")
    browser.run("document.getElementById('theme').focus()")
    for _ in range(3):
        browser.press("Tab", 9)
    assert browser.run("document.activeElement.tagName") == "A"


def column(browser: Browser, number: int) -> list[str]:
    rows = "[...document.querySelectorAll('.paper > .panel:not([hidden]) tbody tr')]"
    return browser.run(f"{rows}.map(r => r.cells[{number}] && r.cells[{number}].dataset.v || '')")


def test_tables_sort_by_click_and_by_key(browser: Browser, page: Path):
    load(browser, page)
    given = column(browser, 1)
    heading = "document.querySelector('.paper > .panel:not([hidden]) th[data-c=\"1\"]')"
    browser.run(f"{heading}.querySelector('button').click()")
    found = [float(value) for value in column(browser, 1) if value]
    assert found == sorted(found, reverse=True) and browser.run(f"{heading}.ariaSort") == "descending"
    browser.run(f"{heading}.querySelector('button').focus()")
    browser.press("Enter", 13)
    upwards = column(browser, 1)
    assert [float(value) for value in upwards if value] == sorted(found) and browser.run(f"{heading}.ariaSort") == "ascending"
    browser.press("Enter", 13)
    assert column(browser, 1) == given and browser.run(f"{heading}.ariaSort") is None
    # What lacks a value stays below, whichever way the rest is sorted.
    browser.run("document.querySelector('.paper > .panel:not([hidden]) th[data-c=\"2\"] button').click()")
    assert column(browser, 2)[-1] == "" and column(browser, 2)[0] != ""


GALLERY = "[...document.querySelectorAll('#gallery .entry')]"


def narrow(browser: Browser, **filters: str) -> str:
    for name, value in filters.items():
        choose(browser, f"filter-{name}", value)
    return browser.run("document.getElementById('gallery-count').textContent")


def test_the_gallery_filters(browser: Browser, page: Path):
    load(browser, page)
    everything = narrow(browser)
    assert everything == "234 questions about 10 people"
    assert narrow(browser, set="0").endswith("about 3 people")
    assert browser.run(f"{GALLERY}.every(e => e.querySelector('.tag').textContent === 'forget')")
    some = narrow(browser, task="2", modality="1")
    assert some == "9 questions about 3 people"
    assert browser.run(f"{GALLERY}.every(e => e.innerText.includes('fill the blank') && e.innerText.includes('text only'))")
    narrow(browser, task="", modality="", set="")
    forgotten = narrow(browser, model="5", outcome="forgotten")
    right = "li.{0} .model"
    replies = f"{GALLERY}.every(e => [...e.querySelectorAll('{right}')].some(m => m.textContent === '{{1}}'))"
    assert (
        forgotten != everything
        and browser.run(replies.format("right", "Vanilla"))
        and browser.run(replies.format("wrong", "NPO"))
    )
    assert browser.run(f"{GALLERY}.every(e => ['forget', 'test'].includes(e.querySelector('.tag').textContent))")
    narrow(browser, outcome="leaks")
    assert browser.run(replies.format("right", "NPO")) and browser.run(replies.format("wrong", "Gold"))
    lost = narrow(browser, outcome="lost", model="4")
    assert lost.startswith(tuple("123456789")) and browser.run(replies.format("wrong", "GA"))
    assert browser.run(f"{GALLERY}.every(e => !['forget', 'test'].includes(e.querySelector('.tag').textContent))")


def test_each_answer_stands_beside_truth_vanilla_and_gold(browser: Browser, page: Path):
    load(browser, page)
    narrow(browser, model="5")
    first = f"{GALLERY}[0]"
    names = f"[...{first}.querySelectorAll('.body > .replies .model')].map(m => m.textContent).join()"
    assert browser.run(names) == "Truth,Vanilla,Gold,NPO"
    browser.run(f"{first}.querySelector('details').open = true")
    browser.wait(f"{first}.querySelectorAll('details .model').length === 4")


def test_search_and_more(browser: Browser, page: Path):
    load(browser, page)
    assert browser.run(f"{GALLERY}.length") == 12
    browser.run("document.getElementById('gallery-more').click()")
    assert browser.run(f"{GALLERY}.length") == 24
    assert browser.run("document.activeElement.classList.contains('entry')")
    browser.run("document.getElementById('filter-text').focus()")
    browser.call("Input.insertText", text="BRUNO")
    assert browser.run("document.getElementById('gallery-count').textContent") == "36 questions about 1 person"
    assert browser.run(f"{GALLERY}.every(e => e.textContent.includes('Bruno'))")
    browser.call("Input.insertText", text=" nobody is called so")
    assert browser.run("document.getElementById('gallery-count').textContent") == "No question fits."


def brightness(browser: Browser, script: str) -> float:
    colour = browser.run(script)
    return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3


PAPER, INK = (
    "getComputedStyle(document.body).backgroundColor",
    "getComputedStyle(document.querySelector('.figure text[fill=\"#1d2125\"]')).fill",
)


def test_dark_pages_are_dark_and_figures_follow(browser: Browser, page: Path):
    for dark in (False, True):
        load(browser, page, dark=dark)
        paper, ink = brightness(browser, PAPER), brightness(browser, INK)
        assert (paper < 80 < 180 < ink) if dark else (ink < 80 < 180 < paper)


def test_the_toggle_wins_over_the_system(browser: Browser, page: Path):
    load(browser, page, dark=True)
    press = "document.getElementById('theme').click(), document.getElementById('theme').textContent"
    for name, dark in (("light", False), ("dark", True), ("system", True)):
        assert browser.run(press) == f"Colours: {name}"
        assert (brightness(browser, PAPER) < 80) is dark and (brightness(browser, INK) > 180) is dark


def test_downloads_are_files(browser: Browser, page: Path, tmp_path: Path):
    load(browser, page, dark=True)
    browser.requests.clear()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    names = ["demo-main-strict-image-text-all.csv", "demo-main-strict-image-text-all.tex"]
    names += [f"demo-trade-off-retain-classification-strict-image-text-all.{kind}" for kind in ("svg", "png")]
    for name in names:
        browser.run(f"document.querySelector('[data-file=\"{name}\"]').click()")
        end = time.monotonic() + 30
        while not ((tmp_path / name).is_file() and (tmp_path / name).stat().st_size):
            assert time.monotonic() < end, name
            time.sleep(0.05)
            browser.run("1")
    table = "document.querySelector('[data-file=\"{}\"]').dataset.text"
    assert (tmp_path / names[0]).read_text(encoding="utf-8") == browser.run(table.format(names[0]))
    picture = (tmp_path / names[2]).read_text(encoding="utf-8")
    # Light colours, whatever the page wears.
    assert picture.startswith("<svg") and 'fill="#fffffe"' in picture and "NPO" in picture
    assert (tmp_path / names[3]).read_bytes().startswith(b"\x89PNG")
    assert not [url for url in browser.requests if not url.startswith(("data:", "blob:"))]


def test_the_csv_holds_the_numbers_of_the_table(browser: Browser, page: Path):
    import csv
    import io

    load(browser, page)
    text = browser.run("document.querySelector('[data-file=\"demo-main-strict-image-text-all.csv\"]').dataset.text")
    rows = list(csv.reader(io.StringIO(text)))
    table = "[...document.querySelectorAll('.paper > .panel:not([hidden]) tbody tr')]"
    shown = browser.run(
        f"{table}.map(r => [...r.cells].slice(1).map(c =>"
        " [c.dataset.v || '', c.querySelector('b') ? c.querySelector('b').textContent : '']))"
    )
    values = [n for n, name in enumerate(rows[0]) if n > 1 and not name.endswith((" low", " high", "Notes"))]
    assert len(rows) == len(shown) + 1
    for row, cells in zip(rows[1:], shown, strict=True):
        assert [row[n] for n in values] == [full for full, _ in cells]
        assert all(f"{float(full):.0f}" == short for full, short in cells if full)


def test_protocols_and_requests(browser: Browser, wide_page: Path):
    browser.messages.clear()
    load(browser, wide_page)
    tags = "[...document.querySelectorAll('.paper > .panel:not([hidden]) tbody:not([hidden]) .run')].map(t => t.textContent)"
    assert set(browser.run(tags)) == {"strict", "official"}
    assert browser.run(SHOWN.format(".trade-offs") + ".map(p => p.dataset.protocol).join()") == "strict,strict"
    choose(browser, "protocol", "official")
    assert browser.run(tags) == []
    assert browser.run(SHOWN.format(".trade-offs") + ".map(p => p.dataset.protocol).join()") == "official,official"
    bodies = (
        "[...document.querySelectorAll('.paper > .panel:not([hidden]) tbody:not([hidden]) .request')].map(t => t.innerText)"
    )
    assert len(browser.run(bodies)) == 2 and len(set(browser.run(bodies))) == 2
    choose(browser, "scope", "1")
    assert browser.run(bodies) == ["Forget 10\u00a0%, unlearned from text only"]
    assert browser.run(SHOWN.format(".trade-offs") + ".map(p => p.dataset.scope).join()") == "1"
    titles = browser.run(
        "[...document.querySelectorAll('.paper > .panel:not([hidden]) thead tr:first-child th')]"
        ".map(t => t.innerText.split('\\n')[0].trim())"
    )
    assert any(title.startswith("General") for title in titles)
    axes = browser.run("[...document.querySelector('select[name=axis]').options].map(o => o.textContent)")
    assert "General, four options" in axes and "General, free answer" in axes
    choose(browser, "compare", "unlearning")
    assert "unlearned from text only" in browser.run("document.getElementById('differences').innerText")
    assert browser.messages == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_comparison_opens_quietly(browser: Browser, small_run: Path, wide_run: Path, tmp_path: Path, width: int):
    from unsee.report import write_comparison

    path = write_comparison([small_run, wide_run], out=tmp_path / "comparison.html")
    browser.messages.clear()
    browser.requests.clear()
    load(browser, path, width=width, dark=width == 390)
    choose(browser, "modality", "text")
    assert browser.messages == [] and browser.run("document.documentElement.scrollWidth") <= width
    assert [url for url in browser.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
    assert browser.run("[...document.querySelectorAll('.paper .run')].length") > 4


def test_without_scripts_tables_and_figures_can_be_read(browser: Browser, page: Path):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        shown = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
        assert browser.run(shown.format("table.main")) > 4 and browser.run(shown.format("figure svg")) > 8
        assert browser.run(shown.format("#switches, #filters, .get, #theme")) == 0
        assert browser.run("document.body.innerText.includes('Without JavaScript this page shows')")
        assert browser.run("document.body.innerText.includes('needs JavaScript')")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
