"""Weights in half precision: what is found out about a model is found out in fp32, so that rounding hides nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from builders import FAMILIES, build
from unsee.models.batches import collate
from unsee.models.checkpoints import load_checkpoint
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.models.reference import evaluating
from unsee.models.self_check import check_shared_prefix
from unsee.models.single_precision import single_precision
from unsee.sample import Sample

HALF = [torch.bfloat16, torch.float16]


def in_type(model: Model, dtype: torch.dtype) -> Model:
    return Model(copy.deepcopy(model.network).to(dtype), model.processor, name=model.name)


@pytest.mark.parametrize("dtype", HALF)
def test_half_weights_compute_in_fp32(family: str, model: Model, shown: list[Sample], dtype: torch.dtype) -> None:
    half = in_type(model, dtype)
    upcast = in_type(half, torch.float32)
    batch = collate(encode_samples(shown[:6], model.prompter), prompter=model.prompter, pack=model.packs())
    with evaluating(half), evaluating(upcast):
        expected, rounded = upcast.token_logprobs(batch), half.token_logprobs(batch)
        with single_precision(half.network):
            exact = half.token_logprobs(batch)
    torch.testing.assert_close(exact, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(rounded, expected, atol=1e-5, rtol=1e-5)
    assert all(weight.dtype == dtype for weight in half.network.parameters())
    assert check_shared_prefix(half).available == ("shared_prefix" not in FAMILIES[family].missing)


@pytest.mark.parametrize(("name", "both_ways"), [("llava", False), ("gemma3", True)])
@pytest.mark.parametrize("dtype", HALF)
def test_rows_that_are_wrong_by_less_than_rounding(name: str, both_ways: bool, dtype: torch.dtype) -> None:
    """Rows of Gemma 3 whose pictures look back alone are off by 0.05 per token, which bf16 does not tell from rounding."""
    model = in_type(build(name), dtype)
    assert check_shared_prefix(model).available and model.prompter.pictures_both_ways == both_ways


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shares"), [("llava", True), ("gemma3", True), ("paligemma", False)])
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_above_quantized_weights(name: str, shares: bool, bits: str, tmp_path: Path) -> None:
    """In 8 bits a row's rounding depends on its neighbours, so what the network takes has its say."""
    pytest.importorskip("bitsandbytes")
    build(name).save(tmp_path / "model")
    model = load_checkpoint(tmp_path / "model", quantize=bits, dtype="bfloat16")
    assert check_shared_prefix(model).available == shares
