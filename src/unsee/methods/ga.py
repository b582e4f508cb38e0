"""Gradient ascent on the forget set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from unsee.methods.base import Method
from unsee.methods.losses import nll, pooled_nll
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class GradientAscent(Method):
    """Minimise sum_t log pi(y_t | x, y_<t) / |y| on the forget set (its NLL with the sign turned).

    Papers: https://arxiv.org/abs/2210.01504; as a baseline for multimodal models https://arxiv.org/abs/2410.22108.
    Differs from MLLMU-Bench's code: only answer tokens count, and every question weighs the same.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "ga"

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if forget is None else {"forget": -nll(model, forget)}


@dataclass(frozen=True)
class GradientAscentOfficial(GradientAscent):
    """Minimise the negated cross entropy of the batch over every token, the question's included.

    As MLLMU-Bench's code does it; padding and image places never count here. The mean runs over the tokens of the batch.
    """

    variant: ClassVar[str] = "official"
    training: ClassVar[Mapping[str, Any]] = {"weight_decay": 0.0, "max_grad_norm": None}
    loss_mask: ClassVar[LossMask | None] = "all"

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if forget is None else {"forget": -pooled_nll(model, forget)}
