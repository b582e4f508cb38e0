from __future__ import annotations

import random

from unsee.report.labels import CHARACTER, Box, Point, merge_close, place_labels
from unsee.report.vocabulary import brief


def box(label) -> Box:
    return Box(label.x, label.y - 6.5, label.x + CHARACTER * len(label.text), label.y + 6.5)


def test_lone_label_stands_right_of_its_point():
    (label,) = place_labels([Point(100, 100, "NPO")], width=300, height=250)
    assert (label.x, label.y) == (108, 100)


def test_labels_stay_inside():
    (label,) = place_labels([Point(299, 100, "GradDiff")], width=300, height=250)
    assert box(label).left >= 0 and box(label).right <= 300


def test_labels_cover_neither_each_other_nor_points():
    rng = random.Random(0)
    points = [Point(rng.uniform(20, 280), rng.uniform(20, 230), f"label {i}") for i in range(9)]
    boxes = [box(label) for label in place_labels(points, width=300, height=250)]
    assert all(a.overlap(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(b.overlap(Box(p.x - 6, p.y - 6, p.x + 6, p.y + 6)) == 0 for b in boxes for p in points)


def test_obstacles_are_avoided():
    bar = Box(100, 99, 200, 101)
    (label,) = place_labels([Point(100, 100, "NPO")], width=300, height=250, obstacles=[bar])
    assert box(label).overlap(bar) == 0


def test_points_on_each_other_share_a_label():
    merged = merge_close([Point(10, 10, "Vanilla"), Point(11, 12, "Do nothing"), Point(50, 10, "GA")])
    assert [p.text for p in merged] == ["Vanilla, Do nothing", "GA"]


def test_long_labels_are_counted_and_long_names_cut_in_the_middle():
    (merged,) = merge_close([Point(10, 10, name) for name in ("Vanilla", "a method of my own", "another", "GA")])
    assert merged.text == "Vanilla, a method of my own +2" and len(merged.text) <= 30
    assert brief("selective_gradient_v2", 12) == "select\u2026nt_v2" and brief("NPO", 12) == "NPO"
