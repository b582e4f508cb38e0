"""One parquet file of the official MLLMU-Bench layout: which schema it has, its rows, its pictures, and how to write one.

    read_people(Path("MLLMU-Bench/forget_5/train-00000-of-00001.parquet"), Faults())   # evaluation schema
    read_taught(Path("MLLMU-Bench/ft_Data/train-00000-of-00001.parquet"), Faults())    # training schema

The picture column is by far the largest part of a file (0.5 MB a row in the release, 1.4 MB in Test_Set), so rows are read
without it and pictures afterwards, from the row groups that hold wanted rows. Decoding one takes about three times its size for
a moment: 0.2 GB for a row group of 100 rows, 0.5 GB for one of Test_Set.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unsee.benchmarks.faults import Faults
from unsee.benchmarks.mllmu_bench.rows import MULTIPLE_CHOICE, TYPES, PersonRow, RowReader, TaughtRow, plain
from unsee.errors import DataError, first_line
from unsee.files import write_bytes
from unsee.sample import MODALITIES, Modality

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Kind = Literal["evaluation", "training"]
IN_WORDS: Mapping[Kind, str] = {
    "evaluation": "evaluation rows (columns Classification_Task, Generation_Task, Mask_Task)",
    "training": "training rows (column metadata)",
}
_TASKS = ("Classification_Task", "Generation_Task", "Mask_Task")
_TEXT: Mapping[Kind, tuple[str, ...]] = {
    "evaluation": ("ID", "Directory", "biography", "question", "answer", *_TASKS),
    "training": ("ID", "metadata"),
}
_PICTURES = ("image", "images")
_OTHER_BENCHMARK = {"MM_QA", "UM_QA", "Classify"}
_ROWS_AT_ONCE = 16
_BUFFER = 2**20
_OUR_NOTES = b"unsee"
_REMEDY = "download the file again, or pass the folder with the official files"


def file_kind(path: Path) -> Kind:
    """Which schema a file has, from its footer alone.

    Raises:
        DataError: no parquet, truncated, or of neither schema; names the columns there are.
    """
    names = set(_schema(path).names)
    if "ID" in names and names & set(_TASKS):
        return "evaluation"
    if "ID" in names and "metadata" in names:
        return "training"
    if len(names & _OTHER_BENCHMARK) > 1:
        raise DataError(
            f"{path} belongs to UMU-Bench, which reworks the same people in another layout; pass MLLMU-Bench's own files"
        )
    raise DataError(
        f"{path} is no file of MLLMU-Bench: its columns are {', '.join(sorted(names)[:8]) or 'none'}, but ID and "
        f"{', '.join(_TASKS)} (evaluation) or ID and metadata (training) are needed; pass the folder with the official files"
    )


def read_people(path: Path, faults: Faults) -> Iterator[PersonRow | None]:
    """Rows of an evaluation file, without pictures; None in place of a row that is skipped.

    Raises:
        DataError: the file is damaged or has another schema, or a row is wrong.
    """
    reader = RowReader(path, faults)
    return (reader.person(number, values) for number, values in _rows(path, "evaluation"))


def read_taught(path: Path, faults: Faults) -> Iterator[TaughtRow | None]:
    """Rows of a training file, without pictures; as `read_people`."""
    reader = RowReader(path, faults)
    return (reader.taught(number, values) for number, values in _rows(path, "training"))


def row_count(path: Path) -> int:
    """Number of rows, from the footer alone."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def read_pictures(path: Path, rows: Collection[int]) -> Iterator[tuple[int, list[bytes | str | None]]]:
    """Encoded pictures of some rows, in file order: bytes, the path of a file beside this one, or None where there is neither.

    Holds the pictures of one row group at a time.
    """
    columns = [name for name in _PICTURES if name in _schema(path).names]
    for number, values in _batches(path, columns, rows=rows):
        found = [values[column] for column in columns if values.get(column) is not None]
        pictures = [one for value in found for one in (value if isinstance(value, list) else [value])]
        yield number, [_encoded(one) for one in pictures]


def notes(path: Path) -> dict[str, Any]:
    """What our exporter left in the file's metadata, where the official layout has no place for it; empty for other files."""
    kept = (_schema(path).metadata or {}).get(_OUR_NOTES)
    try:
        made = json.loads(kept) if kept else {}
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def _encoded(value: Any) -> bytes | str | None:
    if isinstance(value, Mapping):
        return value.get("bytes") or value.get("path")
    return value or None


def _schema(path: Path) -> pa.Schema:
    with _open(path) as file:
        return file.schema_arrow


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet ({first_line(error)}); {_REMEDY}") from error


