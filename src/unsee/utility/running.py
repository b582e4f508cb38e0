"""Handing a checkpoint over: its weights as a harness loads them, the command, and the process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.errors import ConfigError, UserError
from unsee.files import make_folder, refuse_used, write_folder, write_text
from unsee.hub import OFFLINE
from unsee.models.folders import CONFIG, read_config
from unsee.provenance import now
from unsee.utility.harnesses import Harness, Request
from unsee.utility.known import JUDGED, benchmark_of
from unsee.utility.reading import read_results
from unsee.utility.targets import Target

if TYPE_CHECKING:
    import polars as pl

KEY = "OPENAI_API_KEY"
"""Where lmms-eval finds the key for its judge."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ADVICE = re.compile(r"\.*\s*Please set `--verbosity.*$")
_LOG_HEAD = re.compile(r"^.*?\| *(ERROR|WARNING|INFO) *\|.*? - ")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of a harness about every target.

    Attributes:
        tasks: its task ids.
        python: interpreter that has it.
        hub: whether it may fetch questions and ask a judge.
        device: `cpu` or `cuda`.
        dtype: of the weights in memory; as the cells were answered where None.
    """

    harness: Harness
    tasks: tuple[str, ...]
    python: str = sys.executable
    hub: bool = False
    device: str = "cpu"
    dtype: str | None = None
    batch_size: int = 1
    include: Path | None = None
    limit: int | None = None
    model: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigError for what cannot work, before anything is loaded."""
        if self.include is not None and not self.include.is_dir():
            raise ConfigError(f"--include-path {self.include} is no folder; give the one with your task files")
        for name, value in (("--batch-size", self.batch_size), ("--limit", self.limit)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} {value} is less than 1; give a whole number from 1 on")

    def check_judge(self) -> None:
        """Raises ConfigError where answers would be judged and no judge may be asked; lmms-eval would give 100 for them."""
        judged = [task for task in self.tasks if self.harness.name == "lmms-eval" and task in JUDGED]
        if judged and not self.hub:
            raise ConfigError(f"{judged[0]} sends questions and answers to a judge on the network; add --hub to allow it")
        if judged and not os.environ.get(KEY):
            raise ConfigError(
                f"{judged[0]} needs a judge; set {KEY} (and OPENAI_API_URL, MODEL_VERSION) for {self.harness.name}"
            )


def merges(order: Order, target: Target) -> bool:
    """Whether the harness needs weights that are not on disk yet."""
    return target.is_adapter and not order.harness.loads_adapters


def command(order: Order, target: Target, *, weights: str | None = None, output: str) -> list[str]:
    """The process that measures a target.

    Args:
        weights: folder with all weights, where it is not the checkpoint itself.
    """
    whole = weights is not None or not target.is_adapter
    return order.harness.command(
        Request(
            weights=weights or str(target.base.resolve()),
            adapter=None if whole else str(target.folder.resolve()),
            tasks=order.tasks,
            output=output,
            family=str(read_config(target.base / CONFIG).get("model_type", "")),
            device=order.device,
            dtype=order.dtype or target.dtype,
            batch_size=order.batch_size,
            include=None if order.include is None else str(order.include.resolve()),
            limit=order.limit,
            model=order.model,
            model_args=order.model_args,
        ),
        python=order.python,
    )


def shown(words: Sequence[str], *, hub: bool) -> str:
    """A command as a shell takes it."""
    return ("" if hub else f"{OFFLINE}=1 ") + shlex.join(words)


def save_merged(target: Target, folder: Path) -> None:
    """Write a target as one plain checkpoint, an adapter merged into its weights."""
    from unsee.models.checkpoints import load_checkpoint
    from unsee.models.lora import copied

    copied(load_checkpoint(target.folder, device="cpu"), in_place=True).save(folder)


def measure(order: Order, target: Target, home: Path, *, say: Callable[[str], None] = lambda _: None) -> pl.DataFrame:
    """Run the harness on a target and read its results; they are kept in a folder of their own below `home`.

    Args:
        home: gets `<harness>-<time>/` and `<harness>.log`; named like the target.

    Returns:
        Schema UTILITY.

    Raises:
        UserError: the harness failed, or what it wrote cannot be read. Nothing but its log is left then.
    """
    log = home / f"{order.harness.name}.log"
    found: list[pl.DataFrame] = []

    def fill(aside: Path) -> None:
        with _weights(order, target, home) as weights:
            words = command(order, target, weights=weights, output=str(aside.resolve()))
            say(f"{target.name}: {order.harness.name} on {', '.join(order.tasks)}; its log: {log}")
            _run(order, words, log)
        if not any(aside.rglob("*.json")):
            raise _failed(order, log)
        found.append(_with_log(read_results(aside, target), log, version))

    version = order.harness.version(order.python)
    made = home / f"{order.harness.name}-{now().replace(':', '')}"
    make_folder(home)
    try:
        write_folder(made, fill)
    finally:
        shutil.rmtree(home / f".{made.name}.part", ignore_errors=True)
    return found[0]


def _with_log(measured: pl.DataFrame, log: Path, version: str) -> pl.DataFrame:
    """Results with the installed version, and with what only the log tells: lmms-eval goes on where the model raised."""
    import polars as pl

    failed = len(re.findall(r"Error .* in generating", log.read_text(encoding="utf-8", errors="replace")))
    told = f"{failed} answers failed in the model and count as empty" if failed else None
    problem = pl.concat_str("problem", pl.lit(told), separator="; ", ignore_nulls=True) if told else pl.col("problem")
    return measured.with_columns(problem.alias("problem"), pl.lit(version).alias("harness_version"))


@contextmanager
def _weights(order: Order, target: Target, home: Path) -> Iterator[str | None]:
    """Folder of merged weights while the harness runs; None where it loads the checkpoint itself."""
    if not merges(order, target):
        yield None
        return
    folder = home / "merged"
    try:
        save_merged(target, folder)
        yield str(folder.resolve())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(order: Order, words: Sequence[str], log: Path) -> None:
    environment = {**os.environ}
    # Ours keeps libraries offline; a harness that may use the Hub must not inherit it.
    for name in (OFFLINE, "HF_DATASETS_OFFLINE"):
        environment.pop(name, None)
        if not order.hub:
            environment[name] = "1"
    environment.pop("TRANSFORMERS_VERBOSITY", None)
    with log.open("wb") as stream:
        stream.write((shown(words, hub=order.hub) + "\n").encode())
        stream.flush()
        try:
            ended = subprocess.run(words, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise ConfigError(f"{words[0]} cannot be run ({error}); give an interpreter with --python") from error
    if ended.returncode:
        raise _failed(order, log, f" with exit code {ended.returncode}")


def _failed(order: Order, log: Path, how: str = " without results") -> UserError:
    """What the end of a log says; lmms-eval ends with exit code 0 whatever happens."""
    lines = [_COLOUR.sub("", line).strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[1:]]
    told = [line for line in lines if re.search(r"\w*(Error|Exception)\b|not found", line)] or [line for line in lines if line]
    why = _ADVICE.sub("", _LOG_HEAD.sub("", told[-1]))[:200] if told else "it said nothing"
    remedy = f"see {log}"
    if not order.hub and any(benchmark_of(task, order.harness.name) for task in order.tasks):
        remedy += "; its questions come from the Hub, which --hub allows"
    return UserError(f"{order.harness.name} ended{how} ({why.rstrip('.')}); {remedy}")


def export(order: Order, targets: Sequence[Target], folder: Path) -> Path:
    """Write checkpoints and the commands that measure them into a folder that can be copied to another machine.

    Returns:
        The script. Its results are read back with `--results FOLDER/results`.

    Raises:
        ConfigError: the folder holds something already.
    """
    refuse_used(folder, flag="--export")
    lines = [
        "#!/bin/sh",
        "# Runs where the harness is installed: PYTHON=/path/to/python sh measure.sh",
        "set -e",
        'cd "$(dirname "$0")"',
    ]

    def fill(aside: Path) -> None:
        for target in targets:
            save_merged(target, aside / "models" / target.name)
            there = replace(order, python="python", include=None)
            words = command(there, target, weights=f"models/{target.name}", output=f"results/{target.name}")
            if order.include is not None:
                words += ["--include_path", "tasks"]
            lines.append('"${PYTHON:-python}" ' + shlex.join(words[1:]))
        if order.include is not None:
            shutil.copytree(order.include, aside / "tasks")
        write_text(aside / "measure.sh", "\n".join(lines) + "\n")

    write_folder(folder, fill)
    return folder / "measure.sh"
