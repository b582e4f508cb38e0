from __future__ import annotations

from xml.etree import ElementTree

from unsee.report.figures.bars import Bar, Panel, bar_panels
from unsee.report.figures.matrix import fact_matrix
from unsee.report.figures.question_cards import Card, Said, draw_card
from unsee.report.figures.svg import ACCENT, PAPER, grid
from unsee.report.figures.trade_off import Dot, Path, trade_off

HOSTILE = "</text><script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def dot(label: str, x: float, y: float, family: str = "") -> Dot:
    return Dot(label, "method", x, x - 5, x + 5, y, y - 4, y + 4, family)


def test_names_in_figures_are_text():
    pictures = [
        trade_off([dot(HOSTILE, 20, 30)], x_title=HOSTILE, y_title="y", prefix="a"),
        bar_panels([Panel(HOSTILE, [Bar(HOSTILE, 0, 5, 4, 6)], (0, 10))], models=[HOSTILE], prefix="b", title=HOSTILE),
        fact_matrix({(HOSTILE, HOSTILE): (1, 2)}, people=[HOSTILE], facts=[HOSTILE], title=HOSTILE, prefix="c"),
        draw_card(
            Card(HOSTILE, HOSTILE, "kind", HOSTILE, (HOSTILE,), HOSTILE, None, (Said(HOSTILE, HOSTILE, True),)), prefix="d"
        ),
    ]
    for picture in pictures:
        assert "<script" not in picture
        assert any("script" in text for text in texts(picture))
        assert not list(ElementTree.fromstring(picture).iter(f"{SVG}script"))


def test_control_characters_do_not_break_a_card():
    card = Card("T", "", "k", "a\x00b\x1b[0m", (), "t", None, (Said("M", "\x08\ufffe", False),))
    assert "ab[0m" in texts(draw_card(card, prefix="x"))


def test_long_words_stay_on_their_card():
    card = Card("T", "", "k", "q", (), "t", None, (Said("M", "o" * 90, False),))
    assert max(text.count("o") for text in texts(draw_card(card, prefix="x"))) <= 26


def test_the_axis_starts_at_zero_unless_everything_is_near_the_top():
    def ticks(y: float) -> list[str]:
        found = texts(trade_off([dot("a", 20, y), dot("b", 40, 95)], x_title="x", y_title="y", prefix="t"))
        return [text for text in found if text.isdigit()]

    assert ticks(30.0).count("0") == 2
    assert "80" in ticks(92.0) and ticks(92.0).count("0") == 1


def test_one_family_has_one_shape():
    def shapes(families: tuple[str, str]) -> set[str]:
        dots = [dot("a", 20, 50, families[0]), dot("b", 60, 50, families[1])]
        tree = ElementTree.fromstring(trade_off(dots, x_title="x", y_title="y", prefix="t"))
        return {e.get("d", "") for e in tree.iter(f"{SVG}path") if e.get("fill") == ACCENT and e.get("stroke") == ACCENT}

    assert len(shapes(("npo", "npo"))) == 1 and len(shapes(("npo", "ga"))) == 2


def ways(picture: str) -> list[ElementTree.Element]:
    """Lines of methods, in the order they were given."""
    tree = ElementTree.fromstring(picture)
    return [e for e in tree.iter(f"{SVG}path") if e.get("stroke") == ACCENT and "L" in e.get("d", "") and not e.get("fill")]


def test_a_path_keeps_its_order_and_its_dashes():
    there_and_back = Path([(0, 100), (50, 80), (20, 60)], "npo", 0)
    across = Path([(0, 100), (60, 40)], "ga", 1)
    dots = [dot("NPO", 20, 60, "npo"), dot("GA", 60, 40, "ga")]
    picture = trade_off(dots, paths=[there_and_back, across], x_title="x", y_title="y", prefix="t", title="A title")
    first, second = ways(picture)
    places = [tuple(map(float, pair.split(","))) for pair in first.get("d", "").removeprefix("M").split("L")]
    # Right, then back to the left, and always downwards.
    assert places[1][0] > places[2][0] > places[0][0] and places[0][1] < places[1][1] < places[2][1]
    assert first.get("stroke-dasharray") != second.get("stroke-dasharray")
    assert "A title" in texts(picture)


def test_marks_on_a_path_are_small_hollow_and_shaped_like_its_end():
    dots = [dot("GA", 60, 40, "ga"), dot("NPO", 20, 60, "npo")]
    paths = [Path([(0, 100), (10, 80), (20, 60)], "npo")]
    tree = ElementTree.fromstring(trade_off(dots, paths=paths, x_title="x", y_title="y", prefix="t"))
    marks = {
        fill: [e for e in tree.iter(f"{SVG}path") if e.get("stroke") == ACCENT and e.get("fill") == fill]
        for fill in (ACCENT, PAPER)
    }
    (between,) = marks[PAPER]
    # The second method is a square, drawn by horizontal and vertical lines.
    assert "A" not in between.get("d", "") and "A" not in marks[ACCENT][1].get("d", "") and "A" in marks[ACCENT][0].get("d", "")


def test_the_axis_reaches_down_to_the_lowest_point_on_the_way():
    dots = [dot("a", 20, 90), dot("b", 40, 95)]
    low = [Path([(0, 95), (10, 20), (20, 90)], "a")]
    assert texts(trade_off(dots, paths=low, x_title="x", y_title="y", prefix="t")).count("0") == 2


def test_bars_are_told_apart_without_colour():
    bars = [Bar("GA", 0, -40, -50, -30), Bar("GA", 1, -20, None, None)]
    tree = ElementTree.fromstring(bar_panels([Panel("t", bars, (-60, 10))], models=["GA"], prefix="b", title="Forget"))
    fills = [e.get("fill") for e in tree.iter(f"{SVG}path") if e.get("stroke") == ACCENT]
    assert sorted(map(str, fills)) == sorted([ACCENT, PAPER])


def test_discs_grow_with_the_share_and_unasked_facts_are_blank():
    shares = {("Ada", "job"): (2, 2), ("Ada", "pet"): (1, 2), ("Bo", "job"): (0, 2)}
    picture = fact_matrix(shares, people=["Ada", "Bo"], facts=["job", "pet"], title="t", prefix="m")
    rings = [
        e for e in ElementTree.fromstring(picture).iter(f"{SVG}path") if e.get("fill") == PAPER and e.get("stroke") != PAPER
    ]
    assert len(rings) == 3
    discs = [e for e in ElementTree.fromstring(picture).iter(f"{SVG}path") if e.get("stroke-width") == "0"]
    assert len(discs) == 2 and len({e.get("d") for e in discs}) == 2


def test_a_grid_holds_every_picture_without_overlap():
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}"/>' for w, h in ((10, 20), (30, 10), (5, 5))]
    tree = ElementTree.fromstring(grid(parts, 2, gap=4))
    places = [(float(e.get("x", 0)), float(e.get("y", 0))) for e in tree.findall(f"{SVG}svg")]
    assert places == [(4, 4), (18, 4), (4, 28)]
    assert (tree.get("width"), tree.get("height")) == ("52", "37")
