r"""Does a larger model resist extraction better? Models of several sizes, edited to the same rewrite score.

    python studies/sizes.py --micro runs/sizes-micro-* --tiny runs/sizes-tiny-* --small runs/sizes-small-*

Reads runs of examples/sizes.toml, those of a size at several learning rates, and fills a table of docs/studies/extraction.md.
Shares are over the facts that the models of all sizes know, the same draws for each.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from answers import markdown, p_value, percent
from extraction import FIRST_TOKEN, SCORED, WHOLE_ANSWER, Extraction, main_ways, where_it_crosses

from unsee.files import fill
from unsee.metrics.bootstrap import Array
from unsee.metrics.cell_info import CellInfo
from unsee.metrics.edit_scores import edit_scores
from unsee.metrics.holm import holm
from unsee.sample_tables import read_samples

SIZES = ("micro", "tiny", "small")
LEVEL = 0.9
"""Rewrite score at which sizes are compared."""
FOUND = {"the first token": FIRST_TOKEN, "the whole answer": WHOLE_ANSWER}


class Sized(Extraction):
    """A run of one size at one learning rate."""

    @cache  # noqa: B019 - a handful of runs that live as long as the script
    def scores(self, method: str) -> dict[tuple[str, str], float]:
        """(metric, set) -> what the edits did and cost, over the facts of this study alone."""
        cell, vanilla = self.cell(method), self.cell("vanilla")
        records, before = self.folder.records(cell), self.folder.records(vanilla)
        assert records is not None and before is not None
        own = records.filter(pl.col("edit_id").is_null() | pl.col("edit_id").is_in(self.facts))
        samples = read_samples(self.folder.samples_file)
        rows = edit_scores(own, samples, before=before, cell=CellInfo(cell=cell.id, method=method), bootstrap=2)
        plain = rows.filter(pl.all_horizontal(pl.col("group", "level", "baseline").is_null()))
        return {(metric, set): value for metric, set, value in plain.select("metric", "set", "value").iter_rows()}

    def mean_left(self, method: str) -> Array:
        """Of what an attack found before the edit, the share it finds after it; the mean over attacks."""
        return np.mean([self.left([method], way) for way in main_ways(self)], axis=0)


Runs = Mapping[str, Sequence[Sized]]
"""Size -> its runs."""


def crossing(runs: Sequence[Sized], method: str, level: float) -> Array | None:
    """Share that attacks still find where a method's edits reach a rewrite score."""
    return where_it_crosses([(run.scores(method)[SCORED[0]], run.mean_left(method)) for run in runs], level)


def strength_table(sizes: Runs) -> str:
    """What every size was edited to, at every rate."""
    rows = []
    for size, runs in sizes.items():
        for method in runs[0].defences:
            for run in sorted(runs, key=lambda one: one.scores(method)[SCORED[0]]):
                scores = run.scores(method)
                rate = run.experiment.plan(method).options.learning_rate
                told = [f"{100 * scores[key]:.0f}" for key in (SCORED[0], SCORED[-1])]
                rows.append([size, method, f"{rate:g}", *told, percent(run.mean_left(method))])
    return markdown(["size", "defence", "rate", "rewrite", "lost, other facts", "left of what attacks found"], rows)


def size_table(counted: Mapping[str, Runs], level: float) -> str:
    """Sizes at equal rewrite score and their differences; a row is missing where a size never reaches the score."""
    rows, tests = [], []
    for found, sizes in counted.items():
        for method in next(iter(sizes.values()))[0].defences:
            at = {size: crossing(runs, method, level) for size, runs in sizes.items()}
            reached = {size: share for size, share in at.items() if share is not None}
            rows.append([found, method, *("not reached" if share is None else percent(share) for share in at.values())])
            tests += [(found, method, f"{b} - {a}", reached[b] - reached[a]) for a, b in combinations(reached, 2)]
    adjusted = holm([p_value(difference) for *_, difference in tests])
    told = [[*about, percent(d, signed=True), f"{p:.4f}"] for (*about, d), p in zip(tests, adjusted, strict=True)]
    first = markdown(["found is", "defence", *next(iter(counted.values()))], rows)
    return f"{first}\n\n{markdown(['found is', 'defence', 'difference', 'points', 'p, Holm'], told)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for size in SIZES:
        parser.add_argument(f"--{size}", type=Path, nargs="+", default=[])
    parser.add_argument("--level", type=float, default=LEVEL)
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/studies/extraction.md")
    arguments = parser.parse_args()
    folders = {size: found for size in SIZES if (found := getattr(arguments, size))}
    known = set.intersection(*(set(Extraction(found[0]).facts) for found in folders.values()))
    counted = {
        words: {size: [Sized(one, found=column, among=known) for one in found] for size, found in folders.items()}
        for words, column in FOUND.items()
    }
    first = counted["the first token"]
    before = [[size, *(percent(runs[0].success("vanilla", way)) for way in main_ways(runs[0]))] for size, runs in first.items()]
    ways = main_ways(next(iter(first.values()))[0])
    parts = {
        "sizes-before": f"{len(known)} facts that all of them know.\n\n"
        + markdown(["", *(way.attack for way in ways)], before),
        "sizes-strengths": strength_table(first),
        "sizes": size_table(counted, arguments.level),
    }
    fill(arguments.page, parts)


if __name__ == "__main__":
    main()
