"""A recorded search for settings, and the file that its choices go to; every search writes a part of it."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from unsee.files import write_json, write_text

SETTINGS = Path(__file__).parents[1] / "src/unsee/tuned.toml"
HEAD = """\
# Settings per model, chosen on benchmarks `people-tuning`, `creatures-tuning` and `patients-tuning`, whose people, facts and
# patients occur in no reported number. Written by `python perf/tune.py` (methods), `python perf/tune_edits.py` (defences, the
# attack that trains) and `python perf/tune_patients.py` (methods on patients); every try is in perf/tuned*.json.
# The settings of tiny-patients were chosen on other pictures and errors, but on patients who carried the same identifiers as
# the reported ones; since then they carry others, and the search has not been repeated.

"""

Grid = Mapping[str, tuple[Any, ...]]
Try = dict[str, Any]
"""Settings under `settings`, and what came out."""


def tries(grid: Grid) -> Iterable[dict[str, Any]]:
    """Every combination of a grid's values."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


class Search:
    """Tries on record; those of other weights or of another benchmark are begun anew.

    Args:
        record: the JSON file, written after every try.
        about: what the tries belong to.
    """

    def __init__(self, record: Path, about: Mapping[str, Any]) -> None:
        self._file = record
        kept = json.loads(record.read_text()) if record.exists() else {}
        self.record = kept if {key: kept.get(key) for key in about} == about else {**about, "tries": {}}

    def complete(self, entry: str, grid: Grid, attempt: Callable[[dict[str, Any]], Try]) -> list[Try]:
        """All tries of a grid; one that is on record is not repeated."""
        known: list[Try] = self.record["tries"].setdefault(entry, [])
        for settings in tries(grid):
            if any(one["settings"] == settings for one in known):
                continue
            known.append(attempt(settings))
            print(entry, json.dumps(known[-1]), flush=True)
            write_json(self._file, self.record)
        return known


def best(known: Iterable[Try]) -> dict[str, Any]:
    """The settings of the highest `score`; of equals the first, which a grid has at the lowest rate."""
    return dict(max(known, key=lambda one: -1.0 if one["score"] is None else one["score"])["settings"])


def run_name(*names: str, **settings: Any) -> str:
    """A run folder of a try."""
    return "-".join([*names, *(f"{key}-{value:g}" for key, value in settings.items())])


def keep_settings(model: str, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Write settings of a model; what the file says of other methods and models stays."""
    tables = tomllib.loads(SETTINGS.read_text())
    tables[model] = {**tables.get(model, {}), **chosen}
    write_text(SETTINGS, HEAD + tomli_w.dumps(tables))
