"""A group of facts trained at once through the one training loop, each with an adapter of its own.

AdamW and SGD work weight by weight, so a stack of adapters is trained as each would be alone: the loss is the sum of the facts'
own means, gradients are clipped per fact, and learning rates depend on the step alone. A fact whose own loss says that it is
done stays as it is while the others go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from unsee.editing.fixed_layers import BlockPaths, Cut, FixedLayers, possible_cuts
from unsee.editing.joint_batches import JointBatch, JointData, divided, joint_fixed, joint_inputs
from unsee.editing.stacked_adapters import ROWS, Adapter, AdapterStack, Rows
from unsee.methods.base import Method
from unsee.methods.lens_defence import LensReader
from unsee.models.reference import AdapterOff, Reference, evaluating
from unsee.stopping import StopReason, StopRule
from unsee.training import TrainReport, side_of, train
from unsee.training_data import TrainingData

if TYPE_CHECKING:
    from unsee.methods.base import Side
    from unsee.methods.scope import Scope
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.sample import Sample


_TOLERANCE = 1e-3
"""How far values may lie from those of a lone fact, as a share of what the adapters change."""


class UnlikeAloneError(Exception):
    """No way of batching facts gives what a lone fact gives."""


class FinishedEdit(NamedTuple):
    """What training left of a fact: its adapters by path, and the report of its own."""

    adapters: dict[str, Adapter]
    report: TrainReport


class _Stopped(NamedTuple):
    """Where the stop rule held a fact: after so many steps and tokens, at these terms, with these adapters."""

    reason: StopReason
    steps: int
    tokens: int
    terms: dict[str, float]
    adapters: dict[str, Adapter]


class Group:
    """Facts that are trained at once.

    Args:
        model: with the adapters that the method trains, as they are before an edit.
        facts: data of each; all have as many steps in an epoch.
        paths: of the network's blocks.
        settled: what an earlier group found out; None looks at the first step.
        stop: for each fact by its own loss.

    Attributes:
        settled: where the network is cut, in a tuple because every layer may have to run (None).
    """

    def __init__(
        self,
        model: Model,
        method: Method,
        facts: Sequence[TrainingData],
        *,
        paths: BlockPaths,
        settled: tuple[Cut | None] | None = None,
        stop: StopRule | None = None,
    ) -> None:
        self.model, self.method, self.facts, self.settled, self._stop = model, method, facts, settled, stop
        self._data = JointData(model, facts, method)
        self._steps = 0
        self._stopped: dict[int, _Stopped] = {}
        self.stack = AdapterStack(model, len(facts))
        self._fixed_layers = FixedLayers(self.stack, paths)
        self._paths = paths
        self._terms: dict[str, Tensor] = {}
        self._last_terms: dict[str, Tensor] = {}

    def train(self, forget: Sequence[Sample], retain: Sequence[Sample]) -> list[FinishedEdit]:
        """Train the group on the samples its facts were made of.

        Raises:
            TrainingError: a fact diverged.
            UnlikeAloneError: facts of this method and model must be trained alone.
        """
        if self.model.prompter.cross_attends:
            raise UnlikeAloneError  # rows with and without pictures go through such networks apart
        options = replace(self.facts[0].options, max_grad_norm=None)
        with self.stack.installed(), self._fixed_layers.installed():
            report = train(
                self.model,
                _TrainedTogether(self),
                forget=forget,
                retain=retain,
                options=options,
                reference=_StackOff(self.stack) if self.method.reference == "start" else None,
                data=self._data,
                stop=_AllStopped(group=self) if self._stop else None,
            )
            # The stack's weights are those of all facts.
            weights = report.trainable_weights // len(self.facts)
            own = replace(report, trainable_weights=weights, seconds=report.seconds / len(self.facts))
            return [FinishedEdit(self.stack.adapters(fact), self._of(own, fact)) for fact in range(len(self.facts))]

    def loss(self, reference: Reference | None, forget: JointBatch | None, retain: JointBatch | None) -> dict[str, Tensor]:
        """The method's terms, weighted so that the loop's mean over all samples is the sum of the facts' own means."""
        if self.settled is None:
            self.settled = (self._found_cut(reference, forget, retain),)
        (cut,) = self.settled
        weighted = {}
        for name, values in self.method.loss(self.model, reference, self._fed(forget, cut), self._fed(retain, cut)).items():
            batch = self._side(name, values, forget, retain)
            own = values * batch.share.to(values)
            term = self._terms.setdefault(name, own.new_zeros(len(self.facts)))
            term.index_add_(0, batch.fact.to(own.device), own.detach())
            weighted[name] = own * batch.in_step
        return weighted

    def clip(self) -> None:
        """Scale down every fact's gradients that are larger than they may be."""
        if self.facts[0].options.max_grad_norm:
            self.stack.clip(self.facts[0].options.max_grad_norm)

    def finish_step(self) -> None:
        """Keep what the step said about each fact; facts that have stopped did not take it."""
        self._steps += 1
        self._last_terms, self._terms = self._terms, {}
        for fact, stopped in self._stopped.items():
            self.stack.put(fact, stopped.adapters)

    def stop_facts(self) -> StopReason | None:
        """Stop facts whose loss of this step says so; why the group ends, once all have stopped."""
        assert self._stop is not None
        for fact, tokens in enumerate(self._data.trained_tokens):
            terms = _of_fact(self._terms, fact)
            reason = None if fact in self._stopped else self._stop.loss_reached(sum(terms.values()))
            if reason:
                self._stopped[fact] = _Stopped(reason, self._steps, tokens, terms, self.stack.adapters(fact))
        return self._stopped[0].reason if len(self._stopped) == len(self.facts) else None

    def _of(self, report: TrainReport, fact: int) -> TrainReport:
        """A fact's own report."""
        if fact in self._stopped:
            reason, steps, tokens, terms, _ = self._stopped[fact]
            report = replace(report, reason=reason, steps=steps, tokens=tokens)
        else:
            terms = _of_fact(self._last_terms, fact)
            report = replace(report, tokens=self._data.trained_tokens[fact])
        return replace(report, loss=sum(terms.values()), terms=terms) if terms else report

    def _side(self, name: str, values: Tensor, forget: JointBatch | None, retain: JointBatch | None) -> JointBatch:
        """The batch whose samples a term has values for."""
        batch = forget if side_of(self.method, name, values, forget, retain) == "forget" else retain
        assert batch is not None
        return batch

    def _fed(self, batch: JointBatch | None, cut: Cut | None) -> JointBatch | None:
        """The batch with inputs for a cut; what lies below it is computed for parts where it is not known yet."""
        if batch is None or (batch.inputs and batch.inputs[ROWS].cut == cut):
            return batch
        parts, device = [part for _, part in batch.parts], self.model.device
        counted = torch.unique(torch.stack([batch.row, batch.position]), dim=1).to(device)
        rows = Rows(batch.row_fact.to(device), counted=(counted[0], counted[1]), cut=cut)
        if cut is None:
            batch.inputs = self._inputs([part.batch for part in parts]) | {ROWS: rows}
            return batch
        if missing := list({id(part): part for part in parts if part.cut != cut}.values()):
            batches = [part.batch for part in missing]
            whole = self._fixed_layers.compute(self._inputs(batches) | {ROWS: rows}, cut)
            for part, fixed in zip(missing, divided(whole, batches), strict=True):
                part.cut, part.fixed = cut, fixed
        fixed = joint_fixed([part.fixed for part in parts if part.fixed is not None])
        told = {"inputs_embeds": fixed.stream, ROWS: replace(rows, fixed=fixed)}
        batch.inputs = self._inputs([part.batch for part in parts], text=False) | told
        return batch

    def _inputs(self, batches: Sequence[Batch], *, text: bool = True) -> dict[str, Any]:
        padding = self.model.prompter.tokenizer.pad_token_id or 0
        return joint_inputs([batch.to(self.model.device) for batch in batches], padding=padding, text=text)

    @torch.no_grad()
    def _found_cut(self, reference: Reference | None, forget: JointBatch | None, retain: JointBatch | None) -> Cut | None:
        """Of the ways to cut that say what lone facts say, the one that saves most.

        The first and the last fact are compared, under adapters that differ from fact to fact and change something.
        """
        blocks = len(self._paths.blocks)
        read = self.method.layers_of(blocks) if isinstance(self.method, LensReader) else (blocks,)
        facts = sorted({0, len(self.facts) - 1})
        sides = [None if batch is None else batch.of_facts(facts) for batch in (forget, retain)]
        still = {fact: self._alone(fact, *sides).logprobs for fact in facts}
        with self.stack.shaken():
            alone = {fact: self._alone(fact, *sides) for fact in facts}
            for cut in self._possible_cuts(min(read)):
                try:
                    fed = self._fed(sides[0], cut), self._fed(sides[1], cut)
                    together = self._said(reference, *fed)
                except Exception:
                    # Networks that do not run without token ids say so in many ways; they run whole.
                    if cut is None:
                        raise
                    continue
                if all(self._alike(self._of_fact(together, fact, *fed), alone[fact], still[fact]) for fact in facts):
                    return cut
        raise UnlikeAloneError

    def _possible_cuts(self, lowest_read: int) -> list[Cut | None]:
        cuts = possible_cuts(self._paths, list(self.stack.layers), lowest_read)
        if _is_single(torch.finfo(self._computed_in()).eps):
            return cuts
        # Rounding would hide what a block does with an edited layer's output.
        return [cut for cut in cuts if cut is None or cut.edited is None]

    def _alone(self, fact: int, forget: JointBatch | None, retain: JointBatch | None) -> _Said:
        """What the loop's usual path says about a fact's own batches, its adapters being the model's own."""
        sides = [
            next((part.batch for one, part in batch.parts if one == fact), None) if batch else None
            for batch in (forget, retain)
        ]
        with self.stack.alone(fact):
            return self._said(AdapterOff(self.model) if self.method.reference == "start" else None, *sides)

    def _said(self, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> _Said:
        sides: dict[Side, Batch | None] = {"forget": forget, "retain": retain}
        logprobs = {side: self.model.token_logprobs(batch) for side, batch in sides.items() if batch is not None}
        return _Said(logprobs, self.method.loss(self.model, reference, forget, retain))

    def _of_fact(self, said: _Said, fact: int, forget: JointBatch | None, retain: JointBatch | None) -> _Said:
        """The part of what was said that is about one fact."""
        owners: dict[Side, JointBatch | None] = {"forget": forget, "retain": retain}
        logprobs = {}
        for side, values in said.logprobs.items():
            batch = owners[side]
            assert batch is not None
            logprobs[side] = values[(batch.fact[batch.owner] == fact).to(values.device)]
        terms = {
            name: values[(self._side(name, values, forget, retain).fact == fact).to(values.device)]
            for name, values in said.terms.items()
        }
        return _Said(logprobs, terms)

    def _alike(self, found: _Said, alone: _Said, still: dict[Side, Tensor]) -> bool:
        """Whether two passes say the same, judged by what the adapters changed and by the network's precision."""
        # Double precision only has to agree as single precision would: what is looked for is another function.
        eps = max(torch.finfo(self._computed_in()).eps, torch.finfo(torch.float32).eps)
        for side, values in alone.logprobs.items():
            allowed = _TOLERANCE * _largest(values - still[side]) + 4 * eps * _largest(values)
            if not _close(found.logprobs[side], values, allowed):
                return False
        # Whether a value depends on other facts' samples shows in it as a share, however small a probability is.
        share = _TOLERANCE if _is_single(eps) else 10 * eps**0.5
        return all(_close(found.terms[name], values, share * (_largest(values) + 1e-5)) for name, values in alone.terms.items())

    def _computed_in(self) -> torch.dtype:
        device = self.model.device.type
        own: torch.dtype = next(self.model.network.parameters()).dtype
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else own


def _of_fact(terms: Mapping[str, Tensor], fact: int) -> dict[str, float]:
    return {name: values[fact].item() for name, values in terms.items()}


def _close(one: Tensor, other: Tensor, allowed: float) -> bool:
    """Whether values agree; what is no number in both does, because the loop refuses it anyway."""
    return torch.allclose(one, other, atol=allowed, rtol=0, equal_nan=True)


def _is_single(eps: float) -> bool:
    """Whether a type with these roundings is single precision or better."""
    return eps <= torch.finfo(torch.float32).eps


def _largest(values: Tensor) -> float:
    return values.abs().nan_to_num(0, posinf=0).max().item() if values.numel() else 0.0


class _Said(NamedTuple):
    """Log-probabilities of counted tokens by side, [edges], and a loss's terms by name, [samples]."""

    logprobs: dict[Side, Tensor]
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class _TrainedTogether(Method):
    """What the loop sees of a group: one method on the samples of all its facts."""

    group: Group = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        # The loop asks the class, which serves any method.
        for key in ("name", "variant", "needs", "reads", "loss_mask"):
            object.__setattr__(self, key, getattr(self.group.method, key))

    @property
    def scope(self) -> Scope | None:
        return self.group.method.scope

    def apply(self, model: Model, forget: Sequence[Sample], retain: Sequence[Sample]) -> bool:
        return self.group.method.apply(model, forget, retain)

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        assert forget is None or isinstance(forget, JointBatch)
        assert retain is None or isinstance(retain, JointBatch)
        return self.group.loss(reference, forget, retain)

    def after_backward(self, model: Model) -> None:
        self.group.clip()

    def after_step(self, model: Model) -> None:
        self.group.finish_step()


@dataclass(frozen=True)
class _AllStopped(StopRule):
    """What the loop sees of a group's stop rule: the group ends when each of its facts has."""

    group: Group | None = field(default=None, repr=False, compare=False)

    def loss_reached(self, loss: float) -> StopReason | None:
        assert self.group is not None
        return self.group.stop_facts()


class _StackOff(Reference):
    """The reference of a group: the network without adapters."""

    def __init__(self, stack: AdapterStack) -> None:
        self._stack = stack

    def answer_logits(self, batch: Batch) -> Tensor:
        with self._stack.off(), evaluating(self._stack.model):
            return self._stack.model.answer_logits(batch)

    def answer_logprobs(self, batch: Batch) -> Tensor:
        with self._stack.off(), evaluating(self._stack.model):
            return self._stack.model.answer_logprobs(batch)


def epoch_length(data: TrainingData, method: Method) -> int:
    """Optimizer steps of an epoch."""
    return len(data.steps(method, epoch=0, per_step=data.options.gradient_accumulation))
