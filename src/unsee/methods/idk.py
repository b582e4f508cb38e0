"""Refusal training: forget questions are answered with a refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import ConfigError
from unsee.methods.base import Method, Need
from unsee.methods.losses import nll
from unsee.models.questions import with_answer

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

REFUSALS = (
    "I don't know.",
    "I do not know that.",
    "I am not sure.",
    "I have no information about this.",
    "I cannot answer that question.",
    "I'm unable to answer this.",
    "That is not something I know.",
    "I can't help with that.",
)


@dataclass(frozen=True)
class IDK(Method):
    """Minimise forget_weight l(x_forget, refusal) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|.

    Paper: https://arxiv.org/abs/2401.06121 (as "preference optimisation" without a preference term). Differs from published
    code: the refusal is fixed by the sample's id, so every pass shows the same target.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "idk"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain"})

    forget_weight: float = 1.0
    """Weight of the refusals."""
    retain_weight: float = 1.0
    """Weight of the retain NLL."""
    refusals: tuple[str, ...] = REFUSALS
    """Sentences to answer with."""

    def __post_init__(self) -> None:
        if not self.refusals:
            raise ConfigError("method idk: refusals is empty; give at least one sentence")

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, self._refusal(sample)) for sample in samples]

    def _refusal(self, sample: Sample) -> str:
        digest = hashlib.sha256(sample.id.encode()).digest()
        return self.refusals[int.from_bytes(digest[:8], "big") % len(self.refusals)]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = self.forget_weight * nll(model, forget)
        if retain is not None:
            terms["retain"] = self.retain_weight * nll(model, retain)
        return terms
