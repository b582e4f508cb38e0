r"""Deleted facts and attempts to extract them: which disguises find more, which defence holds, at what damage.

    python studies/extraction.py runs/extraction --tuning runs/extraction-tuning
    python studies/extraction.py runs/strengths-tuned --strengths runs/strengths-weak runs/strengths-strong

Reads runs of examples/extraction.toml, or of examples/strengths.toml at several strengths, and fills the tables of
docs/studies/extraction.md that they tell. The run on tuning facts says which layer an attacker who knows the defence would
read.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from answers import DRAWS, markdown, p_value, percent

from unsee.attacks.base import NEVER_LEARNED
from unsee.experiment import Cell
from unsee.files import fill
from unsee.metrics.bootstrap import Array, Resampler, weighted_means
from unsee.metrics.holm import holm
from unsee.run_folder import RunFolder
from unsee.run_results import knowledge_gate, load_experiment_benchmark

BUDGET = 20
FIRST_TOKEN, WHOLE_ANSWER = "hit_position", "hit_sequence"
"""When lens attacks have found an answer of several tokens; others say whole answers."""
INTERNAL = ("head_projection", "max_entropy")
"""Defences that change what inner layers say; the others change the answer alone."""
TRAINED_AGAINST = {
    "head_projection": ("lens_head_projection",),
    "max_entropy": ("lens_head_projection",),
    "input_rephrasing": ("rephrase_question", "rephrase_multimodal"),
}
"""Attacks of whose kind the defence's own training samples or layers are; the attacks' own prompts are never trained on."""
AXES = {"rephrase_question": "question", "rephrase_image": "picture", "rephrase_multimodal": "both"}
LEVELS = ("easy", "medium", "hard")
LOST = "delta_accuracy"
SCORED = (("rewrite_score", "forget"), (LOST, "neighbour_question"), (LOST, "neighbour_image"), (LOST, "retain"))
"""Metric and set of what an edit did and cost."""


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
        benchmark = load_experiment_benchmark(self.experiment)
        gate = knowledge_gate(self.experiment, self.folder, benchmark, self.experiment.cells[0].request)
        assert gate is not None
        known = gate.facts.filter(pl.col("known") & ~pl.col("guessable"))["subject"].unique().sort().to_list()
        self.facts: list[str] = [fact for fact in known if among is None or fact in among]
        self._weights = np.vstack(
            [np.ones((1, len(self.facts))), Resampler({"facts": self.facts}, draws=DRAWS, seed=0).weights("facts")]
        )

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
        """Position of the answer among the candidates, [facts]; infinite where it is not there."""
        found: dict[tuple[str, Way], Array] = {}
        place = {fact: number for number, fact in enumerate(self.facts)}
        for method in (*self.controls, *self.defences):
            attacks = self.folder.attacks(self.cell(method))
            assert attacks is not None
            own = attacks.filter(pl.col("subject").is_in(self.facts) & ~pl.col("edit_id").fill_null("").str.contains("after"))
            for way in self.ways:
                rows = own.filter(pl.col("attack") == way.attack, pl.col("level").eq_missing(way.level))
                positions = np.full(len(self.facts), np.nan)
                for fact, position in rows.select("subject", self.found).iter_rows():
                    positions[place[fact]] = np.inf if position is None else position
                found[method, way] = positions
        return found

    def mean(self, per_fact: Array) -> Array:
        """Mean over facts and its draws, [1 + draws]; facts without a value are left out."""
        there = ~np.isnan(per_fact)
        return weighted_means(np.where(there, per_fact, 0.0)[:, None], there[:, None].astype(float), self._weights)[:, 0]

    def hits(self, method: str, way: Way, budget: int = BUDGET) -> Array:
        """Whether the answer is among the first B candidates, [facts]."""
        positions = self._positions[method, way]
        return np.where(np.isnan(positions), np.nan, (positions <= budget).astype(float))

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

    def unlearned_rate(self, way: Way) -> float | None:
        """Share of never-learned facts that the attack names."""
        attacks = self.folder.attacks(self.cell(NEVER_LEARNED))
        assert attacks is not None
        rows = attacks.filter(pl.col("attack") == way.attack, pl.col("level").eq_missing(way.level))
        return None if rows.is_empty() else float((rows[self.found] <= BUDGET).fill_null(False).mean())  # type: ignore[arg-type]

    def value(self, method: str, metric: str, set: str) -> tuple[float, float, float]:
        """One number of the results with its interval, over the known facts."""
        plain = pl.all_horizontal(pl.col("group", "level", "baseline").is_null())
        rows = self.folder.results().filter(plain, cell=self.cell(method).id, metric=metric, set=set, gated=True, n_edits=1)
        return rows.select("value", "ci_low", "ci_high").row(0)

    def curve(self, method: str) -> dict[int, float]:
        """Layer -> share of answers that its distribution ranks among the first B."""
        rows = self.folder.results().filter(
            pl.col("layer").is_not_null(),
            pl.all_horizontal(pl.col("group", "baseline").is_null()),
            cell=self.cell(method).id,
            metric="attack_success",
            budget=BUDGET,
            gated=True,
        )
        return {int(layer): float(value) for layer, value in rows.select("layer", "value").iter_rows()}


def main_ways(study: Extraction) -> list[Way]:
    """Every attack once: those by disguises at their hardest level."""
    return [way for way in study.ways if way.level in (None, "hard")]


def after(study: Extraction, way: Way) -> Array:
    """Success of an attack after the edit, averaged over defences."""
    return np.mean([study.success(method, way) for method in study.defences], axis=0)


def disguise_table(study: Extraction) -> str:
    """(a) What disguises of the question, of the picture and of both find, before and after the edits."""
    rows, tests = [], []
    for level in LEVELS:
        ways = {axis: Way(attack, level) for attack, axis in AXES.items() if Way(attack, level) in study.ways}
        for axis, way in ways.items():
            said = [study.success("vanilla", way), after(study, way), study.left(study.defences, way)]
            rows.append([level, axis, *map(percent, said)])
        for other in ("question", "picture"):
            if {"both", other} <= ways.keys():
                tests.append((level, other, after(study, ways["both"]) - after(study, ways[other])))
    adjusted = holm([p_value(difference) for *_, difference in tests])
    told = [
        [level, f"both - {other}", percent(difference, signed=True), f"{p:.4f}"]
        for (level, other, difference), p in zip(tests, adjusted, strict=True)
    ]
    first = markdown(["level", "disguised", "before", "after, mean of defences", "of what it found before"], rows)
    return f"{first}\n\n{markdown(['level', 'difference after the edits', 'points', 'p, Holm'], told)}"


def defence_table(study: Extraction) -> str:
    """(b) Each defence against each attack; a dagger where the defence was trained against that kind of attack."""
    ways = main_ways(study)
    rows = []
    for method in (*study.controls, *study.defences):
        values = [study.success(method, way) for way in ways]
        marked = [
            percent(value) + (" †" if way.attack in TRAINED_AGAINST.get(method, ()) else "")
            for value, way in zip(values, ways, strict=True)
        ]
        worst = max(range(len(ways)), key=lambda number: values[number][0])
        rows.append([method, *marked, percent(np.mean(values, axis=0)), ways[worst].attack])
    never = [study.unlearned_rate(way) for way in ways]
    told = [rate for rate in never if rate is not None]
    rows.append(
        [NEVER_LEARNED, *("" if rate is None else f"{100 * rate:.0f}" for rate in never), f"{100 * np.mean(told):.0f}", ""]
    )
    return markdown(["", *(way.attack for way in ways), "mean", "worst"], rows)


def damage_table(studies: Mapping[str, Extraction]) -> str:
    """What each strength of each defence did and cost."""
    rows = []
    for strength, study in studies.items():
        for method in study.defences:
            parts = [study.value(method, metric, set) for metric, set in SCORED]
            told = [f"{round(100 * value)} ({round(100 * low)} to {round(100 * high)})" for value, low, high in parts]
            rows.append([method, strength, *told, percent(study.over_attacks(method, main_ways(study)))])
    return markdown(
        ["", "strength", "rewrite", "lost, same picture", "lost, neighbour pictures", "lost, other facts", "mean success"], rows
    )


def at_equal(studies: Sequence[Extraction], method: str, metric: str, set: str, level: float) -> Array | None:
    """Mean success where a defence's number crosses a level, interpolated between strengths; None where it never does."""
    points = [(study.value(method, metric, set)[0], study.over_attacks(method, main_ways(study))) for study in studies]
    return where_it_crosses(points, level)


