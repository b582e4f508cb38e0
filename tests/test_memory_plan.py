"""The memory plan against sizes counted by hand, and against what processes really take."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from doc_pages import ROOT
from unsee.errors import CheckpointError, ConfigError
from unsee.memory_plan import (
    MARGIN,
    MemoryPlan,
    largest_batch,
    parse_memory,
    plan_training,
    size_text,
    skeleton,
    without_values,
)
from unsee.memory_trace import PARTS, MemoryTrace
from unsee.methods import Scope, load_method
from unsee.models.lora import attach
from unsee.models.model import Model
from unsee.training import train
from unsee.training_options import TrainOptions

FEW = TrainOptions(batch_size=4)


@pytest.fixture
def model(model):
    """The toy model with two blocks instead of eight, because every operation is traced."""
    config = copy.deepcopy(model.base.config)
    config.text_config.num_hidden_layers, config.vision_config.num_hidden_layers = 2, 1
    torch.manual_seed(0)
    return Model(type(model.base)(config).eval(), model.processor)


def plan(model, samples, method: str = "graddiff", **options: Any) -> MemoryPlan:
    sides = {"forget": samples[:10], "retain": samples[10:]}
    return plan_training(model, load_method(method), **sides, options=replace(FEW, **options))


def bytes_of(model, *, trainable: bool = False) -> int:
    return sum(4 * weight.numel() for weight in model.network.parameters() if weight.requires_grad or not trainable)


@pytest.mark.parametrize(
    ("text", "size"), [("24GiB", 24 * 2**30), ("1.5 gib", 3 * 2**29), ("80GB", 80 * 10**9), ("512 MiB", 2**29), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("24GXB", "unknown unit 'GXB'; did you mean 'GB'"),
        ("24", "no unit; write 24GiB"),
        ("GiB", "is no size"),
        ("-1GiB", "is no size"),
        ("0GiB", "is nothing"),
    ],
)
def test_sizes_that_are_none(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_memory(text)


def test_a_trace_counts_what_is_alive() -> None:
    weight = torch.zeros(256, 512, device="meta", requires_grad=True)
    trace = MemoryTrace(vocabulary=512)
    trace.hold([weight], "weights")
    with trace.running():
        scores = torch.zeros(8, 256, device="meta") @ weight  # [8, 512], kept with its input for the way back
        squared = scores.square()
        del scores
        squared.sum().backward()
        assert weight.grad is not None
    peak = trace.peak()
    assert peak["weights"] == 4 * 256 * 512
    # Input, scores, squares, the sum and its gradient, and what goes back through the square: 2 x scores twice.
    assert peak["logits"] >= 2 * 4 * 8 * 512
    assert list(peak) == list(PARTS)


def test_whole_numbers_and_masks_keep_their_values() -> None:
    trace = MemoryTrace(vocabulary=512)
    with trace.running():
        table = torch.zeros(16, 4, device="meta")
        mask = torch.arange(16, device="meta") % 3 == 0
        assert mask.tolist() == [number % 3 == 0 for number in range(16)]
        assert table[mask.to("meta")].shape == (6, 4)
        assert torch.zeros(3, device="meta").isfinite().all().item() is True


def test_parts_of_full_fine_tuning(model, samples) -> None:
    """With one short question the step is fullest, when AdamW's two numbers per weight and all gradients are there."""
    found = plan(attach(model, Scope(rank=None)), samples, "ga", batch_size=1)
    trained = bytes_of(attach(model, Scope(rank=None)), trainable=True)
    assert found.parts["optimizer"] == pytest.approx(2 * trained, rel=1e-3)
    assert found.parts["gradients"] == trained
    assert found.parts["weights"] == pytest.approx(bytes_of(model), rel=1e-2)
    assert found.parts["reference"] == 0
    assert found.total == sum(found.parts.values())


