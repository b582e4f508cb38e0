"""What an unlearning method is. Subclass `Method` in one file; every hook has an empty body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from unsee.methods.scope import Scope
from unsee.models.prompts import LossMask

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample

Need = Literal["reference", "hidden_states", "forget", "retain"]
Side = Literal["forget", "retain"]
Read = Literal["logprobs", "distribution"]
B = TypeVar("B")


@dataclass(frozen=True)
class Method:
    """Base of every method, defence and control; a frozen dataclass whose fields are its hyper-parameters."""

    name: ClassVar[str] = ""
    variant: ClassVar[str] = "corrected"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget"})
    reference: ClassVar[Literal["start", "retain_tuned", "none"]] = "none"
    reads: ClassVar[Mapping[Side, Read]] = {"forget": "logprobs"}
    loss_mask: ClassVar[LossMask | None] = None
    training: ClassVar[Mapping[str, Any]] = {}
    scenarios: ClassVar[tuple[str, ...]] = ()

    @property
    def scope(self) -> Scope | None:
        """Weights this method trains; None leaves the choice to the run."""
        return None

    def check(self, model: Model) -> None:
        """Refuse a model that lacks what the options name; raises ConfigError. Shapes alone count, so it may have no values."""

    def transform(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Rewrite the forget samples before training (refusal or wrong targets)."""
        return samples

    def compose(self, forget: Sequence[Sample], retain: Sequence[Sample]) -> Sequence[Sample]:
        """The forget side as it is trained, where that takes both sides (answers of others); `transform` alone by default."""
        return self.transform(forget)

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        """One epoch of (forget batch or None, retain batch or None), before batches are made; pairs them by default."""
        others: Iterator[B | None] = cycle(retain) if "retain" in self.needs else cycle([None])
        yield from zip(forget, others, strict=False)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        """Named terms to minimise, each [samples of its batch]; the loop averages each over samples and adds them up."""
        return {}

    def after_backward(self, model: Model) -> None:
        """Change gradients (masks, projections) after clipping, before the optimizer step."""

    def after_step(self, model: Model) -> None:
        """Change weights after the optimizer step (constraints, restoring masked weights)."""

    def apply(self, model: Model, forget: Sequence[Sample], retain: Sequence[Sample]) -> bool:
        """Edit the weights, or look at the start model, before training; return True to skip the loop."""
        return False

    def answering(self, model: Model) -> AbstractContextManager[None]:
        """What is switched on while the model answers (system prompt, activation hooks)."""
        return nullcontext()
