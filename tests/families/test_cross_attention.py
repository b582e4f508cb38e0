"""Llama 3.2 Vision: what tokens see which tiles, and rows with and without pictures in one batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builders import FAMILIES, build
from unsee.cli import main
from unsee.models.batches import collate
from unsee.models.cross_attention import rows_apart
from unsee.models.model import Model
from unsee.models.prompts import CROSS_ATTENTION_MASK as MASK
from unsee.models.prompts import Encoded
from unsee.models.questions import encode_samples
from unsee.sample import Sample


@pytest.fixture(scope="module")
def llama() -> Model:
    return build("mllama")


def test_the_mask_is_the_processors(llama: Model, shown: list[Sample]) -> None:
    """One picture, two apart, and three of which the first two follow each other, in rows of several lengths."""
    prompter = llama.prompter
    pictures = list({image.sha256: image for sample in shown for image in sample.images}.values())
    texts = ["<|image|>What?", "<|image|>One and <|image|>two: what is shown?", "<|image|><|image|>Both and <|image|>this?"]
    texts = [f"<|begin_of_text|>{text}" for text in texts]
    counts = [text.count("<|image|>") for text in texts]
    given = [pictures[: counts[0]], pictures[1 : 1 + counts[1]], pictures[: counts[2]]]
    made = llama.processor(
        text=texts, images=[[image.open() for image in row] for row in given], padding=True, padding_side="right",
        add_special_tokens=False, return_tensors="pt",
    )  # fmt: skip
    rows = [prompter.ids(text, images) for text, images in zip(texts, given, strict=True)]
    items = [Encoded(ids, len(ids), 0, tuple(images)) for ids, images in zip(rows, given, strict=True)]
    ours = collate(items, prompter=prompter, pack=False).inputs
    assert torch.equal(ours["input_ids"], made["input_ids"])
    for row, ids in enumerate(rows):
        assert torch.equal(ours[MASK][row, : len(ids)], made[MASK][row, : len(ids)])
    for name in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask"):
        assert torch.equal(ours[name], made[name]), name


def test_rows_without_pictures_go_apart(llama: Model, shown: list[Sample]) -> None:
    """They skip the layers that look; beside rows with pictures plain transformers gives other answers about them."""
    mixed = [next(s for s in shown if s.images), next(s for s in shown if not s.images), *shown[2:5]]
    assert {bool(s.images) for s in mixed[2:]} == {True, False}
    items = encode_samples(mixed, llama.prompter)
    batch = collate(items, prompter=llama.prompter, pack=False)
    assert [rows.tolist() for rows in rows_apart(batch.inputs)] == [
        [i for i, s in enumerate(mixed) if s.images],
        [i for i, s in enumerate(mixed) if not s.images],
    ]
    with torch.no_grad():
        together = llama.answer_logprobs(batch)
        alone = torch.cat([llama.answer_logprobs(collate([item], prompter=llama.prompter, pack=False)) for item in items])
        whole = llama.network(**batch.inputs).logits[batch.row, batch.position].log_softmax(-1)
    assert torch.allclose(together, alone, atol=1e-4)
    unlike = whole.gather(1, batch.target[:, None])[:, 0]
    blind = torch.tensor([not mixed[owner].images for owner in batch.owner.tolist()])
    assert (unlike - llama.token_logprobs(batch))[blind].abs().max() > 1e-2
    assert (unlike - llama.token_logprobs(batch))[~blind].abs().max() < 1e-4


def test_the_check_command_says_what_is_missing(llama: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    llama.save(tmp_path / "model")
    assert main(["models", "check", str(tmp_path / "model")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "pictures      yes" in lines and "lens          yes" in lines
    assert any(line.startswith("shared_prefix no: the model looks at pictures by cross-attention") for line in lines)
    assert FAMILIES["mllama"].missing == {"shared_prefix"}
