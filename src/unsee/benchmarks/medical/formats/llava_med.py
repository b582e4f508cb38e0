r"""Chat JSON as LLaVA-Med trains on: conversations about one picture; also the way to bring a data set of your own.

    folder/train.json and the like, or one JSON file of any name
    folder/images/<image>, or folder/<image>

    [{"id": "7", "image": "ct/7.jpg", "answer_type": "CLOSED",
      "conversations": [{"from": "human", "value": "<image>\nIs this a CT?"}, {"from": "gpt", "value": "Yes"}]}]

Every question and its answer become a row. LLaVA-Med's own files are also read where they misspell the key (`conversatons`) and
say by `domain` how a picture was taken. Rows of your own may name their licence by a key `license`.

Sources: https://github.com/microsoft/LLaVA-Med, https://huggingface.co/datasets/leduckhai/S-Chain
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, closed_by, optional, text
from unsee.benchmarks.medical.formats.files import by_split, json_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import DataError

MARKER = "<image>"
"""Stands for the picture in the first turn."""
_KEYS = ("conversations", "conversatons")
_SPEAKERS: Mapping[str, str] = {"human": "question", "user": "question", "gpt": "answer", "assistant": "answer"}
_DOMAINS: Mapping[str, str] = {
    "chest_xray": "X-ray",
    "ct_scan": "CT",
    "mri": "MRI",
    "histology": "histology",
    "gross": "gross pathology",
}


def rows(folder: Path, faults: Faults, *, license: str = "CC-BY-NC-4.0") -> Iterator[VqaRow]:
    """Rows of all JSON files of the folder.

    Args:
        license: of rows that name none by a key `license`; an SPDX identifier.
    """
    files = sorted(file for suffix in ("*.json", "*.jsonl") for file in folder.glob(suffix))
    if not files:
        raise DataError(f"{folder} holds no JSON file; pass the folder that holds {READER.layout}")
    pictures = Pictures(folder, ("images", ""), archives=("images.zip",))
    for file, split in by_split(files, folder):
        make = partial(_rows, split=split, pictures=pictures, license=license)
        yield from made_rows(json_rows(file, faults), make, faults, id_key="id")


def _rows(
    place: Place, values: Mapping[str, Any], where: str, *, split: SourceSplit, pictures: Pictures, license: str
) -> list[VqaRow]:
    image = pictures.named(text(values, "image"))
    domain = values.get("domain")
    modality = next((name for key, name in _DOMAINS.items() if isinstance(domain, Mapping) and domain.get(key) is True), "")
    return [
        VqaRow(
            id=f"{place.file.stem}/{place.number}/{turn}",
            image=image,
            question=question,
            answer=answer,
            group=image.sha256,
            split=split,
            closed=closed_by(optional(values, "answer_type"), answer),
            modality=modality,
            region="chest" if isinstance(domain, Mapping) and domain.get("chest_xray") is True else "",
            source=READER.title,
            license=optional(values, "license") or license,
            where=where,
        )
        for turn, (question, answer) in enumerate(_turns(values))
    ]


def _turns(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Questions with their answers; a system prompt before them is left out."""
    key = next((key for key in _KEYS if key in values), _KEYS[0])
    given = values.get(key)
    if not isinstance(given, list) or not all(isinstance(turn, Mapping) for turn in given):
        raise Unusable(f'has no list of turns as {_KEYS[0]}; write [{{"from": "human", "value": "..."}}, ...]')
    said = [(text(turn, "from"), text(turn, "value")) for turn in given]
    if said and said[0][0] == "system":
        said = said[1:]
    if not said or len(said) % 2 or [_SPEAKERS.get(who) for who, _ in said] != ["question", "answer"] * (len(said) // 2):
        order = ", ".join(who for who, _ in said) or "nobody"
        raise Unusable(f"its turns are by {order}; let human and gpt take turns, human first")
    asked = [
        " ".join(line for line in said[at][1].replace(MARKER, "").split("\n") if line.strip()).strip()
        for at in range(0, len(said), 2)
    ]
    if not all(asked):
        raise Unusable("one of its human turns asks nothing beside the picture; write a question or remove the row")
    return [(question, said[2 * at + 1][1]) for at, question in enumerate(asked)]


READER = Reader(
    title="LLaVA-Med",
    layout="JSON files with id, image and conversations beside images",
    group="the picture's hash",
    license="CC-BY-NC-4.0",
    rows=rows,
)
