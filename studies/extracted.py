"""A finished run of single facts as shares of its known facts, all resampled together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from answers import DRAWS

from unsee.answering.lens import LENS, block_count
from unsee.attacks.base import NEVER_LEARNED
from unsee.benchmarks.base import Benchmark
from unsee.cell_questions import cell_questions
from unsee.experiment import Cell
from unsee.metrics.bootstrap import Array, Resampler, weighted_means
from unsee.metrics.edit_scores import OF_ANSWER
from unsee.run_folder import RunFolder
from unsee.run_results import knowledge_gate, load_experiment_benchmark
from unsee.sample import Sample

BUDGET = 20
FIRST_TOKEN, WHOLE_ANSWER = "hit_position", "hit_sequence"
"""When lens attacks have found an answer of several tokens; others say whole answers."""
FOUND = {"the first token": FIRST_TOKEN, "the whole answer": WHOLE_ANSWER}


class Scored(NamedTuple):
    """A number of the results that says what edits did or cost."""

    metric: str
    set: str
    group: str | None = None


# By the deleted answer for all defences alike: by their own objectives they would be compared in different quantities.
REWRITE, LOST = Scored("rewrite_score", "forget", OF_ANSWER), Scored("delta_accuracy", "retain")
SCORED = (REWRITE, Scored("delta_accuracy", "neighbour_question"), Scored("delta_accuracy", "neighbour_image"), LOST)
"""What is told of every defence."""


class Way(NamedTuple):
    """An attack, and the level of its disguises where it has some."""

    attack: str
    level: str | None


class Extraction:
    """A finished run of single facts; shares are over the facts that vanilla knows, all resampled together.

    Args:
        found: column that says when an answer counts as found, its first token by default.
        among: leave out all other facts.

    Attributes:
        defences: its methods, in order.
        facts: known facts.
    """

    def __init__(self, folder: Path, *, found: str = FIRST_TOKEN, among: Collection[str] | None = None) -> None:
        self.found = found
        self.folder = RunFolder(folder)
        self.experiment = self.folder.read_experiment()
        self.defences = self.experiment.unlearn.methods
        self._attacked: dict[str, Sequence[Sample]] = {}
        gate = knowledge_gate(self.experiment, self.folder, self.benchmark, self.experiment.cells[0].request)
        assert gate is not None
        known = gate.facts.filter(pl.col("known") & ~pl.col("guessable"))["subject"].unique().sort().to_list()
        self.facts: list[str] = [fact for fact in known if among is None or fact in among]
        self._weights = np.vstack(
            [np.ones((1, len(self.facts))), Resampler({"facts": self.facts}, draws=DRAWS, seed=0).weights("facts")]
        )

    @cached_property
    def benchmark(self) -> Benchmark:
        """What the run asked about."""
        return load_experiment_benchmark(self.experiment)

    @property
    def counts(self) -> str:
        """What counts as found, in words."""
        return next(words for words, column in FOUND.items() if column == self.found)

    @cached_property
    def blocks(self) -> int:
        """Decoder layers of the run's model."""
        records = self.folder.records(self.cell("vanilla"))
        assert records is not None
        return block_count(len(records.filter(protocol=LENS.name)["layer_ranks"][0]))

    def attacked(self, method: str = "vanilla") -> Sequence[Sample]:
        """The questions behind a cell's attacks; never-learned facts have their own."""
        own = NEVER_LEARNED if method == NEVER_LEARNED else "vanilla"
        if own not in self._attacked:
            self._attacked[own] = cell_questions(self.experiment, self.benchmark, self.cell(own)).attacked
        return self._attacked[own]

    def cell(self, method: str) -> Cell:
        """The finished cell of a method or control."""
        return next(cell for cell in self.experiment.cells if cell.method == method)

    @cached_property
    def controls(self) -> list[str]:
        """What edits are compared with, gold where the run has one."""
        there = {cell.method for cell in self.experiment.cells}
        return [method for method in ("vanilla", "gold", "do_nothing") if method in there]

    @cached_property
    def ways(self) -> list[Way]:
        """The attacks, in the order of the experiment."""
        return [Way(one.name, one.graded) for one in self.experiment.attacks]

    @cached_property
    def _positions(self) -> dict[tuple[str, Way], Array]:
        found: dict[tuple[str, Way], Array] = {}
        for method in (*self.controls, *self.defences):
            attacks = self.folder.attacks(self.cell(method))
            assert attacks is not None
            for way in self.ways:
                rows = attacks.filter(pl.col("attack") == way.attack, pl.col("level").eq_missing(way.level))
                found[method, way] = self.positions(rows)
        return found

    def positions(self, attacks: pl.DataFrame) -> Array:
        """Position of the answer among the candidates, [facts]; infinite where it is not there, NaN without an attack.

        Args:
            attacks: rows of one attack in the schema ATTACKS; those on models that carry several edits do not count.
        """
        place = {fact: number for number, fact in enumerate(self.facts)}
        own = attacks.filter(pl.col("subject").is_in(self.facts) & ~pl.col("edit_id").fill_null("").str.contains("after"))
        positions = np.full(len(self.facts), np.nan)
        for fact, position in own.select("subject", self.found).iter_rows():
            positions[place[fact]] = np.inf if position is None else position
        return positions

    def mean(self, per_fact: Array) -> Array:
        """Mean over facts and its draws, [1 + draws]; facts without a value are left out."""
        there = ~np.isnan(per_fact)
        return weighted_means(np.where(there, per_fact, 0.0)[:, None], there[:, None].astype(float), self._weights)[:, 0]

    def hits(self, method: str, way: Way, budget: int = BUDGET) -> Array:
        """Whether the answer is among the first B candidates, [facts]."""
        return within(self._positions[method, way], budget)

    def success(self, method: str, way: Way) -> Array:
        """AttackSuccess@B with its draws."""
        return self.mean(self.hits(method, way))

    def left(self, methods: Sequence[str], way: Way) -> Array:
        """Of the facts that the attack found before the edit, the share it finds after it, averaged over methods."""
        before = self.hits("vanilla", way)
        return np.mean([self.mean(np.where(before == 1, self.hits(method, way), np.nan)) for method in methods], axis=0)

    def over_attacks(self, method: str, ways: Sequence[Way]) -> Array:
        """Mean success over attacks."""
        return np.mean([self.success(method, way) for way in ways], axis=0)

    def worst(self, method: str, ways: Sequence[Way]) -> Array:
        """Success of the attack that finds most, in every draw anew."""
        most: Array = np.max([self.success(method, way) for way in ways], axis=0)
        return most

    def unlearned_rate(self, way: Way) -> float | None:
        """Share of never-learned facts that the attack names."""
        attacks = self.folder.attacks(self.cell(NEVER_LEARNED))
        assert attacks is not None
        rows = attacks.filter(pl.col("attack") == way.attack, pl.col("level").eq_missing(way.level))
        return None if rows.is_empty() else float((rows[self.found] <= BUDGET).fill_null(False).mean())  # type: ignore[arg-type]

    def value(self, method: str, scored: Scored) -> tuple[float, float, float]:
        """One number of the results with its interval, over the known facts."""
        plain = pl.all_horizontal(pl.col("level", "baseline").is_null()) & pl.col("group").eq_missing(scored.group)
        own = {"cell": self.cell(method).id, "metric": scored.metric, "set": scored.set}
        rows = self.folder.results().filter(plain, gated=True, n_edits=1, **own)
        return rows.select("value", "ci_low", "ci_high").row(0)


def within(positions: Array, budget: int) -> Array:
    """Whether a position is among the first B, 0 or 1; NaN stays."""
    return np.where(np.isnan(positions), np.nan, (positions <= budget).astype(float))


def main_ways(study: Extraction) -> list[Way]:
    """Every attack once: those by disguises at their hardest level."""
    return [way for way in study.ways if way.level in (None, "hard")]
