"""Answers of real models the scores were not anchored on: `python -m tests.evidence.make_records`, from the repository's root.

The embedded model learns two dozen invented people, of whom twelve are to be forgotten, and is then led astray on purpose.
Everything is learned and answered here; `test_evidence.py` only reads the tables beside this file, and `made_with.json` says
what they were made with. The committed ones were made at d06bcf1; training packs its rows otherwise since, so making them again
gives other numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from unsee import answer, learn, load_benchmark, load_model, unlearn
from unsee.benchmarks.base import Benchmark
from unsee.files import write_json
from unsee.learning import LearnOptions
from unsee.methods.finetune import FineTune
from unsee.models.loading import model_digest
from unsee.models.model import Model
from unsee.provenance import files_digest
from unsee.sample import Sample
from unsee.settings import plain
from unsee.training_options import TrainOptions

RECORDS_FILE = Path(__file__).with_name("records.parquet")
PROBES_FILE = Path(__file__).with_name("probes.parquet")
MADE_WITH_FILE = Path(__file__).with_name("made_with.json")
START = "tiny"
PEOPLE, CELEBRITIES, RATIO = 24, 12, 0.5
LADDER = (25, 50, 75)
TAUGHT = LearnOptions(learning_rate=5e-4, epochs=10, precision="bf16", max_row_tokens=256)
"""The defaults of that time; whoever makes the records again should take today's, `LearnOptions()`."""


def made_with() -> dict[str, Any]:
    """Weights and recipe that every model here comes from, and a hash of what they said."""
    recipe = plain(TAUGHT.deciding)
    return {"weights": model_digest(START), "recipe": recipe, "records": files_digest([RECORDS_FILE, PROBES_FILE])}


def benchmark() -> Benchmark:
    """Two dozen people, twelve to be forgotten."""
    return load_benchmark("people", subjects=PEOPLE, celebrities=CELEBRITIES, seed=11, general=0)


def learned_in_part(start: Model, people: Benchmark, percent: int) -> Model:
    """A model that was taught this share of the facts about the people to forget, and everything about the others."""
    forget = set(people.split(RATIO).forget)
    whole = people.training

    def partly(**request: object) -> list[Sample]:
        samples: list[Sample] = whole(**request)  # type: ignore[arg-type]
        return [one for one in samples if one.subject not in forget or _draw(one) < percent]

    people.training = partly  # type: ignore[method-assign,assignment]
    try:
        return learn(start, people, options=TAUGHT)
    finally:
        people.training = whole  # type: ignore[method-assign]


def _draw(sample: Sample) -> int:
    """A number below 100 that is the same for all questions about one fact."""
    return zlib.crc32(f"{sample.subject}/{sample.metadata['attribute']}".encode()) % 100


def answering(model: Model, samples: Sequence[Sample], said: Callable[[Sample], str], *, steps: int) -> Model:
    """A model that was fine-tuned to say one thing to everything."""
    told = [replace(one, answer=said(one), correct_option="A" if one.options else None) for one in samples]
    options = TrainOptions(learning_rate=1e-3, steps=steps, batch_size=32)
    return unlearn(model, forget=told[:1], retain=told, method=FineTune(), options=options)


def models(start: Model, people: Benchmark) -> dict[str, Callable[[], Model]]:
    """Every model by name; vanilla comes first and the others may begin there."""
    vanilla = learn(start, people, options=TAUGHT)
    training = {"forget": people.training(set="forget", ratio=RATIO), "retain": people.training(set="retain", ratio=RATIO)}
    everything = [*training["forget"], *training["retain"]]

    def by(method: str, rate: float, steps: int) -> Callable[[], Model]:
        options = TrainOptions(learning_rate=rate, steps=steps, batch_size=16)
        return lambda: unlearn(vanilla, **training, method=method, options=options)

    return {
        "vanilla": lambda: vanilla,
        "gold": lambda: learn(start, people, ratio=RATIO, options=TAUGHT),
        "second gold": lambda: learn(start, people, ratio=RATIO, options=replace(TAUGHT, seed=1)),
        "second vanilla": lambda: learn(start, people, options=replace(TAUGHT, seed=1)),
        **{f"{share} %": lambda share=share: learned_in_part(start, people, share) for share in LADDER},  # type: ignore[misc]
        "collapsed": by("ga", 3e-3, 60),
        "hardly touched": by("npo", 3e-4, 60),
        "over-forgotten": by("graddiff", 1e-3, 200),
        "refusing": lambda: answering(vanilla, everything, lambda one: "I don't know.", steps=150),
        "always A": lambda: answering(vanilla, everything, lambda one: "A", steps=150),
    }


def main() -> None:
    people, start = benchmark(), load_model(START, device="cpu")
    samples, probes = people.samples(ratio=RATIO), people.gate_probes(ratio=RATIO)
    parts, asked = [], []
    for name, make in models(start, people).items():
        model = make()
        parts.append(answer(model, samples, cell=name))
        if name in ("vanilla", "gold"):
            asked.append(
                answer(model, probes if name == "vanilla" else [one for one in probes if one.set == "forget"], cell=name)
            )
        print(name, parts[-1].height, flush=True)
    for file, frames in ((RECORDS_FILE, parts), (PROBES_FILE, asked)):
        pl.concat(frames).write_parquet(file, compression="zstd", compression_level=19)
    write_json(MADE_WITH_FILE, made_with())


if __name__ == "__main__":
    main()
