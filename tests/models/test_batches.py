"""Packed rows must equal plain rows, and the counted tokens must be exactly those that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from PIL import Image

from unsee.models import batches
from unsee.models.batches import collate, row_tokens, tokens_in_rows
from unsee.models.model import Model
from unsee.models.prompts import Encoded, LossMask
from unsee.sample import ImageRef, Sample

MASKS: tuple[LossMask, ...] = ("answer", "answer_and_question", "all")


def _picture(colour: tuple[int, int, int]) -> ImageRef:
    return ImageRef.from_image(Image.new("RGB", (32, 32), colour))


@pytest.fixture
def conversations(model: Model, samples: list[Sample]) -> list[Encoded]:
    """Questions about one picture and none, system prompts, prompts with two pictures, several answers to one prompt."""
    encode = model.prompter.encode
    items = [encode(s.question, s.answer, images=s.images) for s in samples]
    items += [encode(s.question, "owl", images=s.images) for s in samples[:5]]
    items += [encode(s.question, s.answer, images=s.images, system="Say nothing of red.") for s in samples[:5]]
    red, blue = _picture((255, 0, 0)), _picture((0, 0, 255))
    items += [encode("Which is blue?", answer, images=(red, blue)) for answer in ("nine", "seven red")]
    items += [encode("Which is blue?", "seven", images=(blue, red)), encode("Which is blue?", "seven", images=(red, red))]
    return items


def _scores(model: Model, items: Sequence[Encoded], **layout: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model.answer_logprobs(collate(items, prompter=model.prompter, **layout))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("max_tokens", [48, 200])
def test_packed_equals_plain(model: Model, conversations: list[Encoded], mask: LossMask, max_tokens: int) -> None:
    packed = _scores(model, conversations, mask=mask, max_tokens=max_tokens)
    plain = _scores(model, conversations, mask=mask, pack=False)
    assert torch.allclose(packed, plain, atol=1e-5, rtol=1e-5)
    alone = torch.cat([_scores(model, [item], mask=mask, pack=False) for item in conversations])
    assert torch.allclose(plain, alone, atol=1e-5, rtol=1e-5)


def test_gradients_of_packed_and_plain_rows_agree(model: Model, conversations: list[Encoded]) -> None:
    gradients = []
    for pack in (True, False):
        model.network.zero_grad()
        (-model.answer_logprobs(collate(conversations, prompter=model.prompter, pack=pack))).mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.network.parameters() if p.grad is not None]))
    assert torch.allclose(*gradients, atol=1e-5, rtol=1e-4)


def test_packing_shares_pictures_and_system_prompts(model: Model, samples: list[Sample]) -> None:
    pictured = [s for s in samples if s.images]
    items = [model.prompter.encode(s.question, s.answer, images=s.images) for s in pictured]
    packed = collate(items, prompter=model.prompter, max_tokens=10_000)
    ids = packed.inputs["input_ids"]
    places = len(model.prompter.placeholder(pictured[0].images[0]).ids)
    assert len(ids) == 1 and packed.inputs["pixel_values"].shape[0] == 8
    assert (ids == model.prompter.image_token_id).sum() == 8 * places
    guarded = [model.prompter.encode(s.question, s.answer, images=s.images, system="Say nothing of red.") for s in pictured]
    together = collate(guarded, prompter=model.prompter, max_tokens=10_000).inputs["input_ids"]
    system = guarded[0].question_start - items[0].question_start
    assert together.numel() == ids.numel() + system


def test_rows_are_filled_with_other_pictures(model: Model, samples: list[Sample]) -> None:
    """A row that one picture leaves half empty takes another; none exceeds the limit that a single conversation keeps."""
    items = [model.prompter.encode(s.question, s.answer, images=s.images) for s in samples]
    longest = max(len(item.ids) for item in items)
    batch = collate(items, prompter=model.prompter, max_tokens=3 * longest)
    ids = batch.inputs["input_ids"]
    assert ids.shape[1] <= 3 * longest
    filled = (ids != model.prompter.tokenizer.pad_token_id).sum(1)
    assert (filled[:-1] > longest).all() and batch.inputs["pixel_values"].shape[0] < len([s for s in samples if s.images])


def test_rows_grow_with_the_pictures(model: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one conversation fills a usual row those that start alike share a longer one."""
    monkeypatch.setattr(batches, "ROW_TOKENS", 8)
    pictured = [s for s in samples if s.images]
    system = "Say nothing of red. " * 8
    items = [
        model.prompter.encode(s.question, answer, images=s.images, system=system) for s in pictured for answer in ("tea", "owl")
    ]
    longest = max(len(item.ids) for item in items)
    ids = collate(items, prompter=model.prompter).inputs["input_ids"]
    assert longest < ids.shape[1] <= row_tokens(items) == 3 * longest // 2
    assert len(ids) <= len({s.image_sha256 for s in pictured}) < len(items) / 2
    assert ids.numel() == tokens_in_rows(items, prompter=model.prompter)
    assert tokens_in_rows(items, prompter=model.prompter, pack=False) == len(items) * longest
    monkeypatch.undo()
    assert row_tokens(items[:0]) == 192


