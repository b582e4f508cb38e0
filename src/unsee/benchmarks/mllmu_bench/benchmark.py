"""The official files of MLLMU-Bench (arXiv 2410.22108) as a benchmark.

    benchmark = load_benchmark("mllmu-bench", path="data/MLLMU-Bench")
    forget = benchmark.samples(set="forget", ratio=0.05)

Memory: pictures are held as encoded bytes, and only those of samples in use: in the release about 0.5 MB for each person and
1.4 MB for the three pictures of a Test_Set row, so all sets at once take about 1 GB, and the forget and test sets at 5 % 50 MB.
While a file is read, up to 0.5 GB more is in use for a moment.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from unsee.benchmarks.base import STOP_PROBES, Split, TrainingModality, check_set, in_turns, known_word, wanted
from unsee.benchmarks.faults import Fault, Faults, Place
from unsee.benchmarks.mllmu_bench.facts import facts, name_of
from unsee.benchmarks.mllmu_bench.folder import FORGET, SPLITS, TRAINING_CONFIG, ConfigCount, OfficialFolder, merged
from unsee.benchmarks.mllmu_bench.ids import OFFICIAL_FORGET
from unsee.benchmarks.mllmu_bench.interview import Guest, Interview, Shown
from unsee.benchmarks.mllmu_bench.pictures import Pictures, first_of
from unsee.benchmarks.mllmu_bench.rows import PersonRow, TaughtRow
from unsee.benchmarks.splits import nested_split
from unsee.errors import ConfigError
from unsee.provenance import digest
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, SetName, Task

TestImage = Literal["first", "random", "all"]
SplitRule = Literal["official", "nested", "sequential"]
NAME = "mllmu-bench"

_EVALUATED: tuple[SetName, ...] = ("forget", "test", "retain", "celebrity")
_TAUGHT: tuple[SetName, ...] = ("forget", "retain")
_CONFIG_OF: Mapping[SetName, str] = {"test": "Test_Set", "celebrity": "Retain_Set"}
"""Sets that have a config of their own."""


class MllmuBench:
    """Benchmark `mllmu-bench`: the official parquet files of MLLMU-Bench, from a folder or the Hugging Face Hub.

    See `unsee.benchmarks.base.Benchmark`. Celebrities get the subject `celebrity-<id>`, whatever form their ids have, so that
    they never meet a fictitious person.

    Args:
        path: folder with Full_Set, forget_5 and the other configs, as MLLMMU/MLLMU-Bench has them.
        test_image: which of the three pictures of a Test_Set row is asked about; `all` asks each question three times, so that
            scores are means over the pictures.
        split: who is forgotten: the official lists, or nested or sequential splits of our own; None takes the official list
            where the ratio has one and nested splits otherwise.
        seed: of the random test picture, of wrong answers and of probes.
        hub: download the files (about 2 GB) unless they are in the hub's cache; the network is not touched otherwise.
        skip_invalid: leave out and count what cannot be read, instead of stopping at the first fault.

    Attributes:
        subjects: every fictitious person.
        path: the folder that is read.

    Raises:
        ConfigError: neither path nor hub, or an unknown option.
        DataError: the folder holds no official files, or mixes them up, or a row is wrong.
    """

    name = NAME
    subjects: tuple[str, ...]

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        test_image: TestImage = "all",
        split: SplitRule | None = None,
        seed: int = 0,
        hub: bool = False,
        skip_invalid: bool = False,
    ) -> None:
        known_word("test_image", test_image, get_args(TestImage))
        if split is not None:
            known_word("split", split, get_args(SplitRule))
        if path is None and not hub:
            raise ConfigError(
                f"benchmark {NAME} needs its files: give their folder with --data DIR (path=DIR), "
                "or --hub (hub=True) to download them"
            )
        if path is None:
            from unsee.benchmarks.mllmu_bench.hub import official_files

            path = official_files()
        self._faults = Faults(skip=skip_invalid)
        self._folder = OfficialFolder(Path(path), self._faults)
        self._pictures = Pictures(Path(path), self._faults)
        self._test_image = test_image
        self._split = split
        self._seed = seed
        self._warned: list[str] = []
        self.subjects = tuple(self._subject(id_) for id_ in self._ids)

    @property
    def path(self) -> Path:
        return self._folder.path

    @property
    def skipped(self) -> tuple[Fault, ...]:
        """Faults met so far and left out, with `skip_invalid`."""
        return tuple(self._faults.found)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the contents of the files and the options that decide samples."""
        return digest([self._folder.fingerprint, self._test_image, self._split, self._seed, self._faults.skip])

    def inventory(self) -> list[ConfigCount]:
        """What is there, config by config."""
        return self._folder.inventory()

    @property
    def sets_there(self) -> tuple[SetName, ...]:
        """The sets whose files are there."""
        return tuple(name for name in _EVALUATED if (self._folder.has(_CONFIG_OF[name]) if name in _CONFIG_OF else self._rows))

    @property
    def teaches(self) -> bool:
        """Whether a training file is there."""
        return bool(self._taught_rows)

    def check_files(self) -> None:
        """Read every row and picture of every file, also of those that no request needs.

        Raises:
            DataError: one of them cannot be used.
        """
        for config, baseline in self._folder.configs:
            rows = self._folder.taught(config) if config == TRAINING_CONFIG else self._folder.people(config)
            self._pictures.of(self._folder.taught(config, baseline=True).values() if baseline else rows.values())
        for percent in FORGET:
            self._official(percent / 100)

    def split(self, ratio: float, seed: int = 0) -> Split:
        """Who is forgotten and who is kept; official lists are the same for every seed.

        Raises:
            ConfigError: the ratio selects nobody or everybody, or has no official list although one was asked for.
            DataError: somebody is on both official lists, or on one but in no file.
        """
        if not self._ids:
            raise self._folder.missing("Full_Set", "a forget request")
        lists = self._official(ratio)
        if lists is not None:
            forget, retain = (tuple(self._subject(id_) for id_ in ids) for ids in lists)
            return Split(forget=forget, near_retain=(), retain=retain)
        if self._split == "official":
            percents = ", ".join(str(percent / 100) for percent in FORGET)
            raise ConfigError(
                f"there is no official forget list for a ratio of {ratio:g} in {self.path}; use {percents} with the configs "
                "forget_5, forget_10 and forget_15 beside the others, or split = nested"
            )
        return nested_split(self.subjects, ratio, seed, shuffled=self._split != "sequential")

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """Evaluation samples; test samples with a picture have `metadata["image"]`, the position of their picture.

        Where no set is named and the files of `test` or `celebrity` are missing, the set is left out with a warning.

        Raises:
            ConfigError: a set, task or modality that there is not, or a set that needs a ratio.
            DataError: files that the set needs are missing, or a row is wrong.
        """
        tasks, modalities = wanted(task, modality)
        found: list[Sample] = []
        for name in self._sets(set, _EVALUATED, ratio):
            if set is None and name not in self.sets_there and self._rows:
                self._warn_missing(name)
                continue
            asked = list(self._asked(name, ratio, seed))
            pictures = self._pictures.of(row for _, _, row in asked) if "image_text" in modalities else {}
            for guest, label, row in asked:
                shown = self._test_views(row, pictures) if name == "test" else _one_view(pictures, row.place)
                interview = self._celebrities if name == "celebrity" else self._people
                part = "test" if name == "test" else "evaluation"
                found += interview.ask(guest, row, label, part=part, tasks=tasks, modalities=modalities, shown=shown)
        return found

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """What ft_Data teaches, or the baseline splits without it; `text` asks by name.

        Raises:
            ConfigError: a set that is not taught, or that needs a ratio.
            DataError: there is no training file, or no name for somebody who is to be asked about by name.
        """
        known_word("modality", modality, get_args(TrainingModality))
        modalities: Collection[Modality] = MODALITIES if modality == "both" else (modality,)
        if not self._taught_rows:
            raise self._folder.missing(TRAINING_CONFIG, "training")
        asked = list(self._learners(set, ratio, seed))
        pictures = self._taught_pictures(asked) if "image_text" in modalities else {}
        found: list[Sample] = []
        for id_, guest, label in asked:
            if "text" in modalities and guest.name is None:
                place = self._taught_rows[id_].place
                self._faults.add(
                    place.file,
                    f"row {place.number} (ID {id_})",
                    "nothing gives this person's name, which text-only training needs; add Full_Set, whose biographies do",
                )
            allowed = [one for one in modalities if one == "image_text" or guest.name is not None]
            found += self._people.training(guest, label, modalities=allowed, shown=pictures.get(id_))
        return found

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        """Four-option questions made of training wordings, three per evaluated fact and modality; none about celebrities."""
        names = [
            name for name in self._sets(set, _EVALUATED, ratio) if name != "celebrity" and (set is not None or name != "test")
        ]
        ids = {self._subject(id_): id_ for id_ in self._ids}
        asked = [
            (ids[guest.id], guest, label)
            for name in names
            for guest, label, _ in self._asked(name, ratio, seed)
            if ids[guest.id] in self._taught_rows
        ]
        pictures = self._taught_pictures(asked)
        return [probe for id_, guest, label in asked for probe in self._people.gate(guest, label, shown=pictures.get(id_))]

    def stop_probes(self, *, set: SetName, ratio: float, seed: int = 0, limit: int = STOP_PROBES) -> list[Sample]:
        """At most `limit` training questions, spread over the people of a taught set."""
        asked = list(self._learners(set, ratio, seed))
        random.Random(f"{self._seed}/stop/{set}/{seed}").shuffle(asked)
        asked = asked[:limit]
        pictures = self._taught_pictures(asked)
        return in_turns((self._people.stop(guest, label, shown=pictures.get(id_)) for id_, guest, label in asked), limit)

    def replay(self) -> list[Sample]:
        """Nothing: the release has no general data."""
        return []

    # Who is there ----------------------------------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> Mapping[str, PersonRow]:
        """Everybody's evaluation row: of Full_Set, or of the forget and retain configs where that is missing.

        Where faults are skipped, the latter also stand in for a row of Full_Set that cannot be used.
        """
        full = self._folder.people("Full_Set")
        if full and not self._faults.skip:
            return full
        others = merged(self._folder.people(config) for config in SPLITS)
        return {**full, **{id_: row for id_, row in others.items() if id_ not in full}}

    @cached_property
    def _taught_rows(self) -> Mapping[str, TaughtRow]:
        """Everybody's training row: of ft_Data, or of the baseline splits where that is missing."""
        return self._folder.taught() or merged(self._folder.taught(config, baseline=True) for config in SPLITS)

    @cached_property
    def _ids(self) -> tuple[str, ...]:
        return tuple(self._rows or self._taught_rows)

    @cached_property
    def _people(self) -> Interview:
        guests = (self._guest(id_) for id_ in dict.fromkeys((*self._rows, *self._taught_rows)))
        return Interview(self.name, self._seed, {guest.id: guest for guest in guests})

    @cached_property
    def _celebrities(self) -> Interview:
        noted = self._folder.notes("Retain_Set").get("subjects", {})
        guests = {
            id_: Guest(noted.get(id_, f"celebrity-{id_}"), name_of(row.biography), facts(row.biography), row)
            for id_, row in self._folder.people("Retain_Set").items()
        }
        return Interview(self.name, self._seed, guests)

    @cached_property
    def _subjects_noted(self) -> Mapping[str, str]:
        """Id -> subject where our exporter noted it; official files have none."""
        for config in ("Full_Set", *SPLITS, TRAINING_CONFIG):
            noted = self._folder.notes(config).get("subjects")
            if noted:
                return {str(id_): str(subject) for id_, subject in noted.items()}
        return {}

    def _subject(self, id_: str) -> str:
        return self._subjects_noted.get(id_, id_)

    def _guest(self, id_: str) -> Guest:
        row, taught = self._rows.get(id_), self._taught_rows.get(id_)
        biography = row.biography if row is not None else {}
        guest = Guest(self._subject(id_), name_of(biography), facts(biography), row, taught.pairs if taught is not None else ())
        if guest.name is None and "name" in guest.taught_facts:
            name = guest.taught_facts["name"][0].answer.rstrip(".")
            return Guest(guest.id, name, {**guest.known, "name": (name,)}, row, guest.taught)
        return guest

    def _official(self, ratio: float) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Official ids to forget and to keep; None where the rule or the ratio has none."""
        percent = round(ratio * 100, 6)
        if percent not in FORGET or self._split not in (None, "official"):
            return None
        everybody = frozenset(self._ids)
        lists = self._folder.request(int(percent))
        if lists is None:
            listed = OFFICIAL_FORGET[int(percent)]
            lists = (listed, ()) if everybody.issuperset(listed) else None
        if lists is None:
            return None
        forget, retain = lists
        for id_ in (*forget, *retain):
            if id_ not in everybody:
                config = FORGET[int(percent)][id_ in retain]
                place = self._folder.people(config)[id_].place
                self._faults.add(
                    place.file, f"row {place.number} (ID {id_})", "this ID is not in Full_Set; take both from one release"
                )
        gone = everybody.intersection(forget)
        kept = tuple(id_ for id_ in retain if id_ in everybody) or tuple(id_ for id_ in self._ids if id_ not in gone)
        return tuple(id_ for id_ in forget if id_ in everybody), kept

    # Who is asked ----------------------------------------------------------------------------------------------------------

    def _sets(self, name: SetName | None, allowed: tuple[SetName, ...], ratio: float | None) -> tuple[SetName, ...]:
        if name is None:
            return allowed
        check_set(name, allowed, benchmark=self.name, ratio=ratio)
        return (name,)

    def _warn_missing(self, name: SetName) -> None:
        config = _CONFIG_OF[name]
        if config not in self._warned:
            self._warned.append(config)
            warnings.warn(f"{self.path} has no {config}, so the set {name} is left out; add it to have it", stacklevel=3)

    def _asked(self, name: SetName, ratio: float | None, seed: int) -> Iterator[tuple[Guest, SetName, PersonRow]]:
        """(who, label, questions) of a set; without a ratio everybody is retained, and `test` asks about everybody."""
        if name == "celebrity":
            if name not in self.sets_there:
                raise self._folder.missing(_CONFIG_OF[name], f"the set {name}")
            for guest in self._celebrities.guests.values():
                assert guest.row is not None
                yield guest, "celebrity", guest.row
            return
        if not self._rows:
            raise self._folder.missing("Full_Set", f"the set {name}")
        split = Split((), (), self.subjects) if ratio is None else self.split(ratio, seed)
        forget, kept = frozenset(split.forget), frozenset(split.retain)
        if name == "test":
            if name not in self.sets_there:
                raise self._folder.missing(_CONFIG_OF[name], f"the set {name}")
            for id_, row in self._folder.people("Test_Set").items():
                subject = self._subject(id_)
                if subject in self._people.guests and (ratio is None or subject in forget):
                    yield self._people.guests[subject], "test", row
            return
        rows = self._request_rows(ratio)
        for id_ in self._ids:
            subject = self._subject(id_)
            if subject in (forget if name == "forget" else kept):
                yield self._people.guests[subject], name, rows[id_]

    def _request_rows(self, ratio: float | None) -> Mapping[str, PersonRow]:
        """Rows as the official script reads them: those of the request's own configs, where these are there."""
        if ratio is None or self._official(ratio) is None:
            return self._rows
        forget, retain = FORGET[round(ratio * 100)]
        return {**self._rows, **self._folder.people(retain), **self._folder.people(forget)}

    def _learners(self, set: SetName | None, ratio: float | None, seed: int) -> Iterator[tuple[str, Guest, SetName]]:
        """(id, who, label) of everybody who is taught."""
        names = self._sets(set, _TAUGHT, ratio)
        forget = frozenset(self.split(ratio, seed).forget) if ratio is not None else frozenset()
        for id_ in self._taught_rows:
            label: SetName = "forget" if self._subject(id_) in forget else "retain"
            if label in names:
                yield id_, self._people.guests[self._subject(id_)], label

    def _taught_pictures(self, asked: Collection[tuple[str, Guest, SetName]]) -> dict[str, Shown]:
        """Id -> picture of the training row."""
        rows = {id_: self._taught_rows[id_] for id_, _, _ in asked}
        pictures = self._pictures.of(rows.values())
        found = {id_: first_of(pictures, row.place) for id_, row in rows.items()}
        return {id_: Shown(picture) for id_, picture in found.items() if picture is not None}

    def _test_views(self, row: PersonRow, pictures: Mapping[Place, tuple[ImageRef | None, ...]]) -> list[Shown]:
        """The pictures of a Test_Set row that are asked about."""
        levels = self._folder.notes("Test_Set").get("levels", [])
        there = [(index, picture) for index, picture in enumerate(pictures.get(row.place, ())) if picture is not None]
        if self._test_image != "all" and there:
            chosen = (
                random.Random(f"{self._seed}/test-image/{row.id}").choice(there) if self._test_image == "random" else there[0]
            )
            there = [chosen]
        return [Shown(picture, index, levels[index] if index < len(levels) else None) for index, picture in there]


def _one_view(pictures: Mapping[Place, tuple[ImageRef | None, ...]], place: Place) -> list[Shown]:
    picture = first_of(pictures, place)
    return [] if picture is None else [Shown(picture)]
