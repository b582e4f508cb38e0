"""Choose each method's settings for an embedded model: `python perf/tune.py [--methods npo kl]`.

Tries a small grid on `people-tuning`, whose people occur in no reported number, and keeps the settings of the best
`unlearning_score`; where a dead component makes it 0 for all of them, of the best mean of components. Writes every try to
`perf/tuned.json`, of a model other than `tiny` to `perf/tuned-<model>.json`, and the choice to `src/unsee/tuned.toml`; a try
that is already on record for these weights and this recipe of learning is not repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from tuned_settings import Grid, Search, keep_settings

from unsee import load_benchmark, load_model
from unsee.answering import answer
from unsee.learning import LearnOptions, learn, taught, training_accuracy
from unsee.method_plans import method_plan
from unsee.metrics import CellInfo, known_facts, score
from unsee.models.loading import recipe_name
from unsee.settings import plain
from unsee.unlearning import unlearn_with_report

RECORD = Path(__file__).with_name("tuned.json")
METHODS = ("ga", "graddiff", "kl", "npo", "idk")
GRID: Grid = {"learning_rate": (5e-4, 1e-3, 1.5e-3, 2e-3), "epochs": (5,), "batch_size": (16,)}
RATIO = 0.15
TAUGHT = LearnOptions()
SCORES = ("forget_score", "model_utility", "unlearning_score")
COMPONENTS = {"forget_mean": "forget_component", "utility_mean": "utility_component"}


class Ground:
    """The tuning split with vanilla, gold and their records."""

    def __init__(self, name: str, subjects: int) -> None:
        self.benchmark = load_benchmark("people-tuning", subjects=subjects)
        start = load_model(name)
        self.version = start.name
        self.samples = self.benchmark.samples(ratio=RATIO)
        self.vanilla = learn(start, self.benchmark, options=TAUGHT)
        print(f"vanilla: {training_accuracy(self.vanilla, taught(self.benchmark)):.3f} of training questions", flush=True)
        gold = learn(start, self.benchmark, ratio=RATIO, options=TAUGHT)
        probes = self.benchmark.gate_probes(ratio=RATIO)
        asked = [probe for probe in probes if probe.set == "forget"]
        self.gate = known_facts(answer(self.vanilla, probes), probes, answer(gold, asked))
        self.records = {"vanilla": answer(self.vanilla, self.samples), "gold": answer(gold, self.samples)}

    def try_out(self, entry: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        plan = method_plan(entry, settings)
        began = time.monotonic()
        done = unlearn_with_report(
            self.vanilla,
            forget=self.benchmark.training(set="forget", ratio=RATIO),
            retain=self.benchmark.training(set="retain", ratio=RATIO),
            method=plan.method,
            options=replace(plan.options, seed=0),
        )
        spent = time.monotonic() - began
        results = score(
            answer(done.model, self.samples),
            self.samples,
            cell=CellInfo(cell=entry, method=entry),
            gate=self.gate,
            bootstrap=200,
            vanilla=self.records["vanilla"],
            gold=self.records["gold"],
        )
        gated = results.filter(pl.col("baseline").is_null(), pl.col("value").is_not_null(), gated=True)
        whole = gated.filter(pl.all_horizontal(pl.col("modality", "group").is_null()))
        rows = dict(whole.filter(pl.col("metric").is_in(SCORES)).select("metric", "value").iter_rows())
        means = {name: gated.filter(metric=metric)["value"].mean() for name, metric in COMPONENTS.items()}
        return {"settings": dict(settings), "steps": done.report.steps, "seconds": round(spent, 1), **rows, **means}


def about(version: str, subjects: int) -> dict[str, Any]:
    """What tries belong to; those of anything else are begun anew."""
    return {
        "model": version,
        "benchmark": "people-tuning",
        "subjects": subjects,
        "ratio": RATIO,
        "learn": plain(TAUGHT.deciding),
    }


def best(tries: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings of the highest score, then of the highest means; ties go to the fewer steps."""

    def order(one: Mapping[str, Any]) -> tuple[float, float, int]:
        means = one["forget_mean"] * one["utility_mean"]
        return one["unlearning_score"] or 0.0, means, -one["steps"]

    return dict(max(tries, key=order)["settings"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--subjects", type=int, default=60)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    arguments = parser.parse_args()
    ground = Ground(arguments.model, arguments.subjects)
    name = recipe_name(arguments.model)
    record = RECORD if name == "tiny" else RECORD.with_stem(f"{RECORD.stem}-{name}")
    search = Search(record, about(ground.version, arguments.subjects))
    for entry in arguments.methods:
        search.complete(entry, GRID, partial(ground.try_out, entry))
    chosen = {entry: best(tries) for entry, tries in search.record["tries"].items()}
    keep_settings(name, chosen)


if __name__ == "__main__":
    main()
