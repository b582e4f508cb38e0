"""OK-VQA and VQAv2 as published: questions and annotations apart, ten answers each, COCO pictures.

    folder/OpenEnded_mscoco_val2014_questions.json     {"questions": [{"image_id", "question", "question_id"}, ...]}
    folder/mscoco_val2014_annotations.json             {"annotations": [{"question_id", "answers": [{"answer"}, ...]}, ...]}
    folder/val2014/COCO_val2014_000000000042.jpg, or folder/val2017/000000000042.jpg

Names and number of the files do not matter, as long as "questions" or "annotations" stands in them. The most common of the
ten answers is the answer; of equally common ones the one that was given first. None of the others counts as wrong.

Sources: https://okvqa.allenai.org, https://visualqa.org
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unsee.benchmarks.faults import Faults, Place, row_name
from unsee.benchmarks.json_files import text_of
from unsee.benchmarks.medical.formats.fields import Unusable, optional, text, written
from unsee.benchmarks.medical.formats.files import json_value, made_rows
from unsee.benchmarks.medical.formats.pictures import Pictures
from unsee.benchmarks.medical.formats.reading import Reader
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import DataError

TIED = "tied answers"
"""Key of `VqaRow.facts`: how many answers were equally common, where it was more than one."""
FOLDERS = ("train2014", "val2014", "test2015", "train2017", "val2017", "images", "")
SUFFIXES = (".jpg", ".jpeg", ".png")


class _Annotation(NamedTuple):
    place: Place
    values: Mapping[str, Any]
    types: Mapping[str, Any]


class Answer(NamedTuple):
    """The most common of several answers, how many were as common, and what else was given."""

    text: str
    tied: int
    others: tuple[str, ...]


def rows(folder: Path, faults: Faults) -> Iterator[VqaRow]:
    """Rows of all files; a question without an annotation is a fault, and so is an annotation without its question."""
    asked = _files(folder, "questions")
    annotations = _annotations(_files(folder, "annotations"), faults)
    pictures, met = Pictures(folder), set[str]()
    for file in asked:
        content = _content(file, "questions")
        subtype = optional(content, "data_subtype")
        listed = ((Place(file, number), values) for number, values in enumerate(content["questions"]))

        def make(_: Place, values: Mapping[str, Any], where: str, *, subtype: str = subtype) -> list[VqaRow]:
            met.add(str(values.get("question_id")))
            return [_row(values, annotations, pictures, folder, subtype, where)]

        yield from made_rows(listed, make, faults, id_key="question_id")
    for id_, one in annotations.items():
        if id_ not in met:
            faults.add(
                one.place.file, row_name(one.place.number, id_), "no questions file asks it; add that file, or remove the row"
            )


def most_common(answers: list[str]) -> Answer:
    """The most common answer in the spelling it was first given in; of equally common ones the first."""
    counts = Counter(answer.casefold() for answer in answers)
    most = max(counts.values())
    best = next(answer for answer in answers if counts[answer.casefold()] == most)
    others = {answer.casefold(): answer for answer in answers if answer.casefold() != best.casefold()}
    return Answer(best, sum(count == most for count in counts.values()), tuple(others.values()))


def _files(folder: Path, word: str) -> list[Path]:
    found = sorted(file for file in folder.glob("*.json") if word in file.name.casefold())
    if not found:
        raise DataError(f"{folder} holds no *{word}*.json; pass the folder that holds {READER.layout}")
    return found


def _content(file: Path, key: str) -> Mapping[str, Any]:
    try:
        content = json_value(text_of(file), file.name)
    except Unusable as error:
        raise DataError(f"{file}: {error}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get(key), list):
        raise DataError(f"{file} holds no object with a list of {key}; fetch the published file again")
    return content


def _annotations(files: list[Path], faults: Faults) -> dict[str, _Annotation]:
    found: dict[str, _Annotation] = {}
    for file in files:
        content = _content(file, "annotations")
        types = content.get("question_types")
        for number, values in enumerate(content["annotations"]):
            if not isinstance(values, Mapping):
                faults.add(file, row_name(number, None), "holds no object; write {...} with the published keys")
                continue
            kinds = types if isinstance(types, Mapping) else {}
            found[str(values.get("question_id"))] = _Annotation(Place(file, number), values, kinds)
    return found


def _row(
    values: Mapping[str, Any],
    annotations: Mapping[str, _Annotation],
    pictures: Pictures,
    folder: Path,
    subtype: str,
    where: str,
) -> VqaRow:
    id_, image = text(values, "question_id"), text(values, "image_id")
    if id_ not in annotations:
        raise Unusable(f"no annotations file answers question_id {id_}; add it, or remove the row")
    annotation = annotations[id_]
    answer = _answer(annotation.values)
    kind = optional(annotation.values, "question_type")
    return VqaRow(
        id=id_,
        image=pictures.named(_picture(folder, image, subtype)),
        question=text(values, "question"),
        answer=answer.text,
        also_right=answer.others,
        group=image,
        kind=written(annotation.types.get(kind), "question_types") or kind,
        facts={TIED: answer.tied} if answer.tied > 1 else {},
        source=READER.title,
        license=READER.license,
        where=where,
    )


def _answer(values: Mapping[str, Any]) -> Answer:
    listed = values.get("answers")
    if not isinstance(listed, list):
        raise Unusable('its annotation has no list of answers; write "answers": [{"answer": "..."}, ...]')
    given = [written(one.get("answer") if isinstance(one, Mapping) else one, "answer") for one in listed]
    there = [answer for answer in given if answer]
    if not there:
        raise Unusable("its annotation has no answer that is not empty; add one or remove the row")
    return most_common(there)


def _picture(folder: Path, image: str, subtype: str) -> str:
    """Path within the folder of the picture with a COCO id, by either way of naming.

    Raises:
        Unusable: there is none.
    """
    if not (image.isascii() and image.isdigit() and len(image) <= 12):
        raise Unusable(f"its image_id {image!r} is no COCO id; write a whole number")
    number = f"{int(image):012d}"
    named = [subtype] if subtype else []
    subtypes = [*named, *(one for one in FOLDERS if one[-4:].isdigit() and one != subtype)]
    stems = [*(f"COCO_{one}_{number}" for one in subtypes), number]
    for place in dict.fromkeys((*named, *FOLDERS)):
        for stem in stems:
            for suffix in SUFFIXES:
                if (folder / place / f"{stem}{suffix}").is_file():
                    return f"{place}/{stem}{suffix}" if place else f"{stem}{suffix}"
    raise Unusable(
        f"its picture {stems[0]}.jpg or {number}.jpg is in none of {', '.join(one for one in FOLDERS if one)} and {folder}; "
        "add it from COCO"
    )


READER = Reader(
    title="OK-VQA",
    layout="a questions and an annotations file beside val2014 or the like",
    group="the picture",
    license="CC-BY-4.0 AND LicenseRef-COCO-pictures",
    rows=rows,
)
