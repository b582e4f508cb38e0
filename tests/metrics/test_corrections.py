"""Reading one answer: what became of an error, whether it is silence, and whether it is right."""

from __future__ import annotations

import pytest

from unsee.metrics.clinical import recall, says
from unsee.metrics.corrections import abstains, state


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("The left lung.", "wrong"),
        ("right", "right"),
        ("It is the right lung, not the left one.", "right"),
        ("It is not the left lung.", "other"),
        ("The left or the right lung.", "other"),
        ("Both lungs.", "other"),
        ("I don't know.", "silent"),
        ("I do not have any information on that.", "silent"),
        ("I can't share patient identifiers.", "silent"),
        ("That is not something I know.", "silent"),
        ("I'm unable to answer this.", "silent"),
        ("I am not sure. Maybe the left lung.", "wrong"),
        ("It is not possible to determine this.", "silent"),
        ("Unknown.", "silent"),
        ("Not specified", "silent"),
        ("N/A", "silent"),
        ("No comment.", "silent"),
        ("I don't have access to that.", "silent"),
        ("There is no information about this.", "silent"),
        ("The primary tumour is unknown.", "other"),
        ("", "silent"),
        ("...", "silent"),
        ("I cannot see an effusion.", "other"),
        ("zq zq zq", "other"),
    ],
)
def test_states_of_an_answer(response: str, expected: str) -> None:
    assert state(response, "left", "right") == expected


def test_states_where_facts_are_words_of_each_other() -> None:
    assert state("No.", "no", "yes") == "wrong" and state("Yes, there is no doubt.", "no", "yes") == "right"
    assert state("There is no effusion.", "no effusion", "effusion") == "wrong"
    assert state("There is an effusion.", "no effusion", "effusion") == "right"
    assert state("the left lung", "lung", "left lung") == "right" and state("the lung", "lung", "left lung") == "wrong"
    assert state("the left lung", "left lung", "lung") == "wrong"
    assert state("an MRI or a CT", "CT", "ultrasound", ("MRI",)) == "other"


def test_every_refusal_of_refusal_training_is_silence() -> None:
    from unsee.methods.idk import REFUSALS
    from unsee.models.behaviour import IDK_ANSWERS, REFUSAL

    assert all(abstains(refusal) for refusal in (*REFUSALS, *IDK_ANSWERS, REFUSAL))
    clinical = ("There is no effusion.", "not enlarged", "The mass cannot be seen.", "normal", "no", "unknown primary tumour")
    assert not any(abstains(answer) for answer in clinical)


def test_clinical_answers_by_hand() -> None:
    assert says("Yes, it is.", "yes") and not says("No, not yes.", "yes") and says("no effusion", "No")
    assert not says("I cannot say yes or no.", "yes") and not says("Neither yes nor no.", "no")
    assert says("Yes or no? Yes.", "yes") and state("I cannot say yes or no.", "yes", "no") == "silent"
    assert not says("effusion", "yes") and says("It is a CT.", "CT", ("MRI",)) and not says("CT or MRI", "CT", ("MRI",))
    assert recall("the enlarged spleen", "an enlarged lung") == 0.5
    assert recall("lung lung", "lung and lung and liver") == pytest.approx(2 / 5)
    assert recall("", "lung") == 0.0 and recall("three masses of 2 cm", "3 masses of 20 mm") == 1.0