def test_lora_keeps_gradients_and_moments_of_adapters_only(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    found, full = plan(adapted, samples), plan(attach(model, Scope(rank=None)), samples)
    assert found.parts["optimizer"] + found.parts["gradients"] <= 3.1 * bytes_of(adapted, trainable=True)
    assert found.total < full.total


def test_switches_do_what_they_say(model, samples) -> None:
    weights, adapted = attach(model, Scope(rank=None)), attach(model, Scope(rank=2))
    plain = plan(adapted, samples)
    assert plan(adapted, samples, gradient_checkpointing=True).parts["activations"] < 0.6 * plain.parts["activations"]
    assert plan(adapted, samples, batch_size=8).parts["activations"] > 1.5 * plain.parts["activations"]
    bf16 = plan(adapted, samples, precision="bf16")
    assert bf16.parts["activations"] != plain.parts["activations"]
    # A moment of at least 4096 numbers takes a byte each and 4 per 256.
    eight = plan(weights, samples, "ga", optimizer="adamw_8bit", batch_size=1)
    moments = [weight.numel() for weight in weights.network.parameters() if weight.requires_grad]
    small = sum(8 * count + 4 for count in moments if count < 4096)
    large = sum(2 * (count + 4 * -(-count // 256)) + 4 for count in moments if count >= 4096)
    assert eight.parts["optimizer"] == small + large


def test_a_plan_says_what_packed_rows_save(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    pictured = [replace(s, id=f"{s.id}/{copy}") for s in samples if s.images for copy in range(2)]

    def rows(**options: Any) -> str:
        chosen = replace(FEW, **options)
        return plan_training(adapted, load_method("ga"), forget=pictured, options=chosen).lines()[-1]

    apart, together = (rows(questions_per_picture=count) for count in (None, 4))
    shares = [
        int(re.search(r"packed rows, (\d+)% fewer tokens than a row per question", text)[1]) for text in (apart, together)
    ]
    assert shares[0] < 30 < shares[1]
    assert rows(pack=False) == "  a row per question"


def test_sgd_keeps_nothing(model, samples) -> None:
    weights = attach(model, Scope(rank=None))
    plain, adamw = (plan(weights, samples, "ga", optimizer=name, batch_size=1) for name in ("sgd", "adamw"))
    assert plain.parts["optimizer"] == 0 and plain.parts["gradients"] == bytes_of(weights, trainable=True)
    assert plain.total < adamw.total


def test_references(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    held = {
        kind: plan(adapted, samples, "kl", reference=kind).parts["reference"]
        for kind in ("adapter_off", "cache", "second_model")
    }
    assert held["adapter_off"] == 0
    assert held["second_model"] == pytest.approx(bytes_of(model), rel=0.02)
    # Every counted token keeps its own likelihood and those of 4096 words.
    tokens = sum(
        len(item.ids) - item.prompt_length
        for item in (adapted.prompter.encode(s.question, s.answer, images=s.images) for s in samples[10:])
    )
    assert held["cache"] == pytest.approx(4 * 4097 * tokens, rel=0.3)
    few = plan(adapted, samples, "kl", reference="cache", reference_top_k=10).parts["reference"]
    assert few == pytest.approx(held["cache"] * (4 * 12 + 4 * 10) / (4 * 4097), rel=0.05)


def test_a_packed_base(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    linear = sum(
        module.weight.numel()
        for name, module in adapted.network.named_modules()
        if isinstance(module, torch.nn.Linear) and ".lora_" not in name and module is not adapted.base.get_output_embeddings()
    )
    sizes = {}
    for quantize in (None, "8bit", "4bit"):
        made = plan_training(adapted, load_method("ga"), forget=samples[:4], options=FEW, quantize=quantize)
        sizes[quantize] = made.parts["weights"]
    assert sizes[None] - sizes["4bit"] == pytest.approx(linear * (4 - 0.5 - 4 / 64), rel=1e-3)
    assert sizes[None] - sizes["8bit"] == pytest.approx(linear * 3, rel=0.05)
    with pytest.raises(ConfigError, match="4bit cannot be trained"):
        plan_training(attach(model, Scope(rank=None)), load_method("ga"), forget=samples[:4], options=FEW, quantize="4bit")


def test_planning_touches_nothing(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    before = {name: weight.clone() for name, weight in adapted.network.named_parameters()}
    backward, attention = torch.Tensor.backward, torch.nn.functional.scaled_dot_product_attention
    plan(adapted, samples, precision="bf16", gradient_checkpointing=True)
    assert all(weight.grad is None for weight in adapted.network.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in adapted.network.named_parameters())
    assert torch.Tensor.backward is backward and torch.nn.functional.scaled_dot_product_attention is attention
    assert without_values(adapted).network.state_dict().keys() == adapted.network.state_dict().keys()


def test_a_skeleton_needs_no_weights(model, samples, tmp_path) -> None:
    model.base.config.save_pretrained(tmp_path)
    model.processor.save_pretrained(tmp_path)
    made = skeleton(tmp_path)
    assert all(weight.is_meta for weight in made.network.parameters())
    assert plan(attach(made, Scope(rank=2)), samples) == plan(attach(model, Scope(rank=2)), samples)
    narrow = skeleton(tmp_path, dtype="bfloat16")
    assert plan(attach(narrow, Scope(rank=2)), samples).parts["weights"] < 0.6 * bytes_of(model)
    with pytest.raises(CheckpointError, match="there is no model folder"):
        skeleton(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        skeleton(tmp_path / "empty")


def test_the_largest_batch(model, samples) -> None:
    def at(size: int) -> MemoryPlan:
        return MemoryPlan(dict.fromkeys(PARTS, 0) | {"weights": 1000, "activations": 10 * size}, size, 1)

    room = round(1500 / (1 - MARGIN)) + 1
    assert largest_batch(at, room, most=400) == (50, at(50))
    assert largest_batch(at, room, most=7).size == 7
    assert largest_batch(at, 900, most=400) == (0, at(1))
    exact = largest_batch(at, round(1130 / (1 - MARGIN)) + 1, most=400).size
    assert exact == 13
    assert size_text(3 * 2**29) == "1.50 GiB" and size_text(2**19) == "0.50 MiB"


def measured(way: str, *size: str) -> dict[str, Any]:
    """One way of training in a process of its own."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "perf/memory.py"), way, *size, "--json"]
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "131072"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["full", "lora", "full_checkpointed", "lora_checkpointed", "cached_reference"])
def test_the_plan_is_what_a_process_takes(way: str) -> None:
    found = measured(way)
    assert 100e6 < found["weights"] < 300e6
    assert found["predicted"] == pytest.approx(found["measured"], rel=0.2)


@pytest.mark.slow
def test_the_plan_of_a_small_model_is_what_a_process_takes() -> None:
    found = measured("lora", "--width", "256")
    assert found["predicted"] == pytest.approx(found["measured"], rel=0.2)


def test_checkpointing_changes_no_number(model, samples) -> None:
    done = {}
    for switch in (False, True):
        trained = attach(model, Scope(rank=4))
        options = replace(FEW, steps=3, gradient_checkpointing=switch)
        done[switch] = train(trained, load_method("npo"), forget=samples[:10], retain=samples[10:], options=options)
        done[switch, "weights"] = [weight.detach().clone() for weight in trained.network.parameters()]
    assert done[True].loss == done[False].loss
    assert all(torch.equal(one, other) for one, other in zip(done[True, "weights"], done[False, "weights"], strict=True))
