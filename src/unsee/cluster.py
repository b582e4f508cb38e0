"""Cells of a run on a Ray cluster: one task each, which Ray places, and starts again where a machine dies.

    run("examples/people.toml", out="/shared/people", cluster=Cluster(address="auto"))

Learned models are tasks that the cells beginning there wait for. Workers write into the run folder, so it must lie on a path
that all machines share, and so must what the experiment names; a cell that is started again goes on from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.errors import ConfigError, TrainingError, UserError
from unsee.learned_models import LearnedModels, LearnedName, learned_names
from unsee.processes import sendable
from unsee.progress import Display

if TYPE_CHECKING:
    from unsee.experiment import Cell, Experiment
    from unsee.run_folder import RunFolder

_SHARE = "the run folder, its model and its data must lie on paths that all machines of the cluster share"


class Job(NamedTuple):
    """What every task of a run is told."""

    experiment: Experiment
    folder: RunFolder
    place: str  # where relative paths begin


class Outcome(NamedTuple):
    """What a task says when it ends: notes, why it failed, and that as an error others can fail with."""

    said: tuple[str, ...]
    failure: str | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster and what a cell is given of it.

    Attributes:
        address: of the head node, or `auto` for the cluster of this machine; without one Ray starts here, for this run only.
        cpus_per_cell: cores of a cell, and of the making of a learned model; how many run at once follows from it.
        gpus_per_cell: GPUs of each; parts of one where several share it. With 0 a cell sees no GPU.
        retries: how often a task is started again after its worker or machine died.
    """

    address: str | None = None
    cpus_per_cell: int = 1
    gpus_per_cell: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        if self.cpus_per_cell < 1:
            raise ConfigError(f"cpus_per_cell = {self.cpus_per_cell} is too few; give each cell at least 1")
        if self.gpus_per_cell < 0 or (self.gpus_per_cell > 1 and self.gpus_per_cell != int(self.gpus_per_cell)):
            raise ConfigError(
                f"gpus_per_cell = {self.gpus_per_cell:g} cannot be given; give a part of one GPU or a whole number"
            )
        if find_spec("ray") is None:
            raise ConfigError(
                "cells on a cluster need Ray, which is not installed; run `pip install 'unsee[ray]'` on every machine of it"
            )

    @contextmanager
    def connected(self) -> Iterator[None]:
        """With the cluster at hand inside the block.

        Raises:
            ConfigError: no cluster answers, or none of its machines has what a cell asks for.
        """
        ray = _ray()

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        if self.address is not None:
            del quiet["include_dashboard"]
        try:
            ray.init(address=self.address or "local", **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"no Ray cluster answers at {self.address} ({reason}); start one with `ray start --head` or give no address"
            ) from error
        try:
            alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            if not any(node.get("CPU", 0) >= self.cpus_per_cell and node.get("GPU", 0) >= self.gpus_per_cell for node in alive):
                raise ConfigError(
                    f"no machine of the cluster has {self.cpus_per_cell} CPUs and {self.gpus_per_cell:g} GPUs for a cell; "
                    "ask for less with --cpus-per-cell and --gpus-per-cell"
                )
            yield
        finally:
            ray.shutdown()

    def compute(
        self, experiment: Experiment, folder: RunFolder, cells: Sequence[Cell], models: LearnedModels, display: Display
    ) -> list[str]:
        """Compute cells and the learned models that they lack; returns a line per cell that failed.

        Raises:
            UserError: a machine does not see the run folder, or cannot write there.
        """
        ray = _ray()

        job = Job(experiment, folder, str(Path.cwd()))
        needed = {"num_cpus": self.cpus_per_cell, "num_gpus": self.gpus_per_cell, "max_retries": self.retries}
        missing = set(models.missing(cells))
        learn_task, cell_task = (ray.remote(**needed)(work) for work in (_learn, _compute))
        made: dict[str, Any] = {}
        running: dict[Any, tuple[str, Cell | None]] = {}
        for one in learned_names(experiment, cells):
            if one.name in missing:
                made[one.name] = learn_task.options(name=models.title(one)).remote(job, one)
                running[made[one.name]] = (models.title(one), None)
        for cell in cells:
            begins_at = [one.name for one in learned_names(experiment, [cell]) if one.name in made]
            task = cell_task.options(name=cell.id)
            running[task.remote(job, cell, begins_at, *(made[name] for name in begins_at))] = (cell.id, cell)
        failed = self._collect(running, folder, display)
        return [failed[cell.id] for cell in cells if cell.id in failed]

    def _collect(self, running: Mapping[Any, tuple[str, Cell | None]], folder: RunFolder, display: Display) -> dict[str, str]:
        """Wait for all tasks and show them as they end; returns the lines of failed cells by their ids."""
        ray = _ray()

        failed: dict[str, str] = {}
        waiting = list(running)
        while waiting:
            (done, *_), waiting = ray.wait(waiting)
            title, cell = running[done]
            display.job(title)
            outcome = self._outcome(done)
            for line in outcome.said:
                display.say(line)
            if cell is not None and outcome.failure is not None:
                failed[cell.id] = outcome.failure
            elif cell is not None and outcome.error is not None:
                failed[cell.id] = f"{cell.id}: {folder.mark_failed(folder.cell(cell), outcome.error)}"
                display.say(f"failed: {failed[cell.id]}")
        return failed

    def _outcome(self, task: Any) -> Outcome:
        ray = _ray()

        try:
            outcome: Outcome = ray.get(task)
            return outcome
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            died = TrainingError(f"its worker died {self.retries + 1} times ({reason}); look at the machine's memory and logs")
            return Outcome((), error=died)


class _Notes(Display):
    """Keeps what a worker has to say until its task ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def _learn(job: Job, one: LearnedName) -> Outcome:
    """A worker makes a learned model."""
    from unsee.run_results import load_experiment_benchmark

    notes = _Notes()
    with _at(job):
        models = LearnedModels(job.experiment, job.folder, load_experiment_benchmark(job.experiment), notes)
        try:
            models.prepare(one)
        except (ValueError, TrainingError) as error:
            return Outcome(tuple(notes.lines), error=sendable(error))
    return Outcome(tuple(notes.lines))


def _compute(job: Job, cell: Cell, begins_at: Sequence[str], *made: Outcome) -> Outcome:
    """A worker computes a cell, once the models that it begins at are made."""
    from unsee.runs import CellRunner

    notes = _Notes()
    with _at(job):
        if job.folder.is_done(job.folder.cell(cell)):
            return Outcome(())  # the worker before died between its last write and its last word
        runner = CellRunner(job.experiment, job.folder, (cell,), notes)
        for name, outcome in zip(begins_at, made, strict=True):
            if outcome.error is not None:
                runner.models.give_up(name, outcome.error)
        failure = runner.attempt(cell)
    return Outcome(tuple(notes.lines), failure)


@contextmanager
def _at(job: Job) -> Iterator[None]:
    """In the folder where the run was started.

    Raises:
        UserError: this machine does not have it.
    """
    import platform

    try:
        with chdir(job.place):
            if not job.folder.experiment_file.is_file():
                raise FileNotFoundError(job.folder.path)
    except OSError as error:
        raise UserError(f"{platform.node()} does not see the run folder {job.folder.path} ({error}); {_SHARE}") from error
    with chdir(job.place):
        yield


def _ray() -> Any:
    return import_module("ray")
