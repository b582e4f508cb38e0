"""Empty Response: the question is answered with "I don't know"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import ConfigError
from unsee.methods.defence import Defence, Edit
from unsee.methods.losses import nll
from unsee.models.prompts import LossMask
from unsee.models.questions import with_answer

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

RESPONSE = "I don't know"


@dataclass(frozen=True)
class EmptyResponse(Defence):
    """Minimise l(x, response) = -sum_t log pi(r_t | x, r_<t) / |r| on the forget questions [+ retain_weight R(retain)].

    R = KL(start || pi) or the NLL, a mean over tokens. Paper: https://arxiv.org/abs/2505.01456. The predecessor
    (https://arxiv.org/abs/2309.17410) trains to the word "dummy"; set `response` for that. Differs from the authors' code: the
    mean over tokens instead of the sum, and the end of turn is trained, so that the model says no more than the response.
    The value of a sample is a mean over the tokens of the response.
    """

    name: ClassVar[str] = "empty_response"

    response: str = RESPONSE
    """What to answer instead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_response(self.name, self.response)

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, self.response) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = self.retain_terms(model, reference, retain)
        if forget is not None:
            terms["response"] = nll(model, forget)
        return terms


@dataclass(frozen=True)
class EmptyResponseOfficial(Edit):
    """Minimise -sum_t log pi(r_t | x, r_<t) on the forget questions, summed over the response, no end of turn, no retain term.

    As the authors' code does it: https://github.com/Vaidehi99/third_party, llava_trainer.py. The value is a sum over tokens.
    """

    name: ClassVar[str] = "empty_response"
    variant: ClassVar[str] = "official"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    response: str = RESPONSE
    """What to answer instead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_response(self.name, self.response)

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, self.response) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if forget is None else {"response": -model.answer_logprobs(forget)}


def checked_response(name: str, response: str) -> None:
    if not response.strip():
        raise ConfigError(f"method {name}: response is empty; say what shall be answered instead")
