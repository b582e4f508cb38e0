"""Rendered pictures of a world, drawn by several processes and kept in the work folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_Job = TypeVar("_Job")


@dataclass(frozen=True)
class PictureBank:
    """Rendered pictures, [n, 96, 96, 3] of uint8, with visible labels [n, keys] and owners ("" for strangers)."""

    pixels: np.ndarray
    labels: np.ndarray
    owner: list[str]
    index: list[int]

    def save(self, path: Path) -> None:
        """Write the whole file or nothing."""
        aside = path.with_name(f".{path.name}.part")
        with aside.open("wb") as stream:
            np.savez(stream, pixels=self.pixels, labels=self.labels, owner=np.array(self.owner), index=np.array(self.index))
        aside.replace(path)

    @staticmethod
    def load(path: Path) -> PictureBank:
        with np.load(path) as data:
            return PictureBank(data["pixels"], data["labels"], data["owner"].tolist(), data["index"].tolist())


def kept_bank(path: Path, render: Callable[[], PictureBank]) -> PictureBank:
    """The bank of a file, rendered unless it is there."""
    if path.exists():
        return PictureBank.load(path)
    bank = render()
    bank.save(path)
    return bank


def draw_all(draw: Callable[[_Job], np.ndarray], jobs: Sequence[_Job], *, workers: int) -> np.ndarray:
    """One picture per job, [jobs, side, side, 3] of uint8.

    Args:
        draw: a function of a module, so that worker processes find it.
    """
    with ProcessPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(draw, jobs, chunksize=64)))


def shrink(pixels: np.ndarray, side: int) -> Tensor:
    """Resize as the processor does, [n, side, side, 3] of uint8."""
    size = (side, side)
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in pixels]))


def batches(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless shuffled index batches."""
    assert count >= size
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
