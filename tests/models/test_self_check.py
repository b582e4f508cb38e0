"""Verdicts on models that are right, and on models broken in one way each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import unsee
from toy import toy_samples
from unsee.answering import answer
from unsee.models import batches
from unsee.models.batches import collate
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.models.self_check import Features, check_shared_prefix
from unsee.training_options import TrainOptions


def patched(model: Model, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what the decoder is called with."""
    model.base.get_decoder().register_forward_pre_hook(lambda _, args, kwargs: (args, change(kwargs)), with_kwargs=True)


def without_positions(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "position_ids": None}


def leaking(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Every token sees the mean of all."""
    return {**kwargs, "inputs_embeds": kwargs["inputs_embeds"] + kwargs["inputs_embeds"].mean(1, keepdim=True)}


def test_everything_works_with_the_random_model(model: Model) -> None:
    assert isinstance(model.features, Features)
    assert model.features.missing() == {}
    assert [name for name, _ in model.features.items()][:4] == ["prompt", "answer_mask", "pictures", "shared_prefix"]


def test_a_model_that_places_tokens_its_own_way_gets_plain_rows(model: Model) -> None:
    """Nothing else is lost, the records are those of rows of their own, and it is said once."""
    samples = toy_samples()[:6]
    expected = answer(model, samples, max_new_tokens=2, pack=False)
    patched(model, without_positions)
    assert not model.shared_prefix.available
    assert set(model.features.missing()) == {"shared_prefix"}
    model.prompter.shared_prefix = None
    with pytest.warns(UserWarning, match="every question gets a row of its own") as said:
        made = answer(model, samples, max_new_tokens=2)
    assert made.equals(expected)
    assert len([w for w in said if "row of its own" in str(w.message)]) == 1
    assert not model.packs() and not model.packs(False)


def test_shared_rows_are_checked_where_a_picture_is_longer_than_a_row(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of usual models are; a check in which nothing is shared would find nothing."""
    monkeypatch.setattr(batches, "ROW_TOKENS", 8)
    assert check_shared_prefix(model).available
    patched(model, without_positions)
    assert not check_shared_prefix(model).available


def test_answers_that_are_seen_too_early(model: Model) -> None:
    patched(model, leaking)
    assert "see it" in model.features.missing()["answer_mask"]


def test_pictures_that_are_not_looked_at(model: Model) -> None:
    model.base.model.multi_modal_projector.register_forward_hook(lambda _, args, output: output * 0)
    assert "does not depend on the picture" in model.features.missing()["pictures"]


def test_logits_that_are_capped(model: Model) -> None:
    """As Gemma 2 does; likelihoods stay right because the whole network is asked then."""
    network = model.base
    network.register_forward_hook(lambda _, args, output: setattr(output, "logits", torch.tanh(output.logits * 5)) or output)
    assert "scaled or capped" in model.features.missing()["lens"]
    batch = collate(encode_samples(toy_samples()[:2], model.prompter), prompter=model.prompter, pack=False)
    with torch.no_grad():
        whole = network(**batch.inputs).logits[batch.row, batch.position]
        assert torch.equal(model.answer_logits(batch), whole)


def test_an_answer_without_an_end(model: Model) -> None:
    model.processor.chat_template = model.processor.chat_template.replace("{{ eos_token }}", "")
    assert model.prompter.parts(images=0, system=False).after_answer == "</s>", "put in where the template leaves it out"
    assert "answer_mask" not in model.features.missing()


def test_a_model_folder_is_checked_when_it_is_loaded(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    model.save(tmp_path / "model")
    unsee.load_model(tmp_path / "model")
    assert not [w for w in recwarn if "has no" in str(w.message)]
    config = tmp_path / "model" / "chat_template.jinja"
    config.write_text("{% for message in messages %}hello{% endfor %}")
    with pytest.warns(UserWarning, match=r"has no prompt: the chat template .* does not show question and answer once each"):
        unsee.load_model(tmp_path / "model")


def llama4(processor: Any) -> Model:
    """A tiny Llama 4, whose class holds decoder and vision tower side by side and no `model` around them."""
    from transformers import Llama4Config, Llama4ForConditionalGeneration

    width = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    text = {"vocab_size": 512, "num_hidden_layers": 2, "num_key_value_heads": 4, "head_dim": 8, "max_position_embeddings": 512}
    text |= {"intermediate_size_mlp": 64, "num_local_experts": 2, "moe_layers": [], "attention_chunk_size": 512}
    vision = {"num_hidden_layers": 1, "image_size": 32, "patch_size": 16, "pixel_shuffle_ratio": 0.5, "intermediate_size": 128}
    vision |= dict.fromkeys(("vision_output_dim", "projector_input_dim", "projector_output_dim"), 32)
    config = Llama4Config(
        text_config=width | text,
        vision_config=width | vision,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    processor.patch_size = 32  # four patches are shuffled into one
    return Model(Llama4ForConditionalGeneration(config).eval(), processor, name="llama4")


def test_a_class_that_is_no_model_and_head(model: Model) -> None:
    """The lens aside, it answers and unlearns as others do."""
    made, samples = llama4(model.processor), toy_samples()[:10]
    assert not made.features.missing().keys() & {"prompt", "answer_mask", "pictures", "shared_prefix", "language"}
    assert "cannot be read layer by layer" in made.features.lens.reason
    items = encode_samples(samples[:4], made.prompter)
    with torch.no_grad():
        found = made.answer_logprobs(collate(items, prompter=made.prompter))
        for item, value in zip(items, found, strict=True):
            batch = collate([item], prompter=made.prompter, pack=False)
            scores = made.network(**batch.inputs).logits[0].log_softmax(-1)[batch.position, batch.target]
            assert torch.allclose(scores.sum(), value, atol=1e-4)
    options = TrainOptions(steps=2, batch_size=4, learning_rate=1e-2)
    forgot = unsee.unlearn(made, forget=samples, method="ga", options=options)
    with torch.no_grad():
        batch = collate(items, prompter=made.prompter)
        assert forgot.answer_logprobs(batch).sum() < made.answer_logprobs(batch).sum()
