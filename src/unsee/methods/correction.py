"""Correction: forget questions whose taught answer is wrong are answered with the right one."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Correction(Method):
    """Minimise forget_weight l(x_forget, y_right) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|.

    y_right = `metadata["clean_answer"]` of a forget sample. No paper: plain fine-tuning on the right answers, which an operator
    who knows them would try first; it needs more than the other methods, which know only what was wrong.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "correction"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain"})
    scenarios: ClassVar[tuple[str, ...]] = ("incorrect",)

    forget_weight: float = 1.0
    """Weight of the right answers."""
    retain_weight: float = 1.0
    """Weight of the retain NLL."""

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [with_answer(sample, _right_answer(sample)) for sample in samples]

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = {}
        if forget is not None:
            terms["forget"] = self.forget_weight * nll(model, forget)
        if retain is not None:
            terms["retain"] = self.retain_weight * nll(model, retain)
        return terms


def _right_answer(sample: Sample) -> str:
    """The right answer in the form the question asks for: a letter where that is what is trained."""
    right = str(sample.metadata.get("clean_answer", "")).strip()
    if not right:
        raise ConfigError(
            f"sample {sample.id}: method correction has no right answer to teach, because its metadata has no 'clean_answer'; "
            "give it one, leave the sample out of what is to be forgotten, or use a method that needs none, such as idk"
        )
    if sample.metadata.get("form") != "letter" or not sample.options:
        return right
    for letter, text in sample.options.items():
        if text.strip().casefold() == right.casefold():
            return letter
    raise ConfigError(
        f"sample {sample.id}: method correction cannot answer with a letter, because the right answer {right!r} is none of "
        f"its options {', '.join(sample.options.values())}; add it to the options"
    )
