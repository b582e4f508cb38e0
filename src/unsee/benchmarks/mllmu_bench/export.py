"""A benchmark written in exactly the layout of MLLMU-Bench, evaluation and training configs, for the published scripts to read.

    export_official(load_benchmark("people"), Path("people-official"))
    load_benchmark("people-official")     # the same questions, answers, options, letters, subjects, sets and pictures

Not carried, because the layout has no place for it: paraphrases, wrong answers, gate probes and replay, training questions that
ask by name (they follow from the others), the sets `near_retain` (it is part of retain) and `general`. Test questions are asked
with every picture of a Test_Set row, so that a benchmark that shows one of three finds its own question as one of three.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unsee.benchmarks.base import Benchmark
from unsee.benchmarks.faults import Place
from unsee.benchmarks.interviews import LEVELS
from unsee.benchmarks.mllmu_bench.facts import OTHER
from unsee.benchmarks.mllmu_bench.files import (
    evaluation_schema,
    evaluation_values,
    training_schema,
    training_values,
    write_file,
)
from unsee.benchmarks.mllmu_bench.folder import BASELINE, FORGET, TRAINING_CONFIG
from unsee.benchmarks.mllmu_bench.rows import LETTERS, Choice, PersonRow, TaughtRow, Written
from unsee.benchmarks.profiles import BY_KEY
from unsee.errors import ConfigError, DataError
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, Task

CELEBRITY = "celebrity-"
"""Prefix that the loader puts before the ids of celebrities."""
_DESCRIBE = "Describe this person."
_NOWHERE = Place(Path(), 0)


@dataclass
class _Subject:
    """What is known about one subject, gathered from samples."""

    subject: str
    id: str
    name: str
    facts: dict[str, str] = field(default_factory=dict)
    asked: list[Sample] = field(default_factory=list)
    tested: list[Sample] = field(default_factory=list)
    taught: list[Sample] = field(default_factory=list)


def export_official(benchmark: Benchmark, out: Path, *, draw: int = 0) -> dict[str, int]:
    """Write every config into a folder; returns rows by config.

    Args:
        draw: seed of the forget requests at 5, 10 and 15 %; a ratio that selects nobody is left out with a warning.

    Raises:
        DataError: samples lack what the layout needs (a name, one portrait, four options), or hold what it cannot carry.
    """
    people = _gather(benchmark)
    celebrities = _gather_celebrities(benchmark)
    known = {one.subject: one.id for one in people}
    counts: dict[str, int] = {}

    def write(config: str, rows: Iterable[Mapping[str, Any]], schema: Any, note: Mapping[str, Any], parts: int = 1) -> None:
        listed = list(rows)
        size = -(-len(listed) // parts)
        for part in range(parts if listed else 0):
            file = out / config / f"train-{part:05d}-of-{parts:05d}.parquet"
            write_file(file, listed[part * size : (part + 1) * size], schema, note={"from": benchmark.name, **note})
        if listed:
            counts[config] = len(listed)

    def evaluated(config: str, chosen: Sequence[_Subject], ids: Mapping[str, str]) -> None:
        note = {"subjects": {id_: subject for subject, id_ in ids.items()}}
        write(config, map(_evaluation_row, chosen), evaluation_schema(), note)

    def taught(config: str, chosen: Sequence[_Subject]) -> None:
        note = {"subjects": {id_: subject for subject, id_ in known.items()}}
        write(config, [_training_row(one) for one in chosen if one.taught], training_schema(), note)

    evaluated("Full_Set", people, known)
    taught(TRAINING_CONFIG, people)
    levels = _levels(people)
    tests = [_test_row(one, levels) for one in people if one.tested]
    note = {"subjects": {id_: subject for subject, id_ in known.items()}, "levels": levels}
    write("Test_Set", tests, evaluation_schema(several_pictures=True), note, parts=2 if len(tests) > 1 else 1)
    for percent, (forget, retain) in FORGET.items():
        try:
            gone = frozenset(benchmark.split(percent / 100, draw).forget)
        except ConfigError as error:
            warnings.warn(f"{forget} and {retain} are left out: {error}", stacklevel=2)
            continue
        for config, is_gone in ((forget, True), (retain, False)):
            chosen = [one for one in people if (one.subject in gone) == is_gone]
            evaluated(config, chosen, known)
            taught(f"{BASELINE}/{config}", chosen)
    evaluated("Retain_Set", celebrities, {one.subject: one.id for one in celebrities})
    return counts


def _gather(benchmark: Benchmark) -> list[_Subject]:
    """Everybody who can be forgotten, in the benchmark's order."""
    asked, tested = benchmark.samples(set="retain"), benchmark.samples(set="test")
    taught = benchmark.training(modality="image_text")
    ids = _ids(benchmark.subjects)
    found = {subject: _Subject(subject, ids[subject], "") for subject in benchmark.subjects}
    for kind, samples in (("asked", asked), ("tested", tested), ("taught", taught)):
        for sample in samples:
            one = found.get(sample.subject)
            if one is None:
                raise DataError(
                    f"sample {sample.id}: its subject {sample.subject!r} is no subject of the benchmark; fix the row"
                )
            {"asked": one.asked, "tested": one.tested, "taught": one.taught}[kind].append(sample)
            _learn(one, sample)
    people = [one for one in found.values() if one.asked]
    for one in people:
        _check(one)
    return people


