"""The parts of a page that are about patients and medical answers; all empty where a run has none."""

from __future__ import annotations

from typing import Any

from unsee.report.efficiency import ability_panels, anchoring, score_panels
from unsee.report.leaks import class_figures, class_panels, form_panels, volunteered_panels, worst_panels
from unsee.report.medical_headline import medical_headline
from unsee.report.medical_values import Medical
from unsee.report.planted_errors import error_panels, moved_panels, posed_switch, rule_panels, transition_panels
from unsee.report.sources import Sources

_PARTS = {
    "volunteered": volunteered_panels,
    "leak_heat": class_figures,
    "leak_classes": class_panels,
    "leak_forms": form_panels,
    "leak_worst": worst_panels,
    "errors": error_panels,
    "error_rules": rule_panels,
    "transitions": transition_panels,
    "moved": moved_panels,
    "efficiency": score_panels,
    "ability": ability_panels,
    "anchoring": anchoring,
}


def medical_parts(sources: Sources, *, contaminated: bool = False) -> dict[str, Any]:
    """What the templates show of patients.

    Args:
        sources: one run, without its single-fact cells.
        contaminated: gold knows what it must not, so that nothing measured against it is a verdict.
    """
    medical = Medical(sources)
    is_medical = bool(medical)
    parts: dict[str, Any] = {name: part(medical) if is_medical else [] for name, part in _PARTS.items()}
    return {
        **parts,
        "medical": is_medical,
        "posed": posed_switch(parts["transitions"]),
        "medical_headline": medical_headline(medical, contaminated=contaminated) if is_medical else None,
    }
