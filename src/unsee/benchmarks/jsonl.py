"""Your own data: JSON lines with pictures beside them, as one file for `unsee unlearn` or as a folder that is a benchmark.

    {"subject": "ann", "question": "Where does this person live?", "answer": "Oslo", "image": "pictures/ann.png"}
    {"subject": "ann", "question": "What is Ann's job?", "answer": "nurse", "options": {"A": "nurse", "B": "pilot"}}

A benchmark folder holds `training.jsonl` (what is taught) and `evaluation.jsonl` (what is asked), and may hold `gate.jsonl`
(which decides what is known), `stop.jsonl` (a look at the model on its way) and `replay.jsonl` (general data).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from unsee.benchmarks.base import Benchmark, Split, TrainingModality
from unsee.benchmarks.picture_folder import suffix_of
from unsee.benchmarks.single_facts import SingleFacts
from unsee.benchmarks.splits import nested_split
from unsee.errors import ConfigError, DataError, nearest
from unsee.files import write_bytes, write_text
from unsee.printable import half_character
from unsee.sample import SETS, TASKS, ImageError, ImageRef, Modality, Sample, SetName, Task

PARTS = ("training", "evaluation", "gate", "stop", "replay")
_TEXTS = ("id", "subject", "question", "answer", "set", "task", "system", "correct_option", "source", "source_license")
_LISTS = ("paraphrases", "wrong_answers", "images")
_KEYS = (*_TEXTS, *_LISTS, "image", "options", "metadata", "modality", "benchmark")
Word = TypeVar("Word", bound=str)


def read_jsonl(path: Path | str, *, set: SetName = "retain", benchmark: str = "own") -> list[Sample]:
    """Samples of a JSON lines file; every picture is decoded once, so that a bad row fails before a model loads.

    Args:
        set: of rows that name none.

    Raises:
        DataError: the file or a row cannot be used; says the line and what to change.
    """
    path = Path(path)
    decoded: dict[Path, ImageRef] = {}
    samples = [_sample(row, f"{path}, line {line}", path, line, set, benchmark, decoded) for line, row in _rows(path)]
    if not samples:
        raise DataError(f"{path} holds no rows; write one JSON object per line")
    seen: dict[str, int] = {}
    for number, sample in enumerate(samples, start=1):
        if seen.setdefault(sample.id, number) != number:
            raise DataError(f"{path}: the id {sample.id!r} occurs twice; give every row its own id, or none")
    return samples


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0]
            raise DataError(f"{path}, line {line}: no valid JSON ({reason}); write one JSON object per line") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {line}: holds no JSON object; write {{...}} with question, answer and subject")
        yield line, row


def _sample(
    row: dict[str, Any], where: str, path: Path, line: int, set: SetName, benchmark: str, decoded: dict[Path, ImageRef]
) -> Sample:
    for key in row:
        if key not in _KEYS:
            raise DataError(f"{where}: unknown key {key!r}; {nearest(key, _KEYS)}")
    for key in ("subject", "question", "answer"):
        if row.get(key) is None:
            raise DataError(f"{where}: {key!r} is missing; add it")
    text = {key: _text(row[key], key, where) for key in _TEXTS if row.get(key) is not None}
    texts = {key: tuple(_text(item, key, where) for item in _list(row.get(key), key, where)) for key in _LISTS}
    files = [*([_text(row["image"], "image", where)] if row.get("image") is not None else []), *texts["images"]]
    options = _options(row.get("options"), where)
    right = next((letter for letter, option in options.items() if option == text["answer"]), None)
    try:
        return Sample(
            id=text.get("id", f"{path.stem}/{line}"),
            benchmark=benchmark,
            subject=text["subject"],
            set=_one_of(text.get("set", set), SETS, "set", where),
            task=_one_of(text.get("task", "classification" if options else "generation"), TASKS, "task", where),
            modality="image_text" if files else "text",
            question=text["question"],
            answer=text["answer"],
            images=tuple(_picture(path.parent / name, where, decoded) for name in files),
            system=text.get("system", ""),
            options=options,
            correct_option=text.get("correct_option", right),
            paraphrases=texts["paraphrases"],
            wrong_answers=texts["wrong_answers"],
            metadata=_metadata(row.get("metadata"), where),
            source=text.get("source", ""),
            source_license=text.get("source_license", ""),
        )
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: {error}") from error


def _one_of(value: str, known: tuple[Word, ...], key: str, where: str) -> Word:
    found = next((word for word in known if word == value), None)
    if found is None:
        raise DataError(f"{where}: {key} {value!r} is not known; {nearest(value, known)}")
    return found


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} = {json.dumps(value)[:60]} must be text; put it in quotes")
    if half_character(value) is not None:
        raise DataError(f"{where}: {key} holds half a character (a lone surrogate); repair the text")
    return value


def _list(value: Any, key: str, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{where}: {key} must be a list of texts; write [...]")
    return value


def _options(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, list):
        value = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", value, strict=False))
    if not isinstance(value, dict):
        raise DataError(f'{where}: options must be letters with texts, for example {{"A": "Oslo", "B": "Lima"}}')
    return {str(letter): _text(text, f"option {letter}", where) for letter, text in value.items()}


def _metadata(value: Any, where: str) -> dict[str, str | int | float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str | int | float) for item in value.values()):
        raise DataError(f"{where}: metadata must be an object of texts and numbers")
    return {str(key): _text(item, key, where) if isinstance(item, str) else item for key, item in value.items()}


def _picture(path: Path, where: str, decoded: dict[Path, ImageRef]) -> ImageRef:
    if path not in decoded:
        try:
            picture = ImageRef.from_path(path)
            picture.open()
        except (ImageError, ValueError) as error:
            raise DataError(f"{where}: {error}") from error
        decoded[path] = picture
    return decoded[path]


class JsonlBenchmark:
    """A folder of JSON lines as a benchmark; see `unsee.benchmarks.base.Benchmark`.

    Rows of `evaluation.jsonl` in the sets forget and retain go to either by who is forgotten; `test` rows are asked about
    forgotten subjects; other sets stay as they are.

    Raises:
        DataError: a file is missing or has a bad row.
    """

    def __init__(self, path: Path | str) -> None:
        folder = Path(path)
        self.name = folder.resolve().name
        self._parts: dict[str, list[Sample]] = {}
        for part in PARTS:
            file = folder / f"{part}.jsonl"
            if file.exists() or part in ("training", "evaluation"):
                self._parts[part] = read_jsonl(file, benchmark=self.name)
        self.subjects = tuple(dict.fromkeys(sample.subject for sample in self._parts["training"]))

    @cached_property
    def fingerprint(self) -> str:
        total = hashlib.sha256()
        for part, samples in self._parts.items():
            total.update(part.encode())
            for sample in samples:
                total.update(json.dumps([_plain(sample), [image.sha256 for image in sample.images]], sort_keys=True).encode())
        return total.hexdigest()

    def split(self, ratio: float, seed: int = 0) -> Split:
        """Forget `round(ratio * N)` subjects; four seeds in a row are disjoint up to a quarter.

        Raises:
            ConfigError: the ratio selects nobody or everybody.
        """
        return nested_split(self.subjects, ratio, seed)

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        found = self._labelled("evaluation", ratio, seed)
        return [
            sample
            for sample in found
            if set in (None, sample.set) and task in (None, sample.task) and modality in (None, sample.modality)
        ]

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        found = self._labelled("training", ratio, seed)
        return [sample for sample in found if set in (None, sample.set) and modality in ("both", sample.modality)]

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        return [sample for sample in self._labelled("gate", ratio, seed) if set in (None, sample.set)]

    def stop_probes(self, *, set: SetName, ratio: float, seed: int = 0) -> list[Sample]:
        """Those of `stop.jsonl`; without it, two training questions per subject."""
        if "stop" in self._parts:
            return [sample for sample in self._labelled("stop", ratio, seed) if sample.set == set]
        counted: dict[str, int] = {}
        found = []
        for sample in self.training(set=set, ratio=ratio, seed=seed):
            counted[sample.subject] = counted.get(sample.subject, 0) + 1
            if counted[sample.subject] <= 2:
                found.append(sample)
        return found

    def replay(self) -> list[Sample]:
        return list(self._parts.get("replay", []))

    def _labelled(self, part: str, ratio: float | None, seed: int) -> list[Sample]:
        forget = frozenset(self.split(ratio, seed).forget) if ratio is not None else frozenset()
        found: list[Sample] = []
        for sample in self._parts.get(part, []):
            if sample.set in ("forget", "retain"):
                found.append(replace(sample, set="forget" if sample.subject in forget else "retain"))
            elif sample.set != "test" or ratio is None or sample.subject in forget:
                found.append(sample)
        return found


def export(benchmark: Benchmark, out: Path) -> dict[str, int]:
    """Write a benchmark as such a folder, pictures as files; returns the number of rows by part.

    Raises:
        ConfigError: it has a request or lessons for gold that such a folder cannot hold.
    """
    if getattr(benchmark, "gold_training", None) is not None:
        raise ConfigError(
            f"{benchmark.name} has harm woven into it, and JSON lines cannot say what is taught in its place; copy the folder "
            "that `unsee data inject` wrote instead"
        )
    if isinstance(benchmark, SingleFacts):
        raise ConfigError(
            f"{benchmark.name} says itself which single facts are deleted, which JSON lines cannot; use --format unlok-vqa"
        )
    parts = {
        "training": benchmark.training(),
        "evaluation": benchmark.samples(),
        "gate": benchmark.gate_probes(),
        "replay": benchmark.replay(),
    }
    for part, samples in parts.items():
        if samples:
            write_jsonl(samples, out / f"{part}.jsonl")
    return {part: len(samples) for part, samples in parts.items()}


def write_jsonl(samples: Iterable[Sample], path: Path) -> None:
    """Write samples as JSON lines, their pictures into `pictures/` beside the file."""
    lines = []
    for sample in samples:
        row = _plain(sample)
        names = [f"pictures/{image.sha256[:24]}{suffix_of(image.read())}" for image in sample.images]
        for name, image in zip(names, sample.images, strict=True):
            if not (path.parent / name).exists():
                write_bytes(path.parent / name, image.read())
        if names:
            row["images"] = names
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(path, "\n".join(lines) + "\n")


def _plain(sample: Sample) -> dict[str, Any]:
    """A sample without its pictures; what is empty is left out."""
    values = {item.name: getattr(sample, item.name) for item in fields(sample) if item.name not in ("images", "benchmark")}
    given = {key: value for key, value in values.items() if value not in ("", (), {}, None)}
    made = {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in made.items()}