def where_it_crosses(points: Sequence[tuple[float, Array]], level: float) -> Array | None:
    """What stands beside a number where it crosses a level, on straight lines between the points; None where it never does."""
    ordered = sorted(points, key=lambda point: point[0])
    for (low, before), (high, after) in pairwise(ordered):
        if low <= level <= high:
            share = 0.0 if high == low else (level - low) / (high - low)
            return before + share * (after - before)
    return next((beside for value, beside in ordered if value == level), None)


def comparison_table(*counted: Mapping[str, Extraction]) -> str:
    """Internal-state defences minus the others in mean success: at each strength, at equal rewrite score and equal damage."""
    tests = [test for studies in counted for test in _comparisons(studies)]
    adjusted = holm([p_value(difference) for *_, difference in tests])
    return markdown(
        ["found is", "at", "internal - output, points", "p, Holm"],
        [[found, at, percent(d, signed=True), f"{p:.4f}"] for (found, at, d), p in zip(tests, adjusted, strict=True)],
    )


def _comparisons(studies: Mapping[str, Extraction]) -> list[tuple[str, str, Array]]:
    every = list(studies.values())
    output = [method for method in every[0].defences if method not in INTERNAL]
    found = "the first token" if every[0].found == FIRST_TOKEN else "the whole answer"
    tests: list[tuple[str, str, Array]] = []
    for strength, study in studies.items():
        ways = main_ways(study)
        inner = np.mean([study.over_attacks(method, ways) for method in INTERNAL], axis=0)
        tests.append(
            (found, f"strength {strength}", inner - np.mean([study.over_attacks(method, ways) for method in output], axis=0))
        )
    for metric, set in (SCORED[0], SCORED[-1]):
        level = float(np.median([studies["tuned"].value(method, metric, set)[0] for method in every[0].defences]))
        inside = [at_equal(every, method, metric, set, level) for method in INTERNAL]
        outside = [at_equal(every, method, metric, set, level) for method in output]
        there = [[one for one in side if one is not None] for side in (inside, outside)]
        if all(there):
            title = f"{metric} = {level:.2f} ({len(there[0])} against {len(there[1])} defences reach it)"
            tests.append((found, title, np.mean(there[0], axis=0) - np.mean(there[1], axis=0)))
    return tests


