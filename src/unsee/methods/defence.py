"""What defences share: the weight that an edit moves, how it is trained, and what may hold the rest of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from unsee.errors import ConfigError
from unsee.methods.base import B, Method, Read, Side
from unsee.methods.losses import nll, token_mean
from unsee.methods.scope import Scope

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

DEPTH = 7 / 32
"""The paper edits layer 7 of 32; with 40 layers this depth is layer 9, the one its larger model names."""


@dataclass(frozen=True)
class Edit(Method):
    """Base of methods that move one weight matrix: a LoRA of rank 1 on the last linear layer of one MLP by default.

    Recipe of UnLOK-VQA (https://arxiv.org/abs/2505.01456): `model.layers.7.mlp.down_proj` of 32 layers, rank 1, alpha 1.
    """

    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 9e-3, "epochs": 10, "batch_size": 16, "weight_decay": 0.0}

    modules: tuple[str, ...] = ("mlp-down",)
    """Linear layers that move: mlp-down (the last one of an MLP), paths inside a decoder layer, or full module paths."""
    layer: int | tuple[int, ...] | None = None
    """Decoder layers that are edited, counted from 0; none is layer 7 of 32 or what lies as deep in the model."""
    rank: int | None = 1
    """Rank of the LoRA update, whose alpha equals it; none moves the weights themselves."""
    max_change: float | None = None
    """Largest change of any single weight, with rank none only; none leaves them free."""
    start: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Weights before the edit, kept while max_change needs them."""

    def __post_init__(self) -> None:
        if not self.modules:
            raise ConfigError(f"method {self.name}: modules is empty, so nothing could be edited; name a linear layer")
        if self.max_change is not None and (self.rank is not None or self.max_change <= 0):
            raise ConfigError(
                f"method {self.name}: max_change = {self.max_change} with rank = {self.rank} cannot work; "
                "it bounds the weights themselves, so give a number above 0 and set rank to none"
            )

    @property
    def scope(self) -> Scope | None:
        # A full path names its layer itself.
        if any(part.isdigit() for path in self.modules for part in path.split(".")):
            return Scope(modules=self.modules, rank=self.rank)
        layers = (DEPTH,) if self.layer is None else (self.layer,) if isinstance(self.layer, int) else self.layer
        return Scope(modules=self.modules, layers=layers, rank=self.rank)

    def apply(self, model: Model, forget: Sequence[Sample], retain: Sequence[Sample]) -> bool:
        """Keep the start where changes are bounded."""
        self.start.clear()
        if self.max_change is not None:
            weights = model.network.named_parameters()
            self.start.update({name: weight.detach().clone() for name, weight in weights if weight.requires_grad})
        return False

    def after_step(self, model: Model) -> None:
        """Take every weight back into the bounds around its start."""
        import torch

        with torch.no_grad():
            for name, start in self.start.items():
                assert self.max_change is not None
                weight = model.network.get_parameter(name)
                weight.clamp_(start - self.max_change, start + self.max_change)


@dataclass(frozen=True)
class Defence(Edit):
    """Base of the corrected defences: an edit whose loss may take a term on retain samples beside its own."""

    reads: ClassVar[Mapping[Side, Read]] = {"retain": "distribution"}

    retain_weight: float = 0.0
    """Weight of the retain term; 0, as published, needs no retain samples."""
    retain_loss: Literal["kl", "nll"] = "kl"
    """What the retain term is: KL(start model || model) or the NLL of the right answers, a mean over tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retain_weight < 0:
            raise ConfigError(f"method {self.name}: retain_weight = {self.retain_weight} must not be negative; 0 turns it off")
        if self.retain_weight:
            # Shadows what the class says, so that nobody is asked for samples or a reference that no term reads.
            needed = {"retain", "reference"} if self.retain_loss == "kl" else {"retain"}
            object.__setattr__(self, "needs", type(self).needs | needed)
            object.__setattr__(self, "reference", "start" if self.retain_loss == "kl" else "none")

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        """Pairs whole batches: one fact at a time is still held by a batch of retain samples."""
        others: Iterator[B | None] = cycle(retain) if "retain" in self.needs else cycle([None])
        yield from zip(forget, others, strict=False)

    def retain_terms(self, model: Model, reference: Reference | None, retain: Batch | None) -> dict[str, Tensor]:
        """The retain term, [samples], where there is one."""
        if retain is None or not self.retain_weight:
            return {}
        if self.retain_loss == "nll":
            return {"retain": self.retain_weight * nll(model, retain)}
        assert reference is not None
        divergence = reference.token_kl(retain, model.answer_logits(retain))
        return {"retain_kl": self.retain_weight * token_mean(divergence, retain)}
