"""Adapters of several facts on one network: every row of a pass goes through the adapter of its own fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

if TYPE_CHECKING:
    from unsee.editing.fixed_layers import Cut, Fixed
    from unsee.models.model import Model

ROWS = "rows_of_facts"
"""Name of the argument that tells the network, beside its own inputs, about the rows of a pass."""


@dataclass(frozen=True)
class Rows:
    """The rows of one pass.

    Attributes:
        facts: [rows], whose adapter each row goes through.
        counted: (row, position) of everything that is read of the last layer, without repeats; None reads all of it.
        cut: below which layer nothing changes; None runs every layer.
        fixed: what the layers below the cut gave; None with a cut runs these layers alone, without adapters.
    """

    facts: Tensor
    counted: tuple[Tensor, Tensor] | None = None
    cut: Cut | None = None
    fixed: Fixed | None = None

    @property
    def below_cut_only(self) -> bool:
        return self.cut is not None and self.fixed is None


class Adapter(NamedTuple):
    """LoRA of one linear layer: down [rank, in] and up [out, rank]."""

    down: Tensor
    up: Tensor


class StackedLinear(nn.Module):
    """A linear layer with one LoRA per fact, all alike at first; y = W x + scaling up_f down_f x, f the fact of the row."""

    def __init__(self, layer: LoraLinear, stack: AdapterStack, size: int) -> None:
        super().__init__()
        (name,) = layer.active_adapters
        self.base: Any = layer.get_base_layer()
        self.scaling = layer.scaling[name]
        down, up = (weight.detach().repeat(size, 1, 1) for weight in adapter_of(layer))
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)  # [facts, rank, in], [facts, out, rank]
        self.stack = stack
        self.source: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.base(x)
        rows = self.stack.rows
        if rows is None:
            return made
        if rows.below_cut_only:
            self.source = x
            return made
        if x.dim() != 3 or len(x) != len(rows.facts):
            return made  # rows cannot be told apart here, which the check of the first step notices
        return self.added(made, x, rows.facts)

    def added(self, made: Tensor, x: Tensor, facts: Tensor) -> Tensor:
        """`made` plus what the adapters make of x, [rows, tokens, in], each row by its own fact's."""
        if self.stack.silent:
            return made
        down, up = self.down[facts], self.up[facts]
        update = torch.bmm(torch.bmm(x.to(down.dtype), down.transpose(1, 2)), up.transpose(1, 2))
        return (made + update * self.scaling).to(made.dtype)


class AdapterStack:
    """The adapters of several facts, in place of a model's one adapter while they are trained.

    Args:
        model: a LoRA model whose adapters sit on plain linear layers.
        size: number of facts.
    """

    def __init__(self, model: Model, size: int) -> None:
        self.model, self.size = model, size
        self._single = lora_layers(model)
        self.layers = {path: StackedLinear(layer, self, size) for path, layer in self._single.items()}
        self.rows: Rows | None = None
        self.silent = False

    @property
    def weights(self) -> list[nn.Parameter]:
        """Every trainable tensor, [facts, ...] each."""
        return [weight for layer in self.layers.values() for weight in (layer.down, layer.up)]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The network has the stack inside the block; passes without rows run without adapters."""
        base = self.model.base

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            self.rows = kwargs.pop(ROWS, None)
            return args, kwargs

        hook = self.model.body.register_forward_pre_hook(enter, with_kwargs=True)
        try:
            _put(base, self.layers)
            yield
        finally:
            _put(base, self._single)
            hook.remove()
            self.rows = None

    @contextmanager
    def alone(self, fact: int) -> Iterator[None]:
        """Inside `installed`: a block in which the network has its own LoRA layers, with one fact's adapters."""
        kept = {
            path: Adapter(*(weight.detach().clone() for weight in adapter_of(layer))) for path, layer in self._single.items()
        }
        _put(self.model.base, self._single)
        load_adapters(self.model, self.adapters(fact))
        torch.clear_autocast_cache()  # it may hold the adapters of another fact
        try:
            yield
        finally:
            load_adapters(self.model, kept)
            _put(self.model.base, self.layers)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Without adapters inside the block."""
        self.silent = True
        try:
            yield
        finally:
            self.silent = False

    @contextmanager
    def shaken(self) -> Iterator[None]:
        """With adapters that make more than their layer does, each something else, inside the block."""
        kept = [weight.detach().clone() for weight in self.weights]
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for layer in self.layers.values():
                up = torch.randn(layer.up.shape, generator=random).to(layer.up)
                layer.up.copy_(up * 3 * layer.base.weight.norm() / (up[0] @ layer.down[0]).norm() / layer.scaling)
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, value in zip(self.weights, kept, strict=True):
                    weight.copy_(value)

    def adapters(self, fact: int) -> dict[str, Adapter]:
        """Copies of a fact's adapters by path."""
        return {
            path: Adapter(layer.down[fact].detach().clone(), layer.up[fact].detach().clone())
            for path, layer in self.layers.items()
        }

    def put(self, fact: int, adapters: Mapping[str, Adapter]) -> None:
        """Write a fact's adapters back into the stack."""
        with torch.no_grad():
            for path, adapter in adapters.items():
                self.layers[path].down[fact].copy_(adapter.down)
                self.layers[path].up[fact].copy_(adapter.up)

    def clip(self, max_norm: float) -> None:
        """Scale every fact's gradients down to a norm, as `torch.nn.utils.clip_grad_norm_` does for one."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        squares = sum(gradient.flatten(1).square().sum(1) for gradient in gradients)
        assert isinstance(squares, Tensor)
        scale = (max_norm / (squares.sqrt() + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(scale.to(gradient.dtype)[:, None, None])


def lora_layers(model: Model) -> dict[str, LoraLinear]:
    """Linear layers of the network that carry an adapter, by path."""
    return {path: module for path, module in model.base.named_modules() if isinstance(module, LoraLinear)}


def adapter_of(layer: LoraLinear) -> Adapter:
    """The weights of a LoRA layer."""
    (name,) = layer.active_adapters
    down: Any = layer.lora_A[name]
    up: Any = layer.lora_B[name]
    return Adapter(down.weight, up.weight)


def load_adapters(model: Model, adapters: Mapping[str, Adapter]) -> None:
    """Write adapters into a model's own LoRA layers."""
    layers = lora_layers(model)
    with torch.no_grad():
        for path, adapter in adapters.items():
            for weight, value in zip(adapter_of(layers[path]), adapter, strict=True):
                weight.copy_(value)


def _put(base: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    for path, module in modules.items():
        base.set_submodule(path, module)
