"""Abilities that an embedded model lacks, said in every row of results that depends on them.

`unsee models card --out FILE` writes `abilities.json` beside the card; the one beside the shipped weights is read here. A
prompt guard that is not obeyed, or letters that cannot be named, would otherwise pass for something about unlearning.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from unsee.files import write_json
from unsee.models.loading import EMBEDDED, WEIGHTS

if TYPE_CHECKING:
    from unsee.models.card import Ability

ABILITIES = "abilities.json"

_BY_NAME = pl.col("modality").is_null() | (pl.col("modality") == "text")
_BY_PICTURE = pl.col("modality").is_null() | (pl.col("modality") == "image_text")
_DEPENDENT: Mapping[str, pl.Expr] = {
    "letter_by_name": (pl.col("view") == "letter") & _BY_NAME,
    "letter_by_picture": (pl.col("view") == "letter") & _BY_PICTURE,
    "guarded_by_name": (pl.col("method") == "prompt_guard") & _BY_NAME,
    "guarded_by_picture": (pl.col("method") == "prompt_guard") & _BY_PICTURE,
    "unguarded_refused_by_name": (pl.col("method") == "prompt_guard") & _BY_NAME,
    "unguarded_refused_by_picture": (pl.col("method") == "prompt_guard") & _BY_PICTURE,
    "unknown_by_name": (pl.col("method") == "idk") & _BY_NAME,
    "unknown_by_picture": (pl.col("method") == "idk") & _BY_PICTURE,
    "creature_by_picture": pl.col("benchmark").str.starts_with("creatures"),
    "patient_open": pl.col("benchmark").str.starts_with("patients"),
}
"""Ability -> rows of results that rest on it."""


def write_abilities(file: Path, *, model: str, abilities: Mapping[str, Ability]) -> None:
    """Keep measured abilities beside a card."""
    from unsee.models.card import TARGETS

    rows: dict[str, Any] = {}
    for name, ability in sorted(abilities.items()):
        target = TARGETS[name].words if name in TARGETS else None
        rows[name] = {"value": ability.value, "questions": ability.count, "target": target, "met": ability.met}
    write_json(file, {"model": model, "abilities": rows})


def shipped_abilities(model: str) -> dict[str, dict[str, Any]]:
    """Abilities of shipped weights (`tiny-1`) as `write_abilities` kept them; empty for other models."""
    from unsee.models.folders import read_config

    found: dict[str, dict[str, Any]] = {}
    for size in EMBEDDED:
        file = WEIGHTS / size / ABILITIES
        kept = read_config(file) if file.is_file() else {}
        if kept.get("model") == model:
            found |= kept["abilities"]
    return found


def missed_abilities(model: str) -> dict[str, str]:
    """Missed abilities of shipped weights (`tiny-1`) -> what was measured; empty for other models."""
    rows = shipped_abilities(model).items()
    return {name: f"{name} {row['value']:.3f} ({row['target']})" for name, row in rows if row["met"] is False}


def mark_missed(results: pl.DataFrame) -> pl.DataFrame:
    """Add to `reason` of every value what its model lacks for it.

    Args:
        results: schema RESULTS.
    """
    for model in results["model"].drop_nulls().unique().sort():
        missed = {name: text for name, text in missed_abilities(model).items() if name in _DEPENDENT}
        if not missed:
            continue
        lacking = pl.concat_str(
            *(pl.when(_DEPENDENT[name].fill_null(False)).then(pl.lit(text)) for name, text in missed.items()),
            separator=" and ",
            ignore_nulls=True,
        )
        here = (pl.col("model") == model) & pl.col("value").is_not_null() & (lacking != "")
        note = pl.when(here).then(pl.concat_str(pl.lit(f"{model} lacks what this rests on: "), lacking))
        results = results.with_columns(pl.concat_str("reason", note, separator="; ", ignore_nulls=True).replace("", None))
    return results
