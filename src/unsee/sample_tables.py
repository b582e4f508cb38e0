"""Samples as one parquet file: a row per sample, every picture's bytes once.

The run folder keeps its evaluation samples this way (`samples.parquet`), so that the report and any other reader need
neither the benchmark nor the files the pictures came from.

    write_samples(benchmark.samples(ratio=0.05), run / "samples.parquet")
    samples = read_samples(run / "samples.parquet")
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import DataError
from unsee.files import write_parquet
from unsee.sample import ImageRef, Sample

if TYPE_CHECKING:
    import polars as pl

_TEXT = ("id", "benchmark", "subject", "set", "task", "modality", "system", "question", "answer", "correct_option")
_LISTS = ("paraphrases", "wrong_answers")
_JSON = ("options", "metadata")
_TAIL = ("source", "source_license")


def schema() -> pl.Schema:
    """Columns of the file; `options` and `metadata` are JSON objects, `images` holds SHA-256 digests.

    `pictures` runs parallel to `images` and holds the encoded bytes in the first row that uses a picture, null afterwards.
    """
    import polars as pl

    return pl.Schema(
        dict.fromkeys(_TEXT, pl.String)
        | dict.fromkeys(_LISTS, pl.List(pl.String))
        | dict.fromkeys(_JSON, pl.String)
        | dict.fromkeys(_TAIL, pl.String)
        | {"images": pl.List(pl.String), "pictures": pl.List(pl.Binary)}
    )


def write_samples(samples: Iterable[Sample], path: Path) -> None:
    """Write samples and their pictures whole or not at all.

    A sample that occurs in several requests (another ratio, another draw) is stored once per set.

    Raises:
        ImageError: a picture's file cannot be read.
    """
    import polars as pl

    unique = {(sample.id, sample.set): sample for sample in samples}
    stored: set[str] = set()
    rows: list[dict[str, Any]] = []
    for sample in unique.values():
        pictures: list[bytes | None] = []
        for image in sample.images:
            pictures.append(None if image.sha256 in stored else image.read())
            stored.add(image.sha256)
        row: dict[str, Any] = {
            "id": sample.id,
            "benchmark": sample.benchmark,
            "subject": sample.subject,
            "set": sample.set,
            "task": sample.task,
            "modality": sample.modality,
            "system": sample.system,
            "question": sample.question,
            "answer": sample.answer,
            "correct_option": sample.correct_option,
            "paraphrases": list(sample.paraphrases),
            "wrong_answers": list(sample.wrong_answers),
            "options": json.dumps(dict(sample.options)),
            "metadata": json.dumps(dict(sample.metadata)),
            "source": sample.source,
            "source_license": sample.source_license,
            "images": [image.sha256 for image in sample.images],
            "pictures": pictures,
        }
        rows.append(row)
    write_parquet(path, pl.DataFrame(rows, schema=schema()))


def read_samples(path: Path) -> list[Sample]:
    """Samples in the order they were written, pictures as bytes shared between samples.

    Raises:
        DataError: the file is missing, is no parquet, lacks a column or holds a row that is no sample.
    """
    import polars as pl

    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"samples file {path} cannot be read ({error}); run the experiment again to write it") from error
    missing = [column for column in schema().names() if column not in table.columns]
    if missing:
        raise DataError(f"samples file {path} lacks the columns {', '.join(missing)}; it was not written by unsee")

    stored: dict[str, ImageRef] = {}
    samples: list[Sample] = []
    for number, row in enumerate(table.iter_rows(named=True)):
        try:
            for sha256, data in zip(row["images"], row.pop("pictures"), strict=True):
                if data is not None:
                    stored[sha256] = ImageRef(sha256=sha256, data=data)
            row["images"] = tuple(stored[sha256] for sha256 in row["images"])
            for column in _LISTS:
                row[column] = tuple(row[column])
            for column in _JSON:
                row[column] = json.loads(row[column])
            samples.append(Sample(**{key: row[key] for key in (*_TEXT, *_LISTS, *_JSON, *_TAIL, "images")}))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"samples file {path}, row {number}: not a sample ({error}); remove or rewrite the row") from error
    return samples