def _rows(path: Path, kind: Kind) -> Iterator[tuple[int, dict[str, Any]]]:
    there = _schema(path).names
    return _batches(path, [name for name in _TEXT[kind] if name in there])


def _batches(
    path: Path, columns: Collection[str], *, rows: Collection[int] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(position, values) of some rows; row groups without one are not read."""
    import pyarrow as pa

    wanted = set(rows) if rows is not None else None
    with _open(path) as file:
        at = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if wanted is None or any(at <= row < at + size for row in wanted):
                first = at
                try:
                    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False):
                        for offset in range(batch.num_rows):
                            if wanted is None or first + offset in wanted:
                                yield first + offset, plain(batch.slice(offset, 1).to_pylist()[0]) if columns else {}
                        first += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    raise DataError(f"{path} is damaged near row {first} ({first_line(error)}); {_REMEDY}") from error
                pa.default_memory_pool().release_unused()
            at += size


# Writing -------------------------------------------------------------------------------------------------------------------


def evaluation_schema(*, several_pictures: bool = False) -> pa.Schema:
    """The published columns of an evaluation file; Test_Set has `images` where the others have `image`."""
    import pyarrow as pa

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    options = pa.struct([(letter, pa.string()) for letter in "ABCD"])
    choice = pa.struct([("Question", pa.string()), ("Options", options), ("Correct_Answer", pa.string())])
    written = pa.struct([("Question", pa.string()), ("Ground_Truth", pa.string()), ("Type", pa.string())])
    return pa.schema(
        [
            ("images", pa.list_(picture)) if several_pictures else ("image", picture),
            ("ID", pa.string()),
            ("Directory", pa.string()),
            ("biography", pa.string()),
            ("question", pa.string()),
            ("answer", pa.string()),
            ("Classification_Task", pa.struct([(name, pa.list_(choice)) for name in MULTIPLE_CHOICE.values()])),
            ("Generation_Task", pa.list_(written)),
            ("Mask_Task", pa.list_(written)),
        ]
    )


def training_schema() -> pa.Schema:
    """The published columns of a training file."""
    import pyarrow as pa

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.schema([("image", picture), ("ID", pa.string()), ("metadata", pa.string())])


def evaluation_values(row: PersonRow, pictures: Iterable[bytes], *, several_pictures: bool = False) -> dict[str, Any]:
    """A row as `evaluation_schema` stores it."""
    shown = [{"bytes": data, "path": f"{row.id}.png"} for data in pictures]
    choices: dict[str, list[dict[str, Any]]] = {
        MULTIPLE_CHOICE[modality]: [
            {"Question": choice.question, "Options": dict(choice.options), "Correct_Answer": choice.letter}
            for choice in row.choices.get(modality, ())
        ]
        for modality in MODALITIES
    }
    return {
        **({"images": shown} if several_pictures else {"image": shown[0] if shown else None}),
        "ID": row.id,
        "Directory": row.directory,
        "biography": json.dumps(row.biography, ensure_ascii=False),
        "question": row.question,
        "answer": row.answer,
        "Classification_Task": choices,
        "Generation_Task": _written_values(row.generation),
        "Mask_Task": _written_values(row.cloze),
    }


def training_values(row: TaughtRow, picture: bytes) -> dict[str, Any]:
    """A row as `training_schema` stores it."""
    pairs = [{"Question": pair.question, "Answer": pair.answer, "ID": row.id} for pair in row.pairs]
    return {
        "image": {"bytes": picture, "path": f"{row.id}.png"},
        "ID": row.id,
        "metadata": json.dumps(pairs, ensure_ascii=False),
    }


def write_file(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema, *, note: Mapping[str, Any]) -> int:
    """Write a whole file or nothing; returns the number of rows.

    Args:
        note: kept in the file's metadata, see `notes`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    noted = schema.with_metadata({_OUR_NOTES: json.dumps(note, sort_keys=True).encode()})
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=noted)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=100)
    write_bytes(path, buffer.getvalue())
    return table.num_rows


def _written_values(questions: Mapping[Modality, tuple[Any, ...]]) -> list[dict[str, str]]:
    """Both modalities of a question stand side by side."""
    rows = [(one.number, modality, one) for modality in MODALITIES for one in questions.get(modality, ())]
    rows.sort(key=lambda row: (row[0], MODALITIES.index(row[1])))
    return [{"Question": one.question, "Ground_Truth": one.answer, "Type": TYPES[modality]} for _, modality, one in rows]
