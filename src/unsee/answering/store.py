"""Finished chunks of one call as parquet parts, so that an interrupted call goes on where it stopped."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from unsee.errors import DataError
from unsee.files import read_parquet, write_bytes, write_parquet
from unsee.provenance import digest
from unsee.schemas import RECORDS

if TYPE_CHECKING:
    from unsee.sample import Sample

_KEY = "unsee.key"
_REMEDY = "remove it and run again"


class RecordStore:
    """`records.parquet` in a folder, and the parts it is made of while they come in.

    Parts are named by what was asked of which weights, so a part of another call is never taken up.

    Args:
        folder: where `records.parquet` goes.
        settings: what decides the records besides the samples; other settings start over.
        samples: all samples of the call.
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, Any], samples: Sequence[Sample]) -> None:
        self.path = folder / "records.parquet"
        self.parts = folder / "records.parts"
        self.settings = dict(settings)
        self.key = self._digest(samples)

    def _digest(self, samples: Sequence[Sample]) -> str:
        return digest([self.settings, [_content(sample) for sample in samples]])

    def finished(self) -> pl.DataFrame | None:
        """The whole table of an earlier, equal call."""
        if not self.path.is_file():
            return None
        try:
            key = pl.read_parquet_metadata(self.path).get(_KEY)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{self.path} is damaged ({error}); {_REMEDY}") from error
        if key != self.key:
            return None
        shutil.rmtree(self.parts, ignore_errors=True)
        return read_parquet(self.path, schema=RECORDS, remedy=_REMEDY)

    def part(self, samples: Sequence[Sample]) -> pl.DataFrame | None:
        """Records of a chunk that an interrupted call finished."""
        path = self._part_path(samples)
        return read_parquet(path, schema=RECORDS, remedy=_REMEDY) if path.is_file() else None

    def write_part(self, samples: Sequence[Sample], records: pl.DataFrame) -> None:
        write_parquet(self._part_path(samples), records)

    def finish(self, records: pl.DataFrame) -> None:
        """Write the whole table, then drop the parts."""
        buffer = io.BytesIO()
        records.write_parquet(buffer, metadata={_KEY: self.key})
        write_bytes(self.path, buffer.getvalue())
        shutil.rmtree(self.parts, ignore_errors=True)

    def _part_path(self, samples: Sequence[Sample]) -> Path:
        return self.parts / f"{self._digest(samples)[:24]}.parquet"


def _content(sample: Sample) -> list[Any]:
    """Everything of a sample that shows in its records."""
    return [
        sample.id,
        sample.subject,
        sample.set,
        sample.task,
        sample.modality,
        sample.image_sha256,
        sample.system,
        sample.question,
        sample.answer,
        sample.fact,
        list(sample.options.items()),
        sample.wrong_answers,
        sample.paraphrases,
    ]
