"""Runs: every cell of an experiment, computed into a folder that survives being killed.

    run = run("examples/people.toml", out="runs/people")
    run.results, run.report_path

Learned models come first, each cell then unlearns a copy of vanilla and answers. What is finished is marked as the last thing
written, so the same command goes on where it stopped and gives the same results.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.attacks.base import NEVER_LEARNED
from unsee.benchmarks.base import about
from unsee.cell_runner import CellRunner
from unsee.experiment import Cell, Experiment, chosen_cells, read_experiment
from unsee.files import only_writer, storage_problem
from unsee.learned_models import learned_names
from unsee.progress import Display
from unsee.provenance import peak_memory_gib
from unsee.run_folder import RunFolder
from unsee.run_results import judge, shortfalls

if TYPE_CHECKING:
    import polars as pl

    from unsee.executors import Executor
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
    reuse: Sequence[Path | str] = (),
    display: Display | None = None,
    executor: Executor | None = None,
) -> Run:
    """Compute an experiment's cells, score them and write the report.

    Args:
        experiment: an experiment or its TOML file.
        out: the run folder; one that holds part of the same experiment is continued.
        only: patterns of cell ids (`npo-*`); the vanilla and gold they are judged against come along.
        reuse: other run folders, whose learned models and cells are taken over where they are the same.
        display: shows progress; nothing is shown without it.
        executor: computes cells side by side; one after the other in this process without it.

    Raises:
        UserError: settings, data, model or folder cannot be used. The disk's troubles are `StorageError`.
    """
    experiment = experiment if isinstance(experiment, Experiment) else read_experiment(experiment)
    folder = RunFolder(Path(out))
    chosen = chosen_cells(experiment, only)
    try:
        with display or Display() as shown:
            # What cannot work must leave no folder behind that later stands in the way.
            session = _Session(experiment, folder, chosen, shown, [Path(place) for place in reuse], executor)
            session.check()
            with session.computing(), only_writer(folder.path):
                folder.claim(experiment)
                return session.run()
    except Exception as error:
        problem = storage_problem(error)
        if problem is None or problem is error:
            raise
        raise problem from error


class _Session:
    """One session of work in a run folder."""

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        cells: tuple[Cell, ...],
        display: Display,
        reuse: Sequence[Path],
        executor: Executor | None,
    ) -> None:
        self.experiment = experiment
        self.folder = folder
        self.cells = cells
        self.display = display
        self.reuse = reuse
        self.executor = executor
        self.runner = CellRunner(experiment, folder, display)
        self.models = self.runner.models

    def check(self) -> None:
        """Refuse what cannot work before anything is written."""
        self.runner.check(self._waiting())
        if self.executor is not None:
            self.models.let_go()  # every worker has its own

    def computing(self) -> AbstractContextManager[None]:
        """Where cells are computed, at hand inside the block."""
        return self.executor.connected(self.display) if self.executor is not None and self._waiting() else nullcontext()

    def run(self) -> Run:
        experiment, folder = self.experiment, self.folder
        began = time.monotonic()
        self.display.say(f"run {experiment.name} in {folder.path}: {len(self.cells)} cells")
        executor = None if self.executor is None else self.executor.described
        folder.begin_session(experiment, self.models.inputs, executor=executor)
        self._write_samples()
        taken = self._take_over()
        waiting = self._waiting()
        self.display.plan(len(waiting) + len(self.models.missing(waiting)))
        if self.executor is None or not waiting:
            failures = [line for cell in waiting if (line := self.runner.attempt(cell)) is not None]
        else:
            failures = self.executor.compute(experiment, folder, waiting, self.models, self.display)
        self.display.say("scoring")
        # Cells of earlier sessions count too, or `only` would drop them from the results.
        judge(experiment, folder, self.runner.benchmark, experiment.cells, display=self.display)
        missed = shortfalls(experiment, folder, self.cells)
        done = {cell.id: folder.done_facts(folder.cell(cell)) for cell in experiment.cells if self._is_done(cell)}
        peaks = [peak_memory_gib(), *(facts.get("peak_memory_gib", 0.0) for facts in done.values())]
        folder.end_session(
            {
                "failed": failures,
                "taken_over": [*folder.provenance().get("taken_over", []), *taken],
                "missed_gates": missed,
                "seconds": done,
                "session_seconds": round(time.monotonic() - began, 1),
                "peak_memory_gib": max(peaks),
            }
        )
        self.display.say("writing the report")
        from unsee.report import write_report

        write_report(folder.path)
        return Run(folder.path, tuple(failures), tuple(missed))

    def _take_over(self) -> list[str]:
        """Finished work of other runs, put into this one's folder."""
        from unsee.reuse import take_over

        cells = self._waiting()
        missing = set(self.models.missing(cells))
        learned = [one for one in learned_names(self.experiment, cells) if one.name in missing]
        taken = take_over(self.experiment, self.folder, self.reuse, inputs=self.models.inputs, learned=learned, cells=cells)
        if self.reuse:
            self.display.say(f"taken over from other runs: {', '.join(taken) or 'nothing is the same there'}")
        return taken

    def _waiting(self) -> list[Cell]:
        return [cell for cell in self.cells if not self._is_done(cell)]

    def _is_done(self, cell: Cell) -> bool:
        return self.folder.is_done(self.folder.cell(cell))

    def _write_samples(self) -> None:
        """Keep the questions beside the answers, so that a report needs no benchmark."""
        from unsee.sample_tables import write_samples

        if self.folder.samples_file.exists():
            return
        by_id: dict[str, Sample] = {}
        for ratio, draw, scenario in dict.fromkeys(cell.request for cell in self.experiment.cells):
            by_id |= {s.id: s for s in about(self.runner.benchmark, scenario).samples(ratio=ratio, seed=draw)}
        for cell in self.experiment.cells:
            if cell.method == NEVER_LEARNED:
                by_id |= {s.id: s for s in self.runner.questions(cell).asked}
        write_samples(by_id.values(), self.folder.samples_file)
