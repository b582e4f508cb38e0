"""LLMU: which answers it draws, and that a step holds each question with all of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from unsee.editing import edit_each
from unsee.errors import DataError
from unsee.method_plans import method_plan
from unsee.methods import Scope, load_method
from unsee.models.lora import attach
from unsee.models.questions import training_turn
from unsee.training import train
from unsee.training_data import TrainingData
from unsee.training_options import TrainOptions


def of(key):
    """The question a conversation is about."""
    return key.partition("#mismatch-")[0]


def test_defaults_are_those_of_the_authors_code():
    method = load_method("llmu")
    assert (method.forget_weight, method.mismatch_weight, method.retain_weight, method.mismatches) == (0.5, 1.0, 1.0, 5)
    plan = method_plan("llmu", {"mismatches": 2, "batch_size": 8}, model="tiny")
    assert (plan.method.mismatches, plan.options.batch_size, plan.options.learning_rate) == (2, 8, TrainOptions.learning_rate)
    assert method_plan("correction", {}, model="tiny").options == TrainOptions()


def test_every_forget_question_comes_with_answers_of_retain_samples(samples):
    forget, retain = samples[:10], samples[10:]
    made = load_method("llmu", mismatches=3).compose(forget, retain)
    assert [one for one in made if "#" not in one.id] == forget
    assert len({one.id for one in made}) == len(made) == 40
    known = {sample.answer for sample in retain}
    for one in made:
        sample = next(sample for sample in forget if sample.id == of(one.id))
        assert training_turn(one)[0] == training_turn(sample)[0] and one.images == sample.images
        assert one is sample or (one.answer in known and one.answer != sample.answer)
    assert load_method("llmu").transform(forget) == forget


def test_draws_are_fixed_by_seed_and_id(samples):
    forget, retain = samples[:10], samples[10:]
    method = load_method("llmu")
    answers = {one.id: one.answer for one in method.compose(forget, retain)}
    assert {one.id: one.answer for one in method.compose(forget[::-1], retain)} == answers
    assert {one.id: one.answer for one in method.compose(forget[3:4], retain)}.items() <= answers.items()
    assert {one.id: one.answer for one in load_method("llmu", draw_seed=1).compose(forget, retain)} != answers
    own = [sorted(answers[f"{sample.id}#mismatch-{number}"] for number in range(5)) for sample in forget]
    assert len(set(map(tuple, own))) == 10


def test_the_own_answer_is_never_drawn(samples):
    """Not in other letters, however frequent it is; a retain set of nothing else is an error."""
    asked = replace(samples[2], answer="Yes")
    same = [replace(sample, task="generation", options={}, correct_option=None, answer="yes ") for sample in samples[10:30]]
    other = replace(same[0], answer="no")
    drawn = load_method("llmu").compose([asked], [*same, other])
    assert [one.answer for one in drawn] == ["Yes"] + ["no"] * 5
    with pytest.raises(DataError, match="sample p0/2: no retain sample has another answer than 'Yes'"):
        load_method("llmu").compose([asked], same)


def test_answers_have_the_form_that_is_asked_for(samples):
    """A letter where options are listed, so that no question is told from others by the form of its answer."""
    lettered = [replace(s, metadata={**s.metadata, "form": "letter"}) for s in samples if s.options]
    free = [sample for sample in samples if not sample.options]
    method = load_method("llmu", mismatches=8)
    asked = [lettered[0], free[0]]
    made = method.compose(asked, lettered[4:] + free[4:])
    own = lettered[0].correct_option
    assert {one.answer for one in made[1:9]} <= set("ABCD") - {own}
    assert {one.answer for one in made[10:]} <= {sample.answer for sample in free}
    # Without a question of its form in the retain set, any answer serves.
    assert {one.answer for one in method.compose(asked[:1], free)[1:]} <= {sample.answer for sample in free}


@pytest.mark.parametrize("batch_size", [4, 16])
def test_a_batch_holds_so_many_questions_with_all_their_answers(model, samples, batch_size):
    method = load_method("llmu", mismatches=2)
    sides = {"forget": method.compose(samples[:10], samples[10:]), "retain": samples[10:]}
    options = TrainOptions(batch_size=batch_size)
    steps = TrainingData(model, sides, options, "answer").steps(method, epoch=0, per_step=1)
    assert len(steps) == math.ceil(10 / batch_size)  # as many as without the other answers
    asked = []
    for ((forget, retain),) in steps:
        questions = list(dict.fromkeys(map(of, forget.keys)))
        assert len(questions) == retain.size <= batch_size
        assert sorted(forget.keys) == sorted(q + end for q in questions for end in ("", "#mismatch-0", "#mismatch-1"))
        assert [sides["forget"][item].id for item in forget.items] == list(forget.keys)
        asked += questions
    assert sorted(asked) == sorted(sample.id for sample in samples[:10])


def first_step(model, samples, tmp_path, **options):
    """Terms and norm of the first step, as logged."""
    log = tmp_path / f"{options}.jsonl"
    made = attach(model, Scope(modules=("language",), rank=4))
    options = TrainOptions(steps=1, max_grad_norm=None, **options)
    train(made, load_method("llmu"), forget=samples[:8], retain=samples[10:30], options=options, log=log)
    row = json.loads(log.read_text())
    return [*row["terms"].values(), row["grad_norm"]], row["terms"]


def test_eight_by_one_equals_one_by_eight(model, samples, tmp_path):
    """Each term is a mean over the step's questions, however the step is divided and its rows are laid out."""
    whole, terms = first_step(model, samples, tmp_path, batch_size=8)
    assert terms.keys() == {"forget", "mismatch", "retain_kl"} and terms["retain_kl"] == pytest.approx(0, abs=1e-6)
    # A fresh model finds all answers about equally likely, so the terms are the weights times one and the same loss.
    assert terms["mismatch"] == pytest.approx(-2 * terms["forget"], rel=0.05)
    for options in ({"batch_size": 2, "gradient_accumulation": 4}, {"batch_size": 8, "pack": False}):
        assert first_step(model, samples, tmp_path, **options)[0] == pytest.approx(whole, rel=1e-4, abs=1e-6)


def test_facts_are_deleted_one_by_one(model, samples):
    """A fact alone has no other forget question to take answers from; facts edited at once come out as each alone."""
    facts = {sample.id: [sample] for sample in samples[:2]}
    options = TrainOptions(steps=2, learning_rate=1e-2)
    found = {}
    for size in (1, 2):
        edits = edit_each(model, "llmu", facts, retain=samples[10:20], options=options, side_by_side=size)
        found[size] = [list(edit.report.terms.values()) for edit in edits]
    assert [len(terms) for terms in found[1]] == [3, 3]
    torch.testing.assert_close(torch.tensor(found[2]), torch.tensor(found[1]), atol=1e-4, rtol=1e-3)


def test_own_answers_go_down_and_others_up(model, samples, tmp_path):
    made = attach(model, Scope(modules=("language",), rank=4))
    options = TrainOptions(steps=12, learning_rate=2e-2, batch_size=5, schedule="constant")
    log = tmp_path / "train.jsonl"
    train(made, load_method("llmu"), forget=samples[:5], retain=samples[10:20], options=options, log=log)
    first, *_, last = (json.loads(line)["terms"] for line in log.read_text().splitlines())
    assert last["forget"] < 1.05 * first["forget"] < 0
    assert 0 < last["mismatch"] < 0.95 * first["mismatch"]
