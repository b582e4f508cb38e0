from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from fabricate import HOSTILE, Plan, make_samples

from unsee.errors import DataError
from unsee.sample import ImageError, ImageRef, Sample
from unsee.sample_tables import read_samples, write_samples

PLAN = Plan(forget=2, retain=3, near=1, celebrities=1)


def test_samples_come_back_whole(tmp_path: Path):
    samples = make_samples(PLAN)
    write_samples(samples, tmp_path / "samples.parquet")
    back = read_samples(tmp_path / "samples.parquet")
    assert back == samples
    assert [[image.read() for image in s.images] for s in back] == [[image.read() for image in s.images] for s in samples]
    assert [list(s.options) for s in back] == [list(s.options) for s in samples]
    assert any(HOSTILE in s.question for s in back)


def test_every_picture_is_stored_once(tmp_path: Path):
    samples = make_samples(PLAN)
    write_samples(samples, tmp_path / "samples.parquet")
    stored = pl.read_parquet(tmp_path / "samples.parquet")["pictures"].explode().drop_nulls()
    assert sorted(stored.to_list()) == sorted({image.sha256: image.read() for s in samples for image in s.images}.values())


def test_a_sample_of_several_requests_is_stored_once_per_set(tmp_path: Path):
    sample = make_samples(PLAN)[0]
    write_samples([sample, sample], tmp_path / "samples.parquet")
    assert read_samples(tmp_path / "samples.parquet") == [sample]


def test_types_of_metadata_survive(tmp_path: Path):
    sample = Sample(
        id="1", benchmark="b", subject="s", set="retain", task="cloze", modality="text", question="__?", answer="x",
        metadata={"level": "near", "error": 1, "share": 0.5},
    )  # fmt: skip
    write_samples([sample], tmp_path / "samples.parquet")
    assert read_samples(tmp_path / "samples.parquet")[0].metadata == {"level": "near", "error": 1, "share": 0.5}


def test_no_samples_are_a_table_too(tmp_path: Path):
    write_samples([], tmp_path / "samples.parquet")
    assert read_samples(tmp_path / "samples.parquet") == []


def test_a_missing_picture_writes_nothing(tmp_path: Path):
    sample = make_samples(PLAN)[0]
    lost = ImageRef(sha256="0" * 64, path=tmp_path / "gone.png")
    with pytest.raises(ImageError, match=r"gone\.png"):
        write_samples([Sample(**{**vars(sample), "images": (lost,)})], tmp_path / "samples.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PAR1 is not enough", b"{}"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: bytes):
    (tmp_path / "samples.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"samples\.parquet"):
        read_samples(tmp_path / "samples.parquet")


def test_a_damaged_row_is_named(tmp_path: Path):
    path = tmp_path / "samples.parquet"
    write_samples(make_samples(PLAN), path)
    pl.read_parquet(path).with_columns(pl.lit("{").alias("options")).write_parquet(path)
    with pytest.raises(DataError, match="row 0"):
        read_samples(path)
    pl.read_parquet(path).drop("pictures").write_parquet(path)
    with pytest.raises(DataError, match="lacks the columns pictures"):
        read_samples(path)
