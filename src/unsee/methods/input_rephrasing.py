"""Input Rephrasing: Fact Erasure over several wordings of each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from unsee.errors import ConfigError
from unsee.methods.base import B
from unsee.methods.defence import Edit
from unsee.methods.fact_erasure import FactErasure
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

PREFIXES = (
    "A new study suggests. ",
    "The following is a. ",
    "I've always been. ",
    "The following blog post. ",
)
"""What stands before the question in the other wordings; attacks must use others."""
_NUMBER = "#wording-"
_FRAME = "Question: "


@dataclass(frozen=True)
class InputRephrasing(FactErasure):
    """Minimise the mean of p(y | x') = exp(sum_t log pi(y_t | x', y_<t)) over wordings x' of each question [+ retain_weight R].

    x' = the question as it is, and after each of the prefixes. Paper: https://arxiv.org/abs/2505.01456, after
    https://arxiv.org/abs/2309.17410. Differs from the authors' code: every pass trains all wordings instead of one.
    The value of a wording is one probability, made from a sum over its tokens (or their mean).
    """

    name: ClassVar[str] = "input_rephrasing"

    prefixes: tuple[str, ...] = PREFIXES
    """What the further wordings put before the question."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_prefixes(self.name, self.prefixes)

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return reworded(samples, self.prefixes)


@dataclass(frozen=True)
class InputRephrasingOfficial(Edit):
    """Minimise p(y | x') = exp(sum_t log pi(y_t | x', y_<t)), x' one wording of the question drawn anew for every pass.

    As the authors' code does it (https://github.com/Vaidehi99/third_party, lora_ft_old.py): its collator keeps the first
    element of the batch of all wordings, so a step sees one of them. No retain term. The value is made from a sum over tokens.
    """

    name: ClassVar[str] = "input_rephrasing"
    variant: ClassVar[str] = "official"
    loss_mask: ClassVar[LossMask | None] = "answer_text"

    prefixes: tuple[str, ...] = PREFIXES
    """What the further wordings put before the question."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_prefixes(self.name, self.prefixes)

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return reworded(samples, self.prefixes)

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        """The order of an epoch is random, so the first wording of a fact in it is a random one; the others are left out."""
        from unsee.training_data import PlannedBatch

        drawn: dict[str, tuple[int, str]] = {}
        size = 1
        for batch in forget:
            assert isinstance(batch, PlannedBatch)
            size = max(size, batch.size)
            for item, key in zip(batch.items, batch.keys, strict=True):
                drawn.setdefault(key.rpartition(_NUMBER)[0], (item, key))
        items, keys = zip(*drawn.values(), strict=True) if drawn else ((), ())
        for first in range(0, len(items), size):
            part = slice(first, first + size)
            yield cast(B, PlannedBatch(items=items[part], keys=keys[part])), None

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if forget is None else {"erasure": model.answer_logprobs(forget).exp()}


def reworded(samples: Sequence[Sample], prefixes: Sequence[str]) -> list[Sample]:
    """Each sample as it is and after each prefix, with ids of their own."""
    return [
        replace(sample, id=f"{sample.id}{_NUMBER}{number}", question=_after(prefix, sample.question))
        for sample in samples
        for number, prefix in enumerate(("", *prefixes))
    ]


def _after(prefix: str, question: str) -> str:
    """The question after a prefix, which goes inside a frame (`... Question: {} Answer:`) where there is one, as published."""
    start = question.rfind(_FRAME) + len(_FRAME) if _FRAME in question else 0
    return f"{question[:start]}{prefix}{question[start:]}"


def checked_prefixes(name: str, prefixes: Sequence[str]) -> None:
    if not prefixes:
        raise ConfigError(f"method {name}: prefixes is empty; give one, or choose method fact_erasure, which needs none")
    if not all(prefix.strip() for prefix in prefixes):
        raise ConfigError(f"method {name}: a prefix is empty; the question as it is takes part anyway, so leave it out")
