"""An extension as a folder.

    DIR/facts.jsonl       one fact per line
    DIR/variants.jsonl    one variant per line
    DIR/images/           pictures, called by the SHA-256 of their bytes
    DIR/extension.json    name, history and the hashes of both files

It is written aside and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from unsee.benchmarks.extended.variants import Extension, Fact, Variant
from unsee.benchmarks.json_files import text_of
from unsee.benchmarks.picture_folder import PictureFolder
from unsee.errors import DataError
from unsee.files import read_json, refuse_used, write_folder, write_json, write_text
from unsee.provenance import files_digest

FACTS, VARIANTS, IMAGES, ABOUT = "facts.jsonl", "variants.jsonl", "images", "extension.json"
FORMAT = 1
"""Version of the layout."""
_LATER = frozenset({"also_right"})
"""Keys that folders of earlier versions lack."""
_REMEDY = "make the folder again with `unsee data extend`"
Row = TypeVar("Row", Fact, Variant)


def holds_extension(folder: Path) -> bool:
    """Whether a folder was written by `write_extension`."""
    return (folder / ABOUT).is_file() and (folder / FACTS).is_file()


def write_extension(folder: Path | str, extension: Extension) -> None:
    """Write the folder whole or not at all.

    Raises:
        ConfigError: the folder exists and is not empty.
        ImageError: a picture cannot be read.
    """
    folder = Path(folder)
    refuse_used(folder)

    def fill(aside: Path) -> None:
        pictures = PictureFolder(aside, IMAGES, remedy=_REMEDY)
        write_text(aside / FACTS, _lines(extension.facts, pictures))
        write_text(aside / VARIANTS, _lines(extension.variants, pictures))
        about = {
            "format": FORMAT,
            "name": extension.name,
            "history": [dict(step) for step in extension.history],
            "rows_sha256": files_digest([aside / FACTS, aside / VARIANTS]),
        }
        write_json(aside / ABOUT, about)

    write_folder(folder, fill)


def read_extension(folder: Path | str) -> Extension:
    """The facts and variants of a folder; every picture is compared with its SHA-256.

    Raises:
        DataError: a file is missing or damaged, or a row cannot be; says which.
    """
    folder = Path(folder)
    about = read_json(folder / ABOUT, remedy=_REMEDY)
    if about.get("format") != FORMAT:
        raise DataError(f"{folder / ABOUT} has format {about.get('format')!r}, this version reads {FORMAT}; {_REMEDY}")
    for name in (FACTS, VARIANTS):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is not there; {_REMEDY}")
    if about.get("rows_sha256") != files_digest([folder / FACTS, folder / VARIANTS]):
        raise DataError(f"{folder}: {FACTS} or {VARIANTS} is not the one that {ABOUT} speaks of; {_REMEDY}")
    pictures = PictureFolder(folder, IMAGES, remedy=_REMEDY)
    extension = Extension(
        name=str(about.get("name", folder.resolve().name)),
        facts=tuple(_read(Fact, folder / FACTS, pictures)),
        variants=tuple(_read(Variant, folder / VARIANTS, pictures)),
        history=tuple(about.get("history", ())),
    )
    known = {fact.id for fact in extension.facts}
    for variant in extension.variants:
        if variant.fact not in known:
            raise DataError(f"{folder / VARIANTS}: variant {variant.id} belongs to fact {variant.fact}, which is not there")
    return extension


def plain(row: Fact | Variant) -> dict[str, Any]:
    """A row as JSON can hold it; its picture by SHA-256."""
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    values["image"] = row.image.sha256
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _lines(rows: Iterable[Fact | Variant], pictures: PictureFolder) -> str:
    return "".join(json.dumps(plain(row) | {"image": pictures.write(row.image)}, ensure_ascii=False) + "\n" for row in rows)


def read_rows(row_type: type[Row], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, values as JSON holds them) of every row of a file; no picture is read.

    Raises:
        DataError: the file cannot be read, or a row cannot be; says which.
    """
    keys = {item.name for item in fields(row_type)}
    hints = get_type_hints(row_type)
    words = {key: get_args(hint) for key, hint in hints.items() if get_origin(hint) is Literal}
    seen: set[str] = set()
    # Not splitlines: it also cuts at separators that JSON text may hold.
    for number, line in enumerate(text_of(path).split("\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is no JSON ({error}); {_REMEDY}") from error
        if not isinstance(values, dict) or not keys - _LATER <= set(values) <= keys:
            raise DataError(f"{where} does not have the keys of a {row_type.__name__.lower()}; {_REMEDY}")
        for key, known in words.items():
            if values[key] not in known:
                raise DataError(f"{where}: {key} {values[key]!r} is none of {', '.join(known)}; {_REMEDY}")
        if values["id"] in seen:
            raise DataError(f"{where}: {values['id']!r} stands there twice; {_REMEDY}")
        seen.add(values["id"])
        yield where, values


def _read(row_type: type[Row], path: Path, pictures: PictureFolder) -> Iterator[Row]:
    for where, values in read_rows(row_type, path):
        made: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        made["image"] = pictures.read(values["image"], where=where)
        yield row_type(**made)