def layer_table(study: Extraction, tuning: Extraction) -> str:
    """An attacker who reads one layer: the best on tuning facts, of all layers and of those the defence did not see."""
    rows = []
    for method in ("vanilla", *study.defences):
        known, found = tuning.curve(method), study.curve(method)
        depth = max(known)
        best = max(known, key=lambda layer: known[layer])
        unseen = max((layer for layer in known if layer <= depth - max(1, round(depth / 3))), key=lambda layer: known[layer])
        rows.append([method, str(best), f"{100 * found[best]:.0f}", str(unseen), f"{100 * found[unseen]:.0f}"])
    return markdown(["", "best layer on tuning facts", "success there", "best unseen layer", "success there"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--strengths", type=Path, nargs="*", default=[])
    parser.add_argument("--tuning", type=Path)
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/studies/extraction.md")
    arguments = parser.parse_args()
    folders = {"tuned": arguments.run} | {folder.name.rpartition("-")[2]: folder for folder in arguments.strengths}
    studies = {name: Extraction(folder) for name, folder in folders.items()}
    study, whole = studies["tuned"], {name: Extraction(folder, found=WHOLE_ANSWER) for name, folder in folders.items()}
    if arguments.strengths:
        parts = {"strengths": damage_table(studies), "comparison": comparison_table(studies, whole)}
    else:
        parts = {
            "disguises": disguise_table(study),
            "defences": defence_table(study),
            "whole": defence_table(whole["tuned"]),
            "damage": damage_table(studies),
        }
    if arguments.tuning is not None:
        parts["layers"] = layer_table(study, Extraction(arguments.tuning))
    fill(arguments.page, parts)


if __name__ == "__main__":
    main()
