"""A folder with the official files of MLLMU-Bench: which configs it holds, and every mix-up of them by name.

    folder/Full_Set/train-00000-of-00001.parquet      every person                     evaluation schema
    folder/Test_Set/train-0000{0,1}-of-00002.parquet  the same people in disguise
    folder/forget_{5,10,15}/..., retain_{95,90,85}/... rows of Full_Set, by forget request
    folder/Retain_Set/...                             celebrities
    folder/ft_Data/...                                what vanilla is taught           training schema
    folder/baseline_train_split/forget_5/...          the same by forget request

`<config>.parquet` is taken as well as a folder. No config has to be there before it is needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from unsee.benchmarks.faults import Faults
from unsee.benchmarks.mllmu_bench.files import IN_WORDS, Kind, file_kind, notes, read_people, read_taught, row_count
from unsee.benchmarks.mllmu_bench.rows import PersonRow, Row, TaughtRow, unique
from unsee.errors import DataError

FORGET: Mapping[int, tuple[str, str]] = {
    5: ("forget_5", "retain_95"),
    10: ("forget_10", "retain_90"),
    15: ("forget_15", "retain_85"),
}
"""Percent of people to forget -> configs of who is forgotten and who is kept."""
SPLITS = tuple(config for pair in FORGET.values() for config in pair)
RELEASED_ROWS: Mapping[str, int] = {
    "Full_Set": 500,
    "Test_Set": 500,
    "forget_5": 25,
    "retain_95": 475,
    "forget_10": 50,
    "retain_90": 450,
    "forget_15": 75,
    "retain_85": 425,
    "Retain_Set": 153,
    "ft_Data": 500,
}
"""Config -> rows in the release."""
CONFIGS = tuple(RELEASED_ROWS)
TRAINING_CONFIG = "ft_Data"
BASELINE = "baseline_train_split"
"""Folder for the six training splits of the model repository MLLMMU/baseline_train_split."""
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


class ConfigFiles(NamedTuple):
    """Files of one config; `baseline` is set for the training splits that are called like evaluation configs."""

    config: str
    baseline: bool
    files: tuple[Path, ...]

    @property
    def label(self) -> str:
        return f"{BASELINE}/{self.config}" if self.baseline else self.config

    @property
    def kind(self) -> Kind:
        return "training" if self.baseline or self.config == TRAINING_CONFIG else "evaluation"


class ConfigCount(NamedTuple):
    """A config that is there: its files, its rows, and the rows of the release."""

    config: str
    files: int
    rows: int
    released: int


def holds_official_files(folder: Path) -> bool:
    """Whether a folder is, or was meant to be, one with files of MLLMU-Bench."""
    if any(folder.glob("*.jsonl")):
        return False
    return any(_found(folder, config) for config in CONFIGS) or any(folder.glob("*.parquet")) or _baseline(folder) is not None


class OfficialFolder:
    """The configs of a folder; rows are read once, when they are first asked for.

    Raises:
        DataError: the folder holds no config, a part of one is missing, or files of one schema stand where the other belongs.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self._people: dict[str, dict[str, PersonRow]] = {}
        self._taught: dict[tuple[str, bool], dict[str, TaughtRow]] = {}
        if not path.is_dir():
            raise DataError(f"there is no folder {path}; pass the folder that holds Full_Set, forget_5 and the other configs")
        baseline = _baseline(path)
        listed = [ConfigFiles(config, False, _found(path, config)) for config in CONFIGS]
        if baseline is not None:
            listed += [ConfigFiles(config, True, _found(baseline, config)) for config in SPLITS]
        self._check_is_folder_of_configs(listed)
        self.configs = {(one.config, one.baseline): self._usable(one) for one in listed if one.files}

    def has(self, config: str, *, baseline: bool = False) -> bool:
        found = self.configs.get((config, baseline))
        return found is not None and bool(found.files)

    def people(self, config: str) -> Mapping[str, PersonRow]:
        """Rows of an evaluation config by id; empty where it is missing."""
        if config not in self._people:
            rows = (row for file in self._files(config) for row in read_people(file, self.faults))
            self._people[config] = {row.id: row for row in unique(rows, self.faults)}
        return self._people[config]

    def taught(self, config: str = TRAINING_CONFIG, *, baseline: bool = False) -> Mapping[str, TaughtRow]:
        """Rows of a training config by id; empty where it is missing."""
        key = (config, baseline)
        if key not in self._taught:
            rows = (row for file in self._files(config, baseline=baseline) for row in read_taught(file, self.faults))
            self._taught[key] = {row.id: row for row in unique(rows, self.faults)}
        return self._taught[key]

    def request(self, percent: int) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Ids to forget and to keep as the official lists have them; None where the list of the forgotten is missing.

        Raises:
            DataError: an id is on both lists.
        """
        forget, retain = FORGET[percent]
        if not self.has(forget):
            return None
        gone, kept = self.people(forget), self.people(retain)
        for id_ in gone:
            if id_ in kept:
                row = kept[id_].place
                self.faults.add(
                    row.file, f"row {row.number} (ID {id_})", f"the same ID is in {forget}; remove it from one of the two"
                )
        return tuple(gone), tuple(id_ for id_ in kept if id_ not in gone)

    def inventory(self) -> list[ConfigCount]:
        """What is there, config by config."""
        return [
            ConfigCount(one.label, len(one.files), sum(map(row_count, one.files)), RELEASED_ROWS[one.config])
            for one in self.configs.values()
        ]

    def notes(self, config: str) -> dict[str, Any]:
        """What our exporter noted in a config's first file."""
        files = self._files(config)
        return notes(files[0]) if files else {}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the contents of all files, by config."""
        total = hashlib.sha256()
        for one in self.configs.values():
            for file in one.files:
                with file.open("rb") as stream:
                    total.update(f"{one.label}/{file.name}\0".encode() + hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def missing(self, config: str, purpose: str) -> DataError:
        """The error that says what a config is needed for."""
        there = ", ".join(one.label for one in self.configs.values()) or "nothing"
        return DataError(
            f"{purpose} needs the config {config}, but {self.path} holds {there}; "
            f"add {config}/train-*.parquet of MLLMMU/MLLMU-Bench, or pass --hub to download it"
        )

    def _files(self, config: str, *, baseline: bool = False) -> tuple[Path, ...]:
        found = self.configs.get((config, baseline))
        return found.files if found is not None else ()

    def _check_is_folder_of_configs(self, listed: list[ConfigFiles]) -> None:
        if any(one.files for one in listed):
            return
        direct = sorted(self.path.glob("*.parquet"))
        if direct:
            kind = file_kind(direct[0])  # a foreign or truncated file is the better complaint
            raise DataError(
                f"{self.path} holds the {IN_WORDS[kind]} of one config directly; "
                f"pass its parent folder {self.path.resolve().parent}, where configs are folders such as Full_Set and forget_5"
            )
        inner = next((folder for folder in _folders(self.path) if any(_found(folder, config) for config in CONFIGS)), None)
        hint = f"pass {inner}" if inner else "pass the folder that holds them, or --hub to download them"
        raise DataError(f"{self.path} holds none of the configs {', '.join(CONFIGS)}; {hint}")

    def _usable(self, one: ConfigFiles) -> ConfigFiles:
        """The config without files that cannot be read, where faults are skipped."""
        self._check_parts(one)
        files = []
        for file in one.files:
            try:
                kind = file_kind(file)
            except DataError as error:
                if not self.faults.skip:
                    raise
                self.faults.add(file, "the whole file", str(error))
                continue
            if kind != one.kind:
                raise DataError(_mix_up(one, file, kind, self.path))
            files.append(file)
        return one._replace(files=tuple(files))

    def _check_parts(self, one: ConfigFiles) -> None:
        """Every part of a config that is published in parts must be there."""
        parts = [found for file in one.files if (found := _SHARD.search(file.name))]
        for found in parts:
            wanted = {f"{number:0{len(found[1])}d}" for number in range(int(found[2]))}
            absent = sorted(wanted - {part[1] for part in parts if part[2] == found[2]})
            if absent:
                raise DataError(
                    f"{one.files[0].parent} lacks part {absent[0]} of {found[2]} of {one.label}; download that file as well"
                )


def merged(parts: Iterable[Mapping[str, Row]]) -> Mapping[str, Row]:
    """Rows of several configs by id, in the order of ids; the first config that has an id gives its row."""
    rows: dict[str, Row] = {}
    for part in parts:
        rows = {**part, **rows}
    return dict(sorted(rows.items(), key=lambda item: item[0]))


def _mix_up(one: ConfigFiles, file: Path, kind: Kind, root: Path) -> str:
    if one.kind == "evaluation" and one.config in SPLITS:
        remedy = (
            f"this is {one.config} of the model repository MLLMMU/baseline_train_split, which has the same name: "
            f"move it to {root / BASELINE / one.config}, and pass {one.config} of the dataset MLLMMU/MLLMU-Bench here"
        )
    elif one.kind == "evaluation":
        remedy = (
            f"pass {one.config} of the dataset MLLMMU/MLLMU-Bench here; "
            f"training rows belong into {TRAINING_CONFIG} or {BASELINE}"
        )
    elif one.baseline:
        remedy = (
            f"this is {one.config} of the dataset MLLMMU/MLLMU-Bench, which has the same name: "
            f"move it to {root / one.config}, and pass {one.config} of MLLMMU/baseline_train_split here"
        )
    else:
        remedy = (
            "pass ft_Data of the dataset MLLMMU/MLLMU-Bench here; evaluation rows belong into Full_Set, forget_5 and the like"
        )
    return f"{file} holds {IN_WORDS[kind]} where {IN_WORDS[one.kind]} belong; {remedy}"


def _found(folder: Path, config: str) -> tuple[Path, ...]:
    """Files of a config: folder/config/train-*.parquet, folder/config/*.parquet or folder/config.parquet."""
    for pattern in (f"{config}/train-*.parquet", f"{config}/*.parquet", f"{config}.parquet"):
        files = tuple(sorted(file for file in folder.glob(pattern) if file.is_file()))
        if files:
            return files
    return ()


def _baseline(folder: Path) -> Path | None:
    """The inner folder with training splits: `baseline_train_split`, or any other that holds splits of the training schema."""
    others = [inner for inner in _folders(folder) if inner.name not in (*CONFIGS, BASELINE)]
    for inner in (folder / BASELINE, *others):
        files = [file for config in SPLITS for file in _found(inner, config)]
        if files and (inner.name == BASELINE or _is_training(files[0])):
            return inner
    return None


def _is_training(file: Path) -> bool:
    try:
        return file_kind(file) == "training"
    except DataError:
        return False


def _folders(path: Path) -> Iterator[Path]:
    return (inner for inner in sorted(path.iterdir()) if inner.is_dir() and not inner.name.startswith("."))
