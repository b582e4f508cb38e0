r"""Does a larger model resist extraction better? Models of several sizes, edited to the same rewrite score.

    python studies/sizes.py --micro runs/sizes-micro-* --tiny runs/sizes-tiny-* --small runs/sizes-small-*

Reads runs of examples/sizes.toml, of every checkpoint at several learning rates, and fills tables of
docs/studies/extraction.md. Runs belong to one checkpoint where they began with the same weights. Shares are over the facts that
all checkpoints know, the same draws for each. Where sizes have several checkpoints, these are the replicates of a size.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import polars as pl
from answers import markdown, p_value, percent
from extracted import FOUND, LOST, REWRITE, Extraction, Scored, main_ways
from extraction import where_it_crosses
from scipy.stats import ttest_ind

from unsee.files import fill
from unsee.metrics.bootstrap import Array
from unsee.metrics.cell_info import CellInfo
from unsee.metrics.edit_scores import edit_scores
from unsee.metrics.holm import holm
from unsee.run_folder import RunFolder
from unsee.sample_tables import read_samples

SIZES = ("micro", "tiny", "small")
LEVEL = 0.9
"""Rewrite score at which sizes are compared."""


class Sized(Extraction):
    """A run of one size at one learning rate."""

    @cache  # noqa: B019 - a handful of runs that live as long as the script
    def scores(self, method: str) -> dict[Scored, float]:
        """What the edits did and cost, over the facts of this study alone."""
        cell, vanilla = self.cell(method), self.cell("vanilla")
        records, before = self.folder.records(cell), self.folder.records(vanilla)
        assert records is not None and before is not None
        own = records.filter(pl.col("edit_id").is_null() | pl.col("edit_id").is_in(self.facts))
        samples = read_samples(self.folder.samples_file)
        rows = edit_scores(own, samples, before=before, cell=CellInfo(cell=cell.id, method=method), bootstrap=2)
        plain = rows.filter(pl.all_horizontal(pl.col("level", "baseline").is_null()))
        return {Scored(*place): value for *place, value in plain.select("metric", "set", "group", "value").iter_rows()}

    def mean_left(self, method: str) -> Array:
        """Of what an attack found before the edit, the share it finds after it; the mean over attacks."""
        return np.mean([self.left([method], way) for way in main_ways(self)], axis=0)


Checkpoints = Mapping[str, Sequence[Sized]]
"""Name of a checkpoint -> its runs."""
Sizes = Mapping[str, Checkpoints]
"""Size -> its checkpoints."""


class Difference(NamedTuple):
    """One size minus another.

    Attributes:
        told: points with their interval.
        p: two-sided, not corrected.
        replicate: what the interval is over.
    """

    told: str
    p: float
    replicate: str


def by_checkpoint(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Runs that began with the same weights, under the name of their model; a second one of that name gets a number.

    Raises:
        ValueError: a run does not say what it began with.
    """
    runs: dict[str, list[Path]] = {}
    names: dict[str, str] = {}
    for folder in folders:
        run = RunFolder(folder)
        weights = run.provenance().get("inputs", {}).get("model")
        if weights is None:
            raise ValueError(f"{folder}/provenance.json names no hash of its model; give runs that `unsee run` has begun")
        runs.setdefault(weights, []).append(folder)
        names.setdefault(weights, Path(run.read_experiment().model).name)
    found: dict[str, list[Path]] = {}
    for weights, own in runs.items():
        alike = [other for other in runs if names[other] == names[weights]]
        number = f" ({alike.index(weights) + 1})" if len(alike) > 1 else ""
        found[names[weights] + number] = own
    return found


def crossing(runs: Sequence[Sized], method: str, level: float) -> Array | None:
    """Share that attacks still find where the edits of one checkpoint reach a rewrite score."""
    return where_it_crosses([(run.scores(method)[REWRITE], run.mean_left(method)) for run in runs], level)


def spread(shares: Sequence[Array]) -> str:
    """The one share with its interval over facts, or the mean of several checkpoints and the lowest and highest of them."""
    if not shares:
        return "not reached"
    if len(shares) == 1:
        return f"{percent(shares[0])}, one checkpoint"
    values = [100 * share[0] for share in shares]
    return f"{mean(values):.0f}, {len(values)} checkpoints from {min(values):.0f} to {max(values):.0f}"


