"""Vanilla and gold of a run: learned once, kept as plain checkpoints, reused by every cell."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.errors import TrainingError
from unsee.experiment import Cell, Experiment
from unsee.files import write_folder, write_json
from unsee.learning import learn, taught, training_accuracy
from unsee.run_folder import RunFolder, learned_name

if TYPE_CHECKING:
    from unsee.benchmarks.base import Benchmark
    from unsee.models.model import Model
    from unsee.progress import Display
    from unsee.sample import Sample


class LearnedName(NamedTuple):
    """A learned model: its folder, whom it was not taught (nobody without ratio), and the seed of its training."""

    name: str
    ratio: float | None
    draw: int
    seed: int


def learned_names(experiment: Experiment, cells: Iterable[Cell]) -> list[LearnedName]:
    """The learned models that cells need, in the order they need them."""
    found: dict[LearnedName, None] = {}
    for cell in cells:
        gold = cell.method == "gold"
        ratio, seed = (cell.ratio, cell.seed) if gold else (None, cell.draw)
        name = learned_name("gold" if gold else "vanilla", seeds=experiment.seeds, seed=seed, ratio=ratio)
        found[LearnedName(name, ratio, cell.draw, seed)] = None
    return list(found)


class LearnedModels:
    """Gives out learned models, learning those that are missing.

    Vanilla of one seed stays in memory, because all cells of the seed begin there.
    """

    def __init__(self, experiment: Experiment, folder: RunFolder, benchmark: Benchmark, display: Display) -> None:
        self.experiment = experiment
        self.folder = folder
        self.benchmark = benchmark
        self.display = display
        self._kept: tuple[str, Model] | None = None
        self._broken: dict[str, Exception] = {}
        for ratio, draw in dict.fromkeys((cell.ratio, cell.draw) for cell in experiment.cells):
            benchmark.split(ratio, draw)  # an impossible request fails before any model loads

    @cached_property
    def start(self) -> Model:
        """The model before it learns anything."""
        from unsee.models.loading import load_model

        return load_model(self.experiment.model)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Content hashes of what a run starts from."""
        from unsee.models.loading import model_digest

        return {"benchmark": self.benchmark.fingerprint, "model": model_digest(self.experiment.model)}

    def missing(self, cells: Iterable[Cell]) -> list[str]:
        """Names of learned models that these cells need and that are not there yet."""
        needed = learned_names(self.experiment, cells)
        return [one.name for one in needed if not self.folder.is_done(self.folder.model(one.name))]

    def of(self, cell: Cell) -> Model:
        """The model of a vanilla or gold cell."""
        if cell.method == "vanilla":
            return self.vanilla(cell.draw)
        return self.gold(cell.ratio, cell.draw, seed=cell.seed)

    def cost(self, name: str) -> dict[str, Any]:
        """What learning a model took, under the names an unlearned cell notes."""
        facts = self.folder.learned_facts(name)
        return {"unlearn_seconds": facts["seconds"], "steps": facts["steps"], "tokens": facts["tokens"]}

    def vanilla(self, draw: int) -> Model:
        """The model that knows everybody, learned with the seed `draw`."""
        name = learned_name("vanilla", seeds=self.experiment.seeds, seed=draw, ratio=None)
        if self._kept is None or self._kept[0] != name:
            self._kept = None
            self._kept = (name, self._ready(name, ratio=None, draw=draw, seed=draw))
        return self._kept[1]

    def gold(self, ratio: float, draw: int, *, seed: int) -> Model:
        """The model that never saw the forget subjects of (ratio, draw), learned with `seed`."""
        name = learned_name("gold", seeds=self.experiment.seeds, seed=seed, ratio=ratio)
        return self._ready(name, ratio=ratio, draw=draw, seed=seed)

    def _ready(self, name: str, *, ratio: float | None, draw: int, seed: int) -> Model:
        from unsee.models.loading import load_model

        if name in self._broken:
            raise self._broken[name]
        folder = self.folder.model(name)
        if not self.folder.is_done(folder):
            self.display.job(f"learning {name}")
            try:
                self._learn(name, ratio=ratio, draw=draw, seed=seed)
            except (ValueError, TrainingError) as error:  # every cell would meet it again
                self._broken[name] = error
                raise
        # Always read back, so that a resumed run goes on with exactly the same weights.
        model = load_model(folder)
        model.name = name
        return model

    def _learn(self, name: str, *, ratio: float | None, draw: int, seed: int) -> None:
        from unsee.answering import answer
        from unsee.answering.probe import PROBE
        from unsee.models.loading import load_model

        folder, training = self.folder.model(name), self.folder.model(f".training-{name}")
        options = replace(self.experiment.learn, seed=seed)
        if not (folder / "learned.json").is_file():
            began = time.monotonic()
            training.mkdir(parents=True, exist_ok=True)
            model = learn(
                self.start,
                self.benchmark,
                ratio=ratio,
                draw=draw,
                options=options,
                resume=training / "state",
                log=training / "train.jsonl",
                progress=self.display.stage("learning"),
            )
            samples = taught(self.benchmark, modality=options.learn_modality, ratio=ratio, draw=draw)
            accuracy = training_accuracy(model, samples, progress=self.display.stage("checking what was learned"))
            log = (training / "train.jsonl").read_text().splitlines()
            facts = {
                "steps": len(log),
                "tokens": sum(json.loads(line)["tokens"] for line in log),
                "base": self.experiment.model,
                "start": self.start.name,
                "training_accuracy": accuracy,
                "training_questions": len(samples),
                "seconds": round(time.monotonic() - began, 1),
                "seed": seed,
                "ratio": ratio,
                "draw": draw,
                "inputs": self.inputs,
            }

            def fill(aside: Path) -> None:
                model.save(aside)
                shutil.copyfile(training / "train.jsonl", aside / "train.jsonl")
                write_json(aside / "learned.json", facts)

            write_folder(folder, fill)
            del model
        probes = self._gate_probes(ratio, draw)
        if probes:
            answer(
                load_model(folder),
                probes,
                protocols=(PROBE,),
                cell=name,
                batch_size=self.experiment.answer.batch_size,
                truth_ratio=False,
                store=folder / "gate",
                progress=self.display.stage("knowledge gate"),
            )
        self.folder.mark_done(folder, {})
        self.folder.discard(training)

    def _gate_probes(self, ratio: float | None, draw: int) -> list[Sample]:
        """Vanilla is asked about everybody of its draw, gold about those it must not know."""
        if ratio is not None:
            return self.benchmark.gate_probes(set="forget", ratio=ratio, seed=draw)
        ratios = self.experiment.unlearn.forget_ratios
        by_id = {probe.id: probe for one in ratios for probe in self.benchmark.gate_probes(ratio=one, seed=draw)}
        return list(by_id.values())
