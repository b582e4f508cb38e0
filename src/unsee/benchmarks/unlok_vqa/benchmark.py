"""The official files of UnLOK-VQA (arXiv 2505.01456) as a benchmark.

    benchmark = load_benchmark("unlok-vqa", path="data/UnLOK-VQA")
    facts = benchmark.samples(set="forget")
    attacks = benchmark.samples(set="test")

Who is forgotten is part of the files, so that no forget ratio is needed; with one, a part of the list is forgotten and the
rest of it is retained. Pictures are held as paths. Each is looked for when the benchmark is made, and decoded once before it
is used.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, get_args

from unsee.benchmarks.base import known_word
from unsee.benchmarks.faults import Fault, Faults
from unsee.benchmarks.single_facts import AskedFacts
from unsee.benchmarks.unlok_vqa.asking import NAME, Asker
from unsee.benchmarks.unlok_vqa.files import RELEASED_FORGET, FactFiles
from unsee.benchmarks.unlok_vqa.levels import LEVELS, NEIGHBOUR_LEVELS, NEIGHBOURS, REPHRASED
from unsee.benchmarks.unlok_vqa.pictures import Pictures
from unsee.benchmarks.unlok_vqa.questions import PromptForm
from unsee.benchmarks.unlok_vqa.rows import UNREAD, FactRow
from unsee.errors import ConfigError, DataError
from unsee.provenance import digest
from unsee.sample import SetName

VERSION = 1
"""Raise when other questions are asked of equal files; part of fingerprints."""


class PartCount(NamedTuple):
    """A file or folder that is there: its rows or pictures in use, and how many the release has, None where that is unknown."""

    config: str
    files: int
    rows: int
    released: int | None


def listed_ids(ids: Sequence[int], shown: int = 5) -> str:
    """The first of some ids, and how many more there are."""
    more = f" and {len(ids) - shown:,} more" if len(ids) > shown else ""
    return f"ID {', '.join(map(str, ids[:shown]))}{more}"


class UnlokVqa(AskedFacts[FactRow]):
    """Benchmark `unlok-vqa`: the official JSON files of UnLOK-VQA and their pictures, from a folder.

    See `unsee.benchmarks.base.Benchmark`. A subject is one fact, called by the id of its row. Where no set is named, sets and
    levels without a folder of pictures are left out with a warning; a named one without any is an error.

    Args:
        path: folder with the JSON files, COCO pictures and generated pictures.
        prompt: how questions are put: `published` (with a colon after "one word" for some uses, without for others), `colon`,
            `no_colon`, or `bare` without any instruction; None takes what our exporter noted, `published` for official rows.
            Where it is given, attack questions that our exporter noted give way to published prefixes and templates.
        facts: only the first so many facts to delete; all where None.
        seed: of probes and of forget requests.
        skip_invalid: leave out and count what cannot be used, instead of stopping at the first fault.

    Attributes:
        subjects: the facts to delete.
        path: the folder that is read.

    Raises:
        ConfigError: no path, or an unknown option.
        DataError: there are no such files, a row is wrong, or a picture is missing.
    """

    name = NAME
    subjects: tuple[str, ...]
    _asker: Asker

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        prompt: PromptForm | None = None,
        facts: int | None = None,
        seed: int = 0,
        skip_invalid: bool = False,
    ) -> None:
        if path is None:
            raise ConfigError(f"benchmark {NAME} needs its files: give their folder with --data DIR (path=DIR)")
        if prompt is not None:
            known_word("prompt", prompt, get_args(PromptForm))
        if facts is not None and facts < 1:
            raise ConfigError(f"facts = {facts} is too small; it must be at least 1")
        self.path = Path(path)
        self._faults = Faults(skip=skip_invalid)
        self._files = FactFiles(self.path, self._faults)
        self._pictures = Pictures(self.path, self._faults)
        chosen = [row if prompt is None else row.as_published() for row in self._files.forget[:facts]]
        if facts is not None and len(chosen) < facts:
            raise ConfigError(f"facts = {facts}, but {self._files.forget_file} has {len(chosen)} to delete; choose fewer")
        self._asker = Asker(self._pictures, prompt, seed, (*chosen, *self._files.retain))
        self._facts = {row.subject: row for row in chosen if self._pictures.original(row) is not None}
        self._kept = {row.subject: row for row in self._files.retain if self._pictures.original(row) is not None}
        for row in self._facts.values():
            self._asker.prepare(row)
        if not self._facts:
            raise DataError(f"no fact of {self._files.forget_file} can be used; see what `unsee data check {self.path}` lists")
        self._options = (prompt, seed, skip_invalid)
        self._warned: set[str] = set()
        self.subjects = tuple(self._facts)
        self._tell_unread()

    @property
    def skipped(self) -> tuple[Fault, ...]:
        """Faults met so far and left out, with `skip_invalid`."""
        return tuple(self._faults.found)

    @property
    def counted(self) -> Mapping[str, int]:
        """What was refused, computed or left out by a rule, in words -> how often."""
        of_files = {text: len(ids) for text, ids in self._files.left_out.items()}
        return of_files | {text: count for text, count in self._asker.counted.items() if count}

    @property
    def left_out(self) -> Mapping[str, tuple[int, ...]]:
        """Why rows, or parts of rows, were left out by a rule -> ids of the rows, each once, in the order of the files."""
        return {text: tuple(dict.fromkeys(ids)) for text, ids in self._files.left_out.items()}

    @property
    def contradictions(self) -> tuple[tuple[str, str], ...]:
        """(ids, what they disagree about) of rows that ask the same about the same picture."""
        return self._files.contradictions

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files, every picture in use and the options that decide samples."""
        pictures = [sample.image_sha256 for sample in self.samples()]
        return digest([VERSION, self._files.digest, list(self.subjects), list(self._kept), pictures, *self._options])

    def inventory(self) -> list[PartCount]:
        """What is there, part by part."""
        files = self._files
        parts = [PartCount(files.forget_file.name, 1, len(files.forget), RELEASED_FORGET)]
        if files.retain_file is not None:
            parts.append(PartCount(files.retain_file.name, 1, len(files.retain), None))
        folders = Counter(str(path.parent.relative_to(self.path)) for path in self._paths())
        return parts + [PartCount(folder, count, count, None) for folder, count in sorted(folders.items())]

    def _tell_unread(self) -> None:
        """Warn that rows are passed over because the published loader does."""
        found = {text.partition(",")[0]: ids for text, ids in self.left_out.items() if text in UNREAD}
        if found:
            listed = ", ".join(f"{reason}: {len(ids):,} ({listed_ids(ids)})" for reason, ids in found.items())
            text = f"{self._files.forget_file}: left out as the published loader does: {listed}"
            warnings.warn(f"{text}; `unsee data check {self.path} --out FILE` lists all", stacklevel=3)

    def _paths(self) -> set[Path]:
        """Every picture in use."""
        found = {self._pictures.original(row) for row in (*self._facts.values(), *self._kept.values())}
        for row in self._facts.values():
            found |= {self._pictures.rephrased(row, one) for one in self._asker.shown_levels(row)}
            found |= {self._pictures.neighbour(row, one) for one in self._asker.neighbour_levels(row)}
        return {path for path in found if path is not None}

    def _before(self, name: SetName, *, needed: bool) -> None:
        """Warn once about levels without pictures.

        Raises:
            DataError: a set that was named has no pictures at all.
        """
        if all(row.notes.levels is not None for row in self._facts.values()):
            return  # every row says itself which pictures it has
        if name == "neighbour_image":
            there, levels, folders = self._pictures.neighbour_levels, NEIGHBOUR_LEVELS, NEIGHBOURS
        elif name == "test":
            there, levels, folders = self._pictures.rephrased_levels, LEVELS[1:], REPHRASED  # easy ones can be made
        else:
            return
        missing = [folders[level][0] for level in levels if level not in there]
        if needed and name == "neighbour_image" and not there:
            listed = " and ".join(missing)
            raise DataError(f"set neighbour_image needs pictures, but {self.path} has no folder {listed}; add them")
        for folder in missing:
            if folder not in self._warned:
                self._warned.add(folder)
                text = f"{self.path} has no folder {folder}, so that questions about its pictures are left out"
                warnings.warn(text, stacklevel=3)
