"""Which weights a method may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["language", "projector", "vision", "all-linear", "mlp-down"]
"""What `Scope.modules` may name besides paths."""


@dataclass(frozen=True)
class Scope:
    """Weights that may move.

    Attributes:
        modules: parts of the model, kinds of layers (`all-linear`; `mlp-down`, the last linear layer of each decoder layer's
            MLP), full module paths, or paths inside a decoder layer (`self_attn.o_proj`); () for none.
        layers: decoder layers counted from 0; a number with a fraction is a depth, 0.25 being layer 2 of 8; None for all.
        rank: of LoRA adapters on the linear layers of the modules; None moves the modules' own weights.
    """

    modules: Part | tuple[str, ...] = "language"
    layers: tuple[int | float, ...] | None = None
    rank: int | None = 16

    @property
    def names(self) -> tuple[str, ...]:
        """What `modules` names, one by one."""
        return (self.modules,) if isinstance(self.modules, str) else self.modules
