"""What each family is shown: prompts as text files, ids and pictures as its own processor makes them; which tokens count."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pytest
import torch

from builders import FAMILIES
from unsee.models.batches import collate
from unsee.models.model import Model
from unsee.models.self_check import expected_shared_prefix
from unsee.sample import Sample

SNAPSHOTS = Path(__file__).parent / "snapshots"
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask")


def described(model: Model, shown: list[Sample]) -> str:
    """Three conversations as text, and the first one's tokens, repeated ones counted."""
    prompter, sample = model.prompter, shown[0]
    parts = prompter.parts(images=0, system=False)
    answer = f"{' ' if prompter._spaced else ''}tea{parts.after_answer}"
    texts = [
        prompter.prompt("What is fact 1?", images=1) + answer,
        prompter.prompt("What is fact 1?") + answer,
        prompter.prompt("What is fact 1?", system="Be brief.") + answer,
    ]
    item = prompter.encode("What is fact 1?", "tea", images=sample.images)
    tokens = [(token, len(list(run))) for token, run in groupby(prompter.tokenizer.convert_ids_to_tokens(item.ids))]
    tokens = [(token.replace("\n", "\\n"), count) for token, count in tokens]
    texts.append(" ".join(token if count == 1 else f"{token}*{count}" for token, count in tokens))
    return "\n----\n".join(texts) + "\n"


def test_snapshot(family: str, model: Model, shown: list[Sample]) -> None:
    """A changed prompt is a decision; `UNSEE_WRITE_SNAPSHOTS=1` writes the files anew."""
    path = SNAPSHOTS / f"{family}.txt"
    made = described(model, shown)
    if os.environ.get("UNSEE_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made


def test_ids_and_pictures_are_those_of_the_processor(model: Model, shown: list[Sample]) -> None:
    """Also for pictures of other shapes, whose number of tokens differs in most families."""
    prompter = model.prompter
    for sample in [s for s in shown if s.images][:8:2]:
        text = prompter.prompt(sample.question, images=1)
        item = prompter.encode(sample.question, sample.answer, images=sample.images)
        batch = collate([item], prompter=prompter, pack=False)
        if model.processor.chat_template is None:  # PaliGemma's own processor puts in what its form has
            made = model.processor(
                text=f"<image>{sample.question}", suffix=sample.answer, images=[sample.images[0].open()], return_tensors="pt"
            )
            made.pop("labels")
            assert set(batch.inputs) == set(made)
            for name, tensor in made.items():
                assert torch.equal(batch.inputs[name], tensor), name
            continue
        made = model.processor(text=text, images=[sample.images[0].open()], add_special_tokens=False, return_tensors="pt")
        assert item.ids[: item.prompt_length] == tuple(made["input_ids"][0].tolist())
        assert set(batch.inputs) == set(made)
        for name, tensor in made.items():
            if name not in PER_TOKEN:
                assert torch.equal(batch.inputs[name], tensor), name
            else:
                assert torch.equal(batch.inputs[name][:, : item.prompt_length], tensor), name


def test_several_pictures_are_read_as_from_the_processor(family: str, model: Model, shown: list[Sample]) -> None:
    """Idefics2 lets two pictures share the token between them; LLaVA-OneVision divides a picture only where it is alone."""
    prompter, images = model.prompter, [sample.images[0] for sample in shown if sample.images][:3:2]
    item = prompter.encode("Which is taller?", "tea", images=images)
    places = prompter.picture_places(item.ids, images)
    assert [item.ids[place.start : place.stop] for place in places] == [prompter.placeholder(image).ids for image in images]
    if "several_pictures" in FAMILIES[family].missing:
        assert "LlavaOnevisionProcessor from token" in model.features.missing()["several_pictures"]
        return
    pictures = [image.open() for image in images]
    text = prompter.prompt("Which is taller?", images=2)
    if model.processor.chat_template is None:  # PaliGemma's own processor puts in what its form has
        text = text.replace(model.processor.tokenizer.bos_token, "").removesuffix("\n")
    made = model.processor(text=[text], images=[pictures], add_special_tokens=False, return_tensors="pt")
    assert tuple(made["input_ids"][0].tolist()) == item.ids[: item.prompt_length]
    ours = collate([item], prompter=prompter, pack=False).inputs
    with torch.no_grad():
        theirs = model.base(**made).logits[0, -1]
        torch.testing.assert_close(model.base(**ours).logits[0, item.prompt_length - 1], theirs, atol=1e-4, rtol=0)


def test_exactly_the_answer_and_its_end_count(model: Model, shown: list[Sample]) -> None:
    prompter, tokenizer = model.prompter, model.processor.tokenizer
    items = [prompter.encode(s.question, s.answer, images=s.images) for s in shown[:6]]
    for pack in (False, model.packs()):
        batch = collate(items, prompter=prompter, pack=pack)
        for index, sample in enumerate(shown[:6]):
            counted = batch.target[batch.owner == index].tolist()
            *answer, end = tokenizer.convert_ids_to_tokens(counted)
            assert tokenizer.convert_tokens_to_string(answer).strip() == sample.answer
            assert counted[-1] == model.base.generation_config.eos_token_id, f"{end} must stop generation"
        everything = collate(items, prompter=prompter, pack=pack, mask="all")
        for index, item in enumerate(items):
            places = {i for place in prompter.picture_places(item.ids, item.pictures) for i in place}
            expected = [token for i, token in enumerate(item.ids) if i and i not in places]
            assert everything.target[everything.owner == index].tolist() == expected


@pytest.mark.parametrize("mask", ["answer_and_question", "answer_text"])
def test_other_masks(model: Model, shown: list[Sample], mask: str) -> None:
    prompter, tokenizer = model.prompter, model.processor.tokenizer
    sample = shown[0]
    item = prompter.encode(sample.question, sample.answer, images=sample.images)
    said = tokenizer.decode(item.ids[item.counted(mask)])
    assert sample.answer in said and (sample.question in said) == (mask == "answer_and_question")
    assert said.strip() == sample.answer or mask != "answer_text"


def test_features(family: str, model: Model) -> None:
    assert set(model.features.missing()) == FAMILIES[family].missing
    assert expected_shared_prefix(model) == model.features.shared_prefix, "a memory plan must expect the rows of training"
    assert all(model.features.missing().values()), "a missing feature says why"
