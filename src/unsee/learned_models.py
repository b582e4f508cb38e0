"""Vanilla and gold of a run: learned once, kept as plain checkpoints, reused by every cell."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.benchmarks.base import about
from unsee.cell_questions import attacked
from unsee.errors import ConfigError, WorkError
from unsee.experiment import Cell, Experiment
from unsee.files import write_folder, write_json
from unsee.learning import learn, merged_and_checked, taught
from unsee.run_folder import RunFolder, learned_name

if TYPE_CHECKING:
    from unsee.benchmarks.base import Benchmark
    from unsee.models.model import Model
    from unsee.progress import Display
    from unsee.sample import Sample


class LearnedName(NamedTuple):
    """A learned model: its folder, whom it was not taught (nobody without ratio), its training's seed, and if it is gold."""

    name: str
    ratio: float | None
    draw: int
    seed: int
    is_gold: bool = False


def learned_names(experiment: Experiment, cells: Iterable[Cell]) -> list[LearnedName]:
    """The learned models that cells need, in the order they need them."""
    found: dict[LearnedName, None] = {}

    def add(cell: Cell, *, seed: int, gold: bool) -> None:
        ratio = experiment.gold_ratio(cell.ratio) if gold else None
        name = learned_name("gold" if gold else "vanilla", seeds=experiment.seeds, seed=seed, ratio=ratio)
        found[LearnedName(name, ratio, cell.draw, seed, gold)] = None

    for cell in cells:
        if cell.method == "gold":
            add(cell, seed=cell.seed, gold=True)
            continue
        add(cell, seed=cell.draw, gold=False)
        if compares_with_gold(experiment, cell):
            add(cell, seed=cell.draw, gold=True)
    return list(found)


