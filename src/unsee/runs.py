"""Runs: every cell of an experiment, computed into a folder that survives being killed.

    run = run("examples/people.toml", out="runs/people")
    run.results, run.report_path

Learned models come first, each cell then unlearns a copy of vanilla and answers. What is finished is marked as the last thing
written, so the same command goes on where it stopped and gives the same results.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError
from unsee.experiment import Cell, Experiment, read_experiment, training_modality
from unsee.files import only_writer, storage_problem
from unsee.learned_models import LearnedModels
from unsee.progress import Display
from unsee.provenance import peak_memory_gib
from unsee.run_folder import RunFolder
from unsee.run_results import judge, load_experiment_benchmark, shortfalls

if TYPE_CHECKING:
    import polars as pl

    from unsee.benchmarks.base import Benchmark
    from unsee.models.model import Model
    from unsee.sample import Sample


@dataclass(frozen=True)
class Run:
    """A run folder after `run`.

    Attributes:
        failures: one line per cell that failed.
        shortfalls: one line per learned model that missed its knowledge gate.
    """

    folder: Path
    failures: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()

    @cached_property
    def results(self) -> pl.DataFrame:
        """One row per value, schema RESULTS."""
        return RunFolder(self.folder).results()

    @property
    def report_path(self) -> Path:
        return RunFolder(self.folder).report_file

    @property
    def ok(self) -> bool:
        """Whether every cell finished, and vanilla and gold are what they should be."""
        return not self.failures and not self.shortfalls


def run(
    experiment: Experiment | Path | str,
    *,
    out: Path | str,
    only: Sequence[str] = (),
    display: Display | None = None,
) -> Run:
    """Compute an experiment's cells, score them and write the report.

    Args:
        experiment: an experiment or its TOML file.
        out: the run folder; one that holds part of the same experiment is continued.
        only: patterns of cell ids (`npo-*`); the vanilla and gold they are judged against come along.
        display: shows progress; nothing is shown without it.

    Raises:
        UserError: settings, data, model or folder cannot be used. The disk's troubles are `StorageError`.
    """
    experiment = experiment if isinstance(experiment, Experiment) else read_experiment(experiment)
    folder = RunFolder(Path(out))
    chosen = chosen_cells(experiment, only)
    try:
        with display or Display() as shown:
            # What cannot work must leave no folder behind that later stands in the way.
            runner = _Runner(experiment, folder, chosen, shown)
            with only_writer(folder.path):
                folder.claim(experiment)
                return runner.run()
    except Exception as error:
        problem = storage_problem(error)
        if problem is None or problem is error:
            raise
        raise problem from error


def chosen_cells(experiment: Experiment, only: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose ids match a pattern, with the vanilla and gold they are judged against; all without patterns.

    Raises:
        ConfigError: a pattern matches no cell.
    """
    cells = experiment.cells
    for pattern in only:
        if not any(fnmatchcase(cell.id, pattern) for cell in cells):
            near = get_close_matches(pattern, [cell.id for cell in cells], n=1, cutoff=0)
            raise ConfigError(f"--only {pattern!r} matches no cell; the nearest is {near[0]!r}, --dry-run lists all")
    if not only:
        return cells
    named = [cell for cell in cells if any(fnmatchcase(cell.id, pattern) for pattern in only)]
    requests = {(cell.ratio, cell.draw) for cell in named}
    return tuple(
        cell
        for cell in cells
        if cell in named or (cell.is_learned and not cell.is_noise_gold and (cell.ratio, cell.draw) in requests)
    )


