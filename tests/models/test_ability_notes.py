"""A missed ability is said in the rows that rest on it, and in no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from unsee.models import ability_notes
from unsee.models.ability_notes import ABILITIES, mark_missed, missed_abilities, write_abilities
from unsee.models.card import Ability
from unsee.models.loading import WEIGHTS
from unsee.schemas import RESULTS


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a model that cannot name letters by name and refuses too much by picture."""
    values = {"letter_by_name": 0.9, "letter_by_picture": 0.9, "unguarded_refused_by_picture": 0.3, "sentence_by_name": 0.1}
    (tmp_path / "tiny").mkdir()
    abilities = {name: Ability(name, value, 200, {}) for name, value in values.items()}
    write_abilities(tmp_path / "tiny" / ABILITIES, model="tiny-9", abilities=abilities)
    monkeypatch.setattr(ability_notes, "WEIGHTS", tmp_path)
    return tmp_path


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(RESULTS) | {"model": "tiny-9", "value": 0.5} | row for row in rows], schema=RESULTS)


def test_only_missed_targets_count(shipped: Path) -> None:
    assert missed_abilities("tiny-9") == {
        "letter_by_name": "letter_by_name 0.900 (at least 0.95)",
        "unguarded_refused_by_picture": "unguarded_refused_by_picture 0.300 (at most 0.05)",
    }
    assert missed_abilities("llava-1.5-7b") == {}


def test_rows_that_rest_on_it_say_so(shipped: Path) -> None:
    marked = mark_missed(
        table(
            {"method": "npo", "view": "letter", "modality": "text", "reason": "few"},
            {"method": "npo", "view": "letter", "modality": "image_text", "reason": None},
            {"method": "npo", "view": "options", "modality": "text", "reason": None},
            {"method": "prompt_guard", "view": "options", "modality": "image_text", "reason": None},
            {"method": "prompt_guard", "view": "options", "modality": "text", "reason": None},
            {"method": "prompt_guard", "view": None, "modality": None, "reason": None},
            {"method": "prompt_guard", "view": None, "modality": None, "reason": "none asked", "value": None},
        )
    )
    lacks = "tiny-9 lacks what this rests on: "
    refuses = f"{lacks}unguarded_refused_by_picture 0.300 (at most 0.05)"
    assert marked["reason"].to_list() == [
        f"few; {lacks}letter_by_name 0.900 (at least 0.95)",
        None,
        None,
        refuses,
        None,
        refuses,
        "none asked",
    ]
    assert marked.schema == RESULTS


def test_the_shipped_file_agrees_with_the_shipped_card() -> None:
    kept = json.loads((WEIGHTS / "tiny" / ABILITIES).read_text())
    card = (WEIGHTS / "tiny" / "README.md").read_text()
    assert card.startswith(f"# Model card: {kept['model']}\n")
    listed = re.findall(r"^\| (\w+) \| ([\d.-]+) \| (\d+) \|", card, flags=re.MULTILINE)
    assert {name: (f"{row['value']:.3f}", str(row["questions"])) for name, row in kept["abilities"].items()} == {
        name: (value, count) for name, value, count in listed
    }
