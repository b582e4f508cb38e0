"""The parts of a page that are about single facts; all empty where a run has none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from unsee.attacks.base import NEVER_KNOWN
from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.attack_curves import curve_panels, layer_panels
from unsee.report.attack_matrix import fact_switches, heat_panels, matrix_panels, references, shown_switch
from unsee.report.damage_panels import detail_panels, plane_panels
from unsee.report.edit_curves import edit_curve_panels, edit_number_panels
from unsee.report.fact_gallery import fact_gallery
from unsee.report.fact_headline import fact_headline, leader
from unsee.report.run_data import RunData
from unsee.report.single_cells import known_facts
from unsee.report.single_facts import FactTable, fact_tables
from unsee.report.sources import Source, Sources
from unsee.report.vocabulary import REFERENCES


def fact_parts(run: RunData, name: str) -> dict[str, Any]:
    """What the templates show of single facts.

    Args:
        run: with its single-fact cells.
        name: first part of the names of files.
    """
    sources = Sources([Source(run)], name)
    tables = fact_tables(sources)
    gallery, over = _gallery(run, tables), references(tables)
    return {
        **attack_parts(sources, tables),
        "n_facts": max((table.n_facts for table in tables), default=0),
        "few_facts": any(table.n_facts < FEW_SUBJECTS for table in tables),
        "fact_headline": fact_headline(tables[0], known=known_facts(run.results), demo=run.is_demo) if tables else None,
        "reference": next((REFERENCES[name] for name in over), None),
        "never_known": NEVER_KNOWN in over,
        "heat": heat_panels(sources, tables),
        "candidate_curves": curve_panels(sources, tables),
        "layer_curves": layer_panels(sources, tables),
        "edit_curves": edit_curve_panels(sources, tables),
        "edit_numbers": edit_number_panels(sources, tables),
        "fact_list": json.dumps(gallery, ensure_ascii=False, separators=(",", ":")) if gallery["facts"] else "",
        "fact_list_data": gallery,
    }


def attack_parts(sources: Sources, tables: Sequence[FactTable]) -> dict[str, Any]:
    """What several runs can be compared by, too."""
    return {
        "single": bool(tables),
        "batch": any(table.batch for table in tables),
        "fact_switches": fact_switches(tables),
        "shown": shown_switch(tables),
        "matrix_tables": matrix_panels(sources, tables),
        "damage_plane": plane_panels(sources, tables),
        "edit_details": detail_panels(sources, tables),
    }


def _gallery(run: RunData, tables: Sequence[FactTable]) -> dict[str, Any]:
    from unsee.sample_tables import read_samples

    path = run.folder / "samples.parquet"
    if not tables or not path.is_file():
        return {"facts": [], "left_out": 0}
    return fact_gallery(run, read_samples(path), budget=tables[0].budget, focus=leader(tables[0]))
