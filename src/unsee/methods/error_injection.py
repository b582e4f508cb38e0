"""Error Injection: the question is answered with a wrong answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import DataError
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


@dataclass(frozen=True)
class ErrorInjection(Defence):
    """Minimise l(x, w) = -sum_t log pi(w_t | x, w_<t) / |w| on the forget set, w a wrong answer [+ retain_weight R(retain)].

    w is the first of the sample's `wrong_answers` that is not its answer, whatever the case of its letters. R = KL(start || pi)
    or the NLL, a mean over tokens. Paper: https://arxiv.org/abs/2505.01456, after https://arxiv.org/abs/2309.17410. Differs
    from the authors' code: an alternate that is the secret in other letters is passed over, the mean over tokens instead of the
    sum, and the end of turn is trained. The value of a sample is a mean over the tokens of w.
    """

    name: ClassVar[str] = "error_injection"

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, _wrong_answer(sample)) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = self.retain_terms(model, reference, retain)
        if forget is not None:
            terms["error"] = nll(model, forget)
        return terms


@dataclass(frozen=True)
class ErrorInjectionOfficial(Edit):
    """Minimise -sum_t log pi(w_t | x, w_<t) on the forget questions, w the first alternate that is not blank; no retain term.

    As the authors' code does it (https://github.com/Vaidehi99/third_party, llava_trainer.py): w may be the secret itself in
    other letters, the sum runs over its tokens without an end of turn. Where a fact has no alternate, that code takes a random
    other answer; here it is an error. The value is a sum over tokens.
    """

    name: ClassVar[str] = "error_injection"
    variant: ClassVar[str] = "official"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, _wrong_answer(sample, strict=False)) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if forget is None else {"error": -model.answer_logprobs(forget)}


def _wrong_answer(sample: Sample, *, strict: bool = True) -> str:
    """The first wrong answer that is not blank and, if strict, not the right one under case folding."""
    refused = {"", sample.answer.strip().casefold()} if strict else {""}
    for wrong in sample.wrong_answers:
        if wrong.strip().casefold() not in refused:
            return wrong.strip()
    why = f"none of its wrong answers differs from {sample.answer!r}" if sample.wrong_answers else "it has no wrong answers"
    raise DataError(f"sample {sample.id}: {why}, so error_injection has nothing to teach; add one to wrong_answers")
