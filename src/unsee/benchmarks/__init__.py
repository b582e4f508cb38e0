"""Benchmarks by name: embedded ones, official files, ones of other packages, and folders of JSON lines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unsee.benchmarks.base import Benchmark, Split, TrainingModality
from unsee.errors import ConfigError, DataError, nearest
from unsee.plugins import entries

__all__ = ["ENTRY_POINTS", "Benchmark", "Split", "TrainingModality", "benchmark_names", "built_in", "load_benchmark"]

ENTRY_POINTS = "unsee.benchmarks"
"""Group in which other packages announce a function that returns a benchmark."""


def load_benchmark(name_or_path: str | Path, **options: Any) -> Benchmark:
    """A benchmark by name, or the folder at a path: official files, an injection, an extension, or JSON lines.

    Args:
        name_or_path: a name of `benchmark_names()`, or a folder.
        options: keyword arguments of the benchmark, such as `subjects=60` for `people`.

    Raises:
        ConfigError: the name or an option is unknown.
        DataError: the folder is missing.
    """
    own = built_in()
    name = str(name_or_path)
    if isinstance(name_or_path, str) and name in own:
        return _build(name, own[name], options)
    if isinstance(name_or_path, str):
        for entry in entries(ENTRY_POINTS):
            if entry.name == name:
                return _build(name, entry.load(), options)
    path = Path(name_or_path)
    if path.is_dir():
        return _build(name, _folder_reader(path), {"path": path, **options})
    if isinstance(name_or_path, Path) or len(path.parts) > 1:
        raise DataError(f"there is no folder {path}; check the path")
    raise ConfigError(f"there is no benchmark {name!r}; {nearest(name, benchmark_names())}")


def _folder_reader(folder: Path) -> Callable[..., Benchmark]:
    from unsee.benchmarks.extended.benchmark import ExtendedBenchmark
    from unsee.benchmarks.extended.files import holds_extension
    from unsee.benchmarks.jsonl import JsonlBenchmark
    from unsee.benchmarks.medical.benchmark import injected_folder
    from unsee.benchmarks.medical.files import holds_injection

    if holds_injection(folder):
        return injected_folder
    if holds_extension(folder):
        return ExtendedBenchmark
    official = official_name(folder)
    return JsonlBenchmark if official is None else built_in()[official]


def official_name(folder: Path) -> str | None:
    """Name of the published benchmark whose official files a folder holds; None for any other folder."""
    from unsee.benchmarks.extended.files import holds_extension
    from unsee.benchmarks.medical.files import holds_injection
    from unsee.benchmarks.mllmu_bench.folder import holds_official_files
    from unsee.benchmarks.unlok_vqa.files import holds_unlok_files

    known = (("mllmu-bench", holds_official_files), ("unlok-vqa", holds_unlok_files))
    # Official files are found by being parquet or JSON files, and ours are too.
    if holds_injection(folder) or holds_extension(folder):
        return None
    return next((name for name, holds in known if holds(folder)), None)


def benchmark_names() -> list[str]:
    """Every name that `load_benchmark` takes."""
    return sorted({*built_in(), *(entry.name for entry in entries(ENTRY_POINTS))})


def built_in() -> Mapping[str, Callable[..., Benchmark]]:
    """Functions that make the benchmarks of this package, by name."""
    # Imported here because the frozen worlds need this package's portraits, and people need the worlds.
    from unsee.benchmarks.creatures import creatures, creatures_paper, creatures_tuning
    from unsee.benchmarks.mllmu_bench import MllmuBench
    from unsee.benchmarks.patients import patients, patients_tuning
    from unsee.benchmarks.people import people, people_paper, people_tuning
    from unsee.benchmarks.unlok_vqa import UnlokVqa

    return {
        "people": people,
        "people-paper": people_paper,
        "people-tuning": people_tuning,
        "creatures": creatures,
        "creatures-paper": creatures_paper,
        "creatures-tuning": creatures_tuning,
        "patients": patients,
        "patients-tuning": patients_tuning,
        "mllmu-bench": MllmuBench,
        "unlok-vqa": UnlokVqa,
    }


def _build(name: str, factory: Callable[..., Benchmark], options: Mapping[str, Any]) -> Benchmark:
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            raise ConfigError(f"benchmark {name} has no option {option!r}; {nearest(option, list(parameters))}")
    return factory(**options)
