"""A cheap look at a model on its way, and when to stop because of it. Probe questions are never scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unsee.errors import ConfigError

if TYPE_CHECKING:
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.prompts import Prompter
    from unsee.sample import Sample

Probe = Callable[["Model"], Mapping[str, float | None]]
StopReason = Literal["target", "utility_floor", "loss_below"]

_PROBED_AT_ONCE = 64


class LikelihoodProbe:
    """How likely the right answers are: exp(mean log-probability per answer token), averaged over samples.

    Called with a model it returns `{"probe_forget": ..., "probe_retain": ...}`, None for a side without samples. Batches are
    made once, at the first call, packed where the model can, and run without gradients.
    """

    def __init__(
        self, prompter: Prompter, forget_samples: Sequence[Sample], retain_samples: Sequence[Sample] = (), *, pack: bool = True
    ) -> None:
        from unsee.models.questions import encode_samples

        self._prompter, self._pack = prompter, pack
        sides = {"probe_forget": forget_samples, "probe_retain": retain_samples}
        self._items = {side: encode_samples(samples, prompter) for side, samples in sides.items()}
        self._batches: dict[str, list[Batch]] = {}

    def __call__(self, model: Model) -> dict[str, float | None]:
        from unsee.models.batches import collate

        for side, items in self._items.items() if not self._batches else ():
            self._batches[side] = [
                collate(items[first : first + _PROBED_AT_ONCE], prompter=self._prompter, pack=model.packs(self._pack))
                for first in range(0, len(items), _PROBED_AT_ONCE)
            ]
        return {side: self._mean_probability(model, batches) for side, batches in self._batches.items()}

    @staticmethod
    def _mean_probability(model: Model, batches: Sequence[Batch]) -> float | None:
        from unsee.methods.losses import token_mean
        from unsee.models.reference import evaluating

        total, size = 0.0, 0
        with evaluating(model):
            for batch in batches:
                total += token_mean(model.token_logprobs(batch), batch).exp().sum().item()
                size += batch.size
        return total / size if size else None


@dataclass(frozen=True)
class StopRule:
    """Stop once forget questions are answered no better than a target, utility falls too far, or the loss is small."""

    target: float | None = None
    """Stop when `probe_forget` is at or below this probability."""
    utility_floor: float | None = None
    """Stop when `probe_retain` is below this share of its value at the start."""
    loss_below: float | None = None
    """Stop before the first step whose loss, all terms together, is below this; needs no probe."""

    def __post_init__(self) -> None:
        for key, value in self.probed.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"stop rule: {key} = {value} must lie between 0 and 1")

    @property
    def probed(self) -> dict[str, float]:
        """The parts that look at probe questions and are set, by name."""
        parts = {"target": self.target, "utility_floor": self.utility_floor}
        return {key: value for key, value in parts.items() if value is not None}

    def loss_reached(self, loss: float) -> StopReason | None:
        """Why not to take a step that begins at this loss, or None."""
        return "loss_below" if self.loss_below is not None and loss < self.loss_below else None

    def reached(self, probe: Mapping[str, float | None], start: Mapping[str, float | None]) -> StopReason | None:
        """Why to stop now, or None."""
        forget, retain, before = probe.get("probe_forget"), probe.get("probe_retain"), start.get("probe_retain")
        if self.target is not None and forget is not None and forget <= self.target:
            return "target"
        if self.utility_floor is None or retain is None or before is None:
            return None
        return "utility_floor" if retain < self.utility_floor * before else None
