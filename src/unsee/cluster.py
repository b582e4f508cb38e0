"""Cells of a run on a Ray cluster: one task each, which Ray places, and starts again where a machine dies.

    run("examples/people.toml", out="/shared/people", executor=Cluster(address="auto"))

Workers write into the run folder, so it must lie on a path that all machines share, and so must what the experiment names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from unsee.errors import ConfigError, first_line
from unsee.executors import Executor, Outcome, died
from unsee.progress import Display


@dataclass(frozen=True)
class Cluster(Executor):
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

    @property
    def described(self) -> dict[str, Any]:
        return {"cluster": self.address or "local", "cpus_per_cell": self.cpus_per_cell, "gpus_per_cell": self.gpus_per_cell}

    @contextmanager
    def connected(self, display: Display) -> Iterator[None]:
        ray = _ray()

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        if self.address is not None:
            del quiet["include_dashboard"]
        try:
            ray.init(address=self.address or "local", **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = first_line(error)
            if self.address is None:
                raise ConfigError(
                    f"Ray does not start on this machine ({reason}); see its logs in /tmp/ray, or use --workers instead"
                ) from error
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

    def _start(self, title: str, task: Callable[..., Outcome], *arguments: Any) -> Any:
        needed = {"num_cpus": self.cpus_per_cell, "num_gpus": self.gpus_per_cell, "max_retries": self.retries}
        return _ray().remote(**needed)(task).options(name=title).remote(*arguments)

    def _next(self, handles: Collection[Any]) -> Any:
        (done, *_), _ = _ray().wait(list(handles))
        return done

    def _outcome(self, handle: Any) -> Outcome:
        ray = _ray()

        try:
            outcome: Outcome = ray.get(handle)
            return outcome
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            return died(first_line(error), self.retries + 1)


def _ray() -> Any:
    return import_module("ray")