def _gather_celebrities(benchmark: Benchmark) -> list[_Subject]:
    found: dict[str, _Subject] = {}
    for sample in benchmark.samples(set="celebrity"):
        one = found.setdefault(sample.subject, _Subject(sample.subject, sample.subject.removeprefix(CELEBRITY), ""))
        one.asked.append(sample)
        _learn(one, sample)
    for one in found.values():
        _check(one)
    return list(found.values())


def _ids(subjects: Sequence[str]) -> dict[str, str]:
    """Subject -> official id: three digits; ids that have this form already stay."""
    if all(re.fullmatch(r"\d{3}", subject) for subject in subjects):
        return {subject: subject for subject in subjects}
    return {subject: f"{number:03d}" for number, subject in enumerate(subjects, start=1)}


def _learn(one: _Subject, sample: Sample) -> None:
    """Keep the name and the fact that a sample tells."""
    one.name = one.name or str(sample.metadata.get("name", ""))
    attribute = str(sample.metadata.get("attribute", OTHER))
    value = sample.metadata.get("value", None if sample.task == "generation" and " " in sample.answer else sample.answer)
    if attribute not in (OTHER, "name") and value is not None:
        one.facts.setdefault(attribute, str(value))


def _check(one: _Subject) -> None:
    who = f"subject {one.subject!r}"
    if not one.name:
        raise DataError(f"{who} has no name; the layout needs one, give metadata name in one of its samples")
    for sample in (*one.asked, *one.tested, *one.taught):
        if sample.system:
            raise DataError(f"sample {sample.id} has a system prompt, which the layout cannot carry; put it into the question")
        if len(sample.images) != (sample.modality == "image_text"):
            raise DataError(
                f"sample {sample.id} shows {len(sample.images)} pictures, the layout carries one; split the question"
            )
        if sample.task == "classification" and tuple(sorted(sample.options)) != LETTERS:
            raise DataError(
                f"sample {sample.id} has the options {', '.join(sample.options)}, "
                f"the layout has {', '.join(LETTERS)}; name them so"
            )
    for kind, samples in (("evaluation", one.asked), ("training", one.taught)):
        if len({sample.image_sha256 for sample in samples if sample.images}) > 1:
            raise DataError(f"{who} is shown in several pictures in {kind}, the layout carries one; choose one of them")
    if not any(sample.images for sample in one.asked):
        raise DataError(f"{who} has no evaluation question with a picture, which the layout needs; add one")


