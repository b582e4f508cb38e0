"""Fact Erasure: the probability of the answer itself is minimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from unsee.methods.defence import Defence
from unsee.methods.losses import token_mean, token_sum
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class FactErasure(Defence):
    """Minimise p(y | x) = exp(sum_t log pi(y_t | x, y_<t)) on the forget set [+ retain_weight R(retain)].

    R = KL(start || pi) or the NLL, a mean over tokens. Paper: https://arxiv.org/abs/2505.01456; its text-only predecessor,
    which averages over tokens (`likelihood = mean`): https://arxiv.org/abs/2309.17410. The authors' code
    (https://github.com/Vaidehi99/third_party, llava_trainer.py) has the same loss, so there is no official variant; it also
    writes all but the last token of an answer into the question (same for answers of one token only), which is not done here.
    Tokens of the answer count, its end of turn does not: a model that merely no longer stops would look erased.
    The value of a sample is one probability, made from a sum over its tokens (or their mean).
    """

    name: ClassVar[str] = "fact_erasure"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    likelihood: Literal["sum", "mean"] = "sum"
    """How log-probabilities of an answer's tokens make p: their sum, or their mean, which does not shrink with length."""

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = self.retain_terms(model, reference, retain)
        if forget is not None:
            terms["erasure"] = self.probability(model.token_logprobs(forget), forget)
        return terms

    def probability(self, logprobs: Tensor, batch: Batch) -> Tensor:
        """p(y | x) of each conversation from log-probabilities of its tokens, [edges] -> [size]."""
        reduced = token_sum(logprobs, batch) if self.likelihood == "sum" else token_mean(logprobs, batch)
        return reduced.exp()
