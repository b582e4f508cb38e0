"""Batches of several facts in one: every fact has rows of its own, laid out as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unsee.editing.fixed_layers import Cut, Fixed
from unsee.models.batches import Batch
from unsee.models.prompts import TOKEN_TYPES
from unsee.training_data import Planned, PlannedBatch, TrainingData

if TYPE_CHECKING:
    from unsee.methods.base import Method, Side
    from unsee.models.model import Model

SIDES: tuple[Side, Side] = ("forget", "retain")


@dataclass(eq=False)
class Part:
    """One fact's batch, and what lies below a cut gives for it, once that is known."""

    batch: Batch
    cut: Cut | None = None
    fixed: Fixed | None = None


@dataclass(frozen=True)
class JointPlan(PlannedBatch):
    """One planned batch of each fact.

    Attributes:
        parts: (fact, its batch).
        in_step: number of samples that each fact has on this side in the whole optimizer step.
    """

    parts: tuple[tuple[int, PlannedBatch], ...] = ()
    in_step: tuple[int, ...] = ()


@dataclass
class JointBatch(Batch):
    """Batches of several facts, one after another; `inputs` are filled in when it is known which layers run.

    Attributes:
        fact: [size], whose each conversation is.
        share: [size], of its fact's mean, 1 / (samples of the fact in the step).
        in_step: samples of all facts in the step.
        row_fact: [rows], whose each row is.
        parts: (fact, its own batch), in order.
    """

    fact: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    share: Tensor = field(default_factory=lambda: torch.zeros(0))
    in_step: int = 0
    row_fact: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    parts: tuple[tuple[int, Part], ...] = ()

    def of_facts(self, facts: Sequence[int]) -> JointBatch | None:
        """The batch of some facts alone, each sample of which counts once; None where they have no samples in it."""
        parts = [(fact, part) for fact, part in self.parts if fact in facts]
        return joint_batch(parts, [1] * (max(facts) + 1)) if parts else None


class JointData(TrainingData):
    """The samples of several facts, each planned as if it were alone.

    Args:
        model: as for `TrainingData`.
        facts: every fact's own data; all have as many steps in an epoch, and the same retain samples.
        method: by which each fact would be trained alone.

    Attributes:
        trained_tokens: of each fact, so far.
    """

    def __init__(self, model: Model, facts: Sequence[TrainingData], method: Method) -> None:
        super().__init__(model, dict.fromkeys(SIDES, ()), facts[0].options, facts[0].mask)
        self.facts, self._method = facts, method
        self.trained_tokens = [0] * len(facts)
        self._parts: dict[tuple[Side, int, tuple[int, ...]], Part] = {}
        self._last: dict[Side, tuple[JointPlan, JointBatch]] = {}

    def steps(self, method: Method, *, epoch: int, per_step: int) -> list[list[Planned]]:
        own = [fact.steps(self._method, epoch=epoch, per_step=per_step) for fact in self.facts]
        return [self._joined(step) for step in zip(*own, strict=True)]

    def tokens(self, step: Sequence[Planned]) -> int:
        """As for one fact; what each fact had is added to `trained_tokens`, because the loop asks once a step."""
        before = sum(self.trained_tokens)
        for pair in step:
            for side, planned in zip(SIDES, pair, strict=True):
                for fact, part in planned.parts if isinstance(planned, JointPlan) else ():
                    own = (part, None) if side == "forget" else (None, part)
                    self.trained_tokens[fact] += self.facts[fact].tokens([own])
        return sum(self.trained_tokens) - before

    def batch(self, side: Side, planned: PlannedBatch | None) -> JointBatch | None:
        if planned is None:
            return None
        assert isinstance(planned, JointPlan)
        if side not in self._last or self._last[side][0] != planned:
            parts = tuple((fact, self._part(side, fact, own)) for fact, own in planned.parts)
            self._last[side] = planned, joint_batch(parts, planned.in_step)
        return self._last[side][1]

    def _joined(self, steps: Sequence[Sequence[Planned]]) -> list[Planned]:
        """One step of every fact as one step."""
        in_step = [
            tuple(sum(planned.size for pair in step if (planned := pair[side])) for step in steps) for side in range(len(SIDES))
        ]
        joined: list[Planned] = []
        for pairs in zip_longest(*steps, fillvalue=(None, None)):
            forget, retain = (_joint_plan([pair[side] for pair in pairs], in_step[side]) for side in range(len(SIDES)))
            joined.append((forget, retain))
        return joined

    def _part(self, side: Side, fact: int, planned: PlannedBatch) -> Part:
        """A fact's batch as it is laid out alone; kept where one batch holds all samples, so that it comes again."""
        own = self.facts[fact]
        # Retain samples are the same for every fact.
        key = (side, fact if side == "forget" else -1, planned.items)
        if key in self._parts:
            return self._parts[key]
        batch = own.batch(side, planned)
        assert batch is not None
        part = Part(batch)
        if len(own.samples[side]) <= self.options.batch_size:
            self._parts[key] = part
        return part


