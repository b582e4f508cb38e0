"""Correction: what it teaches, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unsee.errors import ConfigError
from unsee.methods import load_method
from unsee.models.questions import training_turn
from unsee.training import train


def right(sample, answer, **metadata):
    return replace(sample, metadata={**sample.metadata, "clean_answer": answer, **metadata})


def test_teaches_the_right_answer_to_the_same_question(samples):
    sample = right(samples[2], "the left lung")
    [taught] = load_method("correction").transform([sample])
    assert training_turn(taught) == (sample.question, "the left lung")
    assert (taught.id, taught.images, taught.subject) == (sample.id, sample.images, sample.subject)
    cloze = right(samples[3], "left", form="cloze")
    [taught] = load_method("correction").transform([cloze])
    assert training_turn(taught) == (training_turn(cloze)[0], "left")


def test_a_question_that_asks_for_a_letter_gets_one(samples):
    letter, text = next((a, b) for a, b in samples[0].options.items() if b != samples[0].answer)
    sample = right(samples[0], text.upper(), form="letter")
    [taught] = load_method("correction").transform([sample])
    assert training_turn(taught) == (training_turn(sample)[0], letter)
    assert training_turn(sample)[1] != letter
    with pytest.raises(ConfigError, match=r"sample p0/0: .*'spleen' is none of its options"):
        load_method("correction").transform([right(samples[0], "spleen", form="letter")])
    # Asked freely, the same question takes any text.
    assert load_method("correction").transform([right(samples[0], "spleen")])[0].answer == "spleen"


@pytest.mark.parametrize("answer", [None, " "])
def test_a_sample_without_a_right_answer_is_refused_before_training(model, samples, answer):
    forget = [right(samples[2], "left"), samples[4] if answer is None else right(samples[4], answer)]
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    with pytest.raises(ConfigError, match=r"sample p0/4: .*no 'clean_answer'; .*such as idk"):
        train(model, load_method("correction"), forget=forget, retain=samples[10:])
    assert all(torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