def difference(smaller: Sequence[Array], larger: Sequence[Array]) -> Difference:
    """The larger size minus the smaller one: over checkpoints (Welch's t-test) where both have several, else over facts."""
    if min(len(smaller), len(larger)) > 1:
        ones, others = ([share[0] for share in shares] for shares in (larger, smaller))
        test = ttest_ind(ones, others, equal_var=False)
        low, high = test.confidence_interval()
        told = f"{100 * (mean(ones) - mean(others)):+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"
        return Difference(told, float(test.pvalue), f"checkpoint, {len(others)} and {len(ones)}")
    points = np.mean(larger, axis=0) - np.mean(smaller, axis=0)
    return Difference(percent(points, signed=True), p_value(points), f"fact, {len(smaller)} and {len(larger)} checkpoints")


def strength_table(sizes: Sizes) -> str:
    """What every checkpoint was edited to, at every rate."""
    rows = []
    for size, checkpoints in sizes.items():
        for name, runs in checkpoints.items():
            for method in runs[0].defences:
                for run in sorted(runs, key=lambda one: one.scores(method)[REWRITE]):
                    scores = run.scores(method)
                    rate = run.experiment.plan(method).options.learning_rate
                    told = [f"{100 * scores[key]:.0f}" for key in (REWRITE, LOST)]
                    rows.append([size, name, method, f"{rate:g}", *told, percent(run.mean_left(method))])
    heading = ["size", "checkpoint", "defence", "rate", "rewrite", "lost, other facts", "left of what attacks found"]
    return markdown(heading, rows)


def size_table(counted: Mapping[str, Sizes], level: float) -> str:
    """Sizes at equal rewrite score and their differences; a checkpoint that never reaches the score is left out and named."""
    rows, tests = [], []
    for found, sizes in counted.items():
        first = next(iter(next(iter(sizes.values())).values()))[0]
        for method in first.defences:
            at = {
                size: {name: crossing(runs, method, level) for name, runs in checkpoints.items()}
                for size, checkpoints in sizes.items()
            }
            reached = {size: [one for one in shares.values() if one is not None] for size, shares in at.items()}
            missing = [name for shares in at.values() for name, one in shares.items() if one is None]
            rows.append([found, method, *map(spread, reached.values()), ", ".join(missing)])
            for a, b in combinations([size for size, shares in reached.items() if shares], 2):
                tests.append((found, method, f"{b} - {a}", difference(reached[a], reached[b])))
    adjusted = holm([test.p for *_, test in tests])
    told = [[*about, test.told, test.replicate, f"{p:.4f}"] for (*about, test), p in zip(tests, adjusted, strict=True)]
    first_table = markdown(["found is", "defence", *next(iter(counted.values())), "never reach it"], rows)
    heading = ["found is", "defence", "difference", "points", "replicate", "p, Holm"]
    return f"{first_table}\n\n{markdown(heading, told)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for size in SIZES:
        parser.add_argument(f"--{size}", type=Path, nargs="+", default=[])
    parser.add_argument("--level", type=float, default=LEVEL)
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/studies/extraction.md")
    arguments = parser.parse_args()
    try:
        folders = {size: by_checkpoint(found) for size in SIZES if (found := getattr(arguments, size))}
    except ValueError as error:
        parser.error(str(error))
    each = [own[0] for checkpoints in folders.values() for own in checkpoints.values()]
    known = set.intersection(*(set(Extraction(one).facts) for one in each))
    counted = {
        words: {
            size: {name: [Sized(one, found=column, among=known) for one in own] for name, own in checkpoints.items()}
            for size, checkpoints in folders.items()
        }
        for words, column in FOUND.items()
    }
    first = counted["the first token"]
    models = [(size, name, runs[0]) for size, checkpoints in first.items() for name, runs in checkpoints.items()]
    before = [[size, name, *(percent(run.success("vanilla", way)) for way in main_ways(run))] for size, name, run in models]
    ways = main_ways(models[0][2])
    parts = {
        "sizes-before": f"{len(known)} facts that all of them know.\n\n"
        + markdown(["size", "checkpoint", *(way.attack for way in ways)], before),
        "sizes-strengths": strength_table(first),
        "sizes": size_table(counted, arguments.level),
    }
    fill(arguments.page, parts)


if __name__ == "__main__":
    main()
