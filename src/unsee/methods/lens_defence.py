"""What the defences that read hidden layers share: which layers and tokens they look at, and the lens that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from unsee.errors import ConfigError
from unsee.methods.base import Need
from unsee.methods.defence import Edit
from unsee.methods.fact_erasure import FactErasure

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.lens import Lens
    from unsee.models.model import Model
    from unsee.sample import Sample

Tokens = Literal["all", "first", "last"]


def last_third(count: int) -> tuple[int, ...]:
    """Layers of the last third of a model by depth: 22..32 of 32, 6..8 of 8. Layer l is the stream after block l."""
    return tuple(range(2 * count // 3 + 1, count + 1))


def published_layers(count: int) -> tuple[int, ...]:
    """Layers 22..32 of 32, which the authors' trainer names whatever it is asked for, at the same depth of any model."""
    return tuple(range(-(-22 * count // 32), count + 1))


def at_tokens(batch: Batch, which: Tokens) -> tuple[Tensor, Batch]:
    """(which edges, [edges] of bool; the batch with those alone) of the first, the last or all tokens of each answer."""
    import torch

    owner = batch.owner
    keep = torch.ones_like(owner, dtype=torch.bool)
    if which == "first":
        keep[1:] = owner[1:] != owner[:-1]
    elif which == "last":
        keep[:-1] = owner[1:] != owner[:-1]
    edges = {name: getattr(batch, name)[keep] for name in ("row", "position", "target", "owner")}
    return keep, replace(batch, **edges)


@dataclass(frozen=True)
class LensReader(Edit):
    """Base of edits whose loss reads what hidden layers would say."""

    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "hidden_states"})

    lenses: dict[str, Lens] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The lens of the model that is being edited."""

    def layers_of(self, count: int) -> tuple[int, ...]:
        """Which of a model's layers the loss reads."""
        return published_layers(count)

    def lens_of(self, model: Model) -> Lens:
        """The model's lens, made once."""
        from unsee.models.lens import Lens

        if "model" not in self.lenses or self.lenses["model"].model is not model:
            self.lenses["model"] = Lens(model)
        return self.lenses["model"]

    def check(self, model: Model) -> None:
        """Refuse layers that the model does not have, or that the edit cannot reach."""
        from unsee.models.lens import check_layers
        from unsee.models.lora import chosen_layers

        count = int(model.base.config.get_text_config().num_hidden_layers)
        layers = self.layers_of(count)
        try:
            check_layers(layers, count)
        except ConfigError as error:
            raise ConfigError(f"method {self.name}: {error}") from error
        edited = chosen_layers(model.base, self.scope) if self.scope else None
        if edited and max(layers) <= min(edited):
            raise ConfigError(
                f"method {self.name}: layers {', '.join(map(str, layers))} lie below the edited layer {min(edited)}, so the "
                f"edit cannot change them; name a layer from {min(edited) + 1} to {count}"
            )

    def apply(self, model: Model, forget: Sequence[Sample], retain: Sequence[Sample]) -> bool:
        """Make the lens anew, because one reads the network it was made for."""
        self.lenses.clear()
        self.lens_of(model)
        return super().apply(model, forget, retain)


class LensReading(NamedTuple):
    """What a loss on hidden layers reads.

    Attributes:
        terms: the erasure term, where it has a weight.
        logprobs: [layers, edges, vocabulary], by the logit lens after each layer.
        answer: [layers, edges], those of the answer's own tokens.
        part: the batch with those edges alone.
    """

    terms: dict[str, Tensor]
    logprobs: Tensor
    answer: Tensor
    part: Batch


@dataclass(frozen=True)
class LensDefence(LensReader, FactErasure):
    """Base of the corrected defences on hidden layers: their term is added to p(y | x)."""

    needs: ClassVar[frozenset[Need]] = LensReader.needs

    erasure_weight: float = 1.0
    """Weight of p(y | x); 0 leaves the term on hidden layers alone, as in the authors' code."""
    layers: tuple[int, ...] | None = None
    """Layers that are read, counted after blocks (1 is the first block's output); none is the last third."""
    tokens: Tokens = "all"
    """Which tokens of the answer are hidden in those layers: all, first or last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is not None and not self.layers:
            raise ConfigError(f"method {self.name}: layers is empty; name at least one, or set none for the last third")

    def layers_of(self, count: int) -> tuple[int, ...]:
        return last_third(count) if self.layers is None else self.layers

    def read(self, model: Model, batch: Batch) -> LensReading:
        """One pass: the erasure term where it has a weight, and what the layers say.

        The vocabulary is normed once and values are gathered over all layers at once: every other view of a tensor this large
        would cost a gradient of its size.
        """
        lens = self.lens_of(model)
        layers = self.layers_of(lens.layers)
        read = layers if lens.layers in layers else (*layers, lens.layers)
        logprobs = lens.logits(batch, read).log_softmax(-1)
        answer = at_ids(logprobs, batch.target.to(logprobs.device)[None])
        terms = {}
        if self.erasure_weight:
            terms["erasure"] = self.erasure_weight * self.probability(answer[read.index(lens.layers)], batch)
        if read != layers:
            logprobs, answer = logprobs[:-1], answer[:-1]
        if self.tokens == "all":
            return LensReading(terms, logprobs, answer, batch)
        keep, part = at_tokens(batch, self.tokens)
        keep = keep.to(logprobs.device)
        return LensReading(terms, logprobs[:, keep], answer[:, keep], part)


def at_ids(values: Tensor, ids: Tensor) -> Tensor:
    """What stands at one token each, [layers, edges, vocabulary] at [layers or 1, edges] -> [layers, edges]."""
    return values.gather(2, ids.expand(values.shape[:2])[:, :, None])[:, :, 0]
