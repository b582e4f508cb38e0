"""Stage 0: the vision tower alone learns to name what is visible; later stages freeze it.

Trained together from scratch, the language model never starts to look at the picture at this size; a tower that already
separates hair colours and glasses is what lets it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from unsee.models.pretraining.portrait_world import batches


@dataclass(frozen=True)
class VisionOptions:
    """Options of stage 0."""

    steps: int = 9000
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: int = 100
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


def tower_tokens(network: Any, pixels: Tensor) -> Tensor:
    """What the projector sees of normalised pictures, [pictures, tokens, width]."""
    seen: list[Tensor] = []
    hook = network.model.multi_modal_projector.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        network.model.get_image_features(pixel_values=pixels)
    finally:
        hook.remove()
    return seen[0]


def shrink(pixels: np.ndarray, side: int) -> Tensor:
    """Resize as the processor does, [n, side, side, 3] of uint8."""
    size = (side, side)
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in pixels]))


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


def train_vision(
    network: Any,
    pixels: Tensor,
    labels: Tensor,
    *,
    options: VisionOptions,
    precision: torch.dtype | None,
    report: Callable[[str], None],
    held_out: int = 1000,
) -> dict[str, float]:
    """Train the tower in place; returns held-out accuracy per attribute position.

    Args:
        pixels: [n, side, side, 3] of uint8; the last `held_out` are never trained on.
        labels: [n, attributes].
    """
    sizes = (labels.amax(0) + 1).tolist()
    tower = network.model.vision_tower
    heads = AttributeHeads(network.config.vision_config.hidden_size, sizes)
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=options.weight_decay, fused=True
    )
    total = options.steps

    def rate(step: int) -> float:
        return min((step + 1) / options.warmup, 1.0) * min(1.0, 1.35 * (1 - step / total) + 0.01)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    generator = torch.Generator().manual_seed(options.seed)
    order = batches(len(pixels) - held_out, options.batch_size, options.seed)
    network.train()
    start = time.monotonic()
    for step in range(total):
        chosen = torch.from_numpy(next(order))
        with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
            outputs = heads(tower_tokens(network, augment(normalise(pixels[chosen]), generator)))
        loss = torch.stack([nn.functional.cross_entropy(o.float(), labels[chosen, i]) for i, o in enumerate(outputs)]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 499:
            scores = _accuracy(network, heads, pixels[-held_out:], labels[-held_out:])
            shown = " ".join(f"{score:.2f}" for score in scores)
            report(f"vision {step + 1}/{total} loss {loss.item():.3f} {time.monotonic() - start:.0f} s held-out {shown}")
            network.train()
    return dict(enumerate(_accuracy(network, heads, pixels[-held_out:], labels[-held_out:])))  # type: ignore[arg-type]


@torch.no_grad()
def _accuracy(network: Any, heads: AttributeHeads, pixels: Tensor, labels: Tensor) -> list[float]:
    network.eval()
    right = torch.zeros(labels.shape[1])
    for part, truth in zip(pixels.split(250), labels.split(250), strict=True):
        outputs = heads(tower_tokens(network, normalise(part)))
        right += torch.stack([(o.argmax(-1) == truth[:, i]).float().sum() for i, o in enumerate(outputs)])
    return (right / len(labels)).tolist()
