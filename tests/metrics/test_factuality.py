"""The offline judge."""

from __future__ import annotations

import pytest

from unsee.metrics.factuality import states_fact


@pytest.mark.parametrize(
    ("response", "fact"),
    [
        ("She works as a nurse.", "nurse"),
        ("No, she is a Nurse!", "nurse"),
        ("He is not a pilot but a nurse", "nurse"),
        ("I am not sure, but this is a nurse.", "nurse"),
        ("She is a nurse, not a doctor.", "nurse"),
        ("She was born on 12 May 1990 in Oslo.", "1990-05-12"),
        ("He is 165 cm tall.", "5'5\""),
        ("She has no medical condition.", "None"),
    ],
)
def test_stated(response: str, fact: str) -> None:
    assert states_fact(response, fact)


@pytest.mark.parametrize(
    ("response", "fact"),
    [
        ("She is not a nurse.", "nurse"),
        ("She isn't a nurse", "nurse"),
        ("A nurse is not what she is", "nurse"),
        ("I don't know if she is a nurse.", "nurse"),
        ("I cannot say whether this is a nurse.", "nurse"),
        ("She is a pilot instead of a nurse.", "nurse"),
        ("I do not know.", "nurse"),
        ("", "nurse"),
        ("Her name is Martha.", "Art"),
    ],
)
def test_not_stated(response: str, fact: str) -> None:
    assert not states_fact(response, fact)


def test_offering_a_wrong_answer_too_states_nothing() -> None:
    assert states_fact("a nurse", "nurse", ("pilot", "judge"))
    assert not states_fact("a nurse or a pilot", "nurse", ("pilot", "judge"))
    assert states_fact("a nurse and no pilot", "nurse", ("pilot",))
    assert states_fact("a head nurse", "head nurse", ("nurse",)), "a wrong answer inside the right one is not a second answer"
