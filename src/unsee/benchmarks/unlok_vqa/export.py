"""A benchmark about single facts, written in UnLOK-VQA's layout for the published scripts to read.

    export_unlok(load_benchmark("creatures"), Path("creatures-official"))
    load_benchmark("unlok-vqa", path="creatures-official")     # the same questions, answers, pictures, subjects and levels

What the layout has no place for stands in one more key of each row, `unsee`, which published scripts do not look at: the fact's
own id, questions that are not made of the published prefixes and templates, metadata and wrong answers. Probes, training
questions and sets other than those of the release are not carried. Pictures keep their bytes, whatever their format; names end
in `.jpg` as the published code expects.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from unsee.benchmarks.base import Benchmark
from unsee.benchmarks.faults import Faults
from unsee.benchmarks.unlok_vqa.asking import (
    disguise_key,
    neighbour_image_key,
    neighbour_question_key,
    question_key,
)
from unsee.benchmarks.unlok_vqa.files import FORGET_NAMES, RETAIN, VALID_IDS
from unsee.benchmarks.unlok_vqa.levels import (
    EXTENSION,
    LEVELS,
    NEIGHBOUR_LEVELS,
    NEIGHBOURS,
    ORIGINALS,
    REPHRASED,
    Axis,
    Level,
    neighbour_name,
    original_name,
)
from unsee.benchmarks.unlok_vqa.questions import Frame, PromptForm, Use, framed, rephrasings, unframed
from unsee.benchmarks.unlok_vqa.rows import NEIGHBOUR_PREFIX, FactRow, RowReader
from unsee.errors import DataError
from unsee.files import write_bytes, write_json
from unsee.sample import ImageRef, Sample

_ALT = "Beach"
"""What the release has in `alt` in every row."""
_UNUSED: Mapping[str, Any] = {
    "img_desc": "",
    "dissimilar_sent": "",
    "img_desc_ques_sum": [],
    "noun_phrases_ques+ans": [],
    "noun_phrases_img_desc": [],
    "tifa_ques_ans": [],
}
"""Raw material of the generation pipeline, which no script reads."""
_AXES: tuple[Axis, ...] = ("question", "image", "both")
Word = TypeVar("Word", bound=str)


@dataclass
class _Fact:
    """All samples about one fact."""

    edited: Sample
    tests: dict[tuple[Axis, Level], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    neighbour_images: dict[Level, Sample] = field(default_factory=dict)
    neighbour_questions: list[Sample] = field(default_factory=list)


def export_unlok(benchmark: Benchmark, out: Path, *, skip_invalid: bool = False) -> dict[str, int]:
    """Write the JSON files and the folders of pictures; returns rows and pictures by file and folder.

    Args:
        skip_invalid: leave out facts without a neighbour question, which published scripts do not read, with a warning.

    Raises:
        DataError: samples lack what the layout needs, or hold what it cannot carry.
    """
    facts = _readable(_gather(benchmark), skip_invalid=skip_invalid)
    kept = benchmark.samples(set="retain")
    for sample in kept:
        _check(sample)
    if not facts:
        raise DataError(f"benchmark {benchmark.name} has no facts to delete (set forget), so there is nothing to export")
    ids = _ids([*(fact.edited for fact in facts), *kept])
    shown = _image_ids([*(fact.edited for fact in facts), *kept])
    form = _form(facts)
    # Everything is made before anything is written, so that what cannot be carried leaves no half-written folder.
    forget = [_Row(fact, ids[fact.edited.subject], shown, form) for fact in facts]
    rows = {FORGET_NAMES[0]: [row.values() for row in forget]}
    if kept:
        rows[RETAIN] = [_kept_row(sample, ids[sample.subject], shown, form) for sample in kept]
    pictures: dict[str, ImageRef] = {}
    for sample in [*(fact.edited for fact in facts), *kept]:
        picture = _picture(sample)
        pictures[f"{ORIGINALS[0]}/{original_name(shown[picture.sha256])}"] = picture
    for row in forget:
        pictures |= row.pictures()
    for name, listed in rows.items():
        write_bytes(out / name, (json.dumps(listed, ensure_ascii=False, indent=1) + "\n").encode())
    write_json(out / VALID_IDS[0], [row.id for row in forget])
    for name, picture in pictures.items():
        write_bytes(out / f"{name}{EXTENSION}", picture.read())
    counts = {name: len(listed) for name, listed in rows.items()} | {VALID_IDS[0]: len(forget)}
    for name in pictures:
        folder = name.rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
    return counts


def _gather(benchmark: Benchmark) -> list[_Fact]:
    facts: dict[str, _Fact] = {}
    for sample in benchmark.samples(set="forget"):
        _check(sample)
        if facts.setdefault(sample.subject, _Fact(sample)).edited is not sample:
            raise DataError(
                f"sample {sample.id}: its fact {sample.subject!r} has another question; the layout has one per fact"
            )
    for sample in benchmark.samples(set="test"):
        axis, level = _one_of(sample, "axis", _AXES), _one_of(sample, "level", LEVELS)
        _fact(facts, sample).tests[axis, level].append(sample)
    for sample in benchmark.samples(set="neighbour_image"):
        level, fact = _one_of(sample, "level", NEIGHBOUR_LEVELS), _fact(facts, sample)
        if fact.neighbour_images.setdefault(level, sample) is not sample:
            raise DataError(f"sample {sample.id}: a second {level} neighbour picture of its fact; the layout has one per level")
    for sample in benchmark.samples(set="neighbour_question"):
        _fact(facts, sample).neighbour_questions.append(sample)
    return list(facts.values())


def _readable(facts: Sequence[_Fact], *, skip_invalid: bool) -> list[_Fact]:
    """The facts that published scripts read."""
    without = [fact.edited.id for fact in facts if not fact.neighbour_questions]
    if without and not skip_invalid:
        more = f" (and {len(without) - 1:,} more facts)" if len(without) > 1 else ""
        raise DataError(
            f"sample {without[0]}: its fact has no neighbour question{more}, and published scripts leave out such rows; "
            "add one, or leave such facts out with --skip-invalid (skip_invalid=True)"
        )
    if without and len(without) == len(facts):
        raise DataError(
            "no fact to delete has a neighbour question, so that there is nothing that published scripts would read"
        )
    if without:
        warnings.warn(f"{len(without):,} of {len(facts):,} facts have no neighbour question and are left out", stacklevel=3)
    return [fact for fact in facts if fact.neighbour_questions]


def _fact(facts: Mapping[str, _Fact], sample: Sample) -> _Fact:
    _check(sample)
    if sample.subject not in facts:
        raise DataError(f"sample {sample.id}: its fact {sample.subject!r} is not in the set forget; fix the subject")
    return facts[sample.subject]


def _check(sample: Sample) -> None:
    _picture(sample)
    if sample.task != "generation" or sample.options or sample.system:
        raise DataError(f"sample {sample.id}: the layout has written answers only, without options and system prompt")


def _picture(sample: Sample) -> ImageRef:
    if len(sample.images) != 1:
        raise DataError(f"sample {sample.id}: shows {len(sample.images)} pictures, the layout carries one; change the sample")
    return sample.images[0]


def _one_of(sample: Sample, key: str, known: tuple[Word, ...]) -> Word:
    value = sample.metadata.get(key)
    for word in known:
        if word == value:
            return word
    raise DataError(f"sample {sample.id}: its {key} is {value!r}; the layout has {', '.join(known)}")


def _ids(samples: Sequence[Sample]) -> dict[str, int]:
    """Fact -> id of its row: its own number where every fact is called by one, else its position.

    Raises:
        DataError: a fact is deleted and kept, or kept twice.
    """
    subjects = [sample.subject for sample in samples]
    seen: set[str] = set()
    for sample in samples:
        if sample.subject in seen:
            raise DataError(f"sample {sample.id}: its fact {sample.subject!r} occurs twice; the layout has one row per fact")
        seen.add(sample.subject)
    if all(subject.isascii() and subject.isdigit() and str(int(subject)) == subject for subject in subjects):
        return {subject: int(subject) for subject in subjects}
    return {subject: number for number, subject in enumerate(subjects)}


def _image_ids(samples: Sequence[Sample]) -> dict[str, int]:
    """Digest of an original picture -> COCO id: its own where every sample has one, else its position."""
    entities = {_picture(sample).sha256: str(sample.metadata.get("entity", "")) for sample in samples}
    numbered = all(len(name) == len(original_name(0)) and name.isascii() and name.isdigit() for name in entities.values())
    if numbered and len(set(entities.values())) == len(entities):
        return {sha256: int(name) for sha256, name in entities.items()}
    return {sha256: number for number, sha256 in enumerate(entities, start=1)}


def _form(facts: Sequence[_Fact]) -> PromptForm:
    """How the benchmark puts its questions.

    Raises:
        DataError: it puts them in several ways.
    """
    edit = {unframed(fact.edited.question).frame for fact in facts}
    others = {unframed(sample.question).frame for fact in facts for sample in fact.neighbour_questions}
    frames: list[Frame] = sorted(edit | others)
    if len(frames) == 1:
        return frames[0]
    if edit == {"no_colon"} and others == {"colon"}:
        return "published"
    raise DataError(f"questions are framed in several ways ({', '.join(frames)}); use one way")


def _bare(sample: Sample, form: PromptForm, use: Use) -> str:
    """A question without its frame, which must be the one that the loader puts around it."""
    question = unframed(sample.question).question.strip()
    if framed(question, form, use) != sample.question:
        raise DataError(f"sample {sample.id}: its question is framed in another way than the edited ones; use one way")
    return question


def _base(sample: Sample, id_: int, image_id: int, question: str) -> dict[str, Any]:
    """The published keys of a row, with those that nobody reads empty."""
    words = re.findall(r"[^\W\d_]+", question) or [question]
    return {
        "id": id_,
        "subject": max(words, key=len),
        "src": question,
        "pred": sample.answer,
        "answers": [sample.answer],
        "rephrase": [],
        "alt": _ALT,
        "cond": f"{sample.answer} >> {_ALT} || {question}",
        "loc": [],
        "loc_ans": [],
        "image_id": image_id,
        "alt_ans": list(sample.wrong_answers),
        "neigh_idx": [],
        "objects_edit": [str(sample.metadata.get("object", sample.metadata.get("attribute", "")))],
        **_UNUSED,
    }


def _kept_row(sample: Sample, id_: int, shown: Mapping[str, int], form: PromptForm) -> dict[str, Any]:
    row = _base(sample, id_, shown[_picture(sample).sha256], _bare(sample, form, "evaluation"))
    return row | {"unsee": {"subject": sample.subject, "prompt": form, "samples": {question_key(): _told(sample)}}}


def _told(sample: Sample) -> dict[str, Any]:
    """What the layout has no place for."""
    return {
        "metadata": dict(sample.metadata),
        "wrong_answers": list(sample.wrong_answers),
        "paraphrases": list(sample.paraphrases),
    }


class _Row:
    """The row of a fact to delete, and its generated pictures."""

    def __init__(self, fact: _Fact, id_: int, shown: Mapping[str, int], form: PromptForm) -> None:
        self.id = id_
        self._fact = fact
        self._form = form
        self._original = _picture(fact.edited)
        self._pictures = {level: found for level in LEVELS if (found := self._rephrased(level)) is not None}
        alternates, entry = self._alternates()
        question = _bare(fact.edited, form, "edit")
        self._entry = entry
        self._values = _base(fact.edited, id_, shown[self._original.sha256], question) | {
            "rephrase": [unframed(sample.question).question for sample in fact.tests["question", "medium"]],
            "loc": [NEIGHBOUR_PREFIX + _bare(sample, form, "evaluation") for sample in fact.neighbour_questions],
            "loc_ans": [sample.answer for sample in fact.neighbour_questions],
            "alt_ans": alternates,
            "neigh_idx": [entry],
        }
        self._check()
        self._values["unsee"] = self._notes()

    def values(self) -> dict[str, Any]:
        return self._values

    def pictures(self) -> dict[str, ImageRef]:
        """Generated pictures by path without extension."""
        made = {f"{REPHRASED[level][0]}/{self.id}": picture for level, picture in self._pictures.items()}
        for level, sample in self._fact.neighbour_images.items():
            made[f"{NEIGHBOURS[level][0]}/{neighbour_name(self.id, self._entry)}"] = _picture(sample)
        return made

    def _rephrased(self, level: Level) -> ImageRef | None:
        """The one rephrased picture of a level."""
        samples = [*self._fact.tests["image", level], *self._fact.tests["both", level]]
        found = {_picture(sample).sha256: _picture(sample) for sample in samples}
        if len(found) > 1:
            raise DataError(f"sample {samples[-1].id}: a second {level} picture of its fact; the layout has one per level")
        return next(iter(found.values()), None)

    def _alternates(self) -> tuple[list[str], int]:
        """Alternate answers, and which of them neighbour pictures show."""
        edited, neighbours = self._fact.edited, list(self._fact.neighbour_images.values())
        alternates = list(edited.wrong_answers)
        said = list(dict.fromkeys(sample.answer for sample in neighbours))
        if len(said) > 1:
            raise DataError(
                f"sample {neighbours[1].id}: its answer differs from that of the easy one; the layout has one for both"
            )
        alternates += [text for text in said if text not in alternates]
        if not alternates:
            raise DataError(f"sample {edited.id}: has no wrong answers, and the layout needs an alternate answer; add one")
        return alternates, alternates.index(said[0]) if said else 0

    def _check(self) -> None:
        """Everything else that follows from the row when it is read."""
        fact = self._fact
        tests = [sample for listed in fact.tests.values() for sample in listed]
        for sample in tests:
            if sample.answer != fact.edited.answer:
                raise DataError(f"sample {sample.id}: answered differently from the edited question; the layout has one answer")
        for sample in [*fact.neighbour_questions, *(one for level in LEVELS for one in fact.tests["question", level])]:
            if _picture(sample).sha256 != self._original.sha256:
                raise DataError(
                    f"sample {sample.id}: shows another picture than the edited question; the layout shows the same"
                )
        for sample in fact.neighbour_images.values():
            if _bare(sample, self._form, "evaluation") != self._values["src"]:
                raise DataError(f"sample {sample.id}: asks something else than the edited question; the layout asks the same")

    def _notes(self) -> dict[str, Any]:
        asked = self._asked()
        levels = {"image": list(self._pictures), "neighbour": list(self._fact.neighbour_images)}
        notes = {"subject": self._fact.edited.subject, "prompt": self._form, "asked": asked, "levels": levels}
        row = self._read(notes)
        samples = {question_key(): self._fact.edited}
        for (axis, level), tests in self._fact.tests.items():
            if not tests:
                continue
            drafted = list(rephrasings(row, level, self._form, Counter()))
            if axis == "question" and [one.text for one in drafted] != [sample.question for sample in tests]:
                raise DataError(
                    f"sample {self._fact.edited.id}: one of its {level} rephrasings contains the answer {row.answer!r}, "
                    "which the loader refuses; reword it"
                )
            derived = axis == "question" or (axis == "both" and level not in asked.get("both", {}))
            numbers = [one.number for one in drafted] if derived else list(range(len(tests)))
            samples |= {disguise_key(axis, level, number): sample for number, sample in zip(numbers, tests, strict=True)}
        samples |= {neighbour_image_key(level): sample for level, sample in self._fact.neighbour_images.items()}
        samples |= {neighbour_question_key(n): sample for n, sample in enumerate(self._fact.neighbour_questions)}
        return notes | {"samples": {key: _told(sample) for key, sample in samples.items()}}

    def _asked(self) -> dict[str, dict[str, list[str]]]:
        """Questions that do not follow from the row."""
        row, asked = self._read({}), {axis: dict[str, list[str]]() for axis in _AXES}
        for level in LEVELS:
            texts = {axis: [sample.question for sample in self._fact.tests[axis, level]] for axis in _AXES}
            derived = {
                "question": [one.text for one in rephrasings(row, level, self._form, Counter())],
                "image": [self._fact.edited.question],
                "both": texts["question"],
            }
            for axis in _AXES:
                if texts[axis] != derived[axis] and (axis == "question" or level in self._pictures):
                    asked[axis][level] = texts[axis]
        return {axis: levels for axis, levels in asked.items() if levels}

    def _read(self, notes: Mapping[str, Any]) -> FactRow:
        """The row as the loader will see it.

        Raises:
            DataError: the loader would not take it.
        """
        reader = RowReader(Path(FORGET_NAMES[0]), Faults(), deletable=lambda _: True, left_out={})
        row = reader.row(0, self._values | {"unsee": dict(notes)})
        if row is None or (self._fact.neighbour_images and row.neighbour_answer is None):
            raise DataError(f"sample {self._fact.edited.id}: its neighbour picture shows the answer that is deleted; change it")
        return row
