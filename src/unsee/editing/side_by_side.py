"""Which facts may be edited in one batched pass, and in which groups; every fact has an adapter of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from unsee.editing.fixed_layers import BlockPaths, Cut
from unsee.editing.groups import FinishedEdit, Group, UnlikeAloneError, epoch_length
from unsee.editing.stacked_adapters import load_adapters, lora_layers
from unsee.errors import ConfigError, TrainingError
from unsee.methods import acts_while_answering
from unsee.methods.base import Method
from unsee.methods.defence import Edit
from unsee.methods.lens_defence import LensReader
from unsee.training import TrainReport, resolved_mask
from unsee.training_data import TrainingData
from unsee.training_options import TrainOptions

if TYPE_CHECKING:
    from unsee.methods.base import Side
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.stopping import StopRule

_HOOKS: Mapping[str, tuple[Any, ...]] = {
    "apply": (Method.apply, Edit.apply, LensReader.apply),
    "after_backward": (Method.after_backward,),
    "after_step": (Method.after_step, Edit.after_step),
}
"""Hooks that do the same to several facts as to one."""
_AHEAD = 4
"""Facts are grouped with those of the next so many groups that are about as long, because rows are padded."""


def why_not_side_by_side(model: Model, method: Method) -> str | None:
    """Why facts cannot be edited side by side, None where they can.

    The rule: the method trains LoRA adapters on linear layers of the decoder; none of its hooks looks at one fact's weights or
    samples; its reference is the start model, if any; nothing in the network is random or computed again for gradients; its
    logits are its unembedding of the normed last block. Whether every row is really computed on its own is seen at the first
    step.

    Args:
        model: with the adapters that the method trains.
    """
    from unsee.models.lens import Lens

    network = model.network
    if acts_while_answering(method):
        return f"{method.name} acts while the model answers"
    changed = [hook for hook, known in _HOOKS.items() if getattr(type(method), hook) not in known]
    if changed:
        return f"{method.name} has a hook {changed[0]} of its own"
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return "training runs in several processes"
    if method.reference == "retain_tuned":
        return f"{method.name} compares with a model tuned on the retain set"
    layers = lora_layers(model)
    trained = {id(weight) for weight in network.parameters() if weight.requires_grad}
    adapters = {id(w) for layer in layers.values() for part in (layer.lora_A, layer.lora_B) for w in part.parameters()}
    if not trained or trained != adapters:
        return "what is trained is not LoRA alone"
    if any(type(layer.get_base_layer()) is not nn.Linear or layer.lora_variant for layer in layers.values()):
        return "an adapter is not plain LoRA on a plain linear layer"
    if _is_random(model.base.config.to_dict()) or any(isinstance(m, nn.Dropout) and m.p > 0 for m in network.modules()):
        return "the network has dropout"
    if any(vars(module).get("gradient_checkpointing") for module in network.modules()):
        return "gradient checkpointing is on"
    try:
        Lens(model)
    except ConfigError as error:
        return str(error)
    paths = BlockPaths.of(model)
    outside = [path for path in layers if paths.block_of(path) is None]
    return f"{outside[0]} lies outside the decoder's blocks" if outside else None


def _is_random(config: Mapping[str, Any]) -> bool:
    """Whether a config, or one inside it, has a dropout or drop path rate above 0, heads for other tasks aside."""
    return any(
        _is_random(value)
        if isinstance(value, Mapping)
        else "drop" in str(key)
        and not str(key).startswith(("classifier", "summary"))
        and isinstance(value, float)
        and value > 0
        for key, value in config.items()
    )


class _Planned(NamedTuple):
    """A fact's samples, how many steps an epoch of them has, and how many tokens they have."""

    data: TrainingData
    steps: int
    tokens: int


class SideBySide:
    """Edits facts in groups and hands them out one at a time, in order.

    Args:
        model: with the adapters that the method trains, as they are before an edit; `why_not_side_by_side` must be None.
        forget: every fact's samples.
        size: facts of a group.
        stop: for each fact by its own loss.
    """

    def __init__(
        self,
        model: Model,
        method: Method,
        forget: Mapping[str, Sequence[Sample]],
        *,
        retain: Sequence[Sample],
        options: TrainOptions,
        size: int,
        stop: StopRule | None = None,
    ) -> None:
        self._model, self._method, self._options, self._size, self._stop = model, method, options, size, stop
        self._forget, self._retain = forget, retain
        self._waiting = list(forget)
        self._planned: dict[str, _Planned] = {}
        self._ready: dict[str, FinishedEdit] = {}
        self._alone: set[str] = set()
        self._paths = BlockPaths.of(model)
        self._settled: tuple[Cut | None] | None = None

    def edit(self, fact: str) -> TrainReport | None:
        """Put a fact's adapters into the model; None where the fact must be edited alone."""
        if fact not in self._ready and fact not in self._alone:
            self._train_with(fact)
        if fact in self._alone:
            return None
        done = self._ready.pop(fact)
        load_adapters(self._model, done.adapters)
        return done.report

    def _train_with(self, fact: str) -> None:
        """Train a fact, and with it coming ones that take as many steps."""
        self._waiting.remove(fact)
        own = self._plan(fact)
        near = [one for one in self._waiting[: _AHEAD * self._size] if self._plan(one).steps == own.steps]
        near.sort(key=lambda one: abs(self._plan(one).tokens - own.tokens))
        facts = [fact, *near[: self._size - 1]]
        self._waiting = [one for one in self._waiting if one not in facts]
        data = [self._planned.pop(one).data for one in facts]
        group = Group(self._model, self._method, data, paths=self._paths, settled=self._settled, stop=self._stop)
        samples = [sample for one in facts for sample in self._forget[one]]
        try:
            self._ready |= zip(facts, group.train(samples, self._retain), strict=True)
            # A fact in a group of its own cannot show whether facts depend on each other.
            self._settled = group.settled if len(facts) > 1 else self._settled
        except TrainingError:
            # One fact diverged. Alone, those before it come out as they should, and its own error names it.
            self._alone |= set(facts)
        except UnlikeAloneError:
            self._alone |= {*facts, *self._waiting}

    def _plan(self, fact: str) -> _Planned:
        if fact not in self._planned:
            forget = self._method.compose(self._forget[fact], self._retain)
            samples: dict[Side, Sequence[Sample]] = {"forget": forget, "retain": self._retain}
            data = TrainingData(self._model, samples, self._options, resolved_mask(self._method, self._options))
            tokens = sum(len(item.ids) for item in data.encoded["forget"])
            self._planned[fact] = _Planned(data, epoch_length(data, self._method), tokens)
        return self._planned[fact]
