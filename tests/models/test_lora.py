"""The scope: exactly the named weights are trainable, and nothing leaks into the vision tower (defects M6, R8, R9)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from unsee.errors import ConfigError
from unsee.methods import Scope
from unsee.models.batches import collate
from unsee.models.checkpoints import weights_digest
from unsee.models.lora import attach, copied, linear_paths, trainable_names
from unsee.models.questions import encode_samples

ATTENTION = [f"self_attn.{name}_proj" for name in "qkvo"]
MLP = [f"mlp.{name}_proj" for name in ("gate", "up", "down")]


def decoder_paths(layers=range(8)):
    return [f"model.language_model.layers.{layer}.{name}" for layer in layers for name in ATTENTION + MLP]


def logits(model, samples):
    batch = collate(encode_samples(samples, model.prompter), prompter=model.prompter)
    with torch.no_grad():
        return model.answer_logits(batch)


def test_language_scope_is_exactly_the_decoders_linear_layers(model):
    """The vision tower has layers called q_proj, too."""
    assert any(name.endswith("q_proj") for name, _ in model.network.model.vision_tower.named_modules())
    assert sorted(linear_paths(model, Scope())) == sorted(decoder_paths())
    made = attach(model, Scope(rank=4))
    expected = {f"base_model.model.{path}.lora_{side}.default.weight" for path in decoder_paths() for side in "AB"}
    assert set(trainable_names(made)) == expected


def test_layers_restrict_the_scope(model):
    assert sorted(linear_paths(model, Scope(layers=(2, 5)))) == sorted(decoder_paths((2, 5)))
    made = attach(model, Scope(layers=(1,), rank=None))
    assert set(trainable_names(made)) == {name for name, _ in model.network.named_parameters() if ".layers.1." in name} - {
        name for name, _ in model.network.named_parameters() if "vision_tower" in name
    }


@pytest.mark.parametrize(
    ("modules", "kept"),
    [
        ("language", ("model.language_model.",)),
        ("vision", ("model.vision_tower.",)),
        ("projector", ("model.multi_modal_projector.",)),
        (("language", "projector"), ("model.language_model.", "model.multi_modal_projector.")),
    ],
)
def test_full_fine_tuning_of_a_part(model, modules, kept):
    made = attach(model, Scope(modules=modules, rank=None))
    expected = {name for name, _ in model.network.named_parameters() if name.startswith(kept)}
    assert set(trainable_names(made)) == expected
    assert all(weight.requires_grad for weight in model.network.parameters())


def test_lora_on_every_part(model):
    vision = linear_paths(model, Scope(modules="vision"))
    assert vision and all(path.startswith("model.vision_tower.") for path in vision)
    projector = linear_paths(model, Scope(modules="projector"))
    assert projector == ["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"]
    everything = linear_paths(model, Scope(modules="all-linear"))
    assert set(everything) == {*decoder_paths(), *vision, *projector}
    assert "lm_head" not in everything
    assert linear_paths(model, Scope(modules=("all-linear",))) == everything
    named = trainable_names(attach(model, Scope(modules=("all-linear",), rank=None)))
    assert named == trainable_names(attach(model, Scope(modules="all-linear", rank=None)))


def test_full_paths_never_match_by_suffix(model):
    path = "model.language_model.layers.3.mlp.up_proj"
    made = attach(model, Scope(modules=(path,), rank=2))
    assert trainable_names(made) == [f"base_model.model.{path}.lora_{side}.default.weight" for side in "AB"]
    whole = attach(model, Scope(modules=("model.language_model.layers.3",), rank=None))
    assert all("language_model.layers.3." in name for name in trainable_names(whole))


def test_adapters_over_shared_weights(model, samples):
    """Both models have one set of weights, and neither freezes, trains nor merges into the other's."""
    before, trainable = weights_digest(model), trainable_names(model)
    made = attach(model, Scope(rank=2), shared=True)
    own = {weight.data_ptr() for weight in model.network.parameters()}
    assert {weight.data_ptr() for weight in made.base.parameters() if not weight.requires_grad} == own
    assert trainable_names(model) == trainable and all("lora_" in name for name in trainable_names(made))
    for name, weight in made.network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    said = logits(made, samples)
    assert not torch.equal(said, logits(model, samples))
    merged = copied(made, in_place=True)
    assert torch.allclose(logits(merged, samples), said, atol=1e-4)
    assert weights_digest(model) == before
    # Weights that move themselves are copied all the same.
    assert own.isdisjoint(weight.data_ptr() for weight in attach(model, Scope(rank=None), shared=True).network.parameters())


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ((3,), [3]),
        ((3, 3, 0), [3, 0]),
        (None, list(range(8))),
        ((7 / 32,), [2]),
        ((0.0, 0.5, 0.99), [0, 4, 7]),
        ((1, 0.5), [1, 4]),
    ],
)
def test_a_kind_of_layer_and_a_depth(model, layers, found):
    """A number with a fraction is a depth; 0.5 of 8 layers is layer 4."""
    expected = [f"model.language_model.layers.{layer}.mlp.down_proj" for layer in found]
    assert linear_paths(model, Scope(modules="mlp-down", layers=layers)) == expected
    assert linear_paths(model, Scope(modules=("mlp-down",), layers=layers)) == expected
    assert linear_paths(model, Scope(modules=("mlp.down_proj",), layers=layers)) == expected
    made = attach(model, Scope(modules=("mlp-down",), layers=layers, rank=1))
    assert set(trainable_names(made)) == {f"base_model.model.{path}.lora_{s}.default.weight" for path in expected for s in "AB"}
    whole = attach(model, Scope(modules=("mlp-down",), layers=layers, rank=None))
    assert set(trainable_names(whole)) == {f"{path}.weight" for path in expected}


