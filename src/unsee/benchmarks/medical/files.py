"""An injected benchmark as a folder.

    DIR/samples.parquet    one row per question; columns by their published names first, then ours
    DIR/images/            pictures, called by the SHA-256 of their bytes
    DIR/injection.json     how it was made, what was counted, and the hash of the table

It is written aside and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from unsee.benchmarks.medical.injected import Falsehood, InjectedRow, Planted
from unsee.benchmarks.medical.licences import is_restricted, terms_of
from unsee.benchmarks.picture_folder import PictureFolder
from unsee.errors import ConfigError, DataError
from unsee.files import read_json, read_parquet, refuse_used, write_folder, write_json, write_parquet
from unsee.provenance import files_digest

if TYPE_CHECKING:
    import polars as pl

    from unsee.benchmarks.medical.inject import Injection

SAMPLES, IMAGES, ABOUT = "samples.parquet", "images", "injection.json"
FORMAT = 1
"""Version of the layout."""
_REMEDY = "make the folder again with `unsee data inject`"
_PICTURES = ("image", "clean_image")
_WORDS = ("scenario", "subset", "use", "carrier", "form", "mode", "task")
"""Columns with a fixed set of values."""


def check_licenses(licenses: Iterable[str], *, i_have_the_right_to: bool = False) -> None:
    """Whether rows under these licences may be written together.

    Raises:
        ConfigError: a licence that is not free, or more than one licence, and nobody said that it is allowed.
    """
    given = list(dict.fromkeys(licenses))
    if i_have_the_right_to:
        return
    remedy = "pass --i-have-the-right-to (i_have_the_right_to=True) if you have the right to write them"
    for name in given:
        if is_restricted(name):
            called = f"the licence {name} ({terms_of(name)})" if name.strip() else "no licence that says who may use them"
            raise ConfigError(f"rows have {called}; {remedy}")
    if len(given) > 1:
        raise ConfigError(f"rows have different licences ({', '.join(given)}); {remedy} together, or inject them apart")


def write_injection(folder: Path, injection: Injection, *, i_have_the_right_to: bool = False) -> None:
    """Write the folder whole or not at all.

    Raises:
        ConfigError: the folder exists and is not empty, or a licence does not allow it.
        ImageError: a picture cannot be read.
    """
    import polars as pl

    refuse_used(folder)
    rows = injection.rows
    check_licenses((row.source_license for row in rows), i_have_the_right_to=i_have_the_right_to)

    def fill(aside: Path) -> None:
        pictures = PictureFolder(aside, IMAGES, remedy=_REMEDY)
        (aside / IMAGES).mkdir()
        shown = [picture for row in rows for picture in (row.image, row.clean_image) if picture is not None]
        names = {picture.sha256: pictures.write(picture) for picture in shown}
        write_parquet(aside / SAMPLES, pl.DataFrame([_plain(row, names) for row in rows], schema=schema()))
        about = {
            "format": FORMAT,
            "name": injection.name,
            "options": asdict(injection.options),
            "counts": dict(injection.counts),
            "licenses": dict(Counter(row.source_license for row in rows)),
            "sources": dict(Counter(row.source_dataset for row in rows)),
            "samples_sha256": files_digest([aside / SAMPLES]),
        }
        write_json(aside / ABOUT, about)

    write_folder(folder, fill)


def holds_injection(folder: Path) -> bool:
    """Whether a folder was written by `write_injection`, also where its table is gone."""
    return (folder / ABOUT).is_file()


def planted_scenarios(folder: Path) -> tuple[str, ...]:
    """The scenarios with harm in an injected folder, without reading its pictures and texts.

    Raises:
        DataError: the table is missing or damaged.
    """
    table = read_parquet(folder / SAMPLES, schema=schema(), columns=("use", "scenario"), remedy=_REMEDY)
    harmful = set(table.filter(table["use"] == "train")["scenario"].to_list()) - {"clean"}
    return tuple(one for one in _known_words()["scenario"] if one in harmful)


def read_injection(folder: Path | str) -> tuple[InjectedRow, ...]:
    """The rows of a folder; every picture is compared with its SHA-256.

    Raises:
        DataError: a file is missing or damaged, or a row cannot be; says which.
    """
    folder = Path(folder)
    about = read_json(folder / ABOUT, remedy=_REMEDY)
    if about.get("format") != FORMAT:
        raise DataError(f"{folder / ABOUT} has format {about.get('format')!r}, this version reads {FORMAT}; {_REMEDY}")
    table = read_parquet(folder / SAMPLES, schema=schema(), remedy=_REMEDY)
    if about.get("samples_sha256") != files_digest([folder / SAMPLES]):
        raise DataError(f"{folder / SAMPLES} is not the table that {ABOUT} speaks of; {_REMEDY}")
    pictures = PictureFolder(folder, IMAGES, remedy=_REMEDY)
    return tuple(_row(values, number, folder, pictures) for number, values in enumerate(table.iter_rows(named=True)))


def schema() -> pl.Schema:
    """Columns of the table; pictures are paths within the folder, `options` a list of letters and texts."""
    import polars as pl

    text, texts = pl.String(), pl.List(pl.String())
    planted = pl.Struct({"type": text, "value": text, "start": pl.Int64(), "end": pl.Int64()})
    other: Mapping[str, Any] = {
        "phi": pl.List(planted),
        "error": pl.Struct({"type": text, "wrong": text, "right": text}),
        "seed": pl.Int64(),
        "options": pl.List(pl.Struct({"letter": text, "text": text})),
        "wrong_answers": texts,
        "closed": pl.Boolean(),
    }
    return pl.Schema({item.name: other.get(item.name, text) for item in fields(InjectedRow)})


@cache
def _known_words() -> Mapping[str, tuple[str, ...]]:
    """Values of the columns that have a fixed set of them."""
    hints = get_type_hints(InjectedRow)
    return {column: get_args(hints[column]) for column in _WORDS}


def _plain(row: InjectedRow, names: Mapping[str, str]) -> dict[str, Any]:
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    for column in _PICTURES:
        picture = values[column]
        values[column] = None if picture is None else names[picture.sha256]
    values["phi"] = [one._asdict() for one in row.phi]
    values["error"] = None if row.error is None else row.error._asdict()
    values["options"] = [{"letter": letter, "text": text} for letter, text in row.options.items()]
    values["wrong_answers"] = list(row.wrong_answers)
    return values


def _row(values: dict[str, Any], number: int, folder: Path, pictures: PictureFolder) -> InjectedRow:
    where = f"{folder / SAMPLES}, row {number} ({values['sample_id']})"
    for column, known in _known_words().items():
        if values[column] not in known:
            raise DataError(f"{where}: {column} {values[column]!r} is none of {', '.join(map(repr, known))}; {_REMEDY}")
    for column in ("sample_id", "question", "answer", "patient_id", "subject", "attribute"):
        if not values[column]:
            raise DataError(f"{where}: {column} is empty; {_REMEDY}")
    for column in _PICTURES:
        values[column] = None if values[column] is None else pictures.read(values[column], where=where)
    values["phi"] = tuple(Planted(**one) for one in values["phi"])
    for one in values["phi"]:
        if values["answer"][one.start : one.end] != one.value:
            raise DataError(f"{where}: {one.value!r} does not stand at {one.start} to {one.end} of the answer; {_REMEDY}")
    values["error"] = _falsehood(values["error"])
    values["options"] = {one["letter"]: one["text"] for one in values["options"]}
    values["wrong_answers"] = tuple(values["wrong_answers"])
    return InjectedRow(**values)


def _falsehood(value: Mapping[str, str] | None) -> Falsehood | None:
    return None if value is None or value["type"] is None else Falsehood(**value)


def row_digests(rows: Sequence[InjectedRow]) -> list[Any]:
    """What makes rows differ, as JSON can hold it; pictures by their SHA-256."""
    shown = {picture.sha256: picture.sha256 for row in rows for picture in (row.image, row.clean_image) if picture is not None}
    return [_plain(row, shown) for row in rows]
