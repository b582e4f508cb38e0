"""The lens: its last layer is the model's own output (N2), adapters and padding show in it as in the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from unsee.errors import ConfigError
from unsee.methods import Scope
from unsee.models.batches import Batch, collate
from unsee.models.lens import Lens
from unsee.models.lora import attach
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.sample import Sample

MakeBatch = Callable[..., Batch]


@pytest.fixture
def make(model: Model, samples: list[Sample]) -> MakeBatch:
    def made(*, pack: bool = True) -> Batch:
        return collate(encode_samples(samples[:6], model.prompter), prompter=model.prompter, pack=pack)

    return made


def norm_of(model: Model) -> Any:
    return model.base.get_decoder().norm


@torch.no_grad()
def unlike_one(model: Model) -> Model:
    """Norm weights as training leaves them; those of a fresh network are all 1, where norming twice changes little."""
    weight = norm_of(model).weight
    weight.copy_(torch.linspace(0.2, 3.0, len(weight)))
    return model


@pytest.mark.parametrize("pack", [True, False])
def test_last_layer_is_the_models_output(model: Model, make: MakeBatch, pack: bool) -> None:
    unlike_one(model)
    batch, lens = make(pack=pack), Lens(model)
    assert lens.layers == 8
    with torch.no_grad():
        made = lens.logits(batch, [8])
        own = model.network(**batch.inputs).logits[batch.row, batch.position]
        assert made.shape == (1, len(batch.row), own.shape[-1]) and made.dtype == torch.float32
        assert torch.allclose(made[0], own, atol=1e-5)
        assert torch.allclose(made[0].softmax(-1), own.softmax(-1), atol=1e-5)


def test_layers_are_the_normed_residual_stream(model: Model, make: MakeBatch) -> None:
    """Layer 0 is what the first block reads, layer l what block l wrote; the order is the caller's."""
    unlike_one(model)
    batch = make()
    with torch.no_grad():
        streams = model.base.model(**batch.inputs, output_hidden_states=True).hidden_states
        expected = [model.base.lm_head(norm_of(model)(streams[layer][batch.row, batch.position])) for layer in (5, 0, 7)]
        made = Lens(model).logits(batch, [5, 0, 7])
    assert torch.allclose(made, torch.stack(expected), atol=1e-5)


def test_norming_twice_differs_on_the_last_layer_only(model: Model, make: MakeBatch) -> None:
    """N2: transformers' last hidden state is normed; norming it again changes layer N, and only with non-unit weights."""
    batch = make(pack=False)

    def gaps() -> list[float]:
        with torch.no_grad():
            streams = model.base.model(**batch.inputs, output_hidden_states=True).hidden_states
            twice = [model.base.lm_head(norm_of(model)(s[batch.row, batch.position])).softmax(-1) for s in streams]
            return [
                float((a.softmax(-1) - b).abs().max()) for a, b in zip(Lens(model).logits(batch, range(9)), twice, strict=True)
            ]

    assert max(gaps()) < 1e-5
    unlike_one(model)
    *inner, last = gaps()
    assert max(inner) < 1e-5 and last > 1e-3


@pytest.mark.parametrize("rank", [2, None])
def test_works_under_an_adapter(model: Model, make: MakeBatch, rank: int | None) -> None:
    batch = make()
    before = Lens(model).logits(batch, [3, 8]).detach()
    made = attach(model, Scope(rank=rank, layers=(5,)))
    with torch.no_grad():
        for weight in made.network.parameters():
            if weight.requires_grad:
                weight.add_(0.3)
    after = Lens(made).logits(batch, [3, 8])
    assert torch.allclose(after[0], before[0], atol=1e-5)  # below the change
    assert not torch.allclose(after[1], before[1], atol=1e-2)
    assert torch.allclose(after[1], made.answer_logits(batch), atol=1e-5)


def test_left_and_right_padding_agree(model: Model, make: MakeBatch) -> None:
    """Positions come from the edges; the picture's tokens and the padding shift them."""
    batch = make(pack=False)
    lengths = batch.inputs["attention_mask"].sum(1)
    longest = int(lengths.max())
    assert int(lengths.min()) < longest
    left = {
        name: torch.stack([row.roll(longest - int(n)) for row, n in zip(batch.inputs[name], lengths, strict=True)])
        for name in ("input_ids", "attention_mask")
    }
    shifted = replace(batch, inputs=batch.inputs | left, position=batch.position + (longest - lengths)[batch.row])
    lens = Lens(model)
    with torch.no_grad():
        assert torch.allclose(lens.logits(batch, range(9)), lens.logits(shifted, range(9)), atol=1e-5)


def test_gradients_flow(model: Model, make: MakeBatch) -> None:
    lens = Lens(model)
    lens.logits(make(), [4])[0].log_softmax(-1)[:, 7].mean().backward()
    layers = model.base.get_decoder().layers
    assert layers[3].mlp.down_proj.weight.grad.abs().max() > 0
    assert layers[4].mlp.down_proj.weight.grad is None or not layers[4].mlp.down_proj.weight.grad.any()
    with torch.no_grad():
        assert not lens.logits(make(), [4]).requires_grad


def test_leaves_no_hooks(model: Model, make: MakeBatch) -> None:
    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())

    model.answer_logits(make())
    before = hooks()
    Lens(model).logits(make(), range(9))
    assert hooks() == before


@pytest.mark.parametrize("layer", [-1, 9])
def test_a_layer_that_the_model_does_not_have(model: Model, make: MakeBatch, layer: int) -> None:
    with pytest.raises(ConfigError, match=f"layer {layer} does not exist; the model has layers 0 .embeddings. to 8"):
        Lens(model).logits(make(), [3, layer])


def test_a_model_whose_logits_are_capped(model: Model) -> None:
    """The lens would show other numbers than the model's, so it refuses."""
    model.network.lm_head.register_forward_hook(lambda module, args, output: 0.5 * output if output.dim() == 3 else output)
    with pytest.raises(ConfigError, match=r"random cannot be read layer by layer .*scaled or capped"):
        Lens(model)


def test_a_model_without_blocks(model: Model) -> None:
    model.base.config.get_text_config().num_hidden_layers = 9
    with pytest.raises(ConfigError, match="its decoder holds no list of 9 blocks"):
        Lens(model)
