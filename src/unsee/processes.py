"""Several processes at one job, as `accelerate launch` starts them: what all agree on, who writes, how one failure ends all.

    parts = together(lambda: [ask(sample) for sample in samples[rank() :: count()]])  # every process gets all parts

Without a launcher there is one process, nothing here communicates, and torch is not loaded.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from accelerate import PartialState

_SET_BY_LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
_COMPLAINTS = "unsee/complaints"
_T = TypeVar("_T")


def count() -> int:
    """How many processes the launcher started; 1 without one."""
    return int(os.environ["WORLD_SIZE"]) if all(key in os.environ for key in _SET_BY_LAUNCHERS) else 1


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes and shows progress."""
    return rank() == 0


def connect() -> None:
    """Meet the other processes; nothing to do without a launcher."""
    if count() > 1:
        _state()


def device() -> str | None:
    """Where this process's model belongs; None leaves the choice to whoever loads it, without a launcher."""
    return str(_state().device) if count() > 1 else None


def together(work: Callable[[], _T]) -> list[_T]:
    """What every process's `work` gave, by rank; the same list everywhere. All processes must call it.

    Raises:
        Exception: what was raised in any of the processes, in all of them, so that none waits for one that is gone.
    """
    if count() == 1:
        return [work()]
    from accelerate.utils import gather_object

    _state()
    value, failure = _tried(work)
    parts = gather_object([(value, None if failure is None else sendable(failure))])
    if failure is not None:
        raise failure
    failures = [error for _, error in parts if error is not None]
    if failures:
        raise failures[0]
    return [part for part, _ in parts]


def from_main(work: Callable[[], _T]) -> _T:
    """What the main process's `work` gave, in every process; the others do not call theirs and wait.

    Raises:
        Exception: what was raised in the main process.
    """
    given = together(lambda: work() if is_main() else None)[0]
    return given  # type: ignore[return-value]


def is_first_to_complain() -> bool:
    """Whether no other process has asked this before: one process says what is wrong, whichever meets it first."""
    if count() == 1:
        return True
    from torch.distributed import TCPStore, is_initialized  # type: ignore[attr-defined]

    if not is_initialized():
        return is_main()
    try:
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, wait_for_workers=False)
        return store.add(_COMPLAINTS, 1) == 1
    except RuntimeError:
        return True  # the launcher is gone, and saying it twice is better than not at all


def leave() -> None:
    """Say goodbye to the other processes; for processes that end well."""
    if count() > 1:
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def end(code: int) -> None:
    """End this process with an exit code, where a launcher started it; does nothing without a launcher.

    The interpreter is not taken down first: threads of gloo may still hold tensors of its own, and would abort the process when
    they let go of them while it goes.
    """
    if count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def sendable(error: Exception) -> Exception:
    """An error that other processes can rebuild: of the same kind where a message is all it is made of."""
    from unsee import errors
    from unsee.files import StorageError

    known = (
        *(errors.UserError, errors.ConfigError, errors.DataError, errors.CheckpointError),
        *(errors.WorkError, errors.TrainingError, errors.AnsweringError, StorageError),
    )
    return type(error)(str(error)) if type(error) in known else RuntimeError(f"{type(error).__name__}: {error}")


def _state() -> PartialState:
    """Accelerate's view of the processes, which connects them when it is first asked for."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    is_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or torch.accelerator.current_accelerator() is None
    if is_cpu:  # else DeepSpeed, where it is installed, says on standard output that it found no accelerator
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    return PartialState(cpu=is_cpu)


def _tried(work: Callable[[], _T]) -> tuple[_T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:
        return None, error
