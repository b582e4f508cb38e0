"""PathVQA: questions about pathology pictures, as the parquet mirror or as the original pickles.

    folder/data/train-00000-of-00007.parquet with the columns image, question, answer
    folder/qas/train_vqa.pkl beside folder/images/train/train_0422.jpg

Pickles are read as plain data only; see `pickles`.

Sources: https://huggingface.co/datasets/flaviagiammarino/path-vqa, https://github.com/UCSD-AI4H/PathVQA
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, closed_by, kind_of, optional, text, written
from unsee.benchmarks.medical.formats.files import SPLITS, Rows, below, made_rows
from unsee.benchmarks.medical.formats.pickles import plain_pickle
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.formats.tables import picture_table_rows
from unsee.benchmarks.medical.licences import PATHVQA
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import DataError

_PARTS = ("train", "val", "test")


def rows(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of the parquet files where there are any, else of the pickles."""
    tables = below(folder, ".parquet")
    if tables:
        yield from picture_table_rows(tables, folder, faults, title=READER.title, license=READER.license)
        return
    pickled = [(part, folder / "qas" / f"{part}_vqa.pkl") for part in _PARTS]
    there = [(part, file) for part, file in pickled if file.is_file()]
    if not there:
        raise DataError(
            f"{folder} holds neither parquet files nor qas/train_vqa.pkl; pass the folder that holds {READER.layout}"
        )
    pictures = Pictures(folder, ("images",))
    for part, file in there:
        make = partial(_rows, part=part, pictures=pictures)
        yield from made_rows(_pickled_rows(file), make, faults, id_key="question_id")


def _pickled_rows(file: Path) -> Rows:
    items = plain_pickle(file)
    if not isinstance(items, list):
        raise DataError(f"{file} holds no list of questions; fetch the file again")
    return ((Place(file, number), item) for number, item in enumerate(items))


def _rows(place: Place, values: Mapping[str, Any], where: str, *, part: str, pictures: Pictures) -> list[VqaRow]:
    image = pictures.named(f"{part}/{text(values, 'img_id')}.jpg")
    answer = _answer(values.get("label"))
    return [
        VqaRow(
            id=f"{part}/{place.number}",
            image=image,
            question=text(values, "sent"),
            answer=answer,
            group=image.sha256,
            split=SPLITS[part],
            closed=closed_by(optional(values, "answer_type"), answer),
            kind=kind_of(optional(values, "question_type")),
            source=READER.title,
            license=READER.license,
            where=where,
        )
    ]


def _answer(label: Any) -> str:
    """The answer with the highest score of {answer: score}."""
    if not isinstance(label, Mapping) or not all(isinstance(score, int | float) for score in label.values()):
        raise Unusable("its label is no object of answers with scores; write {'the answer': 1}")
    best = written(max(label, key=lambda answer: label[answer], default=None), "label")
    if not best:
        raise Unusable("its label holds no answer; write {'the answer': 1} or remove the row")
    return best


READER = Reader(
    title="PathVQA",
    layout="parquet files with image, question and answer, or qas/<split>_vqa.pkl beside images/<split>/<img_id>.jpg",
    group="the picture's hash",
    license=PATHVQA,
    rows=rows,
)
