"""Where training was interrupted, on disk: trainable weights, optimizer, random state and place in the log; no pickle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from unsee import processes
from unsee.errors import CheckpointError
from unsee.files import write_bytes, write_folder

if TYPE_CHECKING:
    from unsee.memory_options import MemoryOptions
    from unsee.methods.base import Method, Side
    from unsee.models.model import Model
    from unsee.models.prompts import Encoded
    from unsee.sharing import Copies


WEIGHTS, MOMENTS, RANDOMNESS = "weights.safetensors", "optimizer.safetensors", "random.safetensors"
PLACE = "place.json"


@dataclass
class Place:
    """How far a run has come."""

    step: int = 0
    log_bytes: int = 0
    seconds: float = 0.0
    tokens: int = 0
    start_probe: dict[str, float | None] = field(default_factory=dict)
    last_probe: dict[str, float | None] = field(default_factory=dict)
    last_row: dict[str, Any] = field(default_factory=dict)


def fingerprint(
    model: Model, method: Method, options: MemoryOptions, encoded: Mapping[Side, Sequence[Encoded]]
) -> dict[str, str]:
    """What a checkpoint belongs to, one digest per part."""
    weights = [(name, tuple(weight.shape)) for name, weight in model.network.named_parameters() if weight.requires_grad]
    parts: dict[str, Any] = {
        "method": (method.name, method.variant, repr(method)),
        "options": repr(options.deciding),
        "trainable weights": weights,
    }
    for side, items in encoded.items():
        parts[f"{side} samples"] = [(item.ids, [image.sha256 for image in item.pictures]) for item in items]
    return {name: hashlib.sha256(repr(part).encode()).hexdigest() for name, part in parts.items()}


class StepLog:
    """`train.jsonl`: one row per step, flushed at once. A resumed run keeps the rows before its checkpoint."""

    def __init__(self, path: Path | None, *, keep_bytes: int = 0) -> None:
        self._stream: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("r+b" if keep_bytes and path.is_file() else "wb")
            self._stream.truncate(min(keep_bytes, self._stream.seek(0, 2)))
            self._stream.seek(0, 2)

    def write(self, row: Mapping[str, Any]) -> int:
        """Append a row; returns the length of the log so far."""
        if self._stream is None:
            return 0
        self._stream.write(json.dumps(row).encode() + b"\n")
        self._stream.flush()
        return self._stream.tell()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class Checkpoints:
    """Checkpoints of one run in a folder, or none at all with `folder=None`; one process `writes`, all read."""

    def __init__(
        self,
        folder: Path | None,
        *,
        lay: Copies,
        marks: Mapping[str, str],
        writes: bool = True,
    ) -> None:
        self._folder, self._lay, self._marks, self._writes = folder, lay, marks, writes
        self._randomness: dict[str, Tensor] = {}
        self._settled = True

    def begin_step(self) -> None:
        """Remember the random state, so that a step that is interrupted can be taken again."""
        self._randomness = _random_state()

    def begin_change(self) -> None:
        """From here until `end_change` weights and log belong to no step."""
        self._settled = False

    def end_change(self) -> None:
        self._settled = True
        self._randomness = _random_state()

    def save_if_settled(self, place: Place) -> None:
        """Save unless the interruption fell between two states; then the last checkpoint stands."""
        if self._settled:
            self.save(place)

    def save(self, place: Place) -> None:
        """Write a checkpoint and drop older ones; a reader sees the old one or the new one, whole."""
        if self._folder is None:
            return
        from safetensors.torch import save_file

        weights, moments = self._lay.weights(), self._lay.moments()
        if not self._writes:
            return

        def fill(aside: Path) -> None:
            save_file(weights, aside / WEIGHTS)
            save_file(moments, aside / MOMENTS)
            save_file(self._randomness or _random_state(), aside / RANDOMNESS)
            (aside / PLACE).write_text(json.dumps({"place": asdict(place), "marks": dict(self._marks)}, indent=2))

        written = self._folder / f"step-{place.step:08d}"
        write_folder(written, fill)
        for other in _folders(self._folder):
            if other != written:
                shutil.rmtree(other)

    def load(self) -> Place | None:
        """Put the newest checkpoint into the model and the optimizer; None when there is none.

        Raises:
            CheckpointError: it belongs to another run, its files are damaged, or not every process sees it.
        """
        found = _folders(self._folder) if self._folder else []
        if len({tuple(path.name for path in theirs) for theirs in processes.together(lambda: found)}) > 1:
            raise CheckpointError(
                f"some processes see other checkpoints in {self._folder} than others; put it on a disk that all machines share"
            )
        if not found:
            return None
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        newest = found[-1]
        try:
            written = json.loads((newest / PLACE).read_text())
            place, theirs = Place(**written["place"]), dict(written["marks"])
            stored, moments, randomness = (load_file(newest / name) for name in (WEIGHTS, MOMENTS, RANDOMNESS))
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise CheckpointError(f"checkpoint {newest} cannot be read ({error}); remove it to start again") from error
        different = [part for part, mark in self._marks.items() if theirs.get(part) != mark]
        if different:
            raise CheckpointError(
                f"checkpoint {newest} belongs to another run (different {', '.join(different)}); "
                "repeat the earlier settings or remove the folder"
            )
        self._lay.restore(stored, moments)
        _set_random_state(randomness)
        return place


class Waypoints:
    """Trainable weights at evenly spaced steps of a run, on disk, so that a model can be looked at on its way.

    Args:
        folder: gets one file per waypoint.
        points: how many there are between start and end.
    """

    def __init__(self, folder: Path, points: int) -> None:
        self.folder, self.points = folder, points

    def keep(self, weights: Callable[[], dict[str, Tensor]], step: int, total: int, *, writes: bool = True) -> None:
        """Write the weights if the step is a waypoint of a run of `total` steps; one process `writes`, all take part.

        Args:
            weights: gives the trainable weights by name; asked at waypoints alone.
        """
        if step in {round(number * total / (self.points + 1)) for number in range(1, self.points + 1)} - {0, total}:
            from safetensors.torch import save

            kept = weights()
            if writes:
                write_bytes(self._file(step), save(kept))

    def visit(self, model: Model) -> Iterator[int]:
        """Put each waypoint's weights into the model, yield its step, and put back what was there."""
        from safetensors.torch import load_file

        weights = _trainable(model)
        kept = {name: weight.detach().clone() for name, weight in weights.items()}
        try:
            for file in sorted(self.folder.glob("step-*.safetensors")):
                _overwrite(weights, load_file(file))
                yield int(file.stem.removeprefix("step-"))
        finally:
            _overwrite(weights, kept)

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"


def _overwrite(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(values[name])


def _random_state() -> dict[str, Tensor]:
    """State of torch's random numbers, on every device that has some."""
    cuda = {f"cuda:{device}": torch.cuda.get_rng_state(device) for device in range(torch.cuda.device_count())}
    return {"cpu": torch.get_rng_state(), **cuda}


def _set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    for device in range(torch.cuda.device_count()):
        if f"cuda:{device}" in state:
            torch.cuda.set_rng_state(state[f"cuda:{device}"], device)


def _trainable(model: Model) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.network.named_parameters() if weight.requires_grad}


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())