def test_a_full_row_opens_another(model: Model, samples: list[Sample]) -> None:
    items = [model.prompter.encode(f"{s.question} {i}", s.answer) for i, s in enumerate(samples)]
    batch = collate(items, prompter=model.prompter, max_tokens=64)
    assert len(batch.inputs["input_ids"]) > 1
    assert batch.inputs["input_ids"].shape[1] <= 64
    long = model.prompter.encode("nurse " * 80, "tea")
    assert collate([long], prompter=model.prompter, max_tokens=64).inputs["input_ids"].shape[1] > 80


def _counted(model: Model, item: Encoded, mask: LossMask, *, pack: bool) -> list[int]:
    return collate([item], prompter=model.prompter, mask=mask, pack=pack).target.tolist()


@pytest.mark.parametrize("pack", [True, False])
def test_mask_counts_exactly_what_it_says(model: Model, samples: list[Sample], pack: bool) -> None:
    sample = samples[0]
    tokenizer = model.processor.tokenizer
    item = model.prompter.encode(sample.question, sample.answer, images=sample.images)
    answer = tokenizer(f" {sample.answer}</s>", add_special_tokens=False)["input_ids"]
    question = tokenizer(f"{sample.question}\nASSISTANT:", add_special_tokens=False)["input_ids"]
    before = tokenizer("USER: ", add_special_tokens=False)["input_ids"]
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    assert _counted(model, item, "answer", pack=pack) == answer
    assert _counted(model, item, "answer_and_question", pack=pack) == question + answer
    assert _counted(model, item, "all", pack=pack) == before + newline + question + answer


@pytest.mark.parametrize("mask", MASKS)
def test_pictures_are_never_counted(model: Model, conversations: list[Encoded], mask: LossMask) -> None:
    for pack in (True, False):
        batch = collate(conversations, prompter=model.prompter, mask=mask, pack=pack)
        assert model.prompter.image_token_id not in batch.target.tolist()
        assert batch.counts.min() >= 2


def test_edges_come_in_the_order_of_conversations(model: Model, conversations: list[Encoded]) -> None:
    for pack in (True, False):
        batch = collate(conversations, prompter=model.prompter, pack=pack)
        assert torch.equal(batch.owner, batch.owner.sort().values)
        assert batch.target.tolist() == [token for item in conversations for token in item.ids[item.prompt_length :]]


def test_tokens_see_their_ancestors_only(model: Model) -> None:
    """`<prompt><space>` is shared by two letters, of which neither sees the other."""
    prompter = model.prompter
    batch = collate([prompter.encode("red", "A"), prompter.encode("red", "B")], prompter=prompter)
    sees = batch.inputs["attention_mask"][0, 0]
    n = prompter.encode("red", "A").prompt_length + 1
    assert batch.inputs["input_ids"].shape == (1, n + 2)
    assert torch.equal(sees[:n, :n], torch.ones(n, n, dtype=torch.bool).tril())
    assert sees[n].tolist() == [True] * n + [True, False]
    assert sees[n + 1].tolist() == [True] * n + [False, True]
    assert batch.inputs["position_ids"][0].tolist() == [*range(n), n, n]


def test_padding_side_does_not_matter(model: Model, samples: list[Sample]) -> None:
    """Left-padded rows, as `generate` takes them, give the logits of right-padded ones."""
    items = [model.prompter.encode(s.question, s.answer) for s in (samples[1], samples[3])]
    batch = collate(items, prompter=model.prompter, pack=False)
    ids, seen = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    assert seen.sum(1).unique().numel() > 1
    shift = [int(ids.shape[1] - n) for n in seen.sum(1)]
    left = {
        "input_ids": torch.stack([row.roll(by) for row, by in zip(ids, shift, strict=True)]),
        "attention_mask": torch.stack([row.roll(by) for row, by in zip(seen, shift, strict=True)]),
    }
    left["position_ids"] = (left["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        right_logits, left_logits = model.network(**batch.inputs).logits, model.network(**left).logits
    for r, by in enumerate(shift):
        n = int(seen[r].sum())
        assert torch.allclose(right_logits[r, :n], left_logits[r, by : by + n], atol=1e-5)
