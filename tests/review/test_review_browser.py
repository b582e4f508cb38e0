"""Whole reviews by keyboard in a real browser, offline and served; skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from review.serving import Served
from review.toy_garden import HOSTILE, HOSTILE_TEXTS, toy_extension
from review.votes import cohen
from unsee.benchmarks.extended.variants import Extension
from unsee.review import extension_digest, filter_extension, read_decisions, write_page
from unsee.review.decisions import Decision, standing

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs headless Chromium")]

READY = "document.documentElement.dataset.ready === 'true'"
COUNTS = "document.getElementById('counts').textContent"
TROUBLE = "document.getElementById('trouble').textContent"
SHOWN = "document.querySelector('.tile[aria-current]') && document.querySelector('.tile[aria-current]').dataset.number"
SAVED = f"!{COUNTS}.includes('saving')"
FINISHED = "!document.getElementById('finished').hidden"
CODES = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Backspace": 8}


def load(browser: Browser, page: Path | str, **how: object) -> None:
    browser.messages.clear()
    browser.open(page, **how)  # type: ignore[arg-type]
    browser.wait(READY)


def press(browser: Browser, *keys: str) -> None:
    for key in keys:
        browser.press(key, CODES.get(key, ord(key[0].upper())))


def write(browser: Browser, text: str) -> None:
    """Own words as the reason."""
    press(browser, "0")
    browser.call("Input.insertText", text=text)
    press(browser, "Enter")


def downloaded(browser: Browser, path: Path) -> tuple[Decision, ...]:
    """What the button gives, as a file."""
    browser.run("window.saveFile = (name, text) => { window.saved = [name, text]; }")
    browser.run("document.getElementById('download').click()")
    path.write_text(browser.run("window.saved[1]"), encoding="utf-8")
    return read_decisions(path)


@pytest.fixture(scope="module")
def small() -> Extension:
    """One fact, 14 variants to judge."""
    return toy_extension(1)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], Browser]]:
    """Opens a browser with one profile, again and again."""
    opened: list[Browser] = []

    def again() -> Browser:
        if opened:
            opened.pop().leave()
        opened.append(Browser(tmp_path / "profile"))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


def test_a_whole_review_by_keyboard(fresh: Callable[[], Browser], small: Extension, tmp_path: Path) -> None:
    page = write_page(small, tmp_path / "page.html")
    browser = fresh()
    browser.open(page)
    browser.call("Input.insertText", text=" Ada Moss ")
    press(browser, "Enter")
    browser.wait(READY)
    assert browser.run(COUNTS) == "0 of 14 judged"
    order = [browser.run(SHOWN)]
    for keys in (["k"], ["3"], ["r", "Enter"], ["u", "5"], ["r", "Escape", "k"], ["K", "Enter"]):
        press(browser, *keys)
        order.append(browser.run(SHOWN))
    write(browser, f"kept {HOSTILE} \u202e\u2028")
    assert browser.run(COUNTS).startswith("7 of 14 judged \u00b7 3 kept, 3 rejected, 1 unsure \u00b7 about ")
    # Undo goes back to the variant; what was undone is open again.
    press(browser, "z", "Backspace")
    assert browser.run(COUNTS).startswith("5 of 14") and browser.run(SHOWN) == order[5]
    press(browser, "ArrowLeft")
    assert browser.run(SHOWN) == order[4] and "kept" in browser.run("document.getElementById('tags').innerText")
    press(browser, "1")
    assert browser.run(SHOWN) == order[5] and "4 kept" not in browser.run(COUNTS)

    # The browser is closed and opened again: same order, next open variant, and undo still knows what came before.
    browser = fresh()
    browser.open(page)
    browser.call("Input.insertText", text="Ada Moss")
    press(browser, "Enter")
    browser.wait(READY)
    assert browser.run(SHOWN) == order[5] and browser.run(COUNTS).startswith(
        "5 of 14 judged \u00b7 1 kept, 3 rejected, 1 unsure"
    )
    press(browser, "Backspace")
    assert browser.run(SHOWN) == order[4]
    press(browser, "k")
    while not browser.run(FINISHED):
        press(browser, "k")
    assert browser.run(COUNTS) == "14 of 14 judged \u00b7 11 kept, 2 rejected, 1 unsure"
    assert browser.run("document.getElementById('finished-text').textContent").startswith("11 kept, 2 rejected, 1 unsure")
    assert browser.messages == []

    found = downloaded(browser, tmp_path / "decisions.jsonl")
    assert browser.run("window.saved[0]") == "decisions-Ada-Moss.jsonl"
    assert {one.annotator for one in found} == {"Ada Moss"} and {one.extension for one in found} == {extension_digest(small)}
    by_item = {one.item: one for one in standing(found)}
    told = [by_item[small.variants[int(number)].id] for number in order[:4]]
    assert [(one.verdict, one.reason) for one in told] == [
        ("keep", ""),
        ("reject", "wrong_answer"),
        ("reject", ""),
        ("unsure", "unclear"),
    ]
    kept = filter_extension(small, found)
    assert (kept.raw, kept.automatic, kept.judged, kept.manual) == (15, 14, 14, 11)


def test_everyone_has_an_order_of_their_own(browser: Browser, extension: Extension, tmp_path: Path) -> None:
    orders = []
    for annotator, seed in (("Ada", 0), ("Bo", 0), ("Ada", 1), ("Ada", 0)):
        load(browser, write_page(extension, tmp_path / f"{len(orders)}.html", annotator=annotator, seed=seed))
        seen = [int(browser.run(SHOWN))]
        for _ in range(41):
            press(browser, "ArrowRight")
            seen.append(int(browser.run(SHOWN)))
        assert sorted(seen) == [n for n, variant in enumerate(extension.variants) if not variant.failed]
        facts = [extension.variants[number].fact for number in seen]
        assert all(facts[14 * n : 14 * n + 14] == [facts[14 * n]] * 14 for n in range(3)), "a fact's variants stay together"
        orders.append(seen)
    assert orders[0] == orders[3] and orders[0] != orders[1] != orders[2] != orders[0]
    assert all(order != sorted(order) for order in orders)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_hostile_texts_are_shown_as_text(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    made = toy_extension(2, hostile=True)
    page = write_page(made, tmp_path / "page.html", annotator=HOSTILE, failed=True)
    browser.requests.clear()
    load(browser, page, width=width, dark=dark)
    told = []
    for _ in made.variants:
        told.append(browser.run("document.body.innerText"))
        assert browser.run("document.documentElement.scrollWidth") <= width
        press(browser, "k")
    assert browser.run(FINISHED) and browser.run(COUNTS).startswith("30 of 30 judged")
    whole = "\n".join(told)
    assert all(text in whole for text in (*HOSTILE_TEXTS[:2], "gnp.exe", "x" * 10_000, "holds hidden characters"))
    assert "picture cannot be shown" in whole and "failed: near duplicate" in whole
    assert browser.run(
        "[typeof window.owned, document.scripts.length, document.querySelectorAll('main script, main b b').length]"
    ) == [
        "undefined",
        2,
        0,
    ]
    assert browser.messages == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    digest = extension_digest(made)
    found = downloaded(browser, tmp_path / "decisions.jsonl")
    assert {one.item for one in found} == {variant.id for variant in made.variants}
    assert {(one.annotator, one.extension) for one in found} == {(HOSTILE, digest)}
    browser.run("localStorage.clear()")


def test_injected_scripts_do_not_run(browser: Browser, small: Extension, tmp_path: Path) -> None:
    load(browser, write_page(small, tmp_path / "page.html", annotator="Eve"))
    browser.run("(() => { const s = document.createElement('script'); s.text = 'window.owned=1'; document.body.append(s); })()")
    assert browser.run("typeof window.owned") == "undefined"
    assert any("Content Security Policy" in message for message in browser.messages)


def test_pictures_beside_the_page_are_shown(browser: Browser, small: Extension, tmp_path: Path) -> None:
    page = write_page(small, tmp_path / "a #1 page.html", annotator="Ada", most_inside=0)
    load(browser, page)
    images = "[...document.images].length > 5 && [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    browser.wait(images)
    assert browser.messages == []


def test_what_is_changed_is_marked(browser: Browser, small: Extension, tmp_path: Path) -> None:
    load(browser, write_page(small, tmp_path / "page.html", annotator="Mark"))
    browser.run("[...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith('Which sort')).click()")
    marks = browser.run("[...document.querySelectorAll('#variant mark')].map(m => m.textContent)")
    assert marks == ["Which", "sort", "can", "be", "seen"]


def test_an_earlier_file_is_taken_up(browser: Browser, small: Extension, tmp_path: Path) -> None:
    digest = extension_digest(small)
    items = [variant.id for variant in small.variants if not variant.failed]
    lines = [
        Decision(item=item, annotator=name, verdict="keep", time="2026-01-01T00:00:00Z", extension=of).line
        for item, name, of in (
            (items[0], "Tess", digest),
            (items[1], "Tess", digest),
            (items[2], "Bo", digest),
            ("nobody", "Tess", digest),
            (items[3], "Tess", "0" * 64),
        )
    ]
    file = tmp_path / "earlier.jsonl"
    file.write_text("".join(lines) + '{"item": "cut')
    load(browser, write_page(small, tmp_path / "page.html", annotator="Tess"))
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    field = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(file)], nodeId=field)
    browser.wait(f"{TROUBLE} !== ''")
    assert browser.run(TROUBLE) == (
        "2 decisions taken up, 1 of other annotators left out, 3 lines do not fit this review and were left out."
    )
    assert browser.run(COUNTS).startswith("2 of 14 judged \u00b7 2 kept")
    assert {one.item for one in downloaded(browser, tmp_path / "all.jsonl")} == set(items[:2])


def judge(browser: Browser, served: Served, choose: Callable[[int], list[str]]) -> None:
    """A whole review through the server."""
    load(browser, served.url)
    while not browser.run(FINISHED):
        press(browser, *choose(int(browser.run(SHOWN))))
    browser.wait(SAVED)


def test_two_annotators_and_their_kappa(
    browser: Browser, serve: Callable[..., Served], garden: Path, extension: Extension, tmp_path: Path
) -> None:
    ways = {
        "Ada": lambda number: ["r", "1"] if number % 3 == 0 else ["k"],
        "Bo": lambda number: ["u", "Enter"] if number % 7 == 0 else ["2"] if number % 3 == 0 else ["k"],
    }
    passed = [number for number, variant in enumerate(extension.variants) if not variant.failed]
    files = []
    for name, choose in ways.items():
        files.append(tmp_path / f"{name}.jsonl")
        judge(browser, serve(garden, files[-1], name), choose)
        browser.wait(f"{COUNTS}.startsWith('42 of 42')")
        assert browser.messages == []
    given = [decision for file in files for decision in read_decisions(file)]
    assert len(given) == 84
    letters = [
        ["r" if n % 3 == 0 else "k" for n in passed],
        ["u" if n % 7 == 0 else "r" if n % 3 == 0 else "k" for n in passed],
    ]
    found = filter_extension(extension, given)
    assert found.agreement.statistic == "cohen"
    assert found.agreement.kappa.value == pytest.approx(float(cohen(*letters)), abs=1e-12)
    kept = {extension.variants[n].id for n in passed if n % 3 and n % 7}
    assert {variant.id for variant in found.extension.variants} == kept


def test_served_decisions_are_on_disk_and_taken_up(
    browser: Browser, serve: Callable[..., Served], garden: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    served = serve(garden, path)
    load(browser, served.url)
    assert browser.run("[...document.images].length > 2")
    browser.wait("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    order = []
    for number, keys in enumerate((["k"], ["4"], ["z"], ["u", "Enter"])):
        order.append(browser.run(SHOWN))
        press(browser, *keys)
        browser.wait(SAVED)
        assert len(read_decisions(path)) == number + 1
    assert [one.verdict for one in read_decisions(path)] == ["keep", "reject", None, "unsure"]
    shown = browser.run(SHOWN)
    # Another run of the server has another address, so nothing but the file can know.
    served.process.kill()
    load(browser, serve(garden, path).url)
    assert browser.run(SHOWN) == shown and browser.run(COUNTS).startswith("2 of 42 judged \u00b7 1 kept, 0 rejected, 1 unsure")
    assert browser.run("document.getElementById('import')") is None and browser.messages == []


def test_trouble_is_told_and_nothing_is_lost(
    browser: Browser, serve: Callable[..., Served], garden: Path, tmp_path: Path
) -> None:
    folder, place = tmp_path / "copy", tmp_path / "place"
    shutil.copytree(garden, folder)
    place.mkdir()
    path = place / "a.jsonl"
    load(browser, serve(folder, path).url)
    folder.rename(tmp_path / "gone")
    press(browser, "k")
    browser.wait(f"{TROUBLE} !== ''")
    assert f"The folder {folder} is gone" in browser.run(TROUBLE) and len(read_decisions(path)) == 1
    place.rename(tmp_path / "elsewhere")
    press(browser, "k", "k")
    browser.wait(f"{TROUBLE}.includes('2 decisions are not on disk yet')")
    assert f"The folder {folder} is gone" in browser.run(TROUBLE)
    assert f"Decisions cannot be written to {path} (No such file or directory)." in browser.run(TROUBLE)
    assert len(downloaded(browser, tmp_path / "saved.jsonl")) == 3
    (tmp_path / "gone").rename(folder)
    place.mkdir()
    browser.wait(f"{TROUBLE} === '' && {SAVED}")
    assert len(read_decisions(path)) == 3


def test_a_server_that_ended_loses_nothing(
    fresh: Callable[[], Browser], serve: Callable[..., Served], garden: Path, tmp_path: Path
) -> None:
    path, browser = tmp_path / "a.jsonl", fresh()
    served = serve(garden, path)
    load(browser, served.url)
    press(browser, "k")
    browser.wait(SAVED)
    served.process.kill()
    served.process.wait()
    press(browser, "k", "k")
    browser.wait(f"{TROUBLE}.includes('2 decisions are not on disk yet')")
    assert "The server does not answer" in browser.run(TROUBLE)
    assert len(downloaded(browser, tmp_path / "saved.jsonl")) == 3 and len(read_decisions(path)) == 1
