"""Cells of a run side by side: what every worker is told and does, in which order, and what becomes of its answer.

    run("examples/people.toml", out="runs/people", executor=Workers(2))            # processes of this machine
    run("examples/people.toml", out="/shared/people", executor=Cluster("auto"))    # a Ray cluster

Learned models come first, and a cell waits for those it begins at. Workers write into the run folder themselves; a cell that is
started again goes on from its last checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.errors import UserError, WorkError
from unsee.learned_models import LearnedModels, LearnedName, learned_names
from unsee.processes import sendable
from unsee.progress import Advance, Display

if TYPE_CHECKING:
    from unsee.cell_runner import CellRunner
    from unsee.experiment import Cell, Experiment
    from unsee.run_folder import RunFolder


class Job(NamedTuple):
    """What every task of a run is told."""

    experiment: Experiment
    folder: RunFolder
    place: str  # where relative paths begin


class Outcome(NamedTuple):
    """What a task says when it ends: notes, why it failed, and that as an error others can fail with."""

    said: tuple[str, ...] = ()
    failure: str | None = None
    error: Exception | None = None


_KEPT: dict[tuple[str, Path, str], CellRunner] = {}


class Executor(ABC):
    """Where cells are computed side by side."""

    @property
    @abstractmethod
    def described(self) -> Mapping[str, Any]:
        """What is noted beside results."""

    @abstractmethod
    def connected(self, display: Display) -> AbstractContextManager[None]:
        """With the workers at hand inside the block.

        Raises:
            ConfigError: there are none, or none has what a cell asks for.
        """

    @abstractmethod
    def _start(self, title: str, task: Callable[..., Outcome], *arguments: Any) -> Any:
        """Hand a task to the next worker that is free; returns a handle of it."""

    @abstractmethod
    def _next(self, handles: Collection[Any]) -> Any:
        """The handle of a task that has ended, waiting for one."""

    @abstractmethod
    def _outcome(self, handle: Any) -> Outcome:
        """What a task that has ended says.

        Raises:
            UserError: what ends the whole run.
        """

    def compute(
        self, experiment: Experiment, folder: RunFolder, cells: Sequence[Cell], models: LearnedModels, display: Display
    ) -> list[str]:
        """Compute cells and the learned models that they lack; returns a line per cell that failed.

        Raises:
            UserError: a worker does not see the run folder, or cannot write there.
        """
        job = Job(experiment, folder, str(Path.cwd()))
        missing = set(models.missing(cells))
        needs = {cell.id: missing & {one.name for one in learned_names(experiment, [cell])} for cell in cells}
        waiting = list(cells)
        running: dict[Any, LearnedName | Cell] = {
            self._start(models.title(one), learn_task, job, one): one
            for one in learned_names(experiment, cells)
            if one.name in missing
        }
        made: dict[str, Outcome] = {}
        failed: dict[str, str] = {}

        def start_cells() -> None:
            for cell in [cell for cell in waiting if needs[cell.id] <= made.keys()]:
                waiting.remove(cell)
                broken = {name: error for name in sorted(needs[cell.id]) if (error := made[name].error) is not None}
                running[self._start(cell.id, cell_task, job, cell, broken)] = cell

        start_cells()
        while running:
            handle = self._next(running)
            outcome, done = self._outcome(handle), running.pop(handle)
            display.job(models.title(done) if isinstance(done, LearnedName) else done.id, ended=True)
            for line in outcome.said:
                display.say(line)
            if isinstance(done, LearnedName):
                made[done.name] = outcome
                start_cells()
            elif outcome.failure is not None:
                failed[done.id] = outcome.failure
            elif outcome.error is not None:
                failed[done.id] = f"{done.id}: {folder.mark_failed(folder.cell(done), outcome.error)}"
                display.say(f"failed: {failed[done.id]}")
        return [failed[cell.id] for cell in cells if cell.id in failed]


def died(reason: str, times: int) -> Outcome:
    """The outcome of a task whose worker died every time."""
    return Outcome(error=WorkError(f"its worker died {times} times ({reason}); look at the machine's memory and logs"))


def learn_task(job: Job, one: LearnedName, display: Display | None = None) -> Outcome:
    """A worker makes a learned model."""
    notes = _Notes(display)
    with _at(job):
        try:
            _runner(job, notes).models.prepare(one)
        except (ValueError, WorkError) as error:
            return Outcome(tuple(notes.lines), error=sendable(error))
    return Outcome(tuple(notes.lines))


def cell_task(job: Job, cell: Cell, broken: Mapping[str, Exception], display: Display | None = None) -> Outcome:
    """A worker computes a cell, once the models that it begins at are made or, where broken, given up."""
    notes = _Notes(display)
    with _at(job):
        if job.folder.is_done(job.folder.cell(cell)):
            return Outcome()  # the worker before died between its last write and its last word
        runner = _runner(job, notes)
        for name, error in broken.items():
            runner.models.give_up(name, error)
        failure = runner.attempt(cell)
    return Outcome(tuple(notes.lines), failure)


class _Notes(Display):
    """Keeps what a worker has to say until its task ends, and passes on how far it is."""

    def __init__(self, display: Display | None) -> None:
        self.lines: list[str] = []
        self._shows = display or Display()

    def stage(self, label: str, *, of: str = "") -> Advance:
        return self._shows.stage(label, of=of)

    def say(self, text: str) -> None:
        self.lines.append(text)


def _runner(job: Job, notes: _Notes) -> CellRunner:
    """This worker's part of a run, which keeps the benchmark and the model that cells begin at between its tasks."""
    from unsee.cell_runner import CellRunner

    key = (job.place, job.folder.path, job.experiment.hash)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = CellRunner(job.experiment, job.folder, notes)
    runner = _KEPT[key]
    runner.display = runner.models.display = notes
    return runner


@contextmanager
def _at(job: Job) -> Iterator[None]:
    """In the folder where the run was started.

    Raises:
        UserError: this machine does not have it.
    """
    import platform

    if not Path(job.place, job.folder.experiment_file).is_file():
        raise UserError(
            f"{platform.node()} does not see the run folder {Path(job.place, job.folder.path)}; "
            "the run folder, its model and its data must lie on paths that all machines of the cluster share"
        )
    with chdir(job.place):
        yield
