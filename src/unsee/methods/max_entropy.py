"""Max-Entropy: hidden layers are made to say nothing in particular where the answer is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.methods.lens_defence import LensDefence, LensReader, at_tokens
from unsee.methods.losses import token_mean
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class MaxEntropy(LensDefence):
    """Minimise erasure_weight p(y | x) - entropy_weight mean_l mean_t H(D_l) [+ retain_weight R(retain)] on the forget set.

    H(D) = -sum_v D[v] log D[v], in nats; D_l = softmax of the logit lens after layer l where y_t is predicted. p as in
    `fact_erasure`. R = KL(start || pi) or the NLL. Papers: https://arxiv.org/abs/2505.01456, https://arxiv.org/abs/2309.17410.
    Differs from the authors' code: the entropy is added to p(y | x) instead of replacing it; every token of the answer instead
    of the last; layers are the last third of the model; the model's own output is normed once, like any other layer.
    The value of a sample is a mean over layers and tokens.
    """

    name: ClassVar[str] = "max_entropy"

    entropy_weight: float = 1.0
    """Weight of the entropy."""

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = self.retain_terms(model, reference, retain)
        if forget is None:
            return terms
        erasure, logprobs, _, part = self.read(model, forget)
        return terms | erasure | {"entropy": -self.entropy_weight * token_mean(entropy(logprobs).mean(0), part)}


@dataclass(frozen=True)
class MaxEntropyOfficial(LensReader):
    """Minimise -mean_l H(D_l), in nats, where the last token of the answer is predicted; H(D) = -sum_v D[v] log D[v].

    As the authors' code does it (https://github.com/Vaidehi99/third_party, llava_trainer.py): this replaces p(y | x), layers
    22..32 of 32 whatever is asked for (here the same depth of any model). That code also norms the last of these layers twice;
    here the last layer is the model's own output. The value of a sample is a mean over layers.
    """

    name: ClassVar[str] = "max_entropy"
    variant: ClassVar[str] = "official"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        if forget is None:
            return {}
        _, last = at_tokens(forget, "last")
        lens = self.lens_of(model)
        layers = self.layers_of(lens.layers)
        logprobs = lens.logits(last, layers).log_softmax(-1)
        return {"entropy": -token_mean(entropy(logprobs).mean(0), last)}


def entropy(logprobs: Tensor) -> Tensor:
    """Entropy in nats of log-probabilities, [..., vocabulary] -> [...]."""
    return -(logprobs.exp() * logprobs).sum(-1)
