"""Stage 0: the vision tower alone learns to name what is visible; later stages freeze it.

A tower that a language model reads already learns a new world without moving what it says of the old one.

Trained together from scratch, the language model never starts to look at the picture at this size; a tower that already
separates hair colours and glasses is what lets it.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unsee.models.pretraining.parts import parts_of, tower_tokens
from unsee.models.pretraining.picture_bank import batches


@dataclass(frozen=True)
class VisionOptions:
    """Options of stage 0; a step reads `batch_size` pictures of every world."""

    steps: int = 9000
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: int = 100
    keep: float = 5.0
    """Weight of keeping the tokens of pictures that are known already."""
    held_out: int = 1000
    """Last pictures of each world, which the tower is never trained on."""
    seed: int = 0


class AttributeHeads(nn.Module):
    """One learned query per visible attribute attends over the tower's tokens; thrown away after the stage."""

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(sizes), width) / math.sqrt(width))
        self.keys = nn.Linear(width, width)
        self.out = nn.ModuleList(nn.Linear(width, size) for size in sizes)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        scores = torch.einsum("qd,btd->bqt", self.queries, self.keys(tokens)) * 8 / math.sqrt(tokens.shape[-1])
        pooled = torch.einsum("bqt,btd->bqd", scores.softmax(-1), tokens)
        return [head(pooled[:, i]) for i, head in enumerate(self.out)]


def normalise(pixels: Tensor) -> Tensor:
    """[n, side, side, 3] of uint8 -> [n, 3, side, side] in -1..1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shift by up to 1/16 of the side and change brightness and contrast, per picture."""
    count, _, side, _ = pixels.shape
    reach = side // 16
    padded = nn.functional.pad(pixels, (reach,) * 4, mode="replicate")
    x, y = torch.randint(0, 2 * reach + 1, (2, count), generator=generator)
    moved = torch.stack([padded[i, :, y[i] : y[i] + side, x[i] : x[i] + side] for i in range(count)])
    gain = 1 + 0.3 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    return moved * gain + 0.2 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)


@dataclass(frozen=True)
class VisionPart:
    """Pictures of one world, from which the tower learns.

    Attributes:
        pixels: [n, side, side, 3] of uint8.
        labels: [n, keys], what each picture shows.
        kept: hold the tokens of these pictures where they are, because a language model reads them already, instead of
            learning labels anew.
    """

    name: str
    pixels: Tensor
    labels: Tensor
    kept: bool = False


def train_vision(
    network: Any,
    parts: Sequence[VisionPart],
    *,
    options: VisionOptions,
    precision: torch.dtype | None,
    report: Callable[[str], None],
) -> dict[str, list[float]]:
    """Train the tower in place, on a batch of every part in each step.

    Returns:
        Part -> held-out accuracy per key; of a kept part, how far its held-out tokens moved, as a share of their variance.
    """
    width = network.config.vision_config.hidden_size
    heads = [None if part.kept else AttributeHeads(width, (part.labels.amax(0) + 1).tolist()) for part in parts]
    before = copy.deepcopy(network) if any(part.kept for part in parts) else None
    parameters = [*parts_of(network).tower.parameters(), *(p for head in heads if head for p in head.parameters())]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=options.weight_decay, fused=True
    )
    total = options.steps

    def rate(step: int) -> float:
        return min((step + 1) / options.warmup, 1.0) * min(1.0, 1.35 * (1 - step / total) + 0.01)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    generator = torch.Generator().manual_seed(options.seed)
    orders = [batches(len(part.pixels) - options.held_out, options.batch_size, options.seed) for part in parts]

    def measured() -> dict[str, list[float]]:
        network.eval()
        pairs = zip(parts, heads, strict=True)
        found = {part.name: _held_out(network, before, part, head, options.held_out) for part, head in pairs}
        network.train()
        return found

    network.train()
    start = time.monotonic()
    for step in range(total):
        losses = []
        for part, head, order in zip(parts, heads, orders, strict=True):
            chosen = torch.from_numpy(next(order))
            seen = augment(normalise(part.pixels[chosen]), generator)
            with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
                tokens = tower_tokens(network, seen)
                named = head(tokens) if head else []
            if before is None or not part.kept:
                wrong = [nn.functional.cross_entropy(o.float(), part.labels[chosen, i]) for i, o in enumerate(named)]
                losses.append(torch.stack(wrong).mean())
            else:
                losses.append(options.keep * moved(tokens, _tokens_before(before, seen, precision)))
        loss = torch.stack(losses).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 499:
            shown = "; ".join(f"{name} " + " ".join(f"{value:.2f}" for value in found) for name, found in measured().items())
            values = " + ".join(f"{value.item():.3f}" for value in losses)
            report(f"vision {step + 1}/{total} loss {values} {time.monotonic() - start:.0f} s held-out {shown}")
    found = measured()
    network.eval()
    return found


def moved(tokens: Tensor, before: Tensor) -> Tensor:
    """How far tokens are from what they were, as a share of the variance of each of their dimensions, averaged."""
    old = before.float()
    return ((tokens.float() - old).square().mean((0, 1)) / old.flatten(0, 1).var(0).clamp_min(1e-6)).mean()


@torch.no_grad()
def _tokens_before(before: Any, pixels: Tensor, precision: torch.dtype | None) -> Tensor:
    with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
        return tower_tokens(before, pixels)


@torch.no_grad()
def _held_out(network: Any, before: Any, part: VisionPart, heads: AttributeHeads | None, count: int) -> list[float]:
    pixels, labels = part.pixels[-count:], part.labels[-count:]
    if heads is None:
        pairs = [(tower_tokens(network, seen), tower_tokens(before, seen)) for seen in normalise(pixels).split(250)]
        return [float(moved(torch.cat([now for now, _ in pairs]), torch.cat([old for _, old in pairs])))]
    right = torch.zeros(labels.shape[1])
    for some, truth in zip(pixels.split(250), labels.split(250), strict=True):
        outputs = heads(tower_tokens(network, normalise(some)))
        right += torch.stack([(o.argmax(-1) == truth[:, i]).float().sum() for i, o in enumerate(outputs)])
    return (right / len(labels)).tolist()
