"""Further states of a model: on its way through unlearning, taught a little again, with rounded weights.

    for state in further_states(model, table, learn=learn, waypoints=waypoints, forget=samples, seed=0):
        answer(state.model, [sample for sample in questions if state.asks(sample)])

What seems forgotten may only be suppressed: a model that tells it again after a few questions, or once its weights are rounded,
still held it (https://arxiv.org/abs/2410.16454 for rounding, https://arxiv.org/abs/2406.13356 for relearning).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unsee.methods.scope import Scope

if TYPE_CHECKING:
    from unsee.experiment_tables import StatesTable
    from unsee.learning import LearnOptions
    from unsee.models.model import Model
    from unsee.progress import Advance
    from unsee.sample import Sample
    from unsee.training_state import Waypoints

Fact = tuple[str, str]
"""Subject and attribute."""


@dataclass(frozen=True)
class State:
    """A model in a further state.

    Attributes:
        name: `step-00000030`, `relearned` or `int8`; the folder of its records.
        model: valid until the next state is asked for.
        told: facts it was told again, which are not asked.
    """

    name: str
    model: Model
    told: frozenset[Fact] = frozenset()

    def asks(self, sample: Sample) -> bool:
        """Whether a question is put to it."""
        return fact_of(sample) not in self.told


def step_of(name: str) -> int | None:
    """The step of a state on the way, None for other states."""
    return int(name.removeprefix("step-")) if name.startswith("step-") else None


def further_states(
    model: Model,
    table: StatesTable,
    *,
    learn: LearnOptions,
    forget: Sequence[Sample],
    seed: int,
    waypoints: Waypoints | None = None,
    progress: Callable[[str], Advance] | None = None,
) -> Iterator[State]:
    """Every state that an experiment asks for.

    Args:
        model: after learning or unlearning; unchanged once the iteration has ended.
        learn: how facts are taught again.
        forget: training questions of the forget subjects, the same for every model of a request.
        seed: draws the facts that are told again.
        waypoints: weights kept on the way, where there are some.
        progress: makes the progress function of a named stage.
    """
    for step in waypoints.visit(model) if waypoints else ():
        yield State(f"step-{step:08d}", model)
    if table.relearn:
        told = told_again(forget, table.relearn, seed=seed)
        shown = progress("relearning") if progress else None
        again = relearned(model, told, table, learn=learn, seed=seed, progress=shown)
        yield State("relearned", again, frozenset(map(fact_of, told)))
    for width in table.bits:
        yield State(f"int{width}", rounded(model, width))


def told_again(forget: Sequence[Sample], share: float, *, seed: int) -> list[Sample]:
    """Training questions of a random share of the facts; a fact is told in every given modality or not at all."""
    facts = sorted({fact_of(sample) for sample in forget})
    drawn = set(random.Random(f"{seed}/relearn").sample(facts, max(1, round(share * len(facts))))) if facts else set()
    return [sample for sample in forget if fact_of(sample) in drawn]


def relearned(
    model: Model,
    told: Sequence[Sample],
    table: StatesTable,
    *,
    learn: LearnOptions,
    seed: int,
    progress: Advance | None = None,
) -> Model:
    """The model after a few passes over some forget questions, by the recipe that taught it, without replay."""
    from unsee.methods.finetune import FineTune
    from unsee.unlearning import unlearn_with_report

    options = replace(
        learn,
        epochs=table.relearn_epochs,
        steps=None,
        batch_size=table.relearn_batch_size,
        gradient_accumulation=1,
        seed=seed,
    )
    scope = Scope(modules=learn.modules, rank=learn.lora)
    return unlearn_with_report(
        model, forget=(), retain=told, method=FineTune(), options=options, scope=scope, progress=progress
    ).model


def rounded(model: Model, bits: int) -> Model:
    """A copy whose linear layers hold weights rounded to `bits` and back, symmetric, one scale per output row.

    Embeddings, unembedding and norms keep their weights, as in common weight-only quantisation.
    """
    import torch

    from unsee.models.lora import copied

    made = copied(model)
    head, top = made.base.get_output_embeddings(), 2 ** (bits - 1) - 1
    with torch.no_grad():
        for module in made.base.modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                weight = module.weight
                scale = weight.abs().amax(dim=1).float().clamp_min(1e-12) / top  # rows of zeros have no scale of their own
                zero = torch.zeros_like(scale, dtype=torch.int32)
                weight.copy_(torch.fake_quantize_per_channel_affine(weight.float(), scale, zero, 0, -top, top))
    return made


def fact_of(sample: Sample) -> Fact:
    """Whom and what a sample asks."""
    return sample.subject, str(sample.metadata.get("attribute", ""))