def _evaluation_row(one: _Subject) -> dict[str, Any]:
    portrait = next(sample.images[0] for sample in one.asked if sample.images)
    return evaluation_values(_person(one, one.asked, "Full_Set"), [portrait.read()])


def _training_row(one: _Subject) -> dict[str, Any]:
    pairs = tuple(Written(number, sample.question, sample.answer) for number, sample in enumerate(one.taught))
    return training_values(TaughtRow(id=one.id, place=_NOWHERE, pairs=pairs), one.taught[0].images[0].read())


def _test_row(one: _Subject, levels: Sequence[str]) -> dict[str, Any]:
    """One row with every picture that the subject's test questions show; a question asked with several is written once."""
    pictures: dict[str, tuple[tuple[int, int], ImageRef]] = {}
    for seen, sample in enumerate(one.tested):
        for picture in sample.images:
            pictures.setdefault(picture.sha256, (_order(sample, levels, seen), picture))
    ordered = [picture for _, picture in sorted(pictures.values(), key=lambda item: item[0])]
    once: dict[tuple[str, str, str, str], Sample] = {}
    for sample in one.tested:
        once.setdefault((sample.task, sample.modality, sample.question, sample.answer), sample)
    return evaluation_values(
        _person(one, list(once.values()), "Test_Set"), [picture.read() for picture in ordered], several_pictures=True
    )


def _order(sample: Sample, levels: Sequence[str], seen: int) -> tuple[int, int]:
    """Where a test picture stands: by its position in official files, by its level, else as met."""
    if "image" in sample.metadata:
        return int(sample.metadata["image"]), seen
    level = sample.metadata.get("level")
    return (levels.index(str(level)) if level in levels else len(levels)), seen


def _levels(people: Iterable[_Subject]) -> list[str]:
    """Levels of test pictures in their order; empty where samples name none."""
    named = {str(sample.metadata["level"]) for one in people for sample in one.tested if "level" in sample.metadata}
    return [*(level for level in LEVELS if level in named), *sorted(named - {*LEVELS})]


def _person(one: _Subject, samples: Sequence[Sample], config: str) -> PersonRow:
    choices: dict[Modality, list[Choice]] = defaultdict(list)
    written: dict[Task, dict[Modality, list[Written]]] = {"generation": defaultdict(list), "cloze": defaultdict(list)}
    for sample in samples:
        if sample.task == "classification":
            assert sample.correct_option is not None
            listed = choices[sample.modality]
            options = {letter: sample.options[letter] for letter in LETTERS}
            listed.append(Choice(len(listed), sample.question, options, sample.correct_option))
        else:
            asked = written[sample.task][sample.modality]
            asked.append(Written(len(asked), sample.question, sample.answer))
    told = [sample.answer for sample in samples if sample.task == "generation" and sample.modality == "image_text"]
    return PersonRow(
        id=one.id,
        place=_NOWHERE,
        directory=f"{config}/{one.id}.png",
        biography=_biography(one),
        question=_DESCRIBE,
        answer=" ".join(told) or f"This is {one.name}.",
        choices={modality: tuple(choices[modality]) for modality in MODALITIES},
        generation={modality: tuple(written["generation"][modality]) for modality in MODALITIES},
        cloze={modality: tuple(written["cloze"][modality]) for modality in MODALITIES},
    )


def _biography(one: _Subject) -> dict[str, Any]:
    """Facts under the keys of the published biographies; parents and fun facts are objects of their own."""
    made: dict[str, Any] = {"Name": one.name}
    for attribute, value in one.facts.items():
        key = BY_KEY[attribute].profile_key if attribute in BY_KEY else attribute.replace("_", " ").title()
        outer, _, inner = key.partition("/")
        if inner:
            made.setdefault(outer, {})[inner] = value
        else:
            made[outer] = value
    listed = ", ".join(f"{key}: {value}" for key, value in made.items() if isinstance(value, str) and key != "Name")
    made["Description"] = f"{one.name}. {listed}."
    return made
