"""SLAKE: questions in English and Chinese about CT, MRI and X-ray pictures, some with a knowledge-graph triple.

    folder/train.json, validation.json (older copies: validate.json), test.json
    folder/imgs/xmlab1/source.jpg, or folder/xmlab1/source.jpg

Source: https://huggingface.co/datasets/BoKelvin/SLAKE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import (
    Unusable,
    closed_by,
    kind_of,
    modality_of,
    optional,
    region_of,
    text,
)
from unsee.benchmarks.medical.formats.files import by_split, json_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import ConfigError, DataError

LANGUAGES = ("en", "zh", "all")
NO_RELATION = "_"
"""What a triple holds where a question needs no knowledge."""
_VALIDATION = ("validation.json", "validate.json")
_FILES = ("train.json", *_VALIDATION, "test.json")


def rows(folder: Path, faults: Faults, *, language: str = "en") -> Iterator[VqaRow]:
    """Rows of all files.

    Args:
        language: `en`, `zh`, or `all`.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"language {language!r} is none of {', '.join(LANGUAGES)}; choose one of them")
    there = [folder / name for name in _FILES if (folder / name).is_file()]
    if not there:
        raise DataError(f"{folder} holds none of {', '.join(_FILES)}; pass the folder with SLAKE's JSON files")
    if all(folder / name in there for name in _VALIDATION):
        raise DataError(f"{folder} holds both {' and '.join(_VALIDATION)}; keep one of the two")
    pictures = Pictures(folder, ("imgs", ""), archives=("imgs.zip",))
    for file, split in by_split(there, folder):
        make = partial(_rows, split=split, pictures=pictures, language=language)
        yield from made_rows(json_rows(file, faults), make, faults, id_key="qid")


def _rows(
    _: Place, values: Mapping[str, Any], where: str, *, split: SourceSplit, pictures: Pictures, language: str
) -> list[VqaRow]:
    spoken = text(values, "q_lang").casefold()
    if language not in (spoken, "all"):
        return []
    answer = text(values, "answer")
    base, content = optional(values, "base_type"), optional(values, "content_type")
    return [
        VqaRow(
            id=text(values, "qid"),
            image=pictures.named(text(values, "img_name").removeprefix("imgs/")),
            question=text(values, "question"),
            answer=answer,
            group=text(values, "img_id"),
            split=split,
            closed=closed_by(optional(values, "answer_type"), answer),
            kind=kind_of(content),
            modality=modality_of(optional(values, "modality")),
            region=region_of(optional(values, "location")),
            triple=_triple(values.get("triple")),
            facts={"language": spoken, **({"base_type": base} if base else {})},
            source=READER.title,
            license=READER.license,
            where=where,
        )
    ]


def _triple(value: Any) -> tuple[str, str, str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(part, str) for part in value):
        raise Unusable('its triple is no list of three texts; write ["head", "relation", "tail"]')
    head, relation, tail = (part.strip() for part in value)
    return None if relation in ("", NO_RELATION) else (head, relation, tail)


READER = Reader(
    title="SLAKE",
    layout="train.json, validation.json and test.json beside imgs/xmlab<N>/source.jpg",
    group="img_id",
    license="CC-BY-4.0",
    rows=rows,
)
