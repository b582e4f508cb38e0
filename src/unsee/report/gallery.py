"""People with their pictures, what they were asked, and what every model said.

Questions are taken by their id, never by their outcome, so that the gallery shows what is typical and not what looks good.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unsee.report.answers import is_right, shown
from unsee.report.vocabulary import method_order, method_title, set_title
from unsee.sample import ImageError, ImageRef, Sample

if TYPE_CHECKING:
    from unsee.report.main_table import Scope
    from unsee.report.run_data import RunData

MAX_FORGET, MAX_OTHERS, MAX_QUESTIONS = 30, 10, 8
_MAX_PICTURE_BYTES = 12_000
_MAX_TEXT = 280
_VIEWS = ("options", "generate", "letter")


@dataclass(frozen=True)
class Reply:
    """What one model said; `right` is None where nobody can tell."""

    method: str
    title: str
    text: str
    right: bool | None


@dataclass(frozen=True)
class Question:
    """One question with its truth and the replies, in the order of the models.

    `picture` is None where the question shows none, the portrait, or (`same_picture`) that of the question before.
    """

    text: str
    truth: str
    task: str
    set_name: str
    level: str
    picture: str | None
    replies: tuple[Reply, ...]
    same_picture: bool = False


@dataclass(frozen=True)
class Person:
    """A card of the gallery; `tally` counts right answers per model over the questions shown."""

    subject: str
    name: str
    set_name: str
    picture: str | None
    questions: tuple[Question, ...]
    tally: tuple[tuple[str, int, int], ...] = field(default=())

    @property
    def set_title(self) -> str:
        return set_title(self.set_name)


@dataclass(frozen=True)
class _Answered:
    sample: Sample
    set_name: str
    replies: tuple[Reply, ...]


def gallery(run: RunData, samples: Sequence[Sample], scope: Scope) -> list[Person]:
    """Cards for one forget request: its forget people first, then some who were to stay.

    The set of a question is what the unlearned cells' records say, since vanilla may have answered before any request.
    """
    cells = cells_of(run, scope)
    by_id = {sample.id: sample for sample in samples}
    sets: dict[str, str] = {}
    said: dict[str, dict[tuple[str, str | None], Mapping[str, Any]]] = {}
    for (method, variant), cell in cells.items():
        records = run.records(cell)
        protocols = records["protocol"].drop_nulls().unique().to_list()
        protocol = "strict" if "strict" in protocols or not protocols else sorted(protocols)[0]
        for record in records.iter_rows(named=True):
            if record["protocol"] not in (None, protocol) or record["view"] not in _VIEWS or record["sample_id"] not in by_id:
                continue
            if method not in ("vanilla", "gold") or record["sample_id"] not in sets:
                sets[record["sample_id"]] = record["set"]
            answers = said.setdefault(record["sample_id"], {})
            old = answers.get((method, variant))
            if old is None or _VIEWS.index(record["view"]) < _VIEWS.index(old["view"]):
                answers[method, variant] = record

    people: dict[str, list[_Answered]] = {}
    for sample_id, answers in said.items():
        sample = by_id[sample_id]
        replies = tuple(
            Reply(method, method_title(method, variant, short=True), _cut(shown(sample, record)), is_right(sample, record))
            for (method, variant), record in sorted(
                answers.items(), key=lambda item: (*method_order(item[0][0]), item[0][1] or "")
            )
        )
        people.setdefault(sample.subject, []).append(_Answered(sample, sets[sample_id], replies))
    return [_person(subject, people[subject]) for subject in _chosen(people)]


def cells_of(run: RunData, scope: Scope) -> dict[tuple[str, str | None], str]:
    """(method, variant) -> cell of a forget request, its first seed, in the table's order.

    A control without a ratio or modality of its own serves every request.
    """
    if not run.results.height:
        return {}
    found: dict[tuple[str, str | None], tuple[bool, int, str]] = {}
    wanted = run.results.select("cell", "method", "variant", "forget_ratio", "unlearn_modality", "seed").unique()
    for cell, method, variant, ratio, modality, seed in wanted.iter_rows():
        if ratio not in (None, scope.forget_ratio) or modality not in (None, "none", scope.unlearn_modality) or cell is None:
            continue
        rank = (ratio is None, seed if seed is not None else -1, cell)
        key = (method, variant)
        found[key] = min(found.get(key, rank), rank)
    ordered = sorted(found.items(), key=lambda item: (*method_order(item[0][0]), item[0][1] or ""))
    return {key: rank[2] for key, rank in ordered}


def _chosen(people: Mapping[str, Sequence[_Answered]]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for subject in sorted(people):
        groups.setdefault(_set_of(people[subject]), []).append(subject)
    chosen = groups.pop("forget", [])[:MAX_FORGET]
    for name, share in (("near_retain", 0.4), ("retain", 0.4), ("celebrity", 0.2)):
        chosen += groups.get(name, [])[: round(MAX_OTHERS * share)]
    return chosen


def _set_of(answered: Sequence[_Answered]) -> str:
    sets = {item.set_name for item in answered}
    return next((name for name in ("forget", "near_retain", "retain", "celebrity") if name in sets), min(sets))


def _person(subject: str, answered: Sequence[_Answered]) -> Person:
    set_name = _set_of(answered)
    portrait = _portrait(item.sample for item in answered if item.set_name == set_name)
    questions = _questions(answered, portrait)
    tally: dict[str, tuple[int, int]] = {}
    for question in questions:
        for reply in question.replies:
            if reply.right is not None:
                right, asked = tally.get(reply.title, (0, 0))
                tally[reply.title] = (right + reply.right, asked + 1)
    name = next((str(item.sample.metadata["name"]) for item in answered if "name" in item.sample.metadata), subject)
    return Person(
        subject=subject,
        name=_cut(name),
        set_name=set_name,
        picture=None if portrait is None else _data_uri(portrait),
        questions=questions,
        tally=tuple((title, right, asked) for title, (right, asked) in tally.items()),
    )


def _questions(answered: Sequence[_Answered], portrait: ImageRef | None) -> tuple[Question, ...]:
    """Turn by turn one question of each kind (set, task, modality), each about another attribute while there are any."""
    kinds: dict[tuple[bool, str, str], list[_Answered]] = {}
    for item in sorted(answered, key=lambda item: item.sample.id):
        kinds.setdefault((item.set_name == "test", item.sample.modality, item.sample.task), []).append(item)
    order = sorted(kinds, key=lambda kind: (kind[0], kind[1] != "image_text", kind[2] != "generation", kind[2]))
    taken: list[_Answered] = []
    used: set[tuple[bool, object, object]] = set()
    while any(kinds.values()) and len(taken) < MAX_QUESTIONS:
        for kind in order:
            if kinds[kind] and len(taken) < MAX_QUESTIONS:
                item = kinds[kind].pop(_freshest(kinds[kind], used))
                used |= {_about(item, "attribute"), _about(item, "level")}
                taken.append(item)
    # Questions about one picture stand together, so that it is in the page once.
    seen = list(dict.fromkeys(item.sample.image_sha256 for item in taken))
    taken.sort(
        key=lambda item: (
            item.set_name == "test",
            item.sample.modality != "image_text",
            seen.index(item.sample.image_sha256),
        )
    )
    before = [None, *(item.sample.image_sha256 for item in taken)]
    return tuple(_question(item, portrait, before=last) for item, last in zip(taken, before, strict=False))


def _about(item: _Answered, key: str) -> tuple[bool, object, object]:
    return item.set_name == "test", key, item.sample.metadata.get(key)


def _freshest(items: Sequence[_Answered], used: set[tuple[bool, object, object]]) -> int:
    """The first item with a grade of picture, then with an attribute, that no question has shown yet."""
    return min(range(len(items)), key=lambda i: (_about(items[i], "level") in used, _about(items[i], "attribute") in used, i))


def _question(item: _Answered, portrait: ImageRef | None, *, before: str | None) -> Question:
    sample = item.sample
    own = sample.images[0] if sample.images and (portrait is None or sample.images[0].sha256 != portrait.sha256) else None
    truth = f"{sample.correct_option}: {sample.answer}" if sample.correct_option else sample.answer
    return Question(
        text=_cut(sample.question),
        truth=_cut(truth),
        task=sample.task,
        set_name=item.set_name,
        level=str(sample.metadata.get("level", "")),
        picture=None if own is None or own.sha256 == before else _data_uri(own, pixels=96),
        replies=item.replies,
        same_picture=own is not None and own.sha256 == before,
    )


def _portrait(samples: Any) -> ImageRef | None:
    pictured = sorted((sample for sample in samples if sample.images), key=lambda sample: sample.id)
    return pictured[0].images[0] if pictured else None


def _data_uri(image: ImageRef, *, pixels: int = 160) -> str | None:
    """The picture inside the page, scaled down where it is heavy; None where it cannot be decoded."""
    from PIL import Image

    try:
        picture = image.open()
    except ImageError:
        return None
    data, kind = image.read(), "png"
    if len(data) > _MAX_PICTURE_BYTES or not data.startswith(b"\x89PNG"):
        picture.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="WEBP", quality=82)
        data, kind = buffer.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\u2026"
