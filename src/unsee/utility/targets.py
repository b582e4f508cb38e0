"""The checkpoints that are handed over: the models of a run's cells, or one model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unsee.attacks.base import NEVER_LEARNED
from unsee.errors import CheckpointError, ConfigError
from unsee.experiment import named_cells
from unsee.models.bases import base_folder
from unsee.models.folders import ADAPTER, METHOD, check_folder

if TYPE_CHECKING:
    from unsee.experiment import Cell, Experiment
    from unsee.models.checkpoints import Quantize
    from unsee.run_folder import RunFolder


@dataclass(frozen=True)
class Target:
    """A checkpoint and whose it is.

    Attributes:
        name: names its results folder: the id of its first cell, or the model folder's name.
        folder: the checkpoint.
        cells: ids of the cells whose model it is; of a lone model its own name.
        dtype: of the weights in memory, as the cells were answered.
        quantize: bits of the weights when the cells were answered, which no harness is told.
    """

    name: str
    folder: Path
    cells: tuple[str, ...]
    dtype: str = "float32"
    quantize: Quantize | None = None

    @property
    def remark(self) -> str | None:
        """In what the model that is handed over is not the one that answered."""
        if self.quantize is None:
            return None
        return f"measured on weights that are not quantized, unlike the cell's own answers (quantize = {self.quantize})"

    @property
    def is_adapter(self) -> bool:
        return (self.folder / ADAPTER).is_file()

    @property
    def base(self) -> Path:
        """Folder of the weights below the adapter; the folder itself where it holds all weights."""
        return base_folder(self.folder, None) if self.is_adapter else self.folder

    def is_named_by(self, path: str) -> bool:
        """Whether a path that a harness noted is this checkpoint, here or on the machine it was copied to."""
        given, own = Path(path), self.folder.resolve()
        if given.resolve() == own or {*given.parts} & {self.name, *self.cells}:
            return True
        return len(self.cells) > 0 and self.name != own.name and given.parts[-2:] == own.parts[-2:]


class Found(NamedTuple):
    """Targets, and one line per cell that has none."""

    targets: list[Target]
    skipped: list[str]


def find_targets(path: Path | str, *, only: Sequence[str] = ()) -> Found:
    """The checkpoints of a run, each once, or the one model that is named.

    Args:
        path: a run folder, a model folder, or the name of an embedded model.
        only: patterns of cell ids.

    Raises:
        ConfigError: a pattern matches nothing, or nothing can be handed over.
        CheckpointError: no model folder, or one that is incomplete.
    """
    from unsee.run_folder import RunFolder

    if (Path(path) / "experiment.toml").is_file():
        return _of_run(RunFolder(Path(path)), only)
    if only:
        raise ConfigError(f"--only chooses cells of a run, and {path} is none; leave it out")
    return Found([_lone(path)], [])


def _lone(path: Path | str) -> Target:
    from unsee.models.loading import local_folder

    folder = local_folder(path)
    if not folder.is_dir():
        raise CheckpointError(f"there is no run and no model folder {path}; check the path")
    check_folder(folder)
    if (folder / METHOD).is_file():
        raise CheckpointError(f"{folder} cannot be handed over: {_WORKS_LATER}")
    name = folder.resolve().name
    return Target(name, folder, (name,))


_WORKS_LATER = "its method works while the model answers (method.json), which no harness applies"


def _of_run(run: RunFolder, only: Sequence[str]) -> Found:
    experiment = run.read_experiment()
    by_folder: dict[Path, list[str]] = {}
    skipped = []
    for cell in named_cells(experiment, only):
        if cell.method == NEVER_LEARNED:
            continue  # vanilla once more, asked about other facts
        folder, problem = _checkpoint(run, experiment, cell)
        if folder is None:
            skipped.append(f"{cell.id}: {problem}")
        else:
            by_folder.setdefault(folder, []).append(cell.id)
    if not by_folder:
        why = skipped[0] if skipped else "it has no cells"
        raise ConfigError(f"{run.path} holds no checkpoint that can be handed over ({why})")
    targets = [Target(ids[0], folder, tuple(ids), experiment.dtype, experiment.quantize) for folder, ids in by_folder.items()]
    for target in targets:
        check_folder(target.folder)
    return Found(targets, skipped)


def _checkpoint(run: RunFolder, experiment: Experiment, cell: Cell) -> tuple[Path | None, str]:
    """(folder of a cell's model, ""), or (None, why there is none)."""
    from unsee.learned_models import learned_names
    from unsee.models.loading import local_folder

    home = run.cell(cell)
    if not run.is_done(home):
        return None, "it has not finished"
    if cell.is_learned:
        (one,) = learned_names(experiment, [cell])
        folder = run.model(one.name)
        if not experiment.learn.epochs:
            folder = local_folder(str(experiment.learn.gold_model if one.is_gold else experiment.model))
        return (folder, "") if folder.is_dir() else (None, f"its model {folder} is not there")
    if cell.is_single_fact and not cell.is_batch:
        return None, "every fact has a model of its own"
    folder = next((home / part for part in ("adapter", "weights") if (home / part).is_dir()), home / "weights")
    if not folder.is_dir():
        return None, f"its model {folder} is not there"
    return (None, _WORKS_LATER) if (folder / METHOD).is_file() else (folder, "")
