"""Scores and responses of each family are those of plain transformers, whatever the batch; every attack runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from unsee.answering import Protocol, Setting, View, answer
from unsee.attacks import attack_all, attack_names
from unsee.models.model import Model
from unsee.models.shared_prompts import Piece, SharedPrompts
from unsee.sample import Sample

LOGPROBS = ["option_logprobs", "answer_logprob_sum", "answer_logprob_mean", "perturbed_logprobs"]
LAYERS = ["layer_ranks", "layer_scores", "layer_top_ids", "layer_top_scores"]


def inputs(model: Model, sample: Sample, answered: str = "") -> Any:
    """What the family's own processor makes of a question, as a user of transformers would call it."""
    pictures = [image.open() for image in sample.images]
    if model.processor.chat_template is None:
        if not pictures:
            made = model.processor.tokenizer(
                f"<bos>{sample.question}\n{answered}", return_tensors="pt", add_special_tokens=False
            )
            kinds = torch.zeros_like(made["input_ids"])
            start = len(model.processor.tokenizer(f"<bos>{sample.question}\n", add_special_tokens=False)["input_ids"])
            kinds[:, start:] = 1
            return {**made, "token_type_ids": kinds}
        made = model.processor(text=f"<image>{sample.question}", suffix=answered or None, images=pictures, return_tensors="pt")
        made.pop("labels")
        return made
    content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": sample.question}]
    text = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    bos = model.processor.tokenizer.bos_token
    text += f" {answered}" if answered and model.prompter._spaced else answered
    return model.processor(
        text=text, images=pictures or None, add_special_tokens=not (bos and text.startswith(bos)), return_tensors="pt"
    )


def plain_logprob(model: Model, sample: Sample, answered: str) -> float:
    asked, whole = inputs(model, sample), inputs(model, sample, answered)
    start, ids = asked["input_ids"].shape[1], whole["input_ids"][0]
    if model.processor.chat_template is None and sample.images:
        ids, start = ids[:-1], whole["token_type_ids"][0].tolist().index(1)  # the suffix brings its own end
    logits = model.network(**whole).logits[0].float().log_softmax(-1)
    return sum(float(logits[i - 1, ids[i]]) for i in range(start, len(ids)))


@torch.no_grad()
def test_answers_are_those_of_plain_transformers(model: Model, shown: list[Sample]) -> None:
    asked = [s for s in shown if s.task == "generation"][:4]
    table = answer(model, asked, max_new_tokens=5, truth_ratio=False)
    for row, sample in zip(table.iter_rows(named=True), asked, strict=True):
        assert row["answer_logprob_sum"] == pytest.approx(plain_logprob(model, sample, sample.answer), abs=2e-4)
        made = inputs(model, sample)
        said = model.network.generate(**made, max_new_tokens=5, do_sample=False)[0, made["input_ids"].shape[1] :]
        assert row["response"] == model.processor.tokenizer.decode(said, skip_special_tokens=True).strip()


def test_the_batch_changes_nothing(model: Model, shown: list[Sample]) -> None:
    """Pictures of several sizes and none side by side; prompts are padded left to generate and right to score."""
    asked = shown[:15]
    protocols = ("strict", "lens")
    one = answer(model, asked, protocols=protocols, batch_size=1, max_new_tokens=4)
    for batch_size, pack in ((4, True), (4, False)):
        other = answer(model, asked, protocols=protocols, batch_size=batch_size, max_new_tokens=4, pack=pack)
        assert_frame_equal(other.drop(LOGPROBS + LAYERS), one.drop(LOGPROBS + LAYERS))
        for column in LOGPROBS:
            a, b = (frame[column].drop_nulls().explode() for frame in (other, one))
            assert (a - b).abs().max() < 1e-4, column
        a, b = (frame["layer_scores"].drop_nulls().explode().explode() for frame in (other, one))
        assert (a - b).abs().max() < 1e-4


def test_prompts_that_begin_alike_are_read_in_pieces_or_whole(
    model: Model, shown: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy and random responses are the same either way; families that take no pieces never try."""

    def views(sample: Sample, setting: Setting) -> list[View]:
        prompt = setting.ask(sample, sample.question)
        drawn = {"temperature": 0.9, "top_p": 0.6}
        return [
            View(name=f"v{n}", prompt=prompt, images=sample.images, new_tokens=4, draw=n, parse=lambda outcome: None, **options)
            for n, options in enumerate(({}, drawn, drawn))
        ]

    read: list[int] = []
    plain = SharedPrompts.__init__

    def spy(self: SharedPrompts, model: Model, beginnings: Sequence[Piece]) -> None:
        plain(self, model, beginnings)
        read.append(len(self.beginnings))

    takes_pieces = model.prefix_cache.available
    assert takes_pieces is model.shared_prefix.available
    monkeypatch.setattr(SharedPrompts, "__init__", spy)
    whole = answer(model, shown[:15], protocols=(Protocol("said", views),), pack=False)
    assert not read
    assert_frame_equal(answer(model, shown[:15], protocols=(Protocol("said", views),)), whole)
    assert bool(read) is takes_pieces


def test_every_attack(model: Model, shown: list[Sample]) -> None:
    facts = [replace(s, set="forget") for s in shown if s.task == "generation"][:2]
    variants = [
        replace(
            s,
            id=f"{s.id}/{axis}/{number}",
            set="test",
            question=f"Well {number}. {s.question}",
            metadata={"fact": s.subject, "axis": axis, "level": "hard"},
        )
        for s in facts
        for axis in ("question", "image", "both")
        for number in range(2)
    ]
    found = attack_all(model, facts, attacks=attack_names(), variants=variants, unrelated=shown[-10:], budget=4)
    assert found.attacks["attack"].to_list() == list(attack_names()) * 2
    assert (found.attacks["candidates"].list.len() > 0).all() and (found.attacks["candidates"].list.len() <= 4).all()
    assert found.records[""].filter(pl.col("protocol") == "lens").height == 2
