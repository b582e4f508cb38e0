"""Where tokens of pictures stand, and how far back layers look: packed rows and shared beginnings of Qwen-VL and Gemma 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image

from unsee.answering.engine import Engine
from unsee.answering.views import View
from unsee.models.batches import collate
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.sample import ImageRef, Sample

Fresh = Callable[[str], Model]
SMALL, WIDE = (ImageRef.from_image(Image.linear_gradient("L").convert("RGB").resize(size)) for size in ((56, 56), (112, 56)))


@pytest.fixture
def qwen(fresh: Fresh) -> Model:
    return fresh("qwen2_vl")


@pytest.fixture
def gemma(fresh: Fresh) -> Model:
    return fresh("gemma3")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("pictures", [(), (SMALL,), (WIDE, SMALL)], ids=len)
def test_places_are_those_of_the_network(fresh: Fresh, name: str, pictures: tuple[ImageRef, ...]) -> None:
    model = fresh(name)
    item = model.prompter.encode("What is it?", "red", images=pictures)
    inputs = collate([item], prompter=model.prompter, pack=False).inputs
    grids = inputs.get("image_grid_thw")
    theirs, behind = model.base.model.get_rope_index(inputs["input_ids"], inputs["mm_token_type_ids"], grids)
    ours = torch.from_numpy(model.prompter.positions(item.ids, item.pictures))
    assert torch.equal(ours, theirs[:, 0])
    assert int(ours.max()) + 1 == len(item.ids) + int(behind)


def test_a_picture_on_a_grid_by_hand(qwen: Model) -> None:
    """Two patches by four after merging; the text goes on behind the longer side, however many tokens there are."""
    item = qwen.prompter.encode("What is it?", "red", images=(WIDE,))
    (frames, height, width) = qwen.prompter.picture(WIDE)[1]["image_grid_thw"][0].tolist()
    merged = qwen.prompter.processor.image_processor.merge_size
    height, width = height // merged, width // merged
    assert frames == 1 and height < width
    first = item.ids.index(qwen.prompter.image_token_id)
    places = qwen.prompter.positions(item.ids, item.pictures).T.tolist()
    assert places[:first] == [[n, n, n] for n in range(first)]
    grid = [[first, first + y, first + x] for y in range(height) for x in range(width)]
    assert places[first : first + len(grid)] == grid
    assert places[first + len(grid)] == [first + width] * 3


def test_tokens_of_a_picture_see_each_other(gemma: Model) -> None:
    assert gemma.shared_prefix.available and gemma.prompter.pictures_both_ways
    item = gemma.prompter.encode("What is it?", "red", images=(SMALL,))
    batch = collate([item], prompter=gemma.prompter)
    sees, ids = batch.inputs["attention_mask"][0, 0], batch.inputs["input_ids"][0]
    (soft_token,) = gemma.prompter.token_types["token_type_ids"]
    shown = (ids == soft_token).nonzero()[:, 0]
    assert sees[shown][:, shown].all() and len(shown) > 1
    text = torch.ones_like(sees).tril()
    text[shown[:, None], shown] = True
    assert torch.equal(sees, text)


def test_what_is_longer_than_a_window_is_not_packed(gemma: Model, shown: list[Sample]) -> None:
    """Layers that look back 64 tokens take packed rows for whole ones; a longer conversation gets a row of its own."""
    assert gemma.prompter.window == 64
    long = replace(shown[0], id="long", question=" ".join(["What is the fact of this person?"] * 8))
    short = collate(encode_samples(shown[:4], gemma.prompter), prompter=gemma.prompter)
    assert len(short.inputs["input_ids"]) < 4 and short.inputs["attention_mask"].dim() == 4
    items = encode_samples([long, *shown[:3]], gemma.prompter)
    assert max(len(item.ids) for item in items) > 64
    whole, plain = (collate(items, prompter=gemma.prompter, pack=pack) for pack in (True, False))
    assert len(whole.inputs["input_ids"]) == 4
    with torch.inference_mode():
        torch.testing.assert_close(gemma.token_logprobs(whole), gemma.token_logprobs(plain))


@pytest.mark.parametrize(("words", "shares"), [(1, True), (60, False)])
def test_beginnings_are_shared_within_a_window(
    gemma: Model, shown: list[Sample], words: int, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = next(sample for sample in shown if sample.images)
    endings = ["red", " ".join(["owl"] * words)]
    prompts = [gemma.prompter.prompt(f"What is it? {ending}", images=1) for ending in endings]

    def said(pack: bool) -> list[str | None]:
        engine = Engine(gemma, batch_size=4, max_new_tokens=3, pack=pack)
        views = [
            View(name=str(n), prompt=text, parse=lambda _: None, images=sample.images, respond=True)
            for n, text in enumerate(prompts)
        ]
        jobs = [engine.job(sample, "strict", view) for view in views]
        for _ in engine.generate(jobs):
            pass
        begun.append(sum(bool(job.beginning.ids) for job in jobs))
        return [job.response for job in jobs]

    begun: list[int] = []
    assert said(True) == said(False)
    assert begun == [2 if shares else 0, 0]
