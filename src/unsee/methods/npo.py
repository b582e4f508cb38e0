"""Negative preference optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from unsee.errors import ConfigError
from unsee.methods.base import Method, Need
from unsee.methods.ga import GradientAscentOfficial
from unsee.methods.losses import nll, preference
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class NPO(Method):
    """Minimise -forget_weight (2 / beta) log sigma(-beta (S_pi - S_ref)) on forget + retain_weight l(retain), in one step.

    S = sum_t log pi(y_t | x, y_<t), summed over the answer; ref = the start model; l as in GradDiff.
    Paper: https://arxiv.org/abs/2404.05868. Differs from MLLMU-Bench's code: S of each answer instead of the batch's mean
    cross entropy, the start model instead of one tuned on the retain set, and a retain term (0 turns it off).
    The forget value of a sample is made from a sum over its tokens, the retain value is a mean over them.
    """

    name: ClassVar[str] = "npo"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain", "reference"})
    reference: ClassVar[Literal["start", "retain_tuned", "none"]] = "start"

    beta: float = 0.1
    """Inverse temperature; towards 0 the loss becomes gradient ascent."""
    forget_weight: float = 1.0
    """gamma, the weight of the preference term."""
    retain_weight: float = 1.0
    """alpha, the weight of the retain NLL."""

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ConfigError(f"method {self.name}: beta = {self.beta} must be above 0; the loss divides by it")

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            assert reference is not None
            log_ratio = model.answer_logprobs(forget) - reference.answer_logprobs(forget)
            terms["forget"] = self.forget_weight * preference(log_ratio, self.beta)
        if retain is not None and self.retain_weight:
            terms["retain"] = self.retain_weight * nll(model, retain)
        return terms


@dataclass(frozen=True)
class NPOOfficial(Method):
    """Minimise -(2 / beta) log sigma(beta (CE_pi - CE_ref)), CE the batch's mean cross entropy over every token.

    As MLLMU-Bench's code does it: one value for the batch, beta 0.4, no retain term, and a reference tuned on the retain set
    that never saw the forget set. The value is a mean over the tokens of the batch and the same for each of its samples.
    """

    name: ClassVar[str] = "npo"
    variant: ClassVar[str] = "official"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "reference"})
    reference: ClassVar[Literal["start", "retain_tuned", "none"]] = "retain_tuned"
    loss_mask: ClassVar[LossMask | None] = "all"
    training: ClassVar[Mapping[str, Any]] = GradientAscentOfficial.training

    beta: float = 0.4
    """Inverse temperature."""

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ConfigError(f"method {self.name}: beta = {self.beta} must be above 0; the loss divides by it")

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        if forget is None:
            return {}
        assert reference is not None
        log_ratio = model.answer_logprobs(forget) - reference.answer_logprobs(forget)
        per_token = log_ratio.sum() / forget.owner.numel()
        return {"forget": preference(per_token, self.beta).expand(forget.size)}
