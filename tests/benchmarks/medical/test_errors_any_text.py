"""What holds of every error, whatever the answer: it is another answer, and only the words of the error change."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vqa_rows import row, table

from unsee.benchmarks.medical.errors import RULES, falsify
from unsee.benchmarks.medical.rewording import same

WORDS = {
    "laterality": ["left", "Right", "left-sided", "LEFT"],
    "modality": ["CT", "MRI", "x-ray", "ultrasound", "radiograph"],
    "organ": ["liver", "heart", "Kidney", "brain", "aorta", "uterus"],
    "plane": ["axial", "coronal", "Sagittal", "transverse"],
    "number": ["3 cm", "12 mm", "0.4 cm", "7 nodules", "five cysts", "11 lesions"],
}
FRAMES = ["{}", "{}.", "In the {}", "the {}, as before", "It looks like a {} here", "an {}; see above", "finding: {} (mild)"]
FILLERS = ["", "nodule ", "nonspecific ", "leftover ", "brighter ", "subaxial "]


@pytest.mark.parametrize("name", list(WORDS))
@pytest.mark.parametrize("seed", [0, 1])
def test_only_the_words_of_an_error_and_their_article_change(name: str, seed: int) -> None:
    for frame, filler, word in product(FRAMES, FILLERS, WORDS[name]):
        given = row(frame.format(filler + word), "Anything?", id=f"{frame}{filler}{word}")
        made = falsify(given, table(), rules=(name,), seed=seed)
        assert made is not None, given.answer
        assert not same(made.answer, given.answer)
        assert made.error.wrong in made.answer and made.error.right in given.answer
        assert made.error.wrong[0].isupper() == made.error.right[0].isupper() or name == "modality"
        assert _kept(made.answer, made.error.wrong) == _kept(given.answer, made.error.right)


def _kept(answer: str, fact: str) -> list[str]:
    words = re.findall(r"\w+|\W", re.sub(rf"(?<!\w){re.escape(fact)}(?!\w)", "", answer, count=1))
    return [word for word in words if word not in ("a", "an")]


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            "yes no not there is are a an the left right both CT MRI x-ray liver heart lungs axial frontal lobe 3 1.5 cm "
            "mm one two present absent normal without contrast , . - / of in 45-year-old".split()
        ),
        max_size=9,
    ),
    extra=st.text(max_size=6),
    seed=st.integers(0, 5),
)
def test_any_text_is_falsified_to_another_or_left_alone(words: list[str], extra: str, seed: int) -> None:
    given = row(" ".join([*words, extra]))
    for name in RULES:
        made = falsify(given, table(), rules=(name,), seed=seed)
        if made is not None:
            assert made.error.type == name
            assert not same(made.answer, given.answer)
            assert made.error.wrong in made.answer and made.error.right in given.answer
            numbers = re.findall(r"(?<![\w.])-\d", made.answer)
            assert len(numbers) <= len(re.findall(r"(?<![\w.])-\d", given.answer))
