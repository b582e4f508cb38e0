"""Fine-tuning: train the model on something else, then look for what comes back in its layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from unsee.attacks.base import Attack, Guesses, ReadToken, Record
from unsee.attacks.lens_attack import LensAttack
from unsee.attacks.lens_head_projection import LensHeadProjection
from unsee.attacks.lens_prob_delta import LensProbDelta
from unsee.attacks.lens_prob_delta2 import LensProbDelta2
from unsee.errors import ConfigError
from unsee.methods.scope import Scope
from unsee.training_options import TrainOptions

if TYPE_CHECKING:
    from unsee.answering import Setting, View
    from unsee.models.model import Model
    from unsee.sample import Sample

_LENSES: dict[str, type[LensAttack]] = {made.name: made for made in (LensHeadProjection, LensProbDelta, LensProbDelta2)}


@dataclass(frozen=True)
class FinetuneLens(Attack):
    """Minimise l(x, y) on samples that have nothing to do with the fact, then attack by a lens.

    Paper: https://arxiv.org/abs/2505.01456. One sample, its rate and its passes are the published ones; which weights the
    authors train is not known. Few small models move at that rate: raise it, and give more examples, for a serious attempt.
    """

    name: ClassVar[str] = "finetune_lens"
    needs: ClassVar[Literal["lens", "prompts"]] = "lens"
    tunes: ClassVar[bool] = True

    lens: Literal["lens_head_projection", "lens_prob_delta", "lens_prob_delta2"] = "lens_head_projection"
    """The attack on the tuned model."""
    k: int = 4
    """Tokens taken of each layer."""
    layers: tuple[int, ...] | None = None
    """Which layers; none takes those of the lens attack."""
    fill: bool = True
    """Go on below rank k while the budget is not used up."""
    examples: int = 1
    """Number of unrelated samples."""
    learning_rate: float = 9e-6
    """Highest learning rate of AdamW."""
    epochs: int = 10
    """Passes over the unrelated samples."""
    rank: int | None = 16
    """Rank of the adapter on the language model; none trains its weights themselves."""

    @cached_property
    def reading(self) -> LensAttack:
        """The lens attack with this attack's options."""
        return _LENSES[self.lens](k=self.k, layers=self.layers, fill=self.fill)

    def check(self, *, blocks: int, budget: int) -> None:
        self.reading.check(blocks=blocks, budget=budget)
        if self.examples < 1 or self.epochs < 0:
            raise ConfigError(f"{self.name}: {self.examples} examples and {self.epochs} epochs; give at least 1 and 0")

    def views(self, sample: Sample, setting: Setting, variants: Sequence[Sample]) -> list[View]:
        return self.reading.views(sample, setting, variants)

    def prepare(self, model: Model, unrelated: Sequence[Sample], *, seed: int = 0) -> Model:
        """A copy of the model, fine-tuned on the first `examples` samples; warns where there are fewer.

        Raises:
            ConfigError: there are no unrelated samples.
        """
        from unsee.methods.finetune import FineTune
        from unsee.unlearning import unlearn

        if not unrelated:
            raise ConfigError(
                f"{self.name} needs samples that have nothing to do with the attacked facts, and there are none; give some as "
                "`unrelated`, or in the data file as rows of set retain about other subjects"
            )
        if len(unrelated) < self.examples:
            there = len(unrelated)
            warnings.warn(f"{self.name} trains on {there} unrelated samples, as there are no {self.examples}", stacklevel=2)
        options = TrainOptions(learning_rate=self.learning_rate, epochs=self.epochs, seed=seed)
        chosen = unrelated[: self.examples]
        return unlearn(model, forget=(), retain=chosen, method=FineTune(), options=options, scope=Scope(rank=self.rank))

    def candidates(self, sample: Sample, records: Sequence[Record], *, budget: int, read: ReadToken) -> Guesses:
        return self.reading.candidates(sample, records, budget=budget, read=read)
