"""Head Projection: the answer is pushed out of the likeliest tokens of hidden layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from unsee.errors import ConfigError
from unsee.methods.lens_defence import LensDefence, LensReader, at_ids, at_tokens
from unsee.methods.losses import token_mean
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class HeadProjection(LensDefence):
    """Minimise erasure_weight p(y | x) + margin_weight H [+ bottom_weight H'] [+ retain_weight R(retain)] on the forget set.

    H  = mean_l mean_t max(0, D_l[y_t] - D_l^(k) + margin)       out of the k likeliest tokens
    H' = mean_l mean_t max(0, D_l^(-k) - D_l[y_t] + margin)      out of the k unlikeliest ones
    D_l = softmax of the logit lens after layer l where y_t is predicted; D^(k), D^(-k) = k-th largest and smallest probability
    of the other tokens. p as in `fact_erasure`. R = KL(start || pi) or the NLL.

    Papers: https://arxiv.org/abs/2505.01456, https://arxiv.org/abs/2309.17410. Differs from the authors' code: H is added to
    p(y | x) instead of replacing it; every token of the answer instead of the last; layers are the last third of the model;
    k follows the vocabulary; the margin of the formula is an option; y itself never is the k-th token, or the loss would end
    with y still among the k; nothing is pushed up from the bottom, where probabilities are nearly equal, unless asked for; the
    model's own output is normed once, like any other layer. The value of a sample is a mean over layers and tokens.
    """

    name: ClassVar[str] = "head_projection"

    margin_weight: float = 1.0
    """Weight of H."""
    bottom_weight: float = 0.0
    """Weight of H'."""
    k: int | None = None
    """How many likeliest tokens the answer leaves; none is 100 per 32000 tokens of the vocabulary, at least 1."""
    margin: float = 0.0
    """How far beyond the k-th token the answer is pushed, in units of `scale`."""
    scale: Literal["probability", "log"] = "probability"
    """What is compared: probabilities, as published, or their logarithms, which still pull where both are small."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_k(self.name, self.k)
        if self.margin < 0:
            raise ConfigError(f"method {self.name}: margin = {self.margin} must not be negative; 0 asks for none")

    def check(self, model: Model) -> None:
        """Also refuse a k that leaves no other token."""
        fitting_k(self.name, self.k, vocabulary_of(model))
        super().check(model)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = self.retain_terms(model, reference, retain)
        if forget is None:
            return terms
        erasure, logprobs, answer, part = self.read(model, forget)
        k = fitting_k(self.name, self.k, logprobs.shape[-1])
        target = part.target.to(logprobs.device)
        above = (self._scaled(answer) - self._scaled(kth_other(logprobs, target, k)) + self.margin).relu().mean(0)
        terms |= erasure | {"margin": self.margin_weight * token_mean(above, part)}
        if self.bottom_weight:
            lowest = kth_other(logprobs, target, k, largest=False)
            below = (self._scaled(lowest) - self._scaled(answer) + self.margin).relu().mean(0)
            terms["bottom"] = self.bottom_weight * token_mean(below, part)
        return terms

    def _scaled(self, logprobs: Tensor) -> Tensor:
        return logprobs if self.scale == "log" else logprobs.exp()


def kth_other(logprobs: Tensor, target: Tensor, k: int, *, largest: bool = True) -> Tensor:
    """k-th largest or smallest value among all tokens but the answer, [layers, edges].

    Args:
        logprobs: [layers, edges, vocabulary].
        target: [edges], the answer's tokens.
    """
    best = logprobs.detach().topk(k + 1, dim=-1, largest=largest).indices
    # Where the answer is one of the first k, the next one moves up.
    place = k - 1 + (best[:, :, :k] == target[:, None]).any(-1).long()
    return at_ids(logprobs, best.gather(2, place[:, :, None])[:, :, 0])


@dataclass(frozen=True)
class HeadProjectionOfficial(LensReader):
    """Minimise mean_l max(0, D_l[y] - D_l^(k)) + mean_l max(0, D_l^(V-k+1) - D_l[y]), y the last token of the answer.

    D^(k) = k-th largest, D^(V-k+1) = k-th smallest probability of all tokens. As the authors' code does it
    (https://github.com/Vaidehi99/third_party, llava_trainer.py): this replaces p(y | x), k = 100 whatever the vocabulary, no
    margin, layers 22..32 of 32 whatever is asked for (here the same depth of any model), y may itself be the k-th token.
    That code also norms the last of these layers twice; here the last layer is the model's own output.
    The value of a sample is a mean over layers.
    """

    name: ClassVar[str] = "head_projection"
    variant: ClassVar[str] = "official"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    k: int = 100
    """How many likeliest tokens the answer leaves, and how many unlikeliest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_k(self.name, self.k)

    def check(self, model: Model) -> None:
        """Also refuse a k that leaves no other token."""
        fitting_k(self.name, self.k, vocabulary_of(model))
        super().check(model)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        if forget is None:
            return {}
        _, last = at_tokens(forget, "last")
        lens = self.lens_of(model)
        probabilities = lens.logits(last, self.layers_of(lens.layers)).softmax(-1)
        k = fitting_k(self.name, self.k, probabilities.shape[-1])
        target = last.target.to(probabilities.device).expand(probabilities.shape[0], -1)[:, :, None]
        answer = probabilities.gather(2, target)[:, :, 0]
        top = probabilities.topk(k, dim=-1).values[:, :, -1]
        bottom = probabilities.topk(k, dim=-1, largest=False).values[:, :, -1]
        return {
            "margin_top": token_mean((answer - top).relu().mean(0), last),
            "margin_bottom": token_mean((bottom - answer).relu().mean(0), last),
        }


def vocabulary_of(model: Model) -> int:
    """Number of tokens the unembedding tells apart."""
    return int(model.base.get_output_embeddings().weight.shape[0])


def checked_k(name: str, k: int | None) -> None:
    if k is not None and k < 1:
        raise ConfigError(f"method {name}: k = {k} must be at least 1")


def fitting_k(name: str, k: int | None, vocabulary: int) -> int:
    """The k of a vocabulary: as given, or max(1, round(100 V / 32000)).

    Raises:
        ConfigError: as many tokens as the vocabulary has, or more.
    """
    if k is None:
        return max(1, round(100 * vocabulary / 32000))
    if k >= vocabulary:
        raise ConfigError(f"method {name}: k = {k} leaves no other token of a vocabulary of {vocabulary}; choose a smaller one")
    return k
