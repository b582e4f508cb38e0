"""What two processes do together; see test_processes.py.

python -m torch.distributed.run --nproc_per_node 2 two_processes.py WHAT FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from safetensors.torch import save_file

import unsee.answering.records
from toy import random_model, toy_samples
from unsee import processes
from unsee.answering import answer
from unsee.errors import ConfigError, TrainingError
from unsee.learning import training_accuracy
from unsee.methods import Method, Scope, load_method
from unsee.models.lora import attach
from unsee.stopping import LikelihoodProbe
from unsee.training import TrainReport, train
from unsee.training_options import TrainOptions

OPTIONS = TrainOptions(learning_rate=1e-3, batch_size=2, gradient_accumulation=2, epochs=3)
"""Of one process; ten forget samples make a last step of half the size."""
FORGET, RETAIN = toy_samples()[:10], toy_samples()[10:33]
CHUNK = 6


@dataclass(frozen=True)
class Failing(Method):
    """Raises in the second process, at its third batch."""

    name: ClassVar[str] = "failing"
    taken: ClassVar[list[int]] = []

    def loss(self, model, reference, forget, retain):
        self.taken.append(1)
        if processes.rank() == 1 and len(self.taken) == 3:
            raise TrainingError("the picture tore")
        return load_method("ga").loss(model, reference, forget, retain)


TRAINED = {
    "adapter": Scope(rank=2),
    "weights": Scope(modules=("language",), rank=None, layers=(0, 3)),
    "everything": Scope(modules=("language", "projector", "vision"), rank=None),
}
"""Text alone reaches all of the first two and not all of the third."""


class Breaking:
    """A probe that ends the training when it is asked for the third time, at step 4."""

    def __init__(self, probe) -> None:
        self.probe, self.asked = probe, 0

    def __call__(self, model):
        self.asked += 1
        if self.asked == 3:
            raise TrainingError("broken off")
        return self.probe(model)


def taught(folder: Path, trained: str = "adapter", *, method: Method | None = None, breaks: bool = False) -> TrainReport:
    """A training, or what is left of it in the folder; its log and weights are left there."""
    model = attach(random_model(), TRAINED[trained])
    probe = LikelihoodProbe(model.prompter, FORGET[:4], RETAIN[:3])
    report = train(
        model,
        method or load_method("kl"),
        forget=FORGET,
        retain=RETAIN,
        options=replace(OPTIONS, gradient_accumulation=OPTIONS.gradient_accumulation // processes.count()),
        log=folder / "train.jsonl",
        probe=Breaking(probe) if breaks else probe,
        probe_every=2,
        resume=folder / "state",
        checkpoint_every=3,
    )
    if processes.is_main():
        moved = {name: w.detach().clone() for name, w in model.network.named_parameters() if w.requires_grad}
        save_file(moved, folder / "weights.safetensors")
    return report


def broken_off(folder: Path, trained: str = "adapter") -> None:
    """A training that ends after step 4 and leaves a checkpoint of step 3."""
    try:
        taught(folder, trained, breaks=True)
    except TrainingError as error:
        assert str(error) == "broken off"


def asked(folder: Path) -> None:
    """Records of a call whose store is left in the folder."""
    unsee.answering.records.CHUNK = CHUNK
    model, seen = random_model(), []
    answer(model, toy_samples(), store=folder, progress=lambda done, total: seen.append(done))
    assert (seen[-1] == len(toy_samples())) if processes.is_main() else not seen
    accuracy = training_accuracy(model, toy_samples() * 4)
    assert len({*processes.together(lambda: accuracy)}) == 1


def copies(folder: Path) -> None:
    """Every process with the whole model."""
    assert taught(folder / "whole").effective_batch == 4
    broken_off(folder / "two-one")
    taught(folder / "one-two")
    asked(folder / "asked")
    try:
        taught(folder / "failing", method=Failing())
    except TrainingError as error:
        assert str(error) == "the picture tore"
    else:
        raise AssertionError("went on without the process that failed")


def shards(folder: Path) -> None:
    """Every process with a part of each weight. Accelerate shards on accelerators only, so it is told that this is one."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    processes.connect()
    PartialState().distributed_type = DistributedType.MULTI_GPU
    split(folder)


def split(folder: Path) -> None:
    """Every process with a part, as the launcher says."""
    for trained in TRAINED:
        try:
            taught(folder / f"{trained}-whole", trained)
        except ConfigError as error:  # the second process's is the first one's
            (folder / f"{trained}-refused").write_text(str(error))
            continue
        broken_off(folder / f"{trained}-two-one", trained)
        taught(folder / f"{trained}-one-two", trained)


if __name__ == "__main__":
    what, place = sys.argv[1:]
    {"copies": copies, "shards": shards, "split": split}[what](Path(place))
    processes.leave()
    processes.end(0)
