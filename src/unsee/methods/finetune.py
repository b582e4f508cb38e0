"""Plain fine-tuning; `learn` is this method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.methods.base import B, Method, Need
from unsee.methods.losses import nll

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference


@dataclass(frozen=True)
class FineTune(Method):
    """Minimise l(retain) = -sum_t log pi(y_t | x, y_<t) / |y| in one pass over all retain samples per epoch.

    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "finetune"
    needs: ClassVar[frozenset[Need]] = frozenset({"retain"})

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        yield from ((None, batch) for batch in retain)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        return {} if retain is None else {"retain": nll(model, retain)}
