"""Samples on their way into training: seeded order, mixed over subjects, one picture's questions together, and batches."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import TYPE_CHECKING

from unsee.errors import ConfigError
from unsee.memory_options import check_sizes
from unsee.methods.base import Method, Side

if TYPE_CHECKING:
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.prompts import Encoded, LossMask
    from unsee.models.reference import Reference
    from unsee.sample import Sample
    from unsee.training_options import TrainOptions

_MOST_PER_PICTURE = 8
_FEWEST_PICTURES = 4


@dataclass(frozen=True)
class PlannedBatch:
    """A batch before it is laid out: which samples, in which order."""

    items: tuple[int, ...]
    keys: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.items)


Planned = tuple[PlannedBatch | None, PlannedBatch | None]


def questions_per_picture(step: int) -> int:
    """Questions about one picture in a row where nobody says, for steps of so many questions: a quarter, at most 8.

    Gradients of one subject's questions are alike, so a step made of few subjects moves further towards each of them.
    """
    return max(1, min(_MOST_PER_PICTURE, step // _FEWEST_PICTURES))


def planned_batches(
    samples: Sequence[Sample],
    *,
    batch_size: int,
    accumulation: int,
    seed: int,
    epoch: int,
    side: str,
    per_picture: int | None = None,
) -> list[PlannedBatch]:
    """One pass over the samples in batches of `batch_size`.

    Questions with the same picture (or, without one, about the same subject) under the same system prompt are shuffled, cut
    into chunks of `per_picture`, and the chunks are shuffled, so that packed rows share pictures while a step still mixes
    subjects. A question alone with its picture goes with those that share its system prompt.
    The order depends on the samples of a step (`batch_size * accumulation`), not on how it is divided.

    Args:
        per_picture: `questions_per_picture` of a step when None.
    """
    order = random.Random(f"{seed}/{epoch}/{side}")
    keys: list[tuple[str, ...]] = [
        (s.system, "picture", s.image_sha256) if s.image_sha256 else (s.system, "text", s.subject) for s in samples
    ]
    sizes = Counter(keys)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key[:1] if key[0] and sizes[key] == 1 else key, []).append(index)
    length = per_picture or questions_per_picture(batch_size * accumulation)
    chunks = []
    for group in groups.values():
        order.shuffle(group)
        chunks += [group[first : first + length] for first in range(0, len(group), length)]
    order.shuffle(chunks)
    flat = [index for chunk in chunks for index in chunk]
    return [
        PlannedBatch(items=tuple(part), keys=tuple(samples[index].id for index in part))
        for part in (flat[first : first + batch_size] for first in range(0, len(flat), batch_size))
    ]


def alongside(sizes: Iterable[int], retain: Iterable[PlannedBatch]) -> list[PlannedBatch]:
    """Retain batches of these sizes out of a pass over the retain questions, which begins again as often as it takes.

    Question by question, so that neither a short last batch nor a new pass makes a step depend on how it is divided.
    """
    questions = [one for batch in retain for one in zip(batch.items, batch.keys, strict=True)]
    if not questions:
        return []
    passes = cycle(questions)
    parts = (tuple(islice(passes, size)) for size in sizes)
    return [PlannedBatch(items=tuple(item for item, _ in part), keys=tuple(key for _, key in part)) for part in parts]


class TrainingData:
    """Both sides' samples as conversations, and the batches made of them."""

    def __init__(self, model: Model, samples: Mapping[Side, Sequence[Sample]], options: TrainOptions, mask: LossMask) -> None:
        from unsee.models.questions import encode_samples

        self.model, self.samples, self.options, self.mask = model, samples, options, mask
        self.encoded = {side: encode_samples(items, model.prompter) for side, items in samples.items()}
        for side, items in samples.items():
            check_sizes(items, self.encoded[side], options, max_positions=model.max_positions)

    def reference(self, method: Method, reference_model: Model | None) -> Reference | None:
        from unsee.models.reference import make_reference

        encoded: dict[Side, dict[str, Encoded]] = {"forget": {}, "retain": {}}
        for side, items in self.samples.items():
            for sample, item in zip(items, self.encoded[side], strict=True):
                if encoded[side].setdefault(sample.id, item) != item and "reference" in method.needs:
                    raise ConfigError(f"two {side} samples share the id {sample.id!r}; give every sample an id of its own")
        return make_reference(
            self.model,
            method,
            encoded,
            mask=self.mask,
            pack=self.model.packs(self.options.pack),
            max_row_tokens=self.options.max_row_tokens,
            reference_model=reference_model,
            kind=self.options.reference,
            top_k=self.options.reference_top_k,
            at_once=self.options.batch_size,
        )

    def steps(self, method: Method, *, epoch: int, per_step: int) -> list[list[Planned]]:
        """One epoch of optimizer steps, each a list of pairs of batches still to be laid out."""
        forget, retain = (
            planned_batches(
                self.samples[side],
                batch_size=self.options.batch_size,
                accumulation=per_step,
                seed=self.options.seed,
                epoch=epoch,
                side=side,
                per_picture=self.options.questions_per_picture,
            )
            for side in ("forget", "retain")
        )
        if type(method).schedule is Method.schedule:
            retain = alongside([batch.size for batch in forget], retain)
        pairs = list(method.schedule(forget, retain))
        return [pairs[first : first + per_step] for first in range(0, len(pairs), per_step)]

    def steps_from(self, method: Method, step: int, *, length: int, per_step: int) -> Iterator[list[Planned]]:
        """All steps from a given one on, epoch after epoch without end."""
        for epoch in count(step // length):
            skipped = step % length if epoch == step // length else 0
            yield from self.steps(method, epoch=epoch, per_step=per_step)[skipped:]

    def tokens(self, step: Sequence[Planned]) -> int:
        """Tokens of a step's conversations, shared ones counted for each."""
        sides: tuple[Side, Side] = ("forget", "retain")
        return sum(
            len(self.encoded[side][index].ids)
            for pair in step
            for side, planned in zip(sides, pair, strict=True)
            if planned is not None
            for index in planned.items
        )

    def batch(self, side: Side, planned: PlannedBatch | None) -> Batch | None:
        if planned is None:
            return None
        from unsee.models.batches import collate

        return collate(
            [self.encoded[side][index] for index in planned.items],
            prompter=self.model.prompter,
            mask=self.mask,
            pack=self.model.packs(self.options.pack),
            max_tokens=self.options.max_row_tokens,
            keys=planned.keys,
        )
