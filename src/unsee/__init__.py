"""Make a multimodal LLM forget what it should never have learned, and show with evidence whether it really did.

    from unsee import load_benchmark, load_model, learn, unlearn, answer, score

    benchmark = load_benchmark("people", subjects=60)
    vanilla = learn(load_model("tiny"), benchmark)
    unlearned = unlearn(
        vanilla,
        forget=benchmark.training(set="forget", ratio=0.15),
        retain=benchmark.training(set="retain", ratio=0.15),
        method="npo",
    )
    records = answer(unlearned, benchmark.samples(ratio=0.15))

Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsee.answering import answer
    from unsee.attacks import attack
    from unsee.benchmarks import load_benchmark
    from unsee.editing import edit_each
    from unsee.experiment import Experiment, read_experiment
    from unsee.learning import learn
    from unsee.methods import Method, load_method
    from unsee.metrics import score
    from unsee.models.loading import load_model
    from unsee.report import write_report
    from unsee.runs import Run, run
    from unsee.sample import ImageRef, Sample
    from unsee.training import train
    from unsee.training_options import TrainOptions
    from unsee.unlearning import unlearn

__all__ = [
    "Experiment",
    "ImageRef",
    "Method",
    "Run",
    "Sample",
    "TrainOptions",
    "answer",
    "attack",
    "edit_each",
    "learn",
    "load_benchmark",
    "load_method",
    "load_model",
    "read_experiment",
    "run",
    "score",
    "train",
    "unlearn",
    "write_report",
]

_HOMES = {
    "Experiment": "unsee.experiment",
    "ImageRef": "unsee.sample",
    "Method": "unsee.methods",
    "Run": "unsee.runs",
    "Sample": "unsee.sample",
    "TrainOptions": "unsee.training_options",
    "answer": "unsee.answering",
    "attack": "unsee.attacks",
    "edit_each": "unsee.editing",
    "learn": "unsee.learning",
    "load_benchmark": "unsee.benchmarks",
    "load_method": "unsee.methods",
    "load_model": "unsee.models.loading",
    "read_experiment": "unsee.experiment",
    "run": "unsee.runs",
    "score": "unsee.metrics",
    "train": "unsee.training",
    "unlearn": "unsee.unlearning",
    "write_report": "unsee.report",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'unsee' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
