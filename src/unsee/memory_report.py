"""The memory part of a dry run: what learning and each method would take, and the largest batch that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unsee.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from unsee.benchmarks.base import Benchmark
    from unsee.experiment import Cell, Experiment
    from unsee.memory_plan import MemoryPlan
    from unsee.methods.base import Method
    from unsee.methods.scope import Scope
    from unsee.models.checkpoints import Quantize
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.training_options import TrainOptions


@dataclass(frozen=True)
class Work:
    """A training run that is to be planned.

    Attributes:
        title: what the lines call it.
        forget, retain: the samples it trains on.
        other_models: copies of the model that are in memory beside the one that is trained.
        quantize: bits of the weights below an adapter.
        data: which of the samples of one method these are, where it trains on several kinds.
    """

    title: str
    method: Method
    scope: Scope
    options: TrainOptions
    forget: Sequence[Sample]
    retain: Sequence[Sample]
    other_models: int = 0
    quantize: Quantize | None = None
    data: str = ""

    @property
    def alike(self) -> tuple[Any, ...]:
        """The same for runs that take the same memory, as far as options tell."""
        reads = tuple(sorted(self.method.reads.items())) if self.method.reference != "none" else ()
        options = replace(self.options, learning_rate=1.0, epochs=1, steps=None, weight_decay=0.0, warmup=0.0)
        return (
            tuple(sorted(self.method.needs)),
            self.method.reference,
            reads,
            self.method.variant,
            self.scope,
            options,
            self.quantize,
            self.data,
        )


def memory_lines(skeleton: Callable[[], Model], works: Sequence[Work], *, memory: int | None = None) -> list[str]:
    """Lines that say what training takes by part; with `memory` also the largest batch that fits.

    Args:
        skeleton: makes the model without its weights.
        works: what is planned; runs that take the same share their lines.
        memory: bytes; a model or method that cannot be planned is then an error.

    Raises:
        UserError: `memory` is given and the model's config or processor is not there, or its memory cannot be planned.
    """
    if not works:
        return []
    lines = ["memory of training above the loaded libraries (about 1 GiB):"]
    groups: dict[tuple[Any, ...], list[Work]] = {}
    for work in works:
        groups.setdefault(work.alike, []).append(work)
    try:
        start = skeleton()
        for group in groups.values():
            lines += _lines_of(group, start, memory)
    except (CheckpointError, ConfigError) as error:
        if memory is not None:
            raise
        return [f"no memory plan: {error}"]
    return lines


def _lines_of(group: Sequence[Work], start: Model, memory: int | None) -> Iterator[str]:
    from unsee.memory_plan import largest_batch, size_text

    work = group[0]
    plan_at = _planner(work, start)
    yield ", ".join(work.title for work in group) + (f" ({work.data})" if work.data else "")
    yield from plan_at(work.options.batch_size).lines()
    if memory is not None:
        most = max(len(work.forget), len(work.retain))
        best = largest_batch(plan_at, memory, most=most)
        if best.size:
            all_of_it = ", which is all there is" if best.size == most else ""
            yield f"  largest batch size that fits {size_text(memory)}: {best.size}{all_of_it} ({size_text(best.plan.total)})"
        else:
            yield f"  no batch fits {size_text(memory)}: one question takes {size_text(best.plan.total)}"


def _planner(work: Work, start: Model) -> Callable[[int], MemoryPlan]:
    from unsee.memory_plan import plan_training
    from unsee.models.lora import attach

    model = attach(start, work.scope)

    def plan_at(batch_size: int) -> MemoryPlan:
        return plan_training(
            model,
            work.method,
            forget=work.forget,
            retain=work.retain,
            options=replace(work.options, batch_size=batch_size),
            other_models=work.other_models,
            quantize=work.quantize,
        )

    return plan_at


def learning_work(
    benchmark: Benchmark,
    options: Any,
    *,
    title: str = "learn",
    ratio: float | None = None,
    draw: int = 0,
    quantize: Quantize | None = None,
) -> Work:
    """Teaching a benchmark's subjects."""
    from unsee.learning import lesson, taught
    from unsee.methods.scope import Scope

    method, general = lesson(benchmark, options)
    samples = taught(benchmark, modality=options.learn_modality, ratio=ratio, draw=draw)
    scope = Scope(modules=options.modules, rank=options.lora)
    return Work(title, method, scope, options, general, samples, quantize=quantize)


def cell_works(experiment: Experiment, benchmark: Benchmark, cells: Sequence[Cell]) -> list[Work]:
    """One piece of work per method that trains and kind of questions, whose lengths differ with pictures and scenarios.

    Of single facts it is editing one alone, or all where they go in a batch.
    """
    from unsee.cell_questions import cell_questions, training_questions
    from unsee.unlearning import chosen_scope, trains_adapters_alone

    works: dict[tuple[str, str], Work] = {}
    for cell in cells:
        shown = "" if cell.is_single_fact else cell.modality
        data = ", ".join(part for part in (shown, cell.scenario) if part)
        if cell.is_learned or (cell.entry, data) in works:
            continue
        plan, unlearn = experiment.plan(cell.entry), experiment.unlearn
        scope = chosen_scope(plan.method, unlearn.scope_of(plan.method))
        if "forget" not in plan.method.needs or not scope.modules:
            continue
        if cell.is_single_fact:
            questions = cell_questions(experiment, benchmark, cell)
            forget, retain = list(questions.attacked), list(questions.unrelated)
            title = f"{cell.entry}, {len(questions.facts)} facts in one edit"
            if not cell.is_batch:
                forget = list(questions.about(questions.facts[0]).attacked)
                title = f"{cell.entry}, one fact; up to {unlearn.side_by_side} are edited side by side"
        else:
            forget = training_questions(experiment, benchmark, cell, "forget")
            retain = training_questions(experiment, benchmark, cell, "retain")
            title = cell.entry
        options = replace(plan.options, loss_mask=unlearn.loss_mask, **unlearn.memory)
        # After the first edit of a sequence the model carries an adapter, which is merged into a copy.
        copies = int(not trains_adapters_alone(plan.method, scope) or (cell.is_single_fact and bool(unlearn.sequence)))
        works[cell.entry, data] = Work(
            title, plan.method, scope, options, forget, retain, other_models=copies, quantize=experiment.quantize, data=data
        )
    if len({data for _, data in works}) == 1:
        return [replace(work, data="") for work in works.values()]
    return list(works.values())
