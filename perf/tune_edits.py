"""Choose settings of defences, and of the attack that trains, for an embedded model: `python perf/tune_edits.py`.

Tries a grid on `creatures-tuning`, whose facts occur in no reported number, as many tries for every defence, and keeps what
gives the highest `edit_score` minus the accuracy that an edit costs on retained facts. `finetune_lens` then attacks what
fact erasure leaves with its chosen settings; the settings that find most within 20 candidates are kept. Writes every try to
`perf/tuned_edits.json` and the choice to `src/unsee/tuned.toml`; a try that is on record for these weights is not repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from tuned_settings import Grid, Search, best, keep_settings, run_name

from unsee import load_model, run
from unsee.experiment import parse_experiment
from unsee.models.loading import recipe_name
from unsee.presets import PRESETS
from unsee.run_folder import RunFolder

RECORD = Path(__file__).with_name("tuned_edits.json")
BENCHMARK = "creatures-tuning"
DEFENCES: tuple[str, ...] = tuple(PRESETS[BENCHMARK]["unlearn"]["methods"])
GRID: Grid = {"learning_rate": (0.02, 0.05, 0.1, 0.2), "epochs": (10, 30)}
ATTACK, ATTACKED, BUDGET = "finetune_lens", "fact_erasure", 20
ATTACK_GRID: Grid = {"learning_rate": (1e-4, 1e-3, 3e-3), "examples": (1, 16)}


class Ground:
    """Facts for tuning, and a folder with the runs on them."""

    def __init__(self, model: str, facts: int, folder: Path) -> None:
        self.model, self.facts, self.folder = model, facts, folder
        self.version = load_model(model).name
        self._first: Path | None = None

    def results(self, method: str, settings: Mapping[str, Any], attack: str, options: Mapping[str, Any]) -> Any:
        """Results of the method's cell, and the seconds the run took."""
        experiment = parse_experiment(
            {
                "name": "tune-edits",
                "model": self.model,
                "benchmark": {"name": BENCHMARK, "facts": self.facts},
                "unlearn": {"methods": [method], "controls": []},
                "method": {method: settings},
                "attack": {
                    "attacks": [attack],
                    "never_learned": False,
                    "budgets": [BUDGET],
                    "options": {attack: options} if options else {},
                },
            }
        )
        began = time.monotonic()
        out = self.folder / run_name(method, attack, **settings, **options)
        done = run(experiment, out=out, reuse=[] if self._first in (None, out) else [self._first])
        self._first = self._first or out
        if done.failures:
            return None, time.monotonic() - began
        found = RunFolder(out).results().filter(pl.col("method") == method, pl.col("gated").fill_null(True))
        return found, time.monotonic() - began

    def defend(self, method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        found, seconds = self.results(method, settings, "lens_head_projection", {})
        one: dict[str, Any] = {"settings": dict(settings), "seconds": round(seconds, 1)}
        if found is None:
            return one | {"score": None}
        plain = found.filter(pl.all_horizontal(pl.col("group", "level", "baseline").is_null()))
        whole = dict(plain.filter(set="all", metric="edit_score").select("metric", "value").iter_rows())
        parts = ("rewrite_score", "paraphrase_score", "neighbourhood_score")
        whole |= dict(plain.filter(pl.col("metric").is_in(parts)).select("metric", "value").iter_rows())
        lost = plain.filter(set="retain", metric="delta_accuracy")["value"].item()
        return one | whole | {"lost": lost, "score": whole["edit_score"] - max(0.0, lost)}

    def attack(self, settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        found, seconds = self.results(ATTACKED, settings, ATTACK, options)
        one = {"settings": dict(options), "seconds": round(seconds, 1)}
        if found is None:
            return one | {"score": None}
        hits = found.filter(
            pl.all_horizontal(pl.col("group", "level", "baseline").is_null()),
            metric="attack_success",
            attack=ATTACK,
            budget=BUDGET,
        )
        return one | {"score": hits["value"].item()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-a")
    parser.add_argument("--facts", type=int, default=36)
    parser.add_argument("--out", type=Path, default=Path("runs/tune-edits"))
    arguments = parser.parse_args()
    ground = Ground(arguments.model, arguments.facts, arguments.out)
    search = Search(RECORD, {"model": ground.version, "benchmark": BENCHMARK, "facts": arguments.facts})
    chosen = {method: best(search.complete(method, GRID, partial(ground.defend, method))) for method in DEFENCES}
    chosen[ATTACK] = best(search.complete(ATTACK, ATTACK_GRID, partial(ground.attack, chosen[ATTACKED])))
    keep_settings(recipe_name(arguments.model), chosen)


if __name__ == "__main__":
    main()
