"""KL minimisation: ascent on the forget set, the start model's distribution on the retain set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from unsee.methods.base import B, Method, Need, Read, Side
from unsee.methods.ga import GradientAscentOfficial
from unsee.methods.losses import gathered, nll, pooled_mean, pooled_nll, token_mean, token_sum
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class KLMinimisation(Method):
    """Minimise -forget_weight l(forget) + retain_weight sum_t KL(ref(. | t) || pi(. | t)) / |y| on retain, in one step.

    l = -sum_t log pi(y_t | x, y_<t) / |y|; ref = the start model. Papers: https://arxiv.org/abs/2401.06121,
    https://arxiv.org/abs/2410.22108. Differs from MLLMU-Bench's code: the KL covers answer tokens only and is averaged over
    them, there is no separate cross entropy on retain, and both terms share a step.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "kl"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain", "reference"})
    reference: ClassVar[Literal["start", "retain_tuned", "none"]] = "start"
    reads: ClassVar[Mapping[Side, Read]] = {"retain": "distribution"}

    forget_weight: float = 1.0
    """gamma, the weight of the ascent."""
    retain_weight: float = 1.0
    """alpha, the weight of the divergence from the start model."""

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = -self.forget_weight * nll(model, forget)
        if retain is not None:
            assert reference is not None
            divergence = reference.token_kl(retain, model.answer_logits(retain))
            terms["retain_kl"] = self.retain_weight * token_mean(divergence, retain)
        return terms


@dataclass(frozen=True)
class KLMinimisationOfficial(KLMinimisation):
    """A whole pass of ascent over forget, then a whole pass of CE + KL(ref || pi) over retain, every token counted.

    As MLLMU-Bench's code does it: the cross entropy is a mean over the tokens of the batch, the KL a sum over all positions
    divided by the batch only, so that it outweighs the cross entropy by about the length of the sequence. Padding, image
    places and each conversation's last position, which predicts nothing, never count here.
    """

    variant: ClassVar[str] = "official"
    training: ClassVar[Mapping[str, Any]] = GradientAscentOfficial.training
    loss_mask: ClassVar[LossMask | None] = "all"

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        yield from ((batch, None) for batch in forget)
        yield from ((None, batch) for batch in retain)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = -self.forget_weight * pooled_nll(model, forget)
        if retain is not None:
            assert reference is not None
            logits = model.answer_logits(retain)
            terms["retain"] = -pooled_mean(gathered(logits, retain), retain)
            divergence = reference.token_kl(retain, logits)
            terms["retain_kl"] = self.retain_weight * token_sum(divergence, retain)
        return terms
