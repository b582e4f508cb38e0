"""What comes back: asked the other way, after relearning a tenth of the facts, with rounded weights.

    python studies/survives.py runs/modality

Reads a run of examples/modality.toml and fills the tables of docs/studies/what-survives.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from answers import (
    MEASURE_TITLES,
    METHOD_TITLES,
    SHOWN_TITLES,
    TOLD,
    Array,
    Column,
    Means,
    Study,
    columns,
    interval,
    markdown,
    percent,
    retain_score,
)

from unsee.experiment import Cell
from unsee.files import fill

STATES = {"relearned": "after relearning", "int8": "8 bits", "int4": "4 bits"}
LEARNED = ("vanilla", "gold")


def title(method: str, shown: str | None) -> str:
    """A model's name in the tables."""
    return method if method in LEARNED else f"{METHOD_TITLES[method]}, {SHOWN_TITLES[str(shown)]}"


def models(study: Study) -> dict[str, list[Cell]]:
    """Cells of each model, one per seed."""
    (ratio,) = study.experiment.unlearn.forget_ratios
    names: list[tuple[str, str | None]] = [(role, None) for role in LEARNED]
    names += [(method, shown) for method in study.experiment.unlearn.methods for shown in SHOWN_TITLES]
    return {
        title(method, shown): [
            cell for seed in study.experiment.seeds for cell in study.cells(method, seed=seed, ratio=ratio, modality=shown)
        ]
        for method, shown in names
    }


def told(means: Means, way: str | None = None) -> Array:
    """What is told about the forget people: choice, fact told and cloze, averaged; one way of asking or both."""
    asked = [column for column in columns("forget", measures=TOLD) if way in (None, column.modality)]
    return np.mean([means[column] for column in asked], axis=0)


def over_seeds(values: Sequence[Array]) -> Array:
    """The mean over seeds, draw by draw."""
    return np.mean(values, axis=0)


def cross_table(ends: Mapping[str, Sequence[Means]]) -> str:
    """What each model tells, asked either way, in every measure."""
    rows = []
    for name, means in ends.items():
        for way, asked in SHOWN_TITLES.items():
            values = [over_seeds([m[Column("forget", measure, way)] for m in means]) for measure in MEASURE_TITLES]
            rows.append([name, asked, *map(percent, values), percent(over_seeds([told(m, way) for m in means]))])
    return markdown(["unlearned", "asked", *MEASURE_TITLES.values(), "told, mean"], rows)


def state_rows(study: Study, cells: Mapping[str, Sequence[Cell]]) -> pl.DataFrame:
    """Per model, state and seed: what is told of forget before and in that state, on the same questions; the retain score."""
    rows = []
    for name, seeds in cells.items():
        for cell in seeds:
            end = study.folder.records(cell)
            assert end is not None
            for state, records in study.folder.states(cell).items():
                if state not in STATES:
                    continue
                same = end.filter(pl.col("sample_id").is_in(records["sample_id"].unique().to_list()))
                before, after = study.means(same, seed=cell.draw), study.means(records, seed=cell.draw)
                pairs = {"told": (told(before), told(after)), "retain": (retain_score(before), retain_score(after))}
                pairs |= {way: (told(before, way), told(after, way)) for way in SHOWN_TITLES}
                for what, (first, second) in pairs.items():
                    rows.append(
                        {"model": name, "state": state, "seed": cell.draw, "what": what}
                        | {"before": first.tolist(), "after": second.tolist()}
                    )
    return pl.DataFrame(rows)


def state_table(values: pl.DataFrame, state: str, names: Sequence[str]) -> str:
    """One state: what is told before and after, how much came back, beside gold in the same state."""

    def mean(name: str, what: str, when: str) -> Array:
        found = values.filter((pl.col("model") == name) & (pl.col("state") == state) & (pl.col("what") == what))
        return over_seeds([np.array(draws) for draws in found[when]])

    gold = mean("gold", "told", "after")
    rows = []
    for name in names:
        before, after = mean(name, "told", "before"), mean(name, "told", "after")
        rows.append(
            [
                name,
                percent(before),
                percent(after),
                percent(after - before, signed=True),
                "" if name == "gold" else percent(after - gold, signed=True),
                percent(mean(name, "retain", "before")),
                percent(mean(name, "retain", "after")),
            ]
        )
    heading = ["model", "forget told before", STATES[state], "came back", f"above gold {STATES[state]}", "retain before"]
    return markdown([*heading, f"retain {STATES[state]}"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/studies/what-survives.md"))
    arguments = parser.parse_args()
    study = Study(arguments.run)
    cells = models(study)
    ends = {name: [study.asked(cell).means for cell in seeds] for name, seeds in cells.items()}
    values = state_rows(study, cells)
    fill(
        arguments.page,
        {"cross": cross_table(ends)} | {state: state_table(values, state, list(cells)) for state in STATES},
    )
    flat = []
    for row in values.iter_rows(named=True):
        for when in ("before", "after"):
            draws = np.array(row[when])
            low, high = interval(draws)
            flat.append(
                {key: row[key] for key in ("model", "state", "seed", "what")}
                | {"when": when, "value": float(draws[0]), "ci_low": low, "ci_high": high}
            )
    pl.DataFrame(flat).write_csv(arguments.page.with_suffix(".csv"), float_precision=4)


if __name__ == "__main__":
    main()
