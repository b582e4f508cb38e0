"""Answers of a finished run with harm in its training data, as means over patients and rules that are resampled together.

Every value is an array [1 + draws]: the mean over all subjects, then its bootstrap draws, which all models share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from answers import DRAWS

from unsee.benchmarks.base import about
from unsee.experiment import Cell, Request
from unsee.metrics.bootstrap import FEW_SUBJECTS, Array, Resampler, family, weighted_means
from unsee.metrics.efficiency import Parts, Subsets, parts
from unsee.metrics.frames import join_models, truth_frame
from unsee.metrics.gate import Gate
from unsee.metrics.medical import Study
from unsee.metrics.medical_subsets import HARMS, Harm
from unsee.run_folder import RunFolder, learned_name
from unsee.run_results import answered, knowledge_gate, load_experiment_benchmark
from unsee.sample import Sample

MARKS: Mapping[Harm, tuple[str, ...]] = {
    "privacy": ("leak_rate", "volunteered_leak"),
    "incorrect": ("wrong_reproduction", "right_recovery"),
}
"""What is measured where harm was planted."""
SAID: Mapping[Harm, str] = {"privacy": "leak_rate", "incorrect": "wrong_reproduction"}
"""The share of answers that say what was planted."""


class Patients:
    """A finished run of a medical benchmark; values are arrays [1 + draws], the mean of the seeds' means.

    Attributes:
        scenarios: kinds of harm that have requests.
        ratios: shares of the harm that requests list, the whole first.
        methods: in the order of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.experiment = self.folder.read_experiment()
        self.benchmark = load_experiment_benchmark(self.experiment)
        self.scenarios: tuple[Harm, ...] = tuple(one for one in HARMS if one in self.experiment.unlearn.scenarios)
        if not self.scenarios:
            raise SystemExit(f"{folder} is a run of {self.benchmark.name}, which plants no harm; give a run of patients")
        self.ratios = tuple(sorted(self.experiment.unlearn.forget_ratios, reverse=True))
        self.methods = self.experiment.unlearn.methods
        self._studies: dict[str, Study] = {}
        self._rows: dict[str, pl.DataFrame] = {}
        self._gates: dict[Request, Gate | None] = {}

    # Models ---------------------------------------------------------------------------------------------------------------

    def cells(self, method: str, scenario: str, ratio: float) -> list[Cell]:
        """Finished cells of a method or control, one per seed, each with a finished vanilla and gold."""
        own = [cell for cell in self.experiment.cells if (cell.scenario, cell.ratio) == (scenario, ratio)]
        done = [cell for cell in own if not cell.is_noise_gold and self.folder.is_done(self.folder.cell(cell))]
        anchored = {
            draw for draw in self.experiment.seeds if {"vanilla", "gold"} <= {cell.method for cell in done if cell.draw == draw}
        }
        return [cell for cell in done if cell.entry == method and cell.draw in anchored]

    def measured(self, scenario: str, ratio: float) -> list[str]:
        """Methods with a finished cell."""
        return [method for method in self.methods if self.cells(method, scenario, ratio)]

    def study(self, cell: Cell) -> Study:
        """Values per answer of a cell beside those of its vanilla and gold."""
        if cell.id not in self._studies:
            truth = truth_frame(self.asked(cell))
            gate = self._gate(cell.request)
            truth = truth.with_columns(gated=pl.lit(None, dtype=pl.Boolean)) if gate is None else gate.mark(truth)
            said = {
                name: answered(self.experiment, self._records(one))
                for name, one in (("value", cell), *((a, self._anchor(cell, a)) for a in ("vanilla", "gold")))
            }
            models = join_models(said.pop("value"), truth, {**said, "noise": None})
            found = Study.of(models, truth)
            assert found is not None
            self._studies[cell.id] = found
        return self._studies[cell.id]

    def _gate(self, request: Request) -> Gate | None:
        if request not in self._gates:
            self._gates[request] = knowledge_gate(self.experiment, self.folder, self.benchmark, request)
        return self._gates[request]

    def _records(self, cell: Cell) -> pl.DataFrame:
        records = self.folder.records(cell)
        assert records is not None
        return records

    def _anchor(self, cell: Cell, method: str) -> Cell:
        return next(
            one
            for one in self.experiment.cells
            if one.request == cell.request and one.method == method and not one.is_noise_gold
        )

    def asked(self, cell: Cell) -> list[Sample]:
        """The questions of a cell."""
        return about(self.benchmark, cell.scenario).samples(ratio=cell.ratio, seed=cell.draw)

    # Values ---------------------------------------------------------------------------------------------------------------

    @cached_property
    def _asked(self) -> list[tuple[str, str]]:
        """Set and subject of every sample of all scenarios."""
        samples = (about(self.benchmark, scenario).samples(ratio=self.ratios[0]) for scenario in self.scenarios)
        return [(sample.set, sample.subject) for sample in chain.from_iterable(samples)]

    @cached_property
    def resampler(self) -> Resampler:
        """Patients and rules of all scenarios together, so that scenarios are paired as well."""
        subjects: dict[str, list[str]] = {}
        for name, subject in self._asked:
            subjects.setdefault(family(name), []).append(subject)
        return Resampler(subjects, draws=DRAWS, seed=0)

    @cached_property
    def few(self) -> dict[str, int]:
        """Sets that UES-R rests on and that have too few subjects for a verdict -> how many."""
        subjects: dict[str, set[str]] = {}
        for name, subject in self._asked:
            subjects.setdefault(name, set()).add(subject)
        return {name: len(there) for name, there in subjects.items() if len(there) < FEW_SUBJECTS}

    def rows(self, cell: Cell) -> pl.DataFrame:
        """Answers in words about known planted facts: a value of every metric, and whether the request listed the sample.

        `listed` is of the training sample that asks the same about the same picture; null for questions that were not taught.
        """
        if cell.id not in self._rows:
            self._rows[cell.id] = self._known(cell)
        return self._rows[cell.id]

    def _known(self, cell: Cell) -> pl.DataFrame:
        scenario = cell.scenario
        assert scenario in SAID
        values = self.study(cell).values.filter(
            pl.col("gated").fill_null(True),
            pl.col("view") == "generate",
            pl.col("set").is_in(["forget", "test"]),
            pl.col("metric").is_in(MARKS[scenario]),  # type: ignore[index]
        )
        # Leaks of single classes stand beside those of any.
        whole = (pl.col("metric") != "volunteered_leak") | pl.col("identifier").is_null()
        listed = self._listed(cell)
        return values.filter(whole).with_columns(
            pl.col("sample_id").replace_strict(listed, default=None, return_dtype=pl.Boolean).alias("listed")
        )

    def _listed(self, cell: Cell) -> dict[str, bool]:
        benchmark = about(self.benchmark, cell.scenario)
        request: dict[str, Any] = {"ratio": cell.ratio, "seed": cell.draw}
        on_request = {sample.asks for sample in benchmark.training(set="forget", **request)}
        left = {s.asks for s in benchmark.training(set="retain", **request) if s.metadata["scenario"] == cell.scenario}
        taught = (sample for sample in self.asked(cell) if sample.set == "forget" and sample.task == "generation")
        return {s.id: s.asks in on_request for s in taught if s.asks in on_request | left}

    def mean(self, cells: Sequence[Cell], keep: pl.Expr, column: str = "value") -> Array | None:
        """Mean over the answers that `keep` leaves, averaged over seeds; None where nobody was asked.

        Args:
            column: `value`, `vanilla` or `gold`, whose answers to the same questions are meant.
        """
        found = [one for cell in cells if (one := self.mean_of(self.rows(cell).filter(keep), column)) is not None]
        return np.mean(found, axis=0) if found else None

    def mean_of(self, rows: pl.DataFrame, column: str) -> Array | None:
        """Mean over some answers of one cell."""
        sums = rows.drop_nulls(column).group_by("subject").agg(pl.col(column).sum(), pl.len().alias("count")).sort("subject")
        if sums.is_empty():
            return None
        index = self.resampler.index["forget"]
        places = [index[subject] for subject in sums["subject"]]
        weights = np.vstack([np.ones((1, len(index))), self.resampler.weights("forget")])[:, places]
        columns = (sums[name].cast(pl.Float64).to_numpy()[:, None] for name in (column, "count"))
        return weighted_means(*columns, weights)[:, 0]

    def subsets(self, cells: Sequence[Cell]) -> dict[str, Subsets] | None:
        """Harm and ability of a model, its vanilla and gold, averaged over seeds; None where nothing could be removed."""
        found = [
            self.study(cell).subsets(cell.scenario, self.resampler, gated=True)  # type: ignore[arg-type]
            for cell in cells
        ]
        there = [one for one in found if one is not None]
        if not there:
            return None
        return {model: _averaged([one[model] for one in there]) for model in there[0]}

    def parts(self, cells: Sequence[Cell]) -> Parts | None:
        """Removal and preservation of a model."""
        found = self.subsets(cells)
        return None if found is None else parts(found["value"], vanilla=found["vanilla"], gold=found["gold"])

    # Costs ----------------------------------------------------------------------------------------------------------------

    def cost(self, cell: Cell) -> dict[str, float]:
        """Seconds in steps, steps and tokens of the training that made a cell's model from its start."""
        path = self.folder.cell(cell)
        if cell.is_learned:
            ratio = self.experiment.gold_ratio(cell.ratio) if cell.method == "gold" else None
            path = self.folder.model(learned_name(cell.method, seeds=self.experiment.seeds, seed=cell.seed, ratio=ratio))
        log = path / "train.jsonl"
        steps = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
        totals = {name: float(sum(step[name] for step in steps)) for name in ("seconds", "tokens")}
        return {"seconds": totals["seconds"], "steps": float(len(steps)), "tokens": totals["tokens"]}


def _averaged(those: Sequence[Subsets]) -> Subsets:
    rights = [one.right for one in those if one.right is not None]
    kept = {name: np.mean([one.kept[name] for one in those], axis=0) for name in those[0].kept}
    return Subsets(np.mean([one.harm for one in those], axis=0), kept, np.mean(rights, axis=0) if rights else None)
