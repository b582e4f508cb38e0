"""What a run would do, without doing it: cells, sample counts, rough time, and memory by part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.cell_questions import CellQuestions, edits_single_facts, training_questions
from unsee.cell_runner import CellRunner
from unsee.errors import CheckpointError
from unsee.experiment import Cell, Experiment, chosen_cells
from unsee.learned_models import learned_names
from unsee.learning import taught
from unsee.memory_plan import skeleton
from unsee.memory_report import cell_works, learning_work, memory_lines
from unsee.progress import Display, duration
from unsee.run_folder import RunFolder

if TYPE_CHECKING:
    from unsee.attacks.base import Attack
    from unsee.benchmarks.base import Benchmark
    from unsee.sample import Sample

# Measured with the embedded model on two cores.
_TRAINED_PER_SECOND = 330
_ANSWERED_PER_SECOND = 120


def plan_run(experiment: Experiment, *, out: Path, only: Sequence[str] = (), memory: int | None = None) -> list[str]:
    """Lines that say what `run` would compute and what it would keep in memory.

    Args:
        memory: bytes, for the largest batch that fits.

    Raises:
        UserError: settings or data cannot be used.
    """
    folder = RunFolder(out)
    cells = chosen_cells(experiment, only)
    runner = CellRunner(experiment, folder, Display())
    benchmark = runner.benchmark
    waiting = [cell for cell in cells if not folder.is_done(folder.cell(cell))]
    start = partial(skeleton, experiment.model, dtype=experiment.dtype)
    with suppress(CheckpointError):  # of a model that is not there yet the memory alone is unknown
        runner.check(waiting, model=start())
    names = learned_names(experiment, waiting)
    seconds, lines = 0.0, [f"experiment {experiment.name} ({experiment.hash[:8]}) in {out}"]
    for name, ratio, draw, *_ in names:
        if folder.is_done(folder.model(name)) or not experiment.learn.epochs:
            continue
        count = len(taught(benchmark, modality=experiment.learn.learn_modality, ratio=ratio, draw=draw))
        steps = experiment.learn.epochs * count / (1 - experiment.learn.replay)
        seconds += steps / _TRAINED_PER_SECOND
        lines.append(f"learn {name}: {count:,} questions, {experiment.learn.epochs} passes")
    for cell in cells:
        if cell not in waiting:
            lines.append(f"done  {cell.id}")
            continue
        questions = runner.questions(cell)
        trained, asked = _counts(experiment, benchmark, cell, questions)
        seconds += trained / _TRAINED_PER_SECOND + asked * len(experiment.answer.protocols) / _ANSWERED_PER_SECOND
        parts = [f"{asked:,} questions asked", *([f"{trained:,} trained on"] if trained else [])]
        if cell.is_single_fact:
            parts.append(
                f"{len(questions.facts):,} facts {'deleted in one edit and ' if cell.is_batch else ''}attacked one by one"
            )
        lines.append(f"cell  {cell.id}: {', '.join(parts)}")
    lines.append(f"{len(waiting)} cells to compute and {len(cells) - len(waiting)} done")
    scale = "" if experiment.model == "tiny" else " for a model as small as tiny; time grows with the number of weights"
    lines.append(f"roughly {duration(seconds)} on two cores{scale}")
    learned = [one for one in names if not folder.is_done(folder.model(one.name)) and experiment.learn.epochs]
    works = []
    if learned:
        first, quantize = learned[0], experiment.taught_in
        works.append(learning_work(benchmark, experiment.learn, ratio=first.ratio, draw=first.draw, quantize=quantize))
    works += cell_works(experiment, benchmark, waiting)
    return lines + memory_lines(start, works, memory=memory)


def _prompts(attack: Attack) -> int:
    """Responses that an attack asks for, per fact."""
    return int(getattr(attack, "prompts", 1)) * int(getattr(attack, "samples", 1))


def _counts(experiment: Experiment, benchmark: Benchmark, cell: Cell, questions: CellQuestions) -> tuple[int, int]:
    """(questions trained on over all passes, questions asked in all states) of a cell."""
    states = experiment.states
    attempts = len(questions.attacked) * sum(_prompts(attack) for attack in experiment.attacks)
    every, again = len(questions.asked) + attempts, bool(states.relearn) + len(states.bits)
    in_states = sum(sample.set in states.sets for sample in questions.asked) if states.sets else len(questions.asked)
    if cell.is_learned:
        return 0, every + in_states * again
    plan = experiment.plan(cell.entry)
    if edits_single_facts(experiment, cell) and not cell.is_batch:
        every = attempts + sum(len(questions.about(fact).asked) for fact in questions.facts)
    if "forget" not in plan.method.needs or (plan.method.scope and not plan.method.scope.modules):
        return 0, every
    if cell.is_single_fact:
        forget: Sequence[Sample] = plan.method.transform(questions.attacked)
    else:
        forget = training_questions(experiment, benchmark, cell, "forget")
    sides = 2 if "retain" in plan.method.needs else 1
    passes = (
        plan.options.steps * plan.options.batch_size if plan.options.steps is not None else plan.options.epochs * len(forget)
    )
    return sides * passes, every + in_states * (again + states.path)
