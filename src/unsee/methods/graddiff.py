"""Gradient difference: ascent on the forget set, descent on the retain set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from unsee.methods.base import B, Method, Need
from unsee.methods.ga import GradientAscentOfficial
from unsee.methods.losses import nll, pooled_nll
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class GradientDifference(Method):
    """Minimise -forget_weight l(forget) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|, in one step.

    Papers: https://arxiv.org/abs/2203.12817; defaults as in https://arxiv.org/abs/2401.06121.
    Differs from MLLMU-Bench's code: both terms share a step instead of following each other, and only answer tokens count.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "graddiff"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain"})

    forget_weight: float = 1.0
    """gamma, the weight of the ascent."""
    retain_weight: float = 1.0
    """alpha, the weight of the descent."""

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = -self.forget_weight * nll(model, forget)
        if retain is not None:
            terms["retain"] = self.retain_weight * nll(model, retain)
        return terms


@dataclass(frozen=True)
class GradientDifferenceOfficial(GradientDifference):
    """A whole pass of ascent over the forget set, then a whole pass of descent over the retain set, every token counted.

    As MLLMU-Bench's code does it; padding and image places never count here. Means run over the tokens of a batch.
    Its schedule is stepped once per epoch, so the learning rate hardly moves.
    """

    variant: ClassVar[str] = "official"
    training: ClassVar[Mapping[str, Any]] = {**GradientAscentOfficial.training, "schedule": "constant"}
    loss_mask: ClassVar[LossMask | None] = "all"

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        yield from ((batch, None) for batch in forget)
        yield from ((None, batch) for batch in retain)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = -self.forget_weight * pooled_nll(model, forget)
        if retain is not None:
            terms["retain"] = self.retain_weight * pooled_nll(model, retain)
        return terms
