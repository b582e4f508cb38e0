"""Choose settings of methods on patients, for an embedded model: `python perf/tune_patients.py`.

Tries a grid on `patients-tuning`, whose patients occur in no reported number, and keeps what gives the highest `ues_r`, the
mean of the scenarios that a method has. Writes every try to `perf/tuned_patients.json` and the choice to
`src/unsee/tuned.toml`; a try that is on record for these weights, questions and lessons is not repeated. The tries on record
are of patients who still carried the identifiers of the reported ones, so that the next search begins anew; with it the note in
`perf/tuned_settings.py` goes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from tuned_settings import Grid, Search, Try, best, keep_settings, run_name

from unsee import load_benchmark, load_model, run
from unsee.experiment import Experiment, parse_experiment
from unsee.models.loading import recipe_name
from unsee.presets import PRESETS
from unsee.run_folder import RunFolder
from unsee.settings import plain

RECORD = Path(__file__).with_name("tuned_patients.json")
BENCHMARK = "patients-tuning"
METHODS: tuple[str, ...] = tuple(PRESETS[BENCHMARK]["unlearn"]["methods"])
STEPS = 100
"""For both kinds of harm, whose requests differ in size sixfold, and for requests that list a part of it."""
RATES, RATES_OF_ASCENT = (5e-4, 1e-3, 2e-3), (1e-4, 2.5e-4, 5e-4)
SCORE, PARTS = "ues_r", ("ues_removal", "ues_preservation")


class Ground:
    """Patients for tuning, and a folder with the runs on them, which share what was learned."""

    def __init__(self, model: str, patients: int, folder: Path, *, learned: Path | None = None) -> None:
        self.model, self.patients, self.folder = model, patients, folder
        self._first = learned

    @property
    def about(self) -> dict[str, Any]:
        """What tries belong to; those of anything else are begun anew."""
        return {
            "model": load_model(self.model).name,
            "benchmark": BENCHMARK,
            "patients": self.patients,
            "questions": load_benchmark(BENCHMARK, subjects=self.patients).fingerprint,
            "learn": plain(self._experiment(METHODS[0], {}).learn.deciding),
        }

    def _experiment(self, method: str, settings: Mapping[str, Any]) -> Experiment:
        return parse_experiment(
            {
                "name": "tune-patients",
                "model": self.model,
                "benchmark": {"name": BENCHMARK, "subjects": self.patients},
                "learn": {"golds": 1},
                "unlearn": {"methods": [method], "controls": []},
                "method": {method: settings},
            }
        )

    def attempt(self, method: str, settings: Mapping[str, Any]) -> Try:
        experiment = self._experiment(method, settings)
        out = self.folder / run_name(method, **settings)
        done = run(experiment, out=out, reuse=[] if self._first in (None, out) else [self._first])
        self._first = self._first or out
        one: Try = {"settings": dict(settings)}
        if done.failures:
            return one | {"score": None}
        found = RunFolder(out).results().filter(pl.col("gated").fill_null(True), pl.col("baseline").is_null(), method=method)
        for scenario in experiment.unlearn.scenarios:
            rows = found.filter(pl.col("metric").is_in((SCORE, *PARTS)), scenario=scenario)
            whole = rows.filter(pl.col("group").is_null() | pl.col("group").str.starts_with("set="))
            means = whole.group_by("metric").agg(pl.col("value").mean())
            if not means.is_empty():
                one[scenario] = dict(means.sort("metric").iter_rows())
        scores = [one[scenario].get(SCORE) or 0.0 for scenario in experiment.unlearn.scenarios if scenario in one]
        return one | {"score": sum(scores) / len(scores) if scores else None}


def grid(method: str) -> Grid:
    """Nothing holds gradient ascent on its own, so it diverges at lower rates."""
    return {"learning_rate": RATES_OF_ASCENT if method == "ga" else RATES, "steps": (STEPS,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-patients")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--out", type=Path, default=Path("runs/tune-patients"))
    parser.add_argument("--learned", type=Path, help="a run on these patients, whose learned models are taken over")
    arguments = parser.parse_args()
    ground = Ground(arguments.model, arguments.patients, arguments.out, learned=arguments.learned)
    search = Search(RECORD, ground.about)
    for method in arguments.methods:
        search.complete(method, grid(method), partial(ground.attempt, method))
    keep_settings(recipe_name(arguments.model), {method: best(known) for method, known in search.record["tries"].items()})


if __name__ == "__main__":
    main()
