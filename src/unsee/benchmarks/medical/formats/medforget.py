"""MedForget: questions about sections of chest X-ray reports, ordered by institution, patient, study and section.

    folder/{institution,patient,study,section}_level/{forget,retain}_set_all.parquet
    columns image, image_path, metadata, hierarchy_metadata, ID

`metadata` is JSON with a list of {Question, Answer}, `hierarchy_metadata` JSON with institution_id, patient_id, study_id and
section_name. The four levels hold the same rows, divided differently, so one of them is read.

Source: https://github.com/fengli-wu/MedForget
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, closed_by, optional, text, written
from unsee.benchmarks.medical.formats.files import json_value, made_rows, parquet_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.licences import PHYSIONET
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import ConfigError, DataError

LEVELS = ("patient", "study", "section", "institution")
"""Levels of the hierarchy; the first that is there is read."""
SETS = ("forget", "retain")
_HIERARCHY = ("institution_id", "section_name", "hierarchy_level")


def rows(folder: Path, faults: Faults, *, level: str = "") -> Iterator[VqaRow]:
    """Rows of both sets of one level.

    Args:
        level: `patient`, `study`, `section` or `institution`; the folder itself may be one of a level, too.
    """
    if level and level not in LEVELS:
        raise ConfigError(f"MedForget has no level {level!r}; choose one of {', '.join(LEVELS)}")
    places = [folder / f"{name}_level" for name in ((level,) if level else LEVELS)]
    files = {place: _files(place) for place in (places if level else [folder, *places])}
    there = next((found for found in files.values() if found), {})
    if not there:
        listed = ", ".join(str(place / f"{SETS[0]}_set_all.parquet") for place in places)
        raise DataError(f"there is none of {listed}; pass the folder that holds {READER.layout}")
    pictures = Pictures(folder, ("", "images", "files"))
    for name, file in there.items():
        table = parquet_rows(file, needed=("metadata", "hierarchy_metadata", "ID"), columns=("image", "image_path"))
        yield from made_rows(table, partial(_rows, set=name, pictures=pictures), faults, id_key="ID")


def _files(folder: Path) -> dict[str, Path]:
    return {name: file for name in SETS if (file := folder / f"{name}_set_all.parquet").is_file()}


def _rows(place: Place, values: Mapping[str, Any], where: str, *, set: str, pictures: Pictures) -> list[VqaRow]:
    hierarchy = json_value(values["hierarchy_metadata"], "hierarchy_metadata")
    pairs = json_value(values["metadata"], "metadata")
    if not isinstance(hierarchy, Mapping):
        raise Unusable('its hierarchy_metadata is no object; write {"patient_id": ..., "study_id": ...}')
    if not isinstance(pairs, list) or not pairs or not all(isinstance(pair, Mapping) for pair in pairs):
        raise Unusable('its metadata is no list of questions; write [{"Question": "...", "Answer": "..."}]')
    stored = values.get("image")
    held = any(stored.values()) if isinstance(stored, Mapping) else stored
    image = pictures.stored(stored) if held else pictures.named(text(values, "image_path"))
    patient, study = text(hierarchy, "patient_id"), optional(hierarchy, "study_id")
    notes = {"medforget_set": set, **{key: optional(hierarchy, key) for key in _HIERARCHY}}
    asked = [(text(pair, "Question"), _answer(pair)) for pair in pairs]
    return [
        VqaRow(
            id=f"{set}/{place.number}/{number}",
            image=image,
            question=question,
            answer=answer,
            group=patient,
            study=study,
            closed=closed_by("", answer),
            kind=notes["section_name"].casefold(),
            modality="X-ray",
            region="chest",
            facts={key: note for key, note in notes.items() if note},
            source=READER.title,
            license=READER.license,
            where=where,
        )
        for number, (question, answer) in enumerate(asked)
    ]


def _answer(pair: Mapping[str, Any]) -> str:
    """The answer; parts of a list are joined with spaces, as the published evaluation does."""
    given = pair.get("Answer")
    if not isinstance(given, list):
        return text(pair, "Answer")
    joined = " ".join(part for item in given if (part := written(item, "Answer")))
    if not joined:
        raise Unusable("one of its answers is empty; fill it in or remove the row")
    return joined


READER = Reader(
    title="MedForget",
    layout="patient_level/forget_set_all.parquet and retain_set_all.parquet, or another level's",
    group="patient_id",
    license=PHYSIONET,
    rows=rows,
)
