"""What an experiment on a benchmark does unless it says otherwise, where that differs from the general defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DEFENCES = ("fact_erasure", "empty_response", "error_injection", "head_projection", "max_entropy", "input_rephrasing")
_ATTACKS = (
    "lens_head_projection",
    "lens_prob_delta",
    "lens_prob_delta2",
    "finetune_lens",
    "rephrase_question",
    "rephrase_image",
    "rephrase_multimodal",
)
_GUARD = {"prompt_guard": {"wording": "Refuse to answer the question: say that you do not know."}}
"""Facts have no names that the guard's usual wording could list."""
_SINGLE_FACTS: Mapping[str, Mapping[str, Any]] = {
    "learn": {"epochs": 0, "golds": 1},
    "unlearn": {"methods": list(_DEFENCES), "modalities": ["image_text"], "requests": "single_fact"},
    "answer": {"protocols": ["strict"], "truth_ratio": False, "retain_subjects": 20},
    "attack": {"attacks": list(_ATTACKS)},
}
"""Facts that a model knows from its pretraining are deleted one by one and attacked, as UnLOK-VQA does."""
_CREATURES = {**_SINGLE_FACTS, "attack": {**_SINGLE_FACTS["attack"], "never_learned": True}}

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "unlok-vqa": _SINGLE_FACTS,
    "creatures": _CREATURES,
    "creatures-paper": _CREATURES,
    "creatures-tuning": _CREATURES,
}
"""Benchmark -> table -> settings."""


def with_preset(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of an experiment with what its benchmark presets; what they say themselves wins."""
    made = dict(tree)
    name = _benchmark_name(tree.get("benchmark"))
    for table, values in PRESETS.get(name, {}).items():
        given = tree.get(table, {})
        if isinstance(given, Mapping):
            made[table] = {**values, **given}
    if name in PRESETS:
        _add_guard(made)
    return made


def _benchmark_name(table: Any) -> str:
    """The benchmark of an experiment; a folder of official files tells it where no other name than the default is given."""
    from unsee.benchmarks import official_name
    from unsee.experiment_tables import BenchmarkTable

    name, path = (table.get("name"), table.get("path")) if isinstance(table, Mapping) else (None, None)
    if name in (None, BenchmarkTable.name) and isinstance(path, str) and Path(path).is_dir():
        name = official_name(Path(path))
    return name if isinstance(name, str) else BenchmarkTable.name


def _add_guard(tree: dict[str, Any]) -> None:
    """Settings of the guard, unless there is none or the experiment has its own."""
    methods, controls = tree.get("method", {}), tree["unlearn"].get("controls", tuple(_GUARD))
    if isinstance(methods, Mapping) and isinstance(controls, list | tuple) and set(_GUARD) <= set(controls):
        tree["method"] = {**_GUARD, **methods}
