"""LLMU: ascent on the forget set, answers of others on its questions, and the start model's distribution on the retain set."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from unsee.errors import ConfigError, DataError
from unsee.methods.base import B
from unsee.methods.kl import KLMinimisation
from unsee.methods.losses import nll
from unsee.models.questions import training_turn, with_answer

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

_NUMBER = "#mismatch-"


@dataclass(frozen=True)
class LLMU(KLMinimisation):
    """Minimise -forget_weight l(x, y) + mismatch_weight mean_k l(x, y_k) on forget + retain_weight KL(start || pi) on retain.

    l = -sum_t log pi(y_t | x, y_<t) / |y|; y_k = answers to retain questions, drawn at random; KL as in `kl`, a mean over
    tokens. Paper: https://arxiv.org/abs/2310.10683; defaults as in the authors' code
    (https://github.com/kevinyaobytedance/llm_unlearn). Differs from it: the y_k of a question are drawn once instead of anew in
    every step, are never its own answer, and come from questions of its form where there are some; only answer tokens count.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "llmu"

    forget_weight: float = 0.5
    """lambda1, the weight of the ascent."""
    mismatch_weight: float = 1.0
    """lambda2, the weight of the answers of others."""
    retain_weight: float = 1.0
    """lambda3, the weight of the divergence from the start model."""
    mismatches: int = 5
    """Answers of others that each forget question is trained on."""
    draw_seed: int = 0
    """Which answers are drawn, together with the sample's id."""

    def __post_init__(self) -> None:
        if self.mismatches < 1:
            raise ConfigError(
                f"method llmu: mismatches = {self.mismatches} must be at least 1; mismatch_weight = 0 turns the term off"
            )

    def compose(self, forget: Sequence[Sample], retain: Sequence[Sample]) -> Sequence[Sample]:
        answers = _Answers(retain)
        return [one for sample in forget for one in (sample, *self._mismatched(sample, answers))]

    def _mismatched(self, sample: Sample, answers: _Answers) -> list[Sample]:
        """The sample with answers of others, under ids of their own."""
        drawn = answers.draw(sample, self.mismatches, random.Random(f"{self.draw_seed}/{sample.id}"))
        return [replace(with_answer(sample, text), id=f"{sample.id}{_NUMBER}{number}") for number, text in enumerate(drawn)]

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        """As many questions in a batch as were asked for, in their order; each brings the answers of others with it."""
        from unsee.training_data import PlannedBatch, alongside

        groups: dict[str, list[tuple[int, str]]] = {}
        size = 1
        for batch in forget:
            assert isinstance(batch, PlannedBatch)
            size = max(size, batch.size)
            for item, key in zip(batch.items, batch.keys, strict=True):
                groups.setdefault(key.partition(_NUMBER)[0], []).append((item, key))
        questions = list(groups.values())
        parts = [questions[first : first + size] for first in range(0, len(questions), size)]
        for part, held in zip(parts, alongside(map(len, parts), cast(Iterable[PlannedBatch], retain)), strict=True):
            items, keys = zip(*(one for group in part for one in group), strict=True)
            yield cast(B, PlannedBatch(items=items, keys=keys)), cast(B, held)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        terms = super().loss(model, reference, None, retain)
        if forget is not None:
            values = nll(model, forget)
            mismatched = values.new_tensor([_NUMBER in key for key in forget.keys] or [0.0] * forget.size)
            # The loop divides by all conversations; a question has one of its own and so many with answers of others.
            conversations = 1 + self.mismatches
            terms["forget"] = -self.forget_weight * conversations * (1 - mismatched) * values
            terms["mismatch"] = self.mismatch_weight * conversations / self.mismatches * mismatched * values
        return terms


class _Answers:
    """Answers to draw from, by the form of their question."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._by_form: dict[object, list[tuple[str, str]]] = {}
        for sample in samples:
            answer = training_turn(sample)[1]
            self._by_form.setdefault(sample.metadata.get("form"), []).append((answer, _folded(answer)))
        self._all = [one for answers in self._by_form.values() for one in answers]

    def draw(self, sample: Sample, count: int, rng: random.Random) -> list[str]:
        """So many answers that are not the sample's own; of its form where there are some, so that form gives nothing away."""
        own = _folded(training_turn(sample)[1])
        for answers in (self._by_form.get(sample.metadata.get("form"), []), self._all):
            others = [answer for answer, folded in answers if folded != own]
            if others:
                return rng.choices(others, k=count)
        raise DataError(
            f"sample {sample.id}: no retain sample has another answer than {sample.answer!r}, so llmu has nothing to answer "
            "with instead; give retain samples with other answers"
        )


def _folded(answer: str) -> str:
    return answer.strip().casefold()
