"""Later stages: the language model and the projector learn from packed rows.

The vision tower is frozen and its tokens are cached.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unsee.models.batches import Batch, collate
from unsee.models.pretraining.mixture import Mixture, RowPlan, Shares
from unsee.models.prompts import Encoded, Prompter
from unsee.sample import ImageRef


@dataclass(frozen=True)
class Stage:
    """One stretch of training with its own mixture."""

    name: str
    steps: int
    shares: Shares = field(default_factory=Shares)
    learning_rate: float = 1e-3
    decay: bool = False
    """Lower the rate linearly to a twentieth over the stage."""
    rows: int = 8
    row_tokens: int = 224
    pictured: int = 9
    texts: int = 8
    few_shot_every: int = 25
    """Every n-th step reads few-shot prompts instead."""


class CachedPictures(Prompter):
    """A prompter whose pictures are numbers into a table of cached vision tokens."""

    def __init__(self, processor: Any, tokens: int) -> None:
        super().__init__(processor)
        self._ids = (self.tokenizer.convert_tokens_to_ids(self.image_token),) * tokens

    def picture(self, image: ImageRef) -> tuple[tuple[int, ...], dict[str, Tensor]]:
        return self._ids, {"picture": torch.tensor([int(image.sha256)])}


def numbered(picture: int) -> ImageRef:
    """A stand-in for a picture of the bank."""
    return ImageRef(sha256=str(picture))


def encode_row(plan: RowPlan, prompter: Prompter) -> list[Encoded]:
    """Conversations of one row plan."""
    pictures = () if plan.picture is None else (numbered(plan.picture),)
    return [
        prompter.encode(turn.question, turn.answer, images=pictures if turn.pictured else (), system=plan.system)
        for turn in plan.turns
    ]


def answer_logits(network: Any, batch: Batch, features: Tensor) -> Tensor:
    """Logits of counted tokens from cached vision tokens, [edges, vocabulary]."""
    inputs = dict(batch.inputs)
    picture = inputs.pop("picture", None)
    ids = inputs.pop("input_ids")
    embedded = network.get_input_embeddings()(ids)
    if picture is not None:
        seen = network.model.multi_modal_projector(features[picture].float())
        places = (ids == network.config.image_token_id)[..., None]
        embedded = embedded.masked_scatter(places, seen.to(embedded.dtype))
    hidden = network.model.language_model(inputs_embeds=embedded, **inputs).last_hidden_state
    return network.lm_head(hidden[batch.row, batch.position]).float()


def stage_batches(mixture: Mixture, stage: Stage, prompter: Prompter) -> Iterator[Batch]:
    """Endless batches of a stage."""
    rng = random.Random(f"{stage.name}/{mixture.rng.random()}")
    step = 0
    while True:
        step += 1
        if stage.few_shot_every and step % stage.few_shot_every == 0:
            items = [few_shot(mixture, prompter, rng.choice((2, 3, 4, 5, 5))) for _ in range(6)]
            yield collate(items, prompter=prompter, max_tokens=1)
            continue
        items = []
        for _ in range(stage.rows):
            items += encode_row(mixture.row(stage.shares, pictured=stage.pictured, texts=stage.texts), prompter)
        yield collate(items, prompter=prompter, max_tokens=stage.row_tokens)


def few_shot(mixture: Mixture, prompter: Prompter, shots: int) -> Encoded:
    """One multiple-choice question after several answered ones, each with its picture."""
    text, letter, pictures = mixture.few_shot(shots)
    images = tuple(numbered(picture) for picture in pictures)
    prompt = prompter.ids(prompter.tokenizer.bos_token + text, images)
    return Encoded(prompt + prompter.answer_ids(letter), len(prompt), len(prompt), images)


def train_stage(
    network: Any,
    mixture: Mixture,
    stage: Stage,
    *,
    prompter: Prompter,
    features: Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    precision: torch.dtype | None,
    log: Callable[[str], None],
    probe: Callable[[], dict[str, float]] | None = None,
    probe_every: int = 250,
    start_step: int = 0,
    save: Callable[[int], None] | None = None,
) -> None:
    """Train the projector and the language model in place; cross-entropy averaged over answer tokens."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters = [p for group in groups for p in group["params"]]
    began, losses, seen = time.monotonic(), [], 0
    stream = stage_batches(mixture, stage, prompter)
    network.train()
    for step in range(start_step, stage.steps):
        rate = stage.learning_rate * min(1.0, (step + 1) / 60)
        if stage.decay:
            rate *= max(0.05, 1 - step / stage.steps)
        for group in groups:
            group["lr"] = rate * group["scale"]
        batch = next(stream)
        with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
            logits = answer_logits(network, batch, features)
        loss = nn.functional.cross_entropy(logits, batch.target)
        network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
        seen += batch.size
        if (step + 1) % 100 == 0:
            spent = time.monotonic() - began
            mean = sum(losses[-100:]) / 100
            log(f"{stage.name} {step + 1}/{stage.steps} loss {mean:.3f} {seen / spent:.0f} questions/s {spent:.0f} s")
        if (step + 1) % probe_every == 0 or step + 1 == stage.steps:
            if probe is not None:
                network.eval()
                log(f"{stage.name} {step + 1} " + json.dumps({k: round(v, 3) for k, v in probe().items()}))
                network.train()
            if save is not None:
                save(step + 1)
    network.eval()


def make_optimizers(network: Any, *, weight_decay: float = 0.01) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of projector and language model, AdamW for embeddings and norms; the vision tower is frozen.

    Each group's `scale` multiplies the stage's learning rate.
    """
    network.model.vision_tower.requires_grad_(False)
    embedding = network.get_input_embeddings().weight
    weights = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in weights if p.ndim == 2 and p is not embedding]
    rest = [p for p in weights if p.ndim != 2 or p is embedding]
    return [
        torch.optim.Muon([{"params": matrices, "scale": 2.0}], weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([{"params": rest, "scale": 1.0}], betas=(0.9, 0.98), weight_decay=weight_decay, fused=True),
    ]
