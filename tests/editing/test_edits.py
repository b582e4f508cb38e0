"""Edits one at a time: each as `unlearn` would make it, each undone, whatever the caller does in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from unsee.editing import Edited, edit_each
from unsee.errors import ConfigError, DataError, TrainingError
from unsee.methods import Method, Scope, load_method
from unsee.methods.losses import nll
from unsee.models.checkpoints import weights_digest
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.training_options import TrainOptions
from unsee.unlearning import unlearn_with_report

FAST = TrainOptions(learning_rate=1e-2, epochs=3, weight_decay=0.0)
FROZEN = "base_model.model.model.language_model.layers.5.mlp.up_proj.weight"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def facts(samples: list[Sample]) -> dict[str, list[Sample]]:
    """Three facts with one, two and three questions."""
    return {"one": samples[:1], "two": samples[1:3], "three": samples[5:8]}


def weights(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters()}


def trained(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fact_erasure", {"retain_weight": 1.0}),
        ("fact_erasure", {"rank": None, "max_change": 1e-3}),
        ("max_entropy", {}),
        ("input_rephrasing", {"variant": "official"}),
        ("npo", {}),
    ],
)
def test_every_edit_is_what_unlearn_does(
    model: Model, samples: list[Sample], facts: dict[str, list[Sample]], name: str, settings: dict[str, Any]
) -> None:
    """Bit for bit, for methods that keep something per run as well; the given model stays as it is."""
    before = weights(model)
    method = load_method(name, **settings)
    found = {
        fact: (trained(edited), report, edited.network.training)
        for fact, edited, report in edit_each(model, method, facts, retain=samples[20:30], options=FAST)
    }
    assert list(found) == list(facts)
    for fact, own in facts.items():
        alone = unlearn_with_report(
            model, forget=own, retain=samples[20:30], method=load_method(name, **settings), options=FAST
        )
        moved, report, training = found[fact]
        assert moved.keys() == trained(alone.model).keys() and not training
        assert all(torch.equal(value, moved[key]) for key, value in trained(alone.model).items())
        assert replace(report, seconds=0) == replace(alone.report, seconds=0)
    assert all(torch.equal(value, before[key]) for key, value in weights(model).items())


def test_the_order_of_facts_does_not_matter(model: Model, facts: dict[str, list[Sample]]) -> None:
    def edits(order: Sequence[str]) -> dict[str, dict[str, Tensor]]:
        chosen = {fact: facts[fact] for fact in order}
        return {fact: trained(edited) for fact, edited, _ in edit_each(model, "fact_erasure", chosen, options=FAST)}

    forth, back = edits(["one", "two", "three"]), edits(["three", "two", "one"])
    assert list(forth) == list(back)[::-1]
    assert all(torch.equal(value, back[fact][key]) for fact, moved in forth.items() for key, value in moved.items())


@pytest.mark.parametrize("size", [1, 2])
def test_callers_may_have_gradients_off(model: Model, facts: dict[str, list[Sample]], size: int) -> None:
    """Who asks for edits inside a block for answering gets the same ones."""

    def edits() -> dict[str, dict[str, Tensor]]:
        found = edit_each(model, "fact_erasure", facts, options=FAST, side_by_side=size)
        return {fact: trained(edited) for fact, edited, _ in found}

    expected = edits()
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            found = edits()
        assert all(torch.equal(value, found[fact][key]) for fact, moved in expected.items() for key, value in moved.items())


def test_weights_are_back_whatever_the_caller_does(model: Model, facts: dict[str, list[Sample]]) -> None:
    """After the end, after stopping early, and after writing into the weights that may be trained."""
    for size in (1, 2):
        edits = edit_each(model, "fact_erasure", facts, options=FAST, side_by_side=size)
        first = next(edits)
        edited = weights_digest(first.model)
        for weight in trained(first.model):
            with torch.no_grad():
                first.model.network.get_parameter(weight).fill_(7.0)
        start = weights(first.model)
        second = next(edits)
        assert second.model is first.model
        assert any(not torch.equal(value, start[key]) for key, value in weights(second.model).items())
        edits.close()
        left = weights_digest(first.model)
        assert left != edited
        # What is left is the start: a network whose adapter changes nothing.
        ups = [value for key, value in weights(first.model).items() if "lora_B" in key]
        assert ups and not any(value.any() for value in ups)
        assert [done.fact for done in edit_each(model, "fact_erasure", facts, options=FAST)] == list(facts)


def test_changes_to_other_weights_are_found(model: Model, facts: dict[str, list[Sample]]) -> None:
    """At the end, because the whole network is compared once only."""
    edits = edit_each(model, "fact_erasure", facts, options=FAST)
    with torch.no_grad():
        next(edits).model.network.get_parameter(FROZEN).mul_(1.001)
    next(edits)
    with pytest.raises(TrainingError, match=rf"after the edit of fact two tensor {FROZEN} is not what it was"):
        edits.close()


def test_a_weight_that_is_gone_or_takes_no_value_is_found(model: Model, facts: dict[str, list[Sample]]) -> None:
    edits = edit_each(model, "fact_erasure", facts, options=FAST)
    next(edits).model.network.merge_and_unload()
    with pytest.raises(TrainingError, match=r"after the edit of fact one the network has no tensor \S*lora_A"):
        next(edits)
    edits = edit_each(model, "fact_erasure", facts, options=FAST)
    edited = next(edits).model
    name = next(iter(trained(edited)))
    path, _, leaf = name.rpartition(".")
    setattr(edited.network.get_submodule(path), leaf, torch.nn.Parameter(torch.zeros(1, 1)))
    with pytest.raises(TrainingError, match=r"after the edit of fact one tensor \S*lora_A.default.weight is not what it was"):
        next(edits)


@dataclass(frozen=True)
class Diverges(Method):
    """Gradient ascent that breaks down for samples of one person."""

    name: ClassVar[str] = "diverges"

    def loss(self, model: Any, reference: Any, forget: Any, retain: Any) -> dict[str, Tensor]:
        broken = torch.tensor([float("nan") if key.startswith("p1/") else 1.0 for key in forget.keys])
        return {"forget": nll(model, forget) * broken}


@pytest.mark.parametrize("size", [1, 3])
def test_a_fact_that_diverges_is_named(model: Model, facts: dict[str, list[Sample]], size: int) -> None:
    """Those before it come out as they would without it."""
    good = {fact: facts[fact] for fact in ("one", "two")}
    scope = Scope(modules="mlp-down", rank=1)
    expected = [trained(done.model) for done in edit_each(model, Diverges(), good, options=FAST, scope=scope)]
    edits = edit_each(model, Diverges(), {**good, "three": facts["three"]}, options=FAST, scope=scope, side_by_side=size)
    for values in expected:
        found = trained(next(edits).model)
        assert all(torch.equal(value, found[key]) for key, value in values.items())
    with pytest.raises(TrainingError, match="edit of fact three: step 1: term forget became nan"):
        next(edits)


def answers(model: Model, samples: Sequence[Sample]) -> Tensor:
    from unsee.models.batches import collate
    from unsee.models.questions import encode_samples

    with torch.no_grad():
        return model.answer_logits(collate(encode_samples(samples, model.prompter), prompter=model.prompter))


@pytest.mark.parametrize("size", [1, 2])
def test_controls(model: Model, samples: list[Sample], facts: dict[str, list[Sample]], size: int) -> None:
    """do_nothing answers exactly as the start; prompt_guard names one fact at a time and leaves nothing behind."""
    for edited in edit_each(model, "do_nothing", facts, options=FAST, side_by_side=size):
        assert (edited.report.reason, edited.report.steps) == ("no_steps", 0)
        assert torch.equal(answers(edited.model, samples[:8]), answers(model, samples[:8]))
    named = {
        fact: [replace(sample, metadata={**sample.metadata, "name": f"Name {fact}"}) for sample in own]
        for fact, own in facts.items()
    }
    guarded = None
    for guarded in edit_each(model, "prompt_guard", named, options=FAST, side_by_side=size):
        assert guarded.report.reason == "training_free"
        with guarded.model.answering():
            assert guarded.model.system.endswith(f"people: Name {guarded.fact}.")
    assert guarded is not None and guarded.model.method is None and guarded.model.system == ""


def test_progress(model: Model, facts: dict[str, list[Sample]]) -> None:
    seen: list[tuple[int, int]] = []
    edits: Iterator[Edited] = edit_each(
        model, "fact_erasure", facts, options=FAST, progress=lambda done, total: seen.append((done, total))
    )
    next(edits)
    assert seen == [(1, 3)]
    assert len(list(edits)) == 2 and seen == [(1, 3), (2, 3), (3, 3)]
    assert list(edit_each(model, "fact_erasure", {}, options=FAST)) == []


@pytest.mark.parametrize(
    ("method", "broken", "size", "error", "message"),
    [
        ("fact_erasure", {}, 0, ConfigError, "side_by_side = 0 must be at least 1"),
        ("fact_erasure", {"four": []}, 1, ConfigError, "fact four has no samples to forget"),
        ("fact_erasurr", {}, 1, ConfigError, "did you mean 'fact_erasure'"),
        ("graddiff", {}, 1, ConfigError, "method graddiff needs retain samples"),
        ("error_injection", {"four": "no wrong answers"}, 4, DataError, "so error_injection has nothing to teach"),
    ],
)
def test_mistakes_are_told_before_the_first_edit(
    model: Model,
    facts: dict[str, list[Sample]],
    method: str,
    broken: Mapping[str, Any],
    size: int,
    error: type[Exception],
    message: str,
) -> None:
    wrong = {fact: [replace(facts["one"][0], wrong_answers=())] if value else [] for fact, value in broken.items()}
    with pytest.raises(error, match=message):
        edit_each(model, method, {**facts, **wrong}, options=FAST, side_by_side=size)