class _Runner:
    """One session of work in a run folder."""

    def __init__(self, experiment: Experiment, folder: RunFolder, cells: tuple[Cell, ...], display: Display) -> None:
        self.experiment = experiment
        self.folder = folder
        self.cells = cells
        self.display = display
        self.benchmark: Benchmark = load_experiment_benchmark(experiment)
        self.models = LearnedModels(experiment, folder, self.benchmark, display)
        if self.models.missing(self._waiting()):
            self.models.start  # noqa: B018

    def run(self) -> Run:
        experiment, folder = self.experiment, self.folder
        began = time.monotonic()
        self.display.say(f"run {experiment.name} in {folder.path}: {len(self.cells)} cells")
        folder.begin_session(experiment, self.models.inputs)
        self._write_samples()
        waiting = self._waiting()
        self.display.plan(len(waiting) + len(self.models.missing(waiting)))
        failures = [line for cell in waiting if (line := self._try(cell)) is not None]
        self.display.say("scoring")
        # Cells of earlier sessions count too, or `only` would drop them from the results.
        judge(experiment, folder, self.benchmark, experiment.cells, display=self.display)
        missed = shortfalls(experiment, folder, self.cells)
        folder.end_session(
            {
                "failed": failures,
                "missed_gates": missed,
                "seconds": {cell.id: folder.done_facts(folder.cell(cell)) for cell in experiment.cells if self._is_done(cell)},
                "session_seconds": round(time.monotonic() - began, 1),
                "peak_memory_gib": peak_memory_gib(),
            }
        )
        self.display.say("writing the report")
        from unsee.report import write_report

        write_report(folder.path)
        return Run(folder.path, tuple(failures), tuple(missed))

    def _waiting(self) -> list[Cell]:
        return [cell for cell in self.cells if not self._is_done(cell)]

    def _is_done(self, cell: Cell) -> bool:
        return self.folder.is_done(self.folder.cell(cell))

    def _write_samples(self) -> None:
        """Keep the questions beside the answers, so that a report needs no benchmark."""
        from unsee.sample_tables import write_samples

        if self.folder.samples_file.exists():
            return
        requests = dict.fromkeys((cell.ratio, cell.draw) for cell in self.experiment.cells)
        by_id = {s.id: s for ratio, draw in requests for s in self.benchmark.samples(ratio=ratio, seed=draw)}
        write_samples(by_id.values(), self.folder.samples_file)

    def _try(self, cell: Cell) -> str | None:
        """Compute a cell; the line that says why it failed, None when it did not."""
        folder = self.folder.cell(cell)
        try:
            self._compute(cell)
        except Exception as error:  # whatever a method or network raises must not cost the other cells
            problem = storage_problem(error)
            if problem is not None:
                raise problem from error
            line = f"{cell.id}: {self.folder.mark_failed(folder, error)}"
            self.display.say(f"failed: {line}")
            return line
        return None

    def _compute(self, cell: Cell) -> None:
        folder = self.folder.cell(cell)
        folder.mkdir(parents=True, exist_ok=True)
        if cell.is_learned:
            model = self.models.of(cell)
            self.display.job(cell.id)
            facts = self.models.cost(model.name)
        else:
            start = self.models.vanilla(cell.draw)
            reference = self._reference(cell)
            self.display.job(cell.id)
            began = time.monotonic()
            model, facts = self._unlearn(cell, start, reference, folder)
            facts["unlearn_seconds"] = round(time.monotonic() - began, 2)
        answering = time.monotonic()
        self._answer(cell, model, folder)
        facts["answer_seconds"] = round(time.monotonic() - answering, 2)
        self.folder.mark_done(folder, facts)
        self.folder.discard(folder / "training")

    def _reference(self, cell: Cell) -> Model | None:
        """For methods whose published reference was tuned on the retain set only: that is gold."""
        if self.experiment.plan(cell.entry).method.reference != "retain_tuned":
            return None
        return self.models.gold(cell.ratio, cell.draw, seed=cell.draw)

    def _unlearn(self, cell: Cell, start: Model, reference: Model | None, folder: Path) -> tuple[Model, dict[str, Any]]:
        from peft import PeftModel

        from unsee.files import write_folder
        from unsee.methods.base import Scope
        from unsee.stopping import LikelihoodProbe
        from unsee.unlearning import unlearn_with_report

        plan, unlearn = self.experiment.plan(cell.entry), self.experiment.unlearn
        request: dict[str, Any] = {"ratio": cell.ratio, "seed": cell.draw}
        probe = LikelihoodProbe(
            start.prompter,
            self.benchmark.stop_probes(set="forget", **request),
            self.benchmark.stop_probes(set="retain", **request),
        )
        modality = training_modality(cell.modality)
        done = unlearn_with_report(
            start,
            forget=self.benchmark.training(set="forget", modality=modality, **request),
            retain=self.benchmark.training(set="retain", modality=modality, **request),
            method=plan.method,
            options=replace(plan.options, seed=cell.seed, loss_mask=unlearn.loss_mask),
            scope=Scope(rank=unlearn.lora) if plan.method.scope is None else None,
            probe=probe,
            stop=plan.stop if plan.stop.target is not None or plan.stop.utility_floor is not None else None,
            log=folder / "train.jsonl",
            resume=folder / "training",
            reference_model=reference,
            progress=self.display.stage(f"unlearning by {cell.method}"),
        )
        write_folder(folder / ("adapter" if isinstance(done.model.network, PeftModel) else "weights"), done.model.save)
        report = done.report
        return done.model, {
            "steps": report.steps,
            "tokens": report.tokens,
            "reason": report.reason,
            "trainable_weights": report.trainable_weights,
        }

    def _answer(self, cell: Cell, model: Model, folder: Path) -> None:
        from unsee.answering import answer

        table = self.experiment.answer
        answer(
            model,
            self._questions(cell),
            protocols=table.protocols,
            cell=cell.id,
            batch_size=table.batch_size,
            truth_ratio=table.truth_ratio,
            seed=cell.draw,
            shots=table.shots,
            store=folder,
            progress=self.display.stage("answering"),
        )

    def _questions(self, cell: Cell) -> list[Sample]:
        samples = self.benchmark.samples(ratio=cell.ratio, seed=cell.draw)
        return limited_retain(samples, self.experiment.answer.retain_subjects)


def limited_retain(samples: Sequence[Sample], most: int | None) -> list[Sample]:
    """All samples, of the set `retain` those of at most `most` subjects spread evenly over it."""
    subjects = list(dict.fromkeys(sample.subject for sample in samples if sample.set == "retain"))
    if most is None or len(subjects) <= most:
        return list(samples)
    kept: Mapping[str, None] = dict.fromkeys(subjects[i * len(subjects) // most] for i in range(most))
    return [sample for sample in samples if sample.set != "retain" or sample.subject in kept]
