"""PMC-VQA: multiple-choice questions about figures of articles, in its two versions.

    folder/train.csv, test.csv or test_clean.csv beside folder/images          version 1
    folder/train_2.csv, test_2.csv               beside folder/figures          version 2

Columns are found by name, because their order, case and even spelling (`Anwser`) differ between copies: `Answer` is the text of
the right choice in version 1, with its letter in `Answer_label`, and the letter itself in version 2.

Source: https://huggingface.co/datasets/xmcmic/PMC-VQA
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, optional, text, written
from unsee.benchmarks.medical.formats.files import by_split, csv_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.licences import PMC_ARTICLES
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import ConfigError, DataError

LETTERS = "ABCD"
VERSIONS: Mapping[str, tuple[str, ...]] = {
    "v1": ("train.csv", "test_clean.csv", "test.csv"),
    "v2": ("train_2.csv", "test_2.csv"),
}
"""Version -> its files; `test_clean.csv` is the part of `test.csv` that was checked by hand, and stands for it."""
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "v1": ("images", "figures", ""),
    "v2": ("figures", "images_2", "images_2/figures", "images", ""),
}
_ARCHIVES: Mapping[str, tuple[str, ...]] = {"v1": ("images.zip",), "v2": ("images_2.zip",)}
_NEEDED = ("figure path", "question", "answer", *(f"choice {letter.casefold()}" for letter in LETTERS))
_ALIASES: Mapping[str, str] = {"anwser": "answer"}


def rows(folder: Path, faults: Faults, *, version: str = "") -> Iterator[VqaRow]:
    """Rows of all files of one version.

    Args:
        version: `v1` or `v2`; needed where the folder holds both.
    """
    version = _version(folder, version)
    there = [folder / name for name in VERSIONS[version] if (folder / name).is_file()]
    if folder / "test_clean.csv" in there:
        there = [file for file in there if file.name != "test.csv"]
    pictures = Pictures(folder, _FOLDERS[version], archives=_ARCHIVES[version])
    for file, split in by_split(there, folder):
        make = partial(_rows, split=split, pictures=pictures)
        yield from made_rows(csv_rows(file, faults, needed=_NEEDED, aliases=_ALIASES), make, faults)


def _version(folder: Path, wanted: str) -> str:
    if wanted and wanted not in VERSIONS:
        raise ConfigError(f"PMC-VQA has no version {wanted!r}; choose {' or '.join(VERSIONS)}")
    there = [version for version, names in VERSIONS.items() if any((folder / name).is_file() for name in names)]
    if wanted and wanted not in there:
        raise DataError(f"{folder} holds none of {', '.join(VERSIONS[wanted])}; pass the folder with version {wanted}")
    if not there:
        listed = ", ".join(name for names in VERSIONS.values() for name in names)
        raise DataError(f"{folder} holds none of {listed}; pass the folder with PMC-VQA's CSV files")
    if len(there) > 1 and not wanted:
        raise ConfigError(
            f"{folder} holds both versions of PMC-VQA; choose one with version (--set version=v1 or v2), "
            "or move the CSV files of one away"
        )
    return wanted or there[0]


def _rows(place: Place, values: Mapping[str, Any], where: str, *, split: SourceSplit, pictures: Pictures) -> list[VqaRow]:
    given = {letter: _without(letter, written(values[f"choice {letter.casefold()}"], f"choice {letter}")) for letter in LETTERS}
    choices = {letter: choice for letter, choice in given.items() if choice}
    right = choices[_right(values, choices)]
    image = pictures.named(text(values, "figure path"))
    caption = optional(values, "caption")
    return [
        VqaRow(
            id=f"{place.file.stem}/{place.number}",
            image=image,
            question=text(values, "question"),
            answer=right,
            group=image.sha256,
            split=split,
            closed=True,
            options=_different(choices, right),
            facts={"caption": caption} if caption else {},
            source=READER.title,
            license=READER.license,
            where=where,
        )
    ]


def _without(letter: str, choice: str) -> str:
    """A choice without the letter that version 1 writes before it."""
    return re.sub(rf"^{letter}\s*:\s*", "", choice)


def _different(choices: Mapping[str, str], right: str) -> tuple[str, ...]:
    """Choices without those that repeat another one; some rows offer the same twice."""
    different = {choice.casefold(): choice for choice in choices.values()}
    return tuple({**different, right.casefold(): right}.values())


def _right(values: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """Letter of the right choice, by the label, the letter or the text that the row gives."""
    answer, label = text(values, "answer"), _as_letter(optional(values, "answer label"))
    bare = re.sub(r"^[A-D]\s*:\s*", "", answer).casefold()
    by_text = [letter for letter, choice in choices.items() if choice.casefold() == bare]
    said = label or _as_letter(answer) or next(iter(by_text), "")
    if not said:
        raise Unusable(f"its answer {answer!r} is none of its choices; correct one of them or remove the row")
    if said not in choices:
        raise Unusable(
            f"its right choice is {said}, its choices are {', '.join(choices) or 'empty'}; correct or remove the row"
        )
    if said not in by_text and said != _as_letter(answer):
        raise Unusable(f"its answer {answer!r} is not choice {said}, which the label names; correct one of the two")
    return said


def _as_letter(value: str) -> str:
    """A lone letter in capitals; "" for everything else."""
    found = re.fullmatch(r"([A-Za-z])[.:]?", value)
    return found[1].upper() if found else ""


READER = Reader(
    title="PMC-VQA",
    layout="train.csv and test.csv beside images, or train_2.csv and test_2.csv beside figures",
    group="the picture's hash",
    license=PMC_ARTICLES,
    rows=rows,
)
