"""The parts of a page that are about patients and medical answers; all empty where a run has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unsee.report.efficiency import ability_panels, anchoring, score_panels
from unsee.report.leaks import class_figures, class_panels, form_panels, volunteered_panels, worst_panels
from unsee.report.medical_headline import medical_headline
from unsee.report.medical_values import Medical
from unsee.report.planted_errors import error_panels, moved_panels, posed_switch, rule_panels, transition_panels
from unsee.report.sources import Sources

_Part = Callable[[Medical], list[Any]]
_TABLES: Mapping[str, _Part] = {
    "volunteered": volunteered_panels,
    "leak_classes": class_panels,
    "leak_forms": form_panels,
    "leak_worst": worst_panels,
    "errors": error_panels,
    "error_rules": rule_panels,
    "moved": moved_panels,
    "efficiency": score_panels,
    "ability": ability_panels,
}
_OF_ONE_RUN: Mapping[str, _Part] = {"leak_heat": class_figures, "transitions": transition_panels, "anchoring": anchoring}
"""Parts that would not fit, or say nothing, beside those of another run."""


def medical_parts(sources: Sources, *, contaminated: bool = False) -> dict[str, Any]:
    """What the templates show of patients.

    Args:
        sources: one run or several, without their single-fact cells; several have their tables alone, a row per run.
        contaminated: gold knows what it must not, so that nothing measured against it is a verdict.
    """
    medical = Medical(sources)
    is_medical, is_one = bool(medical), len(sources.runs) == 1
    parts: dict[str, list[Any]] = {name: part(medical) if is_medical else [] for name, part in _TABLES.items()}
    parts |= {name: part(medical) if is_medical and is_one else [] for name, part in _OF_ONE_RUN.items()}
    return {
        **parts,
        "medical": is_medical,
        "posed": posed_switch([*parts["transitions"], *parts["moved"]]),
        "medical_headline": medical_headline(medical, contaminated=contaminated) if is_medical and is_one else None,
    }
