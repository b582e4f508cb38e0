"""The method interface carries more than losses: throwaway methods of every kind later issues need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from unsee.methods import Method, Scope
from unsee.methods.losses import nll, token_mean
from unsee.models.batches import collate
from unsee.models.lora import attach
from unsee.models.questions import encode_samples
from unsee.training import train
from unsee.training_options import TrainOptions
from unsee.unlearning import unlearn_with_report

FAST = TrainOptions(learning_rate=1e-2, batch_size=5, steps=4, weight_decay=0.1, schedule="constant")


def logits(model, samples):
    batch = collate(encode_samples(samples, model.prompter), prompter=model.prompter)
    with torch.no_grad():
        return model.answer_logits(batch)


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters()}


@dataclass(frozen=True)
class RetainThenForgetTwice(Method):
    """Sequential passes: one over retain, two over forget."""

    name: ClassVar[str] = "sequential"
    needs: ClassVar = frozenset({"forget", "retain"})

    def schedule(self, forget, retain):
        forget = list(forget)
        yield from ((None, batch) for batch in retain)
        yield from ((batch, None) for batch in [*forget, *forget])

    def loss(self, model, reference, forget, retain):
        assert (forget is None) != (retain is None)
        return {"ascent": -nll(model, forget)} if forget else {"descent": nll(model, retain)}


def test_sequential_passes(model, samples, tmp_path):
    log = tmp_path / "train.jsonl"
    options = TrainOptions(batch_size=5, epochs=2)
    train(model, RetainThenForgetTwice(), forget=samples[:10], retain=samples[10:25], options=options, log=log)
    terms = [next(iter(json.loads(line)["terms"])) for line in log.read_text().splitlines()]
    assert terms == ["descent"] * 3 + ["ascent"] * 4 + ["descent"] * 3 + ["ascent"] * 4


@dataclass(frozen=True)
class FlatLens(Method):
    """Push the logit lens of one hidden layer towards the uniform distribution on forget answers."""

    name: ClassVar[str] = "lens"
    needs: ClassVar = frozenset({"forget", "hidden_states"})
    layer: int = 3

    def loss(self, model, reference, forget, retain):
        batch = forget.to(model.device)
        states = model.base.model(**batch.inputs, output_hidden_states=True).hidden_states[self.layer]
        hidden = model.base.model.language_model.norm(states[batch.row, batch.position])
        guess = model.base.get_output_embeddings()(hidden).log_softmax(-1)
        return {"confidence": token_mean((guess.exp() * guess).sum(-1), batch)}


def test_a_loss_on_hidden_states_moves_only_layers_below_it(model, samples, tmp_path):
    log = tmp_path / "train.jsonl"
    with torch.no_grad():
        model.base.get_output_embeddings().weight.mul_(20)
    before = weights(model)
    train(model, FlatLens(), forget=samples[:5], options=FAST, log=log)
    losses = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert losses[-1] < losses[0]
    moved = {name for name, weight in model.network.named_parameters() if not torch.equal(weight, before[name])}
    assert any(".layers.2." in name for name in moved)
    # The hidden state at index 3 is the input of layer 3, so later layers have no gradient and are not even decayed.
    assert not any(f"language_model.layers.{layer}." in name for name in moved for layer in range(3, 8))


@dataclass(frozen=True)
class MaskedAscent(Method):
    """Ascend with every second entry of every weight held fast, also against momentum and weight decay."""

    name: ClassVar[str] = "masked"
    kept: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def loss(self, model, reference, forget, retain):
        return {"forget": -nll(model, forget)}

    def apply(self, model, forget, retain):
        for name, weight in model.network.named_parameters():
            if weight.requires_grad:
                mask = (torch.arange(weight.numel()) % 2).view_as(weight).bool()
                self.kept[name] = mask, weight.detach().clone()
        return False

    def after_backward(self, model):
        for name, (mask, _) in self.kept.items():
            gradient = model.network.get_parameter(name).grad
            if gradient is not None:
                gradient[~mask] = 0

    @torch.no_grad()
    def after_step(self, model):
        for name, (mask, start) in self.kept.items():
            weight = model.network.get_parameter(name)
            weight.copy_(torch.where(mask, weight, start))


@pytest.mark.parametrize("scope", [Scope(rank=4), Scope(rank=None), Scope(rank=None, modules=("vision", "projector"))])
def test_masked_weights_stay_bit_identical(model, samples, scope):
    """Defects M14, R11: masks match LoRA names too, unlisted weights are frozen, momentum and decay move nothing masked."""
    method = MaskedAscent()
    made = attach(model, scope)
    before = weights(made)
    train(made, method, forget=samples[:10], options=FAST)
    moved = 0
    for name, weight in made.network.named_parameters():
        if name not in method.kept:
            assert torch.equal(weight, before[name])
            continue
        mask, start = method.kept[name]
        assert torch.equal(weight[~mask], start[~mask])
        moved += int((weight[mask] != start[mask]).sum())
    assert moved > 100


@dataclass(frozen=True)
class PruneByActivation(Method):
    """Zero the MLP neurons that are most active on forget questions; no training."""

    name: ClassVar[str] = "prune"
    percent: float = 10.0

    @property
    def scope(self):
        return Scope(modules=(), rank=None)

    @torch.no_grad()
    def apply(self, model, forget, retain):
        projections = [layer.mlp.down_proj for layer in model.base.get_decoder().layers]
        scores: dict[int, torch.Tensor] = {}
        hooks = [
            module.register_forward_pre_hook(
                lambda _, inputs, number=number: scores.__setitem__(number, inputs[0].abs().mean((0, 1)))
            )
            for number, module in enumerate(projections)
        ]
        logits(model, forget)
        for hook in hooks:
            hook.remove()
        for number, module in enumerate(projections):
            worst = scores[number].topk(int(self.percent / 100 * module.in_features)).indices
            module.weight[:, worst] = 0
        return True


def test_pruning_skips_the_loop(model, samples):
    """Defects M15, R15: one score vector per layer."""
    before = weights(model)
    done = unlearn_with_report(model, forget=samples[:10], method=PruneByActivation())
    assert (done.report.reason, done.report.steps) == ("training_free", 0)
    for layer in done.model.network.get_decoder().layers:
        dead = (layer.mlp.down_proj.weight == 0).all(0).sum().item()
        assert dead == int(0.1 * layer.mlp.down_proj.in_features) > 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
    assert not torch.equal(logits(done.model, samples[:3]), logits(model, samples[:3]))


@dataclass(frozen=True)
class Steering(Method):
    """Push hidden states of one layer while the model answers."""

    name: ClassVar[str] = "steering"
    strength: float = 5.0

    @property
    def scope(self):
        return Scope(modules=(), rank=None)

    def apply(self, model, forget, retain):
        return True

    @contextmanager
    def answering(self, model) -> Iterator[None]:
        layer = model.base.get_decoder().layers[4]
        direction = self.strength * torch.linspace(-1, 1, model.base.config.text_config.hidden_size)
        hook = layer.register_forward_hook(lambda _, inputs, output: output + direction)
        try:
            yield
        finally:
            hook.remove()


def test_an_activation_hook_lives_while_the_model_answers(model, samples):
    made = unlearn_with_report(model, forget=samples[:5], method=Steering()).model
    start = logits(model, samples[:5])
    assert torch.equal(logits(made, samples[:5]), start)
    with made.answering():
        assert not torch.allclose(logits(made, samples[:5]), start, atol=1e-2)
    assert torch.equal(logits(made, samples[:5]), start)


@dataclass(frozen=True)
class Ascent(Method):
    name: ClassVar[str] = "ascent"

    def loss(self, model, reference, forget, retain):
        return {"forget": -nll(model, forget)}


@dataclass(frozen=True)
class OneAdapterPerFact(Method):
    """A rank-1 adapter on one layer per forget sample, each trained alone, all switched on at the end."""

    name: ClassVar[str] = "stack"
    path: str = "model.language_model.layers.5.mlp.down_proj"

    @property
    def scope(self):
        return Scope(modules=(), rank=None)

    def apply(self, model, forget, retain):
        from peft import LoraConfig, PeftModel

        for number, sample in enumerate(forget):
            config = LoraConfig(r=1, lora_alpha=1, target_modules=[self.path])
            if number == 0:
                model.network = PeftModel(model.network, config, adapter_name="fact0")
            else:
                model.network.add_adapter(f"fact{number}", config)
            model.network.set_adapter(f"fact{number}")
            train(model, Ascent(), forget=[sample], options=TrainOptions(learning_rate=1e-2, steps=3))
        model.network.base_model.set_adapter([f"fact{number}" for number in range(len(forget))])
        return True


def test_a_stack_of_rank_one_adapters(model, samples):
    facts = samples[:3]
    made = unlearn_with_report(model, forget=facts, method=OneAdapterPerFact()).model
    module = made.network.base_model.model.model.language_model.layers[5].mlp.down_proj
    assert sorted(module.lora_A) == ["fact0", "fact1", "fact2"]
    deltas = [module.get_delta_weight(name).detach() for name in ("fact0", "fact1", "fact2")]
    assert all(torch.linalg.matrix_rank(delta) == 1 for delta in deltas)
    # Together they act as one update of the weight by the sum of all edits.
    alone = attach(model, Scope(modules=(), rank=None))
    with torch.no_grad():
        alone.network.get_submodule(OneAdapterPerFact.path).weight.add_(sum(deltas))
    torch.testing.assert_close(logits(made, samples), logits(alone, samples), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits(made, facts), logits(model, facts), atol=1e-3)


def test_errors_inside_a_method_propagate(model, samples):
    """Defect M8: an out-of-memory or shape error must not turn into training without the forget step."""

    @dataclass(frozen=True)
    class Broken(Method):
        name: ClassVar[str] = "broken"

        def loss(self, model, reference, forget, retain):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        train(model, Broken(), forget=samples[:5])


def test_a_loss_must_return_one_value_per_sample(model, samples):
    @dataclass(frozen=True)
    class Mean(Method):
        name: ClassVar[str] = "mean"

        def loss(self, model, reference, forget, retain):
            return {"forget": nll(model, forget).mean()}

    with pytest.raises(ValueError, match="one value per sample"):
        train(model, Mean(), forget=samples[:5])
