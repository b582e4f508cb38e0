"""Cells of a run side by side on one machine, in processes of their own.

    run("examples/people.toml", out="runs/people", executor=Workers(2))

Small networks leave cores idle: two training runs on a core each are done sooner than one after the other on both. Every worker
has the same share of the cores, so that a result does not depend on who computed it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee import processes
from unsee.errors import ConfigError
from unsee.executors import Executor, Outcome, died
from unsee.progress import Advance, Display
from unsee.provenance import memory_gib

if TYPE_CHECKING:
    from unsee.experiment import Experiment

_GIB_PER_WORKER = 4
"""More than the embedded models and the libraries take."""
_SHOWN_EVERY = 0.5
"""Seconds between two lines about one stage."""
_LONGEST_LINE = select.PIPE_BUF
"""Bytes that several processes can write to one pipe without mixing them up."""


def usual_workers(experiment: Experiment) -> int:
    """How many cells are computed at once unless the user says, as many as cores and memory bear where networks are small.

    One for models that do not come with this package, where there is a GPU, and where a launcher started several processes.
    """
    from unsee.models.loading import EMBEDDED

    if experiment.model not in EMBEDDED or processes.count() > 1 or _has_gpu():
        return 1
    return max(1, min(_cores(), int((memory_gib() or 0) / _GIB_PER_WORKER), len(experiment.cells)))


class Workers(Executor):
    """Processes of this machine that compute cells.

    Args:
        count: how many; each has an equal share of the cores.
        retries: how many workers may die one after the other, with nothing finished between.

    Raises:
        ConfigError: a number that cannot be, or a launcher has started several processes already.
    """

    def __init__(self, count: int, *, retries: int = 3) -> None:
        if count < 1:
            raise ConfigError(f"workers = {count} is too few; give at least 1")
        if processes.count() > 1:
            raise ConfigError(
                "a launcher started several processes, which cannot have workers of their own; leave --workers out"
            )
        self.count, self.retries = count, retries
        self._deaths = 0
        self._tasks: list[tuple[Any, ...]] = []
        self._futures: dict[int, Future[Outcome]] = {}
        self._pool: ProcessPoolExecutor
        self._line: Connection

    @property
    def threads(self) -> int:
        """Of each process."""
        return max(1, _cores() // self.count)

    @property
    def described(self) -> dict[str, Any]:
        return {"workers": self.count, "threads": self.threads}

    @contextmanager
    def connected(self, display: Display) -> Iterator[None]:
        reads, self._line = multiprocessing.Pipe(duplex=False)
        shows = threading.Thread(target=_show, args=(reads, display), daemon=True)
        self._pool = self._new_pool()
        shows.start()
        try:
            yield
            self._pool.shutdown()
        finally:
            os.write(self._line.fileno(), b"\n")
            shows.join()
            reads.close()  # whoever still works leaves
            self._pool.shutdown(cancel_futures=True)
            self._line.close()

    def _new_pool(self) -> ProcessPoolExecutor:
        started = self._line, self.threads
        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), initializer=_begin, initargs=started)

    def _start(self, title: str, task: Callable[..., Outcome], *arguments: Any) -> int:
        self._tasks.append((title, task, *arguments))
        return self._submit(len(self._tasks) - 1)

    def _submit(self, number: int) -> int:
        try:
            self._futures[number] = self._pool.submit(_work, *self._tasks[number])
        except BrokenProcessPool as error:
            self._futures[number] = Future()
            self._futures[number].set_exception(error)
        return number

    def _next(self, handles: Collection[int]) -> int:
        while True:
            wait([self._futures[number] for number in handles], return_when=FIRST_COMPLETED)
            ended = [number for number in handles if self._futures[number].done()]
            whole = [number for number in ended if not self._lost(number)]
            if whole:
                self._deaths = 0
                return whole[0]
            self._deaths += 1
            if self._deaths > self.retries:
                return ended[0]
            self._pool.shutdown()
            self._pool = self._new_pool()
            for number in handles:
                self._submit(number)

    def _lost(self, number: int) -> bool:
        return isinstance(self._futures[number].exception(), BrokenProcessPool)

    def _outcome(self, handle: int) -> Outcome:
        if self._lost(handle):
            return died("killed from outside or out of memory", self._deaths)
        return self._futures[handle].result()


class _Stage(NamedTuple):
    """How far a worker is with a stage of a task; the task has ended where there is no stage."""

    task: str
    label: str | None = None
    done: int = 0
    total: int = 0


class _Telling(Display):
    """A worker's display: tells the process that started it how far stages are."""

    def __init__(self, task: str) -> None:
        self.task = task

    def stage(self, label: str, *, of: str = "") -> Advance:
        told = -_SHOWN_EVERY

        def advance(done: int, total: int) -> None:
            nonlocal told
            if done == total or monotonic() - told >= _SHOWN_EVERY:
                told = monotonic()
                _tell(_Stage(self.task, label, done, total))

        return advance


_TOLD: list[Connection] = []
"""In a worker: where it tells what it does."""


def _begin(line: Connection, threads: int) -> None:
    """A worker begins."""
    import torch

    from unsee.command_line import quiet_libraries

    # Ctrl-C reaches all processes; the one that started this one says what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_libraries()
    warnings.showwarning = _tell_warning
    torch.set_num_threads(threads)
    _TOLD.append(line)
    threading.Thread(target=_leave_with, args=(line,), daemon=True).start()


def _leave_with(line: Connection) -> None:
    """End this process when nobody reads any more, however the reader ended."""
    watched = select.poll()
    watched.register(line.fileno(), 0)
    watched.poll()
    os._exit(1)


def _work(title: str, task: Callable[..., Outcome], *arguments: Any) -> Outcome:
    try:
        return task(*arguments, display=_Telling(title))
    finally:
        _tell(_Stage(title))


def _tell_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if category is UserWarning:
        _tell(str(message))


def _tell(news: _Stage | str) -> None:
    line = json.dumps(news).encode() + b"\n"
    if len(line) <= _LONGEST_LINE:
        os.write(_TOLD[0].fileno(), line)


def _show(reads: Connection, display: Display) -> None:
    """Show what workers tell, until an empty line."""
    shown: dict[tuple[str, str], Advance] = {}
    with os.fdopen(os.dup(reads.fileno()), encoding="utf-8") as lines:
        for line in lines:
            if line == "\n":
                return
            news = json.loads(line)
            if isinstance(news, str):
                warnings.warn(news, stacklevel=1)
                continue
            stage = _Stage(*news)
            if stage.label is None:
                display.ended(stage.task)
                continue
            key = stage.task, stage.label
            if key not in shown:
                shown = {other: advance for other, advance in shown.items() if other[0] != stage.task}
                shown[key] = display.stage(stage.label, of=stage.task)
            shown[key](stage.done, stage.total)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_gpu() -> bool:
    import torch

    return torch.accelerator.is_available()
