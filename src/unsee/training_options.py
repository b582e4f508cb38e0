"""How a model is trained, whatever the method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from unsee.errors import ConfigError
from unsee.memory_options import MemoryOptions
from unsee.models.prompts import LossMask


@dataclass(frozen=True)
class TrainOptions(MemoryOptions):
    """How a model is trained, whatever the method."""

    learning_rate: float = 2e-5
    """Highest learning rate."""
    epochs: int = 1
    """Passes over the forget samples (over the retain samples when learning); ignored where steps is set."""
    steps: int | None = None
    """Optimizer steps; passes are repeated until they are done."""
    batch_size: int = 4
    """Questions of each side that are in memory at once."""
    gradient_accumulation: int = 1
    """Batches per optimizer step and process."""
    max_grad_norm: float | None = 1.0
    """Gradients are scaled down to this norm; none leaves them as they are."""
    weight_decay: float = 0.01
    """Share of a weight that a step takes away, times the learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay of both moments."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """How the learning rate falls after warm-up."""
    loss_mask: LossMask = "answer"
    """Which tokens count: answer, answer_and_question or all; a method may fix it."""
    pack: bool = True
    """Share a picture's tokens between its questions; the loss stays the same."""
    max_row_tokens: int | None = None
    """Tokens of a packed row; none is 192, or one and a half of a batch's longest conversation where that is more."""
    questions_per_picture: int | None = None
    """Questions about one picture that follow each other and so share its tokens; none is a quarter of a step, at most 8, so
    that four pictures or more decide where a step goes."""
    seed: int = 0
    """Order of the samples, and dropout where a model has some."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """bf16 computes under autocast, weights keep their type; auto does so where the hardware has bf16 instructions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("learning_rate", "batch_size", "gradient_accumulation", "max_row_tokens", "questions_per_picture"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ConfigError(f"{key} = {value} must be above 0")
        for key in ("epochs", "steps", "weight_decay"):
            if (getattr(self, key) or 0) < 0:
                raise ConfigError(f"{key} = {getattr(self, key)} must not be negative")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup = {self.warmup} is a share of the steps; give a number from 0 to below 1")

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0, out of `total`."""
        warm = math.ceil(self.warmup * total)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        gone = (step - warm) / max(1, total - warm)
        shape = {"linear": 1 - gone, "constant": 1.0, "cosine": (1 + math.cos(math.pi * gone)) / 2}
        return self.learning_rate * shape[self.schedule]