def test_paths_inside_a_decoder_layer(model):
    scope = Scope(modules=("self_attn", "mlp.up_proj"), layers=(6,))
    assert sorted(linear_paths(model, scope)) == sorted(
        f"model.language_model.layers.6.{n}" for n in [*ATTENTION, "mlp.up_proj"]
    )


def other_family(kind: str, **options: int) -> SimpleNamespace:
    """A LLaVA around another kind of decoder, with fresh weights."""
    import transformers

    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 64}
    text = getattr(transformers, kind)(**size, **options, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=3)
    return SimpleNamespace(base=transformers.LlavaForConditionalGeneration(config))


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("LlamaConfig", {"intermediate_size": 32}, "layers.1.mlp.down_proj"),
        ("Gemma3TextConfig", {"intermediate_size": 48, "head_dim": 16, "num_key_value_heads": 2}, "layers.1.mlp.down_proj"),
        ("PhiConfig", {"intermediate_size": 48}, "layers.1.mlp.fc2"),
        ("GPTNeoXConfig", {"intermediate_size": 48}, "layers.1.mlp.dense_4h_to_h"),
        ("Starcoder2Config", {"intermediate_size": 48, "num_key_value_heads": 2}, "layers.1.mlp.c_proj"),
        ("Lfm2Config", {"intermediate_size": 48, "num_key_value_heads": 2}, "layers.1.feed_forward.w2"),
        (
            "Qwen2MoeConfig",
            {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 24, "num_experts": 2, "num_key_value_heads": 2},
            "layers.1.mlp.shared_expert.down_proj",
        ),
    ],
)
def test_the_last_layer_of_an_mlp_is_found_by_structure(kind, options, name):
    """Whatever a family calls it, also where attention or all parts of the MLP are as wide."""
    assert linear_paths(other_family(kind, **options), Scope(modules="mlp-down", layers=(0.25,))) == [
        f"model.language_model.{name}"
    ]


def test_an_mlp_without_linear_layers():
    """Experts as one tensor."""
    model = other_family("MixtralConfig", intermediate_size=48, num_key_value_heads=2, num_local_experts=2)
    with pytest.raises(ConfigError, match=r"layers\.1 has no MLP made of linear layers.*give module paths"):
        linear_paths(model, Scope(modules="mlp-down", layers=(1,)))


def test_an_empty_scope_freezes_everything(model):
    made = attach(model, Scope(modules=(), rank=None))
    assert trainable_names(made) == []
    assert type(made.network) is type(model.network)


def test_attaching_changes_no_answer_and_not_the_given_model(model, samples):
    before = logits(model, samples)
    made = attach(model, Scope())
    assert torch.equal(logits(made, samples), before)
    assert type(model.network).__name__ == "LlavaForConditionalGeneration"
    with torch.no_grad():
        for weight in made.network.parameters():
            weight.zero_()
    assert torch.equal(logits(model, samples), before)


def test_adapters_follow_the_seed_and_leave_the_global_one_alone(model):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (attach(model, Scope(rank=2, layers=(0,)), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    for (name, a), b, c in zip(
        one.network.named_parameters(), same.network.parameters(), other.network.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        assert "lora_A" not in name or not torch.equal(a, c)


def test_alpha_scales_the_adapter(model):
    assert attach(model, Scope(rank=4)).network.peft_config["default"].lora_alpha == 4
    assert attach(model, Scope(rank=4), alpha=8).network.peft_config["default"].lora_alpha == 8


def test_a_model_that_comes_with_an_adapter_is_merged_first(model, samples):
    made = attach(model, Scope(rank=2))
    with torch.no_grad():
        for name, weight in made.network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    again = attach(made, Scope(rank=2))
    torch.testing.assert_close(logits(again, samples), logits(made, samples), atol=1e-4, rtol=1e-4)
    with again.network.disable_adapter():
        torch.testing.assert_close(logits(again, samples), logits(made, samples), atol=1e-4, rtol=1e-4)


def test_tied_embeddings_stay_tied_in_a_copy(model):
    network = copied(model).network
    assert network.lm_head.weight is network.model.language_model.embed_tokens.weight
    assert network.lm_head.weight is not model.network.lm_head.weight


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(modules=("langage",)), "did you mean 'language'"),
        (Scope(layers=(8,)), "layers 0 to 7$"),
        (Scope(layers=(1.0,)), "layer 1.0 does not exist.*a depth from 0 to below 1"),
        (Scope(modules=("mlp.down_prj",), layers=(1,)), "no module 'mlp.down_prj'; did you mean"),
        (Scope(layers=()), "empty"),
        (Scope(rank=0), "at least 1"),
        (Scope(modules="vision", layers=(0,)), "no linear layer"),
        (Scope(modules=("model.language_model.norm",)), "no linear layer"),
    ],
)
def test_a_scope_that_cannot_work_says_why(model, scope, message):
    with pytest.raises(ConfigError, match=message):
        attach(model, scope)
