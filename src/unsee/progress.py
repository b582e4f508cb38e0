"""What a long run shows: a bar on a terminal, a line per phase elsewhere, nothing in a library call."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Advance = Callable[[int, int], None]
"""Called with (done, total)."""


class Display:
    """Shows nothing; what library calls use."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take the display down."""

    def plan(self, jobs: int) -> None:
        """How many jobs (cells, models to learn) there are."""

    def job(self, title: str, *, ended: bool = False) -> None:
        """The next job begins, or has ended where several are at work at once."""

    def say(self, text: str) -> None:
        """One line about a phase."""

    def stage(self, label: str, *, of: str = "") -> Advance:
        """A new stage of the job; the result is called with (done, total).

        Args:
            of: which of several jobs at once; `ended` takes its stage down.
        """
        return lambda done, total: None

    def ended(self, of: str) -> None:
        """One of several jobs at once has ended."""


class ConsoleDisplay(Display):
    """A display for people: job k of n with the time left, and a bar for the stage; plain lines when not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._jobs = 0
        self._number = self._done = 0
        self._began = 0.0
        self._bars: Progress | None = None
        self._overall: TaskID | None = None
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[remark]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def plan(self, jobs: int) -> None:
        self._jobs, self._number, self._done, self._began = jobs, 0, 0, time.monotonic()
        if self._bars is not None:
            self._overall = self._bars.add_task(f"0 of {jobs}", total=jobs, remark="")
            self._stages = {}

    def job(self, title: str, *, ended: bool = False) -> None:
        self._number += 1
        self._done = self._number if ended else self._number - 1
        line = f"{self._number} of {self._jobs}: {title}"
        remark = self._time_left()
        if self._bars is None:
            self.say(f"{line}{f' ({remark})' if remark else ''}")
        elif self._overall is not None:
            self._bars.update(self._overall, completed=self._done, description=line, remark=remark)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, label: str, *, of: str = "") -> Advance:
        bars = self._bars
        if bars is None or self._overall is None:
            return lambda done, total: None
        title = f"  {of}: {label}" if of else f"  {label}"
        if of not in self._stages:
            self._stages[of] = bars.add_task(title, total=1, remark="")
        task = self._stages[of]
        bars.reset(task, description=title, total=1, remark="")
        began, first = time.monotonic(), -1

        def advance(done: int, total: int) -> None:
            nonlocal first
            first = done if first < 0 else first  # what was there before this stage began took none of its time
            remark = f"{done:,} of {total:,}"
            if first < done < total:
                remark += f", {duration((time.monotonic() - began) / (done - first) * (total - done))} left"
            bars.update(task, completed=done, total=max(total, 1), remark=remark)

        return advance

    def ended(self, of: str) -> None:
        task = self._stages.pop(of, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)

    def _time_left(self) -> str:
        if not 0 < self._done < self._jobs:
            return ""
        seconds = (time.monotonic() - self._began) / self._done * (self._jobs - self._done)
        return f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
