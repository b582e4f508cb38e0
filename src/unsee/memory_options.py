"""Switches that make training fit into memory: what is kept, in how many bits, and how large an input may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from unsee.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from unsee.models.prompts import Encoded
    from unsee.sample import Sample

DECIDES_NOTHING = ("gradient_checkpointing", "max_sample_tokens", "max_pictures")
"""Options that change no result, so that work begun with others may go on."""
ReferenceKind = Literal["auto", "adapter_off", "cache", "second_model"]


@dataclass(frozen=True)
class MemoryOptions:
    """What training may keep in memory, whatever the method."""

    gradient_checkpointing: bool = False
    """Compute a block's activations again on the way back instead of keeping them: same results, one more forward pass."""
    optimizer: Literal["adamw", "adamw_8bit", "sgd"] = "adamw"
    """adamw_8bit is AdamW with both moments in 8 bits, by bitsandbytes; sgd follows the gradient and keeps nothing."""
    reference: ReferenceKind = "auto"
    """Where the frozen start comes from: the adapter switched off, values cached before the first step, or a second model;
    auto is adapter_off where there is an adapter and cache otherwise."""
    reference_top_k: int | None = None
    """Of a cached distribution keep this many tokens and the remainder as one; none keeps the whole vocabulary."""
    max_sample_tokens: int = 8192
    """Longest conversation, tokens of its pictures included."""
    max_pictures: int = 16
    """Most pictures of one sample."""

    @property
    def memory(self) -> dict[str, Any]:
        """These options alone, by name."""
        return {item.name: getattr(self, item.name) for item in fields(MemoryOptions)}

    @property
    def deciding(self) -> Self:
        """The same with defaults for what changes no result."""
        return replace(self, **{key: getattr(MemoryOptions, key) for key in DECIDES_NOTHING})

    @property
    def saves_memory(self) -> bool:
        """Whether a switch changes how a step is computed."""
        return self.gradient_checkpointing or self.optimizer == "adamw_8bit" or self.reference != "auto"

    def __post_init__(self) -> None:
        for key in ("reference_top_k", "max_sample_tokens", "max_pictures"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"{key} = {value} must be at least 1")
        if self.reference_top_k is not None and self.reference in ("adapter_off", "second_model"):
            raise ConfigError(
                f"reference_top_k is for cached references and reference = {self.reference} caches nothing; leave one out"
            )


def check_sizes(samples: Iterable[Sample], encoded: Iterable[Encoded], options: MemoryOptions, *, max_positions: int) -> None:
    """Refuse conversations that would not fit, before a model runs.

    Args:
        max_positions: longest sequence of the model, in tokens.

    Raises:
        DataError: a sample that is too long or shows too many pictures; names it and the limit.
    """
    for sample, item in zip(samples, encoded, strict=True):
        shown, length = len(item.pictures), len(item.ids)
        if shown > options.max_pictures:
            raise DataError(
                f"sample {sample.id} shows {shown} pictures, the limit is {options.max_pictures}; "
                "show fewer or raise max_pictures"
            )
        if length > min(max_positions, options.max_sample_tokens):
            pictures = f", {shown} pictures among them" if shown > 1 else ""
            whose = "the model takes" if max_positions <= options.max_sample_tokens else "the limit is"
            remedy = "" if max_positions <= options.max_sample_tokens else " or raise max_sample_tokens"
            raise DataError(
                f"sample {sample.id} has {length} tokens{pictures}, {whose} {min(max_positions, options.max_sample_tokens)}; "
                f"shorten it{remedy}"
            )


def make_optimizer(weights: list[nn.Parameter], options: MemoryOptions, **settings: Any) -> torch.optim.Optimizer:
    """The optimizer of the options over the trainable weights.

    Args:
        settings: `lr`, `betas` (of AdamW alone) and `weight_decay`.

    Raises:
        ConfigError: its moments shall have 8 bits and bitsandbytes is not installed.
    """
    import torch

    group = [{"params": weights}]  # a bare list must not be empty
    if options.optimizer == "adamw_8bit":
        try:
            from bitsandbytes.optim.adamw import AdamW8bit
        except ImportError as error:
            raise ConfigError(
                "optimizer = adamw_8bit needs bitsandbytes, which is not installed; pip install 'unsee[quant]', or use adamw"
            ) from error
        return AdamW8bit(group, **settings)
    # The fused kernel keeps no intermediate result; the default on a GPU makes one as large as all trainable weights.
    fused = any(weight.is_cuda for weight in weights) or None
    if options.optimizer == "sgd":
        return torch.optim.SGD(group, lr=settings["lr"], weight_decay=settings["weight_decay"], fused=fused)
    return torch.optim.AdamW(group, fused=fused, **settings)


@contextmanager
def checkpointing(network: nn.Module, options: MemoryOptions) -> Iterator[None]:
    """Inside, blocks of the network compute their activations again on the way back, where the options ask for it.

    Raises:
        ConfigError: the network has no blocks that can.
    """
    from torch.utils.checkpoint import checkpoint
    from transformers.modeling_layers import GradientCheckpointingLayer

    blocks = [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not options.gradient_checkpointing:
        yield
        return
    if not blocks:
        raise ConfigError(f"{type(network).__name__} has no blocks for gradient_checkpointing; switch it off")
    # Not through transformers' own switch, which would also make frozen embeddings carry gradients.
    for block in blocks:
        block.gradient_checkpointing = True
        vars(block)["_gradient_checkpointing_func"] = partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            block.gradient_checkpointing = False
