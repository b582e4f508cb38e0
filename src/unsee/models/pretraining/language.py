"""Later stages: the language model and the projector learn from packed rows.

The vision tower is frozen and its tokens are cached.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from unsee.benchmarks.creatures.lessons import LessonShares
from unsee.benchmarks.patients.lessons import ClinicShares
from unsee.models.batches import Batch, collate
from unsee.models.pretraining.creature_part import CreatureRows
from unsee.models.pretraining.mixture import Mixture, RowPlan, Shares
from unsee.models.pretraining.parts import parts_of
from unsee.models.pretraining.patient_part import PatientRows
from unsee.models.prompts import Encoded, Placeholder, Prompter
from unsee.sample import ImageRef

SAVED_EVERY = 250
"""Steps between two probes and saved states of a stage."""


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
    creatures: float = 0.0
    """Share of the rows that are about creatures."""
    lessons: LessonShares = field(default_factory=LessonShares)
    """What the rows about creatures ask."""
    creatures_pictured: int = 12
    creatures_texts: int = 5
    patients: float = 0.0
    """Share of the rows that are about patients' pictures; what is left is about people."""
    clinic: ClinicShares = field(default_factory=ClinicShares)
    """What the rows about patients' pictures ask."""
    patients_pictured: int = 14


@dataclass
class Rows:
    """Where the rows of a stage come from: people, and creatures and patients unless a model is not taught them."""

    people: Mixture
    creatures: CreatureRows | None = None
    patients: PatientRows | None = None

    def reseed(self, seed: int) -> None:
        """Begin anew; each part has randomness of its own, so that people's rows do not depend on the half of the creatures."""
        self.people.rng.seed(seed)
        if self.creatures is not None:
            self.creatures.rng.seed(seed)
        if self.patients is not None:
            self.patients.rng.seed(seed)

    def step(self, stage: Stage, step: int) -> list[RowPlan]:
        """Rows of a step; those about patients are spread evenly over the stage, and those about creatures over the others."""
        plans = []
        of_others = stage.creatures / (1 - stage.patients)
        for row in range(step * stage.rows, (step + 1) * stage.rows):
            before = int(row * stage.patients)
            if int((row + 1) * stage.patients) > before:
                assert self.patients is not None
                plans.append(self.patients.row(stage.clinic, pictured=stage.patients_pictured))
                continue
            number = row - before
            if int((number + 1) * of_others) > int(number * of_others):
                assert self.creatures is not None
                plans.append(self.creatures.row(stage.lessons, pictured=stage.creatures_pictured, texts=stage.creatures_texts))
            else:
                plans.append(self.people.row(stage.shares, pictured=stage.pictured, texts=stage.texts))
        return plans


class CachedPictures(Prompter):
    """A prompter whose pictures are numbers into a table of cached vision tokens."""

    def __init__(self, processor: Any) -> None:
        super().__init__(processor)
        self._place = self.blank_placeholder

    def picture(self, image: ImageRef) -> tuple[Placeholder, dict[str, Tensor]]:
        return self._place, {"picture": torch.tensor([int(image.sha256)])}


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
    inputs, parts = dict(batch.inputs), parts_of(network)
    picture = inputs.pop("picture", None)
    ids = inputs.pop("input_ids")
    embedded = network.get_input_embeddings()(ids)
    if picture is not None:
        seen = parts.projector(features[picture].float())
        places = (ids == network.config.image_token_id)[..., None]
        embedded = embedded.masked_scatter(places, seen.to(embedded.dtype))
    hidden = parts.language(inputs_embeds=embedded, **inputs).last_hidden_state
    return network.lm_head(hidden[batch.row, batch.position]).float()


def _attend_in_float32(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    with torch.autocast("cpu", enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)


_FLOAT32_ATTENTION = "sdpa_float32"
AttentionInterface.register(_FLOAT32_ATTENTION, _attend_in_float32)
AttentionMaskInterface.register(_FLOAT32_ATTENTION, sdpa_mask)


@contextmanager
def attention_in_float32(network: Any) -> Iterator[None]:
    """Inside, attention is computed in float32 also under autocast.

    With heads as narrow as ours the bfloat16 kernel of a CPU takes twice as long on the way back.
    """
    before = network.config._attn_implementation
    network.set_attn_implementation(_FLOAT32_ATTENTION)
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def stage_batches(
    rows: Rows, stage: Stage, prompter: Prompter, *, seed: int, start: int = 0, every: int = SAVED_EVERY
) -> Iterator[Batch]:
    """Endless batches of a stage from step `start`, a multiple of `every`, on.

    Randomness begins anew every `every` steps, so that a stage that goes on from there reads what one that ran through reads.
    """
    for step in count(start):
        if step % every == 0:
            rows.reseed(hash_seed(seed, stage.name, step))
        if stage.few_shot_every and (step + 1) % stage.few_shot_every == 0:
            shots = (2, 3, 4, 5, 5)
            items = [few_shot(rows.people, prompter, rows.people.rng.choice(shots)) for _ in range(6)]
            yield collate(items, prompter=prompter, max_tokens=1)
            continue
        items = [item for plan in rows.step(stage, step) for item in encode_row(plan, prompter)]
        yield collate(items, prompter=prompter, max_tokens=stage.row_tokens)


def hash_seed(*parts: object) -> int:
    """A seed from words, stable between processes."""
    return random.Random("/".join(map(str, parts))).getrandbits(31)


def few_shot(mixture: Mixture, prompter: Prompter, shots: int) -> Encoded:
    """One multiple-choice question after several answered ones, each with its picture."""
    text, letter, pictures = mixture.few_shot(shots)
    images = tuple(numbered(picture) for picture in pictures)
    prompt = prompter.ids(prompter.tokenizer.bos_token + text, images)
    return Encoded(prompt + prompter.answer_ids(letter), len(prompt), len(prompt), images)


def train_stage(
    network: Any,
    rows: Rows,
    stage: Stage,
    *,
    seed: int,
    prompter: Prompter,
    features: Tensor,
    optimizers: Sequence[torch.optim.Optimizer],
    precision: torch.dtype | None,
    log: Callable[[str], None],
    probe: Callable[[], dict[str, float]] | None = None,
    every: int = SAVED_EVERY,
    start_step: int = 0,
    save: Callable[[int], None] | None = None,
) -> None:
    """Train the projector and the language model in place; cross-entropy averaged over answer tokens.

    Args:
        every: steps between two probes and saved states.
        start_step: 0, or a step that `save` was called with.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters = [p for group in groups for p in group["params"]]
    began, losses, seen = time.monotonic(), [], 0
    stream = stage_batches(rows, stage, prompter, seed=seed, start=start_step, every=every)
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
            recent = losses[-100:]
            mean = sum(recent) / len(recent)
            log(f"{stage.name} {step + 1}/{stage.steps} loss {mean:.3f} {seen / spent:.0f} questions/s {spent:.0f} s")
        if (step + 1) % every == 0 or step + 1 == stage.steps:
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
    parts_of(network).tower.requires_grad_(False)
    embedding = network.get_input_embeddings().weight
    weights = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in weights if p.ndim == 2 and p is not embedding]
    rest = [p for p in weights if p.ndim != 2 or p is embedding]
    return [
        torch.optim.Muon([{"params": matrices, "scale": 2.0}], weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([{"params": rest, "scale": 1.0}], betas=(0.9, 0.98), weight_decay=weight_decay, fused=True),
    ]