def compares_with_gold(experiment: Experiment, cell: Cell) -> bool:
    """Whether a cell's method has a reference that was tuned on the retain set only: that is gold."""
    return not cell.is_learned and experiment.needs_gold(cell.entry)


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
        for ratio, draw, scenario in dict.fromkeys(cell.request for cell in experiment.cells):
            # An impossible request fails before any model loads.
            asked = about(benchmark, scenario)
            if ratio is None:
                forgotten = asked.samples(set="forget", seed=draw)
                if not forgotten:
                    raise ConfigError(
                        f"benchmark {benchmark.name} does not say which single facts are forgotten; give a forget ratio "
                        "instead (unlearn.requests = ratio)"
                    )
                if experiment.unlearn.requests == "batch" and len({sample.subject for sample in attacked(forgotten)}) < 2:
                    raise ConfigError(
                        f"benchmark {benchmark.name} has one fact to forget, and unlearn.requests = batch deletes several in "
                        "one edit; ask for more (benchmark.facts), or set unlearn.requests = single_fact"
                    )
            else:
                asked.split(ratio, draw)

    @cached_property
    def start(self) -> Model:
        """The model before it learns anything."""
        from unsee.models.loading import load_model

        quantize = self.experiment.taught_in if self._teaches else self.experiment.quantize
        return load_model(self.experiment.model, dtype=self.experiment.dtype, quantize=quantize)

    @cached_property
    def start_name(self) -> str:
        return self.start.name

    def _given_away(self) -> Model:
        """The start, for somebody who changes it; it is read again when it is needed again."""
        start, _ = self.start, self.start_name
        self.let_go()
        return start

    def let_go(self) -> None:
        """Free the start's memory; it is read again when it is needed again."""
        vars(self).pop("start", None)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Content hashes of what a run starts from."""
        from unsee.models.loading import model_digest

        gold = self.experiment.learn.gold_model
        named = {} if gold is None else {"gold model": model_digest(gold)}
        return {"benchmark": self.benchmark.fingerprint, "model": model_digest(self.experiment.model), **named}

    def check_gold(self, start: Model) -> None:
        """Refuse a gold model of the user's that cannot stand beside the start; its weights are not loaded.

        Raises:
            CheckpointError: no such model.
            ConfigError: a model with other tokens or other layers.
        """
        from unsee.memory_plan import skeleton

        name = self.experiment.learn.gold_model
        if name is None:
            return
        ours, theirs = (one.base.config.get_text_config() for one in (start, skeleton(name, dtype=self.experiment.dtype)))
        for what, here, there in (
            ("tokens", ours.vocab_size, theirs.vocab_size),
            ("decoder layers", ours.num_hidden_layers, theirs.num_hidden_layers),
        ):
            if here != there:
                raise ConfigError(
                    f"learn.gold_model = {name} has {there:,} {what} and {self.experiment.model} {here:,}, so their answers "
                    "cannot be compared; give a model of the same form"
                )

    def missing(self, cells: Iterable[Cell]) -> list[str]:
        """Names of learned models that these cells need and that are not there yet."""
        needed = learned_names(self.experiment, cells)
        return [one.name for one in needed if not self.folder.is_done(self.folder.model(one.name))]

    def of(self, cell: Cell) -> Model:
        """The model of a vanilla or gold cell."""
        if cell.method == "gold":
            return self.gold(cell.ratio, cell.draw, seed=cell.seed)
        return self.vanilla(cell.draw)

    def cost(self, cell: Cell) -> dict[str, Any]:
        """What learning a cell's model took, under the names an unlearned cell notes."""
        (one,) = learned_names(self.experiment, [cell])
        facts = self.folder.learned_facts(one.name)
        return {"unlearn_seconds": facts["seconds"], "steps": facts["steps"], "tokens": facts["tokens"]}

    def vanilla(self, draw: int) -> Model:
        """The model that knows everybody, learned with the seed `draw`."""
        name = learned_name("vanilla", seeds=self.experiment.seeds, seed=draw, ratio=None)
        if self._kept is None or self._kept[0] != name:
            self._kept = None
            self._kept = (name, self._ready(LearnedName(name, None, draw, draw)))
            if self._teaches:
                self.let_go()  # cells begin at vanilla
        return self._kept[1]

    def gold(self, ratio: float | None, draw: int, *, seed: int) -> Model:
        """The model that never saw the forget subjects of (ratio, draw), learned with `seed`."""
        ratio = self.experiment.gold_ratio(ratio)
        name = learned_name("gold", seeds=self.experiment.seeds, seed=seed, ratio=ratio)
        return self._ready(LearnedName(name, ratio, draw, seed, is_gold=True))

    def prepare(self, one: LearnedName) -> None:
        """Make a learned model unless it is there."""
        if one.name in self._broken:
            raise self._broken[one.name]
        if not self.folder.is_done(self.folder.model(one.name)):
            self.display.job(self.title(one))
            try:
                self._make(one)
            except (ValueError, WorkError) as error:  # every cell would meet it again
                self.give_up(one.name, error)
                raise

    def give_up(self, name: str, error: Exception) -> None:
        """Let everybody who needs a model fail with what its making failed with."""
        self._broken[name] = error

    def title(self, one: LearnedName) -> str:
        """What the making of a model is called."""
        return f"learning {one.name}" if self._teaches else f"probing {one.name}"

    def _ready(self, one: LearnedName) -> Model:
        self.prepare(one)
        return self._load(one)

    @property
    def _teaches(self) -> bool:
        """Whether models are taught anything; without, vanilla is the start model and gold a model of the user's."""
        return self.experiment.learn.epochs > 0

    def _load(self, one: LearnedName) -> Model:
        """A learned model, always read back, so that a resumed run goes on with exactly the same weights."""
        from unsee.models.checkpoints import load_checkpoint
        from unsee.models.loading import load_model

        form: dict[str, Any] = {"dtype": self.experiment.dtype, "quantize": self.experiment.quantize}
        if not self._teaches:
            if not one.is_gold:
                return self.start
            assert self.experiment.learn.gold_model is not None
            return load_model(self.experiment.learn.gold_model, **form)
        model = load_checkpoint(self.folder.model(one.name), **form)
        model.name = one.name
        return model

    def _make(self, one: LearnedName) -> None:
        """Teach a model and put the knowledge gate to it."""
        from unsee.answering import answer
        from unsee.answering.probe import PROBE

        folder = self.folder.model(one.name)
        self._kept = None
        if not (folder / "learned.json").is_file():
            write_folder(folder, partial(self._learn if self._teaches else self._describe, one))
        probes = self._gate_probes(one)
        if probes:
            answer(
                self._load(one),
                probes,
                protocols=(PROBE,),
                cell=one.name,
                batch_size=self.experiment.answer.batch_size,
                truth_ratio=False,
                store=folder / "gate",
                progress=self.display.stage("knowledge gate"),
            )
        self.folder.mark_done(folder, {})
        self.folder.discard(self._training(one))

    def _training(self, one: LearnedName) -> Path:
        """What a model that is being taught keeps."""
        return self.folder.model(f".training-{one.name}")

    def _facts(self, one: LearnedName, model: Model) -> dict[str, Any]:
        """What is written beside every learned model."""
        return {
            "start": self.start_name,
            "seed": one.seed,
            "ratio": one.ratio,
            "draw": one.draw,
            "inputs": self.inputs,
            "vocabulary": int(model.base.config.get_text_config().vocab_size),
        }

    def _describe(self, one: LearnedName, aside: Path) -> None:
        """Of a model that was taught elsewhere only a description is kept."""
        model = self._load(one)
        base = self.experiment.learn.gold_model if one.is_gold else self.experiment.model
        untaught = {"steps": 0, "tokens": 0, "seconds": 0.0, "base": base}
        write_json(aside / "learned.json", {**untaught, **self._facts(one, model)})

    def _learn(self, one: LearnedName, aside: Path) -> None:
        training = self._training(one)
        options = replace(self.experiment.learn, seed=one.seed)
        began = time.monotonic()
        training.mkdir(parents=True, exist_ok=True)
        pupil = learn(
            self._given_away(),
            self.benchmark,
            ratio=one.ratio,
            draw=one.draw,
            options=options,
            resume=training / "state",
            in_place=True,
            merge=False,
            log=training / "train.jsonl",
            progress=self.display.stage("learning"),
        )
        samples = taught(self.benchmark, modality=options.learn_modality, ratio=one.ratio, draw=one.draw)
        model, accuracy = merged_and_checked(pupil, samples, progress=self.display.stage("checking what was learned"))
        log = (training / "train.jsonl").read_text().splitlines()
        facts = {
            "steps": len(log),
            "tokens": sum(json.loads(line)["tokens"] for line in log),
            "base": self.experiment.model,
            "training_accuracy": accuracy,
            "training_questions": len(samples),
            "seconds": round(time.monotonic() - began, 1),
            **self._facts(one, model),
        }
        model.save(aside)
        shutil.copyfile(training / "train.jsonl", aside / "train.jsonl")
        write_json(aside / "learned.json", facts)

    def _gate_probes(self, one: LearnedName) -> list[Sample]:
        """Vanilla is asked about everybody of its draw, gold about those it must not know; of single facts, those to forget."""
        ask = partial(self.benchmark.gate_probes, seed=one.draw)
        if one.is_gold or self.experiment.unlearn.deletes_facts:
            return ask(set="forget", ratio=one.ratio)
        by_id = {probe.id: probe for ratio in self.experiment.unlearn.forget_ratios for probe in ask(ratio=ratio)}
        return list(by_id.values())
