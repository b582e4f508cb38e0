"""The page as a file: everything inside or beside it, nothing a user wrote as markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from doc_pages import bare, read, table
from review.toy_garden import HOSTILE, HOSTILE_TEXTS, drawing, toy_extension
from unsee.errors import ConfigError
from unsee.review import REASONS, extension_digest, write_page
from unsee.review.page import MOST_INSIDE, PIXELS


def data_of(page: Path) -> dict:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_everything_is_handed_over(tmp_path: Path) -> None:
    made = toy_extension(2, hostile=True)
    page = write_page(made, tmp_path / "page.html", annotator=" Ada ", seed=4)
    data = data_of(page)
    assert (data["annotator"], data["seed"], data["served"], data["digest"]) == ("Ada", 4, "", extension_digest(made))
    assert [(fact["question"], fact["answer"]) for fact in data["facts"]] == [(f.question, f.answer) for f in made.facts]
    assert [item["id"] for item in data["items"]] == [variant.id for variant in made.variants]
    for item, variant in zip(data["items"], made.variants, strict=True):
        assert (item["question"], item["answer"], item["grade"]) == (variant.question, variant.answer, variant.grade)
        assert (item["generator"], item["prompt"], item["failed"]) == (variant.generator, variant.prompt, [*variant.failed])
        assert data["facts"][item["fact"]]["id"] == variant.fact
    assert [made.variants[n].failed for n in data["judged"]] == [()] * 28
    # The one that is no picture has no address; others are each there once.
    broken = [item["picture"] for item in data["items"] if data["pictures"][item["picture"]] is None]
    assert len(broken) == 2
    shown = [address for address in data["pictures"] if address]
    assert all(address.startswith("data:image/") for address in shown) and len(set(shown)) == len(shown)
    assert len(data_of(write_page(made, tmp_path / "all.html", failed=True))["judged"]) == 30


def test_hostile_texts_are_data_only(tmp_path: Path) -> None:
    html = write_page(toy_extension(3, hostile=True), tmp_path / "page.html", annotator=HOSTILE).read_text("utf-8")
    assert HOSTILE not in html and HOSTILE_TEXTS[1] not in html
    assert html.count("<script") == html.count("</script>") == 2 and html.count("<img") == 0
    assert "http:" not in html.replace("http://www.w3.org", "") and "https:" not in html


def test_who_may_have_the_page_is_said_where_licences_ask_for_it(tmp_path: Path) -> None:
    made = toy_extension(2)
    assert "pass it on only" not in write_page(made, tmp_path / "free.html").read_text("utf-8")
    bound = replace(made, facts=(replace(made.facts[0], source_license="CC-BY-NC-4.0"), *made.facts[1:]))
    html = write_page(bound, tmp_path / "bound.html").read_text("utf-8")
    assert "pictures under CC-BY-NC-4.0 (non-commercial): pass it on only" in html


def test_other_files_are_not_written_over(tmp_path: Path) -> None:
    made, data = toy_extension(1), tmp_path / "facts.jsonl"
    data.write_text('{"id": "mine"}\n')
    with pytest.raises(ConfigError, match=r"facts\.jsonl is there and no page of a review"):
        write_page(made, data)
    assert data.read_text() == '{"id": "mine"}\n'
    page = write_page(made, tmp_path / "page.html", annotator="Ada")
    assert data_of(write_page(made, page, annotator="Bo"))["annotator"] == "Bo"


def test_many_pictures_lie_beside_the_page(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    page = write_page(
        toy_extension(2, hostile=True), tmp_path / "my #1 page.html", most_inside=5, progress=lambda *step: told.append(step)
    )
    addresses = data_of(page)["pictures"]
    folder = tmp_path / "my #1 page-pictures"
    assert len(list(folder.iterdir())) == sum(address is not None for address in addresses) == len(addresses) - 2
    for address in filter(None, addresses):
        assert address.startswith("my%20%231%20page-pictures/") and (folder / address.rpartition("/")[2]).is_file()
    assert told[-1] == (len(addresses), len(addresses))
    write_page(toy_extension(1), page, most_inside=4)
    assert len(list(folder.iterdir())) == len(data_of(page)["pictures"])
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="holds other files"):
        write_page(toy_extension(1), page, most_inside=4)
    assert (folder / "mine.txt").read_text() == "keep"


def test_large_pictures_are_scaled(tmp_path: Path) -> None:
    import base64
    import dataclasses
    import io

    from PIL import Image

    made = toy_extension(1)
    large = dataclasses.replace(made, facts=(dataclasses.replace(made.facts[0], image=drawing(1, size=1_000)), made.facts[1]))
    address = data_of(write_page(large, tmp_path / "page.html"))["pictures"][0]
    assert max(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).size) == PIXELS


def test_the_same_page_twice(tmp_path: Path) -> None:
    first = write_page(toy_extension(1), tmp_path / "a.html").read_bytes()
    assert write_page(toy_extension(1), tmp_path / "b.html").read_bytes() == first


def test_the_documented_reasons_are_those_of_the_page() -> None:
    rows = table(read("docs/review.md"), "reason", "says")
    assert {bare(row["reason"]): row["says"] for row in rows} == REASONS
    assert f"{MOST_INSIDE} of them are inside the page" in read("docs/review.md") and len(REASONS) == 8
