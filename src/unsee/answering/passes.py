"""How much goes through the network at once: likes together, and fewer at a time once memory ran out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from unsee.answering.engine import Job
    from unsee.models.model import Model

T = TypeVar("T")


def batches(items: Sequence[T], size: int, *, key: Callable[[T], Hashable]) -> Iterator[list[T]]:
    """Up to `size` items at a time; neighbours with one key stay together where they fit, those with key None need not."""
    batch: list[T] = []
    for value, members in groupby(items, key=key):
        group = list(members)
        if value is not None and batch and len(batch) + len(group) > size:
            yield batch
            batch = []
        for item in group:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


class Passes:
    """Passes of one kind of work, whose results do not depend on how many jobs share a pass.

    Accelerate's `find_executable_batch_size` starts a whole function over and collects garbage at every call; this goes on
    behind the last pass that succeeded.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.most: int | None = None
        """Jobs that fit at once; None as long as all did."""

    def over(self, jobs: Sequence[Job], run: Callable[[Sequence[Job]], None]) -> Iterator[Sequence[Job]]:
        """Run jobs, all at once where they fit, and yield those of each pass that is done.

        Raises:
            AnsweringError: not even one fits.
        """
        from unsee.out_of_memory import answering_error, is_out_of_memory, release

        done = 0
        while done < len(jobs):
            some = jobs[done : done + (self.most or len(jobs))]
            try:
                run(some)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                release(error)
                if len(some) == 1:
                    raise answering_error(error, some[0], self.model) from None
                if self.most is None:
                    warnings.warn(
                        f"out of memory with {len(some)} prompts at once; going on with {len(some) // 2}, or fewer; records "
                        "stay the same, and a smaller batch_size (--batch-size) saves the failed passes",
                        stacklevel=2,
                    )
                self.most = len(some) // 2
            else:
                done += len(some)
                yield some
