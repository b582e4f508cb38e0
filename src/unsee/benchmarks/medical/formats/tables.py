"""Parquet files with the columns image, question and answer: how VQA-RAD and PathVQA are mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import closed_by, text
from unsee.benchmarks.medical.formats.files import by_split, made_rows, parquet_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.table import SourceSplit, VqaRow

COLUMNS = ("image", "question", "answer")


def picture_table_rows(
    files: Sequence[Path],
    folder: Path,
    faults: Faults,
    *,
    title: str,
    license: str,
    answered: Callable[[str], str] = str,
) -> Iterator[VqaRow]:
    """Rows grouped by picture; ids are the file's path and the row's position, as there are none.

    Args:
        answered: brings an answer into the form of the data set.
    """
    pictures = Pictures(folder)
    for file, split in by_split(files, folder):
        name = file.relative_to(folder).with_suffix("").as_posix()
        make = partial(_rows, name=name, split=split, pictures=pictures, title=title, license=license, answered=answered)
        yield from made_rows(parquet_rows(file, needed=COLUMNS), make, faults)


def _rows(
    place: Place,
    values: Mapping[str, Any],
    where: str,
    *,
    name: str,
    split: SourceSplit,
    pictures: Pictures,
    title: str,
    license: str,
    answered: Callable[[str], str],
) -> list[VqaRow]:
    image, answer = pictures.stored(values["image"]), answered(text(values, "answer"))
    return [
        VqaRow(
            id=f"{name}/{place.number}",
            image=image,
            question=text(values, "question"),
            answer=answer,
            group=image.sha256,
            split=split,
            closed=closed_by("", answer),
            source=title,
            license=license,
            where=where,
        )
    ]
