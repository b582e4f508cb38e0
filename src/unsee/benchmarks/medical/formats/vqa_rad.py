"""VQA-RAD: clinicians' questions about radiology pictures, as published on OSF or as the parquet mirror.

    folder/VQA_RAD Dataset Public.json beside folder/VQA_RAD Image Folder/synpic42202.jpg
    folder/data/train-00000-of-00001.parquet with the columns image, question, answer; no ids, no answer types

Free-form questions and their paraphrases stand in rows of their own that share `qid_linked_id`. Rows that are linked and
answered alike become one row, so that a fact cannot be harmed in one wording and taught rightly in another.

Sources: https://osf.io/89kps, https://huggingface.co/datasets/flaviagiammarino/vqa-rad
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import closed_by, kind_of, optional, text
from unsee.benchmarks.medical.formats.files import below, json_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.formats.tables import picture_table_rows
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import DataError

PUBLISHED = ("VQA_RAD Dataset Public.json", "VQA_RAD Dataset.json")
_FOLDERS = ("VQA_RAD Image Folder", "images", "image", "VQA_RAD_Image", "")
_REGIONS: Mapping[str, str] = {"head": "head", "chest": "chest", "abd": "abdomen"}


def rows(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of the OSF file where there is one, else of the parquet files."""
    file = _json_file(folder)
    if file is not None:
        pictures = Pictures(folder, _FOLDERS, archives=("VQA_RAD Image Folder.zip",))
        make = partial(_rows, pictures=pictures)
        yield from _linked(list(made_rows(json_rows(file, faults), make, faults, id_key="qid")))
        return
    tables = below(folder, ".parquet")
    if not tables:
        raise DataError(f"{folder} holds neither {PUBLISHED[0]} nor parquet files; pass the folder that holds {READER.layout}")
    yield from picture_table_rows(tables, folder, faults, title=READER.title, license=READER.license, answered=str.lower)


def _json_file(folder: Path) -> Path | None:
    named = [folder / name for name in PUBLISHED if (folder / name).is_file()]
    found = named or sorted(folder.glob("*.json"))
    if len(found) > 1:
        listed = ", ".join(file.name for file in found)
        raise DataError(f"{folder} holds several JSON files ({listed}); keep one of them, called {PUBLISHED[0]}")
    return found[0] if found else None


def _rows(place: Place, values: Mapping[str, Any], where: str, *, pictures: Pictures) -> list[VqaRow]:
    answer = text(values, "answer").lower()  # as all public loaders do
    name = text(values, "image_name")
    phrase = optional(values, "phrase_type").casefold()
    notes = {
        "phrase_type": phrase,
        "qid_linked_id": optional(values, "qid_linked_id"),
        "question_relation": optional(values, "question_relation"),
        "case": optional(values, "image_case_url"),
    }
    organ = optional(values, "image_organ").casefold()
    return [
        VqaRow(
            id=text(values, "qid"),
            image=pictures.named(name),
            question=text(values, "question"),
            answer=answer,
            group=name,
            split="test" if phrase.startswith("test") else "train",
            closed=closed_by(optional(values, "answer_type"), answer),
            kind=kind_of(optional(values, "question_type")),
            region=_REGIONS.get(organ, organ),
            facts={key: note for key, note in notes.items() if note},
            source=READER.title,
            license=READER.license,
            where=where,
        )
    ]


def _linked(rows: list[VqaRow]) -> Iterator[VqaRow]:
    """Linked rows in one group each, and one row for those that are answered alike about the same picture."""
    group = _groups(rows)
    alike: dict[tuple[str, ...], list[VqaRow]] = {}
    for row in rows:
        link = row.facts.get("qid_linked_id")
        key = ("linked", str(link), row.image.sha256, row.answer) if link else ("alone", row.where)
        alike.setdefault(key, []).append(row)
    for found in alike.values():
        first = next((row for row in found if "para" not in str(row.facts.get("phrase_type", ""))), found[0])
        wordings = {row.question.casefold(): row.question for row in found if row is not first}
        wordings.pop(first.question.casefold(), None)
        yield replace(
            first,
            group=group[first.group],
            split="test" if any(row.split == "test" for row in found) else "train",
            rephrased=tuple(wordings.values()),
        )


def _groups(rows: list[VqaRow]) -> dict[str, str]:
    """Picture -> the first picture that it is linked with through paraphrases, which is itself for most."""
    parent: dict[str, str] = {row.group: row.group for row in rows}

    def first_of(picture: str) -> str:
        while parent[picture] != picture:
            picture = parent[picture]
        return picture

    place = {picture: number for number, picture in enumerate(parent)}
    by_link: dict[str, str] = {}
    for row in rows:
        link = row.facts.get("qid_linked_id")
        if link:
            ends = sorted((first_of(row.group), first_of(by_link.setdefault(str(link), row.group))), key=place.__getitem__)
            parent[ends[1]] = ends[0]
    return {picture: first_of(picture) for picture in parent}


READER = Reader(
    title="VQA-RAD",
    layout=f"{PUBLISHED[0]} beside VQA_RAD Image Folder, or parquet files with image, question and answer",
    group="image_name and the pictures linked with it by qid_linked_id; the picture's hash in parquet files",
    license="CC0-1.0",
    rows=rows,
)
