"""What methods share that teach other answers to the forget questions, and hold the rest by its right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.methods.base import Method, Need
from unsee.methods.losses import nll
from unsee.models.questions import with_answer

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample


@dataclass(frozen=True)
class Retarget(Method):
    """Minimise forget_weight l(x_forget, target) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|."""

    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain"})

    forget_weight: float = 1.0
    """Weight of the new answers."""
    retain_weight: float = 1.0
    """Weight of the retain NLL."""

    def target(self, sample: Sample) -> str:
        """What a forget question is answered with from now on."""
        return sample.answer

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, self.target(sample)) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = self.forget_weight * nll(model, forget)
        if retain is not None:
            terms["retain"] = self.retain_weight * nll(model, retain)
        return terms