def _joint_plan(plans: Sequence[PlannedBatch | None], in_step: tuple[int, ...]) -> JointPlan | None:
    """One plan out of every fact's own; the order within a part changes no mean, so it is sorted."""
    parts = tuple((fact, _sorted(planned)) for fact, planned in enumerate(plans) if planned is not None)
    if not parts:
        return None
    return JointPlan(
        items=tuple(item for _, planned in parts for item in planned.items),
        keys=tuple(key for _, planned in parts for key in planned.keys),
        parts=parts,
        in_step=in_step,
    )


def _sorted(planned: PlannedBatch) -> PlannedBatch:
    order = sorted(range(planned.size), key=planned.items.__getitem__)
    return PlannedBatch(tuple(planned.items[i] for i in order), tuple(planned.keys[i] for i in order))


def joint_batch(parts: Sequence[tuple[int, Part]], in_step: Sequence[int]) -> JointBatch:
    """Edges of all parts together; inputs are still missing."""
    batches = [part.batch for _, part in parts]
    rows, sizes = [_rows(batch) for batch in batches], [batch.size for batch in batches]
    facts = torch.tensor([fact for fact, _ in parts])
    shares = 1 / torch.tensor([in_step[fact] for fact, _ in parts], dtype=torch.float64)
    return JointBatch(
        {},
        row=_shifted([batch.row for batch in batches], rows),
        position=torch.cat([batch.position for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        owner=_shifted([batch.owner for batch in batches], sizes),
        size=sum(sizes),
        keys=tuple(key for batch in batches for key in batch.keys),
        fact=facts.repeat_interleave(torch.tensor(sizes)),
        share=shares.repeat_interleave(torch.tensor(sizes)),
        in_step=sum(in_step),
        row_fact=facts.repeat_interleave(torch.tensor(rows)),
        parts=tuple(parts),
    )


def joint_inputs(batches: Sequence[Batch], *, padding: int, text: bool = True) -> dict[str, Any]:
    """Inputs of all batches, rows padded on the right; without `text` what says which tokens there are is left out."""
    known = {"input_ids": padding, "position_ids": 0, **dict.fromkeys(TOKEN_TYPES, 0)}
    made: dict[str, Any] = {}
    for name in dict.fromkeys(name for batch in batches for name in batch.inputs):
        values = [batch.inputs[name] for batch in batches if name in batch.inputs]
        if name == "attention_mask":
            made[name] = _masks(values)
        elif name == "position_ids" and values[0].dim() == 3:
            made[name] = padded([value.movedim(0, -1) for value in values]).movedim(-1, 0)
        elif name == "position_ids" or (text and name in known):
            made[name] = padded(values, known[name])
        elif text:
            made[name] = torch.cat(values)
    return made


def joint_fixed(fixed: Sequence[Fixed]) -> Fixed:
    """What fixed layers gave for several parts, padded alike."""
    sources = [one.source for one in fixed if one.source is not None]
    return Fixed(padded([one.stream for one in fixed]), padded(sources) if sources else None)


def divided(fixed: Fixed, batches: Sequence[Batch]) -> list[Fixed]:
    """Undo `joint_fixed` for the batches whose inputs were joined."""
    made, first = [], 0
    for batch in batches:
        rows, length = batch.inputs["input_ids"].shape
        part = slice(first, first + rows)
        stream, source = (None if whole is None else whole[part, :length].clone() for whole in fixed)
        assert stream is not None
        made.append(Fixed(stream, source))
        first += rows
    return made


def padded(values: Sequence[Tensor], padding: float = 0) -> Tensor:
    """[rows, tokens, ...] of several lengths, one under another."""
    rows, length = sum(len(value) for value in values), max(value.shape[1] for value in values)
    made = values[0].new_full((rows, length, *values[0].shape[2:]), padding)
    first = 0
    for value in values:
        made[first : first + len(value), : value.shape[1]] = value
        first += len(value)
    return made


def _masks(masks: Sequence[Tensor]) -> Tensor:
    """Which tokens count, [rows, tokens], or what each sees, [rows, 1, tokens, tokens]; padding sees itself, as everywhere."""
    if masks[0].dim() == 2:
        return padded(masks)
    length = max(mask.shape[-1] for mask in masks)
    made = torch.eye(length, dtype=torch.bool).repeat(sum(len(mask) for mask in masks), 1, 1, 1).to(masks[0].device)
    first = 0
    for mask in masks:
        made[first : first + len(mask), :, : mask.shape[-1], : mask.shape[-1]] = mask
        first += len(mask)
    return made


def _rows(batch: Batch) -> int:
    return int(batch.inputs["input_ids"].shape[0])


def _shifted(numbers: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """Numbers that count from 0 in each batch, made to count through all of them."""
    first, made = 0, []
    for number, count in zip(numbers, counts, strict=True):
        made.append(number + first)
        first += count
    return torch.cat(made)
