"""Answers of finished runs as means over subjects, all resampled together.

Every value is an array [1 + draws]: the mean over all subjects, then its bootstrap draws. Models of one seed share their draws,
so that differences between them are paired. So do all seeds, but for forgotten people, whom no two seeds share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from unsee.experiment import Cell, Experiment
from unsee.metrics import METRICS
from unsee.metrics.bootstrap import Array, Resampler, family, percentiles, weighted_means
from unsee.metrics.frames import join_truth, truth_frame, values_frame
from unsee.run_folder import RunFolder
from unsee.sample import MODALITIES
from unsee.sample_tables import read_samples
from unsee.states import step_of

MEASURES = {"accuracy": "options", "rouge_l": "generate", "factuality": "generate", "cloze_accuracy": "generate"}
"""Metrics and the view they are taken from: option likelihood, ROUGE-L of a sentence, the fact in it, the words in a gap."""
TOLD = ("accuracy", "factuality", "cloze_accuracy")
"""Measures that are low where a fact is unknown; ROUGE-L gives most of its points for the words around the fact."""
MEASURE_TITLES = {"accuracy": "choice", "rouge_l": "ROUGE-L", "factuality": "fact told", "cloze_accuracy": "cloze"}
SHOWN_TITLES = {"image_text": "with the picture", "text": "by name"}
METHOD_TITLES = {"ga": "GA", "graddiff": "GradDiff", "kl": "KL", "npo": "NPO"}
DRAWS = 50_000
"""Enough for a p-value that stays below .05 when it is multiplied by five hundred comparisons."""


class Column(NamedTuple):
    """What is asked: one number of a table."""

    set: str
    measure: str
    modality: str


Means = Mapping[Column, Array]


@dataclass(frozen=True)
class Asked:
    """One model of one cell, in one state: as it ended up (`end`), on its way (`step-...`), `relearned`, `int8`."""

    cell: Cell
    state: str
    means: Means


class Study:
    """A finished run folder.

    Attributes:
        experiment: what was run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.experiment: Experiment = self.folder.read_experiment()
        self._ends: dict[str, Asked] = {}

    @cached_property
    def _truth(self) -> pl.DataFrame:
        return truth_frame(read_samples(self.folder.samples_file))

    def cells(self, method: str, *, seed: int, ratio: float, modality: str | None = None) -> Iterator[Cell]:
        """Finished cells of a method (`vanilla` and `gold` included) in one request."""
        for cell in self.experiment.cells:
            fits = (cell.method, cell.draw, cell.ratio) == (method, seed, ratio) and modality in (None, cell.modality)
            if fits and not cell.is_noise_gold and self.folder.is_done(self.folder.cell(cell)):
                yield cell

    def asked(self, cell: Cell) -> Asked:
        """A cell's model at the end."""
        if cell.id not in self._ends:
            records = self.folder.records(cell)
            assert records is not None
            self._ends[cell.id] = Asked(cell, "end", self.means(records, seed=cell.draw))
        return self._ends[cell.id]

    def way(self, cell: Cell) -> list[Asked]:
        """A cell's model on its way through unlearning, in order."""
        states = [(name, records) for name, records in self.folder.states(cell).items() if step_of(name) is not None]
        return [Asked(cell, name, self.means(records, seed=cell.draw)) for name, records in states]

    @cached_property
    def _everybody(self) -> Resampler:
        """Draws of everybody whom any seed asks about without forgetting; the same person counts once in a mean over seeds."""
        asked: dict[str, set[str]] = {}
        for cell in self.experiment.cells:
            records = self.folder.records(cell) if cell.method == "vanilla" else None
            if records is not None:
                for name, subject in records.select("set", "subject").unique().iter_rows():
                    asked.setdefault(family(name), set()).add(subject)
        return Resampler({name: sorted(people) for name, people in asked.items()}, draws=DRAWS, seed=0)

    def means(self, records: pl.DataFrame, *, seed: int) -> Means:
        """Mean per set, measure and modality with its bootstrap draws."""
        frame = join_truth(records.filter(pl.col("protocol") == "strict"), self._known(records))
        sets = records.select("sample_id", pl.col("set").alias("asked")).unique()
        values = values_frame(frame, [metric for metric in METRICS if metric.name in MEASURES])
        rows = values.join(frame.select("sample_id", "view", "subject", "task", "modality"), on=["sample_id", "view"])
        rows = rows.join(sets, on="sample_id").filter(pl.col("metric").replace_strict(MEASURES) == pl.col("view"))
        # The fact is looked for in sentences; four options and gaps have measures of their own.
        rows = rows.filter((pl.col("metric") != "factuality") | (pl.col("task") == "generation"))
        sums = rows.group_by("asked", "metric", "modality", "subject")
        totals = sums.agg(pl.col("value").sum(), pl.len().alias("count")).sort("subject")
        forgotten = totals.filter(pl.col("asked").is_in(["forget", "test"]))["subject"].to_list()
        own = Resampler({"forget": forgotten}, draws=DRAWS, seed=seed)
        found = {}
        for (asked, measure, modality), part in totals.group_by("asked", "metric", "modality"):
            group = family(str(asked))
            resampler = own if group == "forget" else self._everybody
            index = resampler.index[group]
            value, count = np.zeros((len(index), 1)), np.zeros((len(index), 1))
            places = [index[subject] for subject in part["subject"]]
            value[places, 0], count[places, 0] = part["value"], part["count"]
            weights = np.vstack([np.ones((1, len(index))), resampler.weights(group)])
            found[Column(str(asked), str(measure), str(modality))] = weighted_means(value, count, weights)[:, 0]
        return found

    def _known(self, records: pl.DataFrame) -> pl.DataFrame:
        return self._truth.filter(pl.col("sample_id").is_in(records["sample_id"].unique().to_list()))


def columns(*sets: str, measures: Iterable[str] = tuple(MEASURES)) -> list[Column]:
    """Some measures of some sets in both modalities."""
    return [Column(name, measure, modality) for name in sets for measure in measures for modality in MODALITIES]


def retain_score(means: Means) -> Array:
    """What is kept: choice, fact told and cloze of the retain set, asked both ways, averaged."""
    return np.mean([means[column] for column in columns("retain", measures=TOLD)], axis=0)


def interval(draws: Array) -> tuple[float, float]:
    """95 % percentile interval of the draws behind the first value."""
    low, high = percentiles(draws[1:, None])
    return float(low[0]), float(high[0])


def p_value(draws: Array) -> float:
    """Two-sided bootstrap p-value of a difference from 0; the value itself counts as a draw, so that no p-value is 0."""
    fewer = min(int(np.sum(draws[1:] <= 0)), int(np.sum(draws[1:] >= 0)))
    return min(1.0, 2 * (fewer + 1) / len(draws))


def percent(draws: Array, *, signed: bool = False) -> str:
    """`31 (25 to 38)`, in percent."""
    return between(float(draws[0]), *interval(draws), signed=signed)


def between(value: float, low: float, high: float, *, signed: bool = False) -> str:
    """Share and interval as `31 (25 to 38)`, in percent."""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.0f} ({100 * low:{sign}.0f} to {100 * high:{sign}.0f})"


def markdown(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    titles = list(heading)
    lines = [titles, ["---"] * len(titles), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
