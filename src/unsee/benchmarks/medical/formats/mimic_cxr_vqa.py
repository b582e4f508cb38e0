"""MIMIC-CXR-VQA: templated questions about chest X-rays, with the patient behind every picture.

    folder/dataset/train.json, valid.json, test.json (or without dataset)
    folder/files/p10/p10000032/s50414267/<dicom id>.jpg, as in MIMIC-CXR-JPG; a link to your copy will do

Files whose names begin with `_` are the public ones without answers; the data set's own script turns them into those read here.
The data set's training and validation files share patients.

Source: https://github.com/baeseongsu/mimic-cxr-vqa
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, kind_of, optional, text, written
from unsee.benchmarks.medical.formats.files import by_split, json_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.licences import PHYSIONET
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import DataError

NAMES = ("train.json", "valid.json", "test.json")
NOTHING = "none"
"""Answer of a row whose list of answers is empty."""
_FOLDERS = ("files", "", "mimic-cxr-jpg/files", "mimic-cxr-jpg/2.0.0/files", "images")


def rows(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of all files."""
    there = [file for name in NAMES for file in (folder / name, folder / "dataset" / name) if file.is_file()]
    if not there:
        public = [file for name in NAMES for file in (folder / f"_{name}", folder / f"dataset/_{name}") if file.is_file()]
        if public:
            raise DataError(f"{public[0]} holds no answers; run the data set's build_dataset.sh, which writes {NAMES[0]}")
        raise DataError(f"{folder} holds none of {', '.join(NAMES)}; pass the folder that holds {READER.layout}")
    pictures = Pictures(folder, _FOLDERS)
    for file, split in by_split(there, folder):
        make = partial(_rows, split=split, pictures=pictures)
        yield from made_rows(json_rows(file, faults), make, faults, id_key="idx")


def _rows(place: Place, values: Mapping[str, Any], where: str, *, split: SourceSplit, pictures: Pictures) -> list[VqaRow]:
    subject, study = text(values, "subject_id"), text(values, "study_id")
    path = optional(values, "image_path") or f"p{subject[:2]}/p{subject}/s{study}/{text(values, 'image_id')}.jpg"
    notes = {key: optional(values, key) for key in ("semantic_type", "template", "template_program")}
    if notes["semantic_type"] not in ("verify", "choose", "query"):
        raise Unusable(f"its semantic_type {notes['semantic_type']!r} is none of verify, choose, query; correct it")
    return [
        VqaRow(
            id=f"{place.file.stem}/{text(values, 'idx')}",
            image=pictures.named(path.removeprefix("files/")),
            question=text(values, "question"),
            answer=_answer(values),
            group=subject,
            study=study,
            split=split,
            closed=notes["semantic_type"] != "query",
            kind=kind_of(optional(values, "content_type")),
            modality="X-ray",
            region="chest",
            facts={key: note for key, note in notes.items() if note},
            source=READER.title,
            license=READER.license,
            where=where,
        )
    ]


def _answer(values: Mapping[str, Any]) -> str:
    """All answers of the list in its order."""
    given = values.get("answer")
    if not isinstance(given, list):
        return text(values, "answer")
    return ", ".join(answer for item in given if (answer := written(item, "answer"))) or NOTHING


READER = Reader(
    title="MIMIC-CXR-VQA",
    layout="dataset/train.json, valid.json and test.json beside files/p<NN>/p<subject>/s<study>/<dicom>.jpg",
    group="subject_id",
    license=PHYSIONET,
    rows=rows,
)
