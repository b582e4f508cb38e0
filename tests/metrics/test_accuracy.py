"""Right options, unparsable and repeated answers."""

from __future__ import annotations

import polars as pl

from unsee.metrics.accuracy import repeated, right_option, unparsable


def test_first_letters_are_not_read_as_answers() -> None:
    frame = pl.DataFrame(
        {
            "response": ["B", "Both are right", "As I said, C", "A"],
            "parsed": ["B", None, None, "A"],
            "correct_option": ["B", "B", "A", "C"],
        }
    )
    assert right_option(frame).to_list() == [1.0, 0.0, 0.0, 0.0]
    assert unparsable(frame).to_list() == [0.0, 1.0, 1.0, 0.0]


def test_repeated_responses_are_counted_within_a_set_and_view() -> None:
    frame = pl.DataFrame(
        {
            "set": ["retain"] * 3 + ["forget"] * 2,
            "protocol": ["strict"] * 5,
            "view": ["generate"] * 5,
            "response": ["yes", "no", "yes", "b", "a"],
        }
    )
    assert repeated(frame).sum() == 3.0
    assert repeated(frame).to_list()[:3] == [1.0, 0.0, 1.0]
