r"""A table of your own: a JSON list, or one JSON object per line.

    folder/anything.json or anything.jsonl
    folder/images/<image>, or folder/<image>

    {"image": "7.jpg", "question": "What does the sign say?", "answer": "Bakery", "group": "shop 7", "license": "CC-BY-4.0"}

Keys may have the other names that are usual; see `KEYS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unsee.benchmarks.extended.tables.okvqa import TIED, Answer, most_common
from unsee.benchmarks.faults import Faults, Place
from unsee.benchmarks.medical.formats.fields import Unusable, closed_by, optional, written
from unsee.benchmarks.medical.formats.files import by_split, json_rows, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.table import SourceSplit, VqaRow
from unsee.errors import DataError

KEYS: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_path", "img_path", "image_name", "img_name", "img", "file_name", "picture"),
    "question": ("question", "query", "prompt"),
    "answer": ("answer", "answers", "gt_answer", "label", "target"),
    "id": ("id", "question_id", "qid"),
    "group": ("group", "subject", "entity", "patient_id", "image_id"),
    "kind": ("kind", "attribute", "question_type", "category"),
    "options": ("options", "choices", "wrong_answers"),
    "rephrased": ("paraphrases", "rephrasings", "rephrased"),
    "license": ("license", "licence", "source_license"),
    "source": ("source", "source_dataset"),
}
"""What is read -> names of its key, the first one that is there wins."""


def rows(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of all JSON files of the folder."""
    files = sorted(file for suffix in ("*.json", "*.jsonl") for file in folder.glob(suffix))
    if not files:
        raise DataError(f"{folder} holds no JSON file; pass the folder that holds {READER.layout}")
    pictures = Pictures(folder, ("images", ""), archives=("images.zip",))
    for file, split in by_split(files, folder):
        make = partial(_rows, split=split, pictures=pictures)
        yield from made_rows(json_rows(file, faults), make, faults, id_key="id")


def _rows(place: Place, values: Mapping[str, Any], where: str, *, split: SourceSplit, pictures: Pictures) -> list[VqaRow]:
    image = pictures.named(_needed(values, "image"))
    answer, tied, others = _answer(values)
    return [
        VqaRow(
            id=_given(values, "id") or f"{place.file.stem}/{place.number}",
            image=image,
            question=_needed(values, "question"),
            answer=answer,
            also_right=others,
            group=_given(values, "group") or image.sha256,
            split=split,
            closed=closed_by("", answer),
            options=_texts(values, "options"),
            rephrased=_texts(values, "rephrased"),
            kind=_given(values, "kind"),
            facts={TIED: tied} if tied > 1 else {},
            source=_given(values, "source") or READER.title,
            license=_given(values, "license"),
            where=where,
        )
    ]


def _key(values: Mapping[str, Any], what: str) -> str:
    return next((key for key in KEYS[what] if key in values), KEYS[what][0])


def _given(values: Mapping[str, Any], what: str) -> str:
    return optional(values, _key(values, what))


def _needed(values: Mapping[str, Any], what: str) -> str:
    key = _key(values, what)
    if key not in values:
        there = ", ".join(map(str, list(values)[:8])) or "none"
        raise Unusable(f"has no {what} (none of the keys {', '.join(KEYS[what])}; its keys: {there}); add it or rename one")
    made = written(values[key], key)
    if not made:
        raise Unusable(f"its {key} is empty; fill it in or remove the row")
    return made


def _answer(values: Mapping[str, Any]) -> Answer:
    """The answer, of a list the most common one."""
    key = _key(values, "answer")
    listed = values.get(key)
    if not isinstance(listed, list):
        return Answer(_needed(values, "answer"), 1, ())
    given = [written(one.get("answer") if isinstance(one, Mapping) else one, key) for one in listed]
    there = [answer for answer in given if answer]
    if not there:
        raise Unusable(f"its {key} holds no answer that is not empty; fill one in or remove the row")
    return most_common(there)


def _texts(values: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """Texts of a list, or of an object of letters and texts."""
    key = _key(values, what)
    given = values.get(key)
    if given is None:
        return ()
    listed = list(given.values()) if isinstance(given, Mapping) else given
    if not isinstance(listed, list):
        raise Unusable(f"{key} is no list; write [...] with one text per entry")
    return tuple(made for one in listed if (made := written(one, key)))


READER = Reader(
    title="vqa-json",
    layout="JSON rows with image, question and answer beside images",
    group="the row's group, else the picture",
    license="",
    rows=rows,
)
