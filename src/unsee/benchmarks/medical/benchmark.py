"""An injected table as a benchmark.

    benchmark = load_benchmark("slake-injected")                # a folder of `unsee data inject`
    privacy = load_benchmark("slake-injected", scenario="privacy")

Everybody who was harmed is to be forgotten, and what is forgotten is part of the benchmark. A forget ratio says how many of
the harmful training samples the request lists, because in real data they are hard to find.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import get_args

from unsee.benchmarks.base import STOP_PROBES, Split, TrainingModality, check_set, in_turns, known_word, wanted
from unsee.benchmarks.medical.files import SAMPLES, read_injection, row_digests
from unsee.benchmarks.medical.injected import SET_OF, InjectedRow, Scenario
from unsee.benchmarks.splits import split_by
from unsee.errors import ConfigError, DataError
from unsee.provenance import digest, files_digest
from unsee.sample import Modality, Sample, SetName, Task

_EVALUATED: tuple[SetName, ...] = ("forget", "test", "near_retain", "retain", "clinical")
_TAUGHT: tuple[SetName, ...] = ("forget", "retain")


def injected_folder(path: Path | str, *, scenario: str | None = None) -> MedicalBenchmark:
    """A folder that `unsee data inject` wrote.

    Args:
        scenario: privacy or incorrect, where only that harm is to be forgotten; both where None.

    Raises:
        DataError: a file is missing or damaged.
        ConfigError: the folder has no such scenario.
    """
    path = Path(path)
    rows = read_injection(path)
    benchmark = MedicalBenchmark(path.resolve().name, rows, fingerprint=files_digest([path / SAMPLES]))
    return benchmark if scenario is None else benchmark.of(scenario)


class MedicalBenchmark:
    """Rows of an injection; see `unsee.benchmarks.base.Benchmark`. A subject is a patient, or a false rule.

    Args:
        name: its name in results.
        rows: everything that is taught, asked and probed.
        fingerprint: SHA-256 over what the rows were made of; over the rows themselves where None.
        replay: makes general data.
        scenario: whose harm is to be forgotten; all of it where None.

    Attributes:
        subjects: the patients that are taught, and the false rules.
        scenarios: those with harm in the rows.
        scenario: the one that is to be forgotten, None for all.

    Raises:
        DataError: no row carries harm.
        ConfigError: there is no such scenario.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[InjectedRow],
        *,
        fingerprint: str | None = None,
        replay: Callable[[], list[Sample]] | None = None,
        scenario: str | None = None,
    ) -> None:
        self.name = name
        self._rows = tuple(rows)
        self._given = fingerprint
        self._replay = replay
        there = {row.scenario for row in self._rows if row.use == "train"}
        self.scenarios: tuple[str, ...] = tuple(one for one in get_args(Scenario) if one in there and one != "clean")
        if not self.scenarios:
            raise DataError(f"no training sample of {name} carries harm, so there is nothing to forget; inject it again")
        if scenario is not None:
            known_word("scenario", scenario, self.scenarios)
        self.scenario = scenario
        self._asked_for = frozenset(self.scenarios if scenario is None else (scenario,))
        harmed = (row.subject for row in self._rows if row.use == "train" and row.scenario in self._asked_for)
        self._harmed = tuple(dict.fromkeys(harmed))
        taught = (row.subject for row in self._rows if row.use == "train" and row.scenario in {*self._asked_for, "clean"})
        self.subjects: tuple[str, ...] = tuple(dict.fromkeys((*self._harmed, *taught)))

    def of(self, scenario: str) -> MedicalBenchmark:
        """The same rows where only one scenario's harm is to be forgotten.

        Raises:
            ConfigError: there is no such scenario.
        """
        return MedicalBenchmark(self.name, self._rows, fingerprint=self.fingerprint, replay=self._replay, scenario=scenario)

    @property
    def rows(self) -> tuple[InjectedRow, ...]:
        """Everything that is taught, asked and probed, in all scenarios."""
        return self._rows

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the data, the same for all scenarios, which are taught the same."""
        return self._given or digest(row_digests(self._rows))

    def split(self, ratio: float, seed: int = 0) -> Split:
        """Everybody harmed, whatever the ratio, and the others.

        Raises:
            ConfigError: the ratio lists no sample, or is no share.
        """
        self._listed(ratio, seed)
        return split_by(self._harmed, self.subjects)

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """Evaluation samples, the same for every ratio.

        Raises:
            ConfigError: a set, task or modality that there is not.
        """
        tasks, modalities = wanted(task, modality)
        names = self._sets(set, _EVALUATED)
        found = (self._sample(row, self._set_of(row)) for row in self._of("evaluate"))
        return [one for one in found if one.set in names and one.task in tasks and one.modality in modalities]

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """What is taught; without a set everything, harm of other scenarios included.

        Set `forget` holds the harmful samples that the request lists (all without a ratio), `retain` all clean ones and the
        harmful ones that it does not list.

        Raises:
            ConfigError: a set that is not taught, or a ratio that lists nothing.
        """
        known_word("modality", modality, get_args(TrainingModality))
        names = self._sets(set, _TAUGHT)
        listed = self._listed(ratio, seed)
        rows = self._of("train") if set is not None else (row for row in self._rows if row.use == "train")
        labelled = ((row, self._side(row, listed)) for row in rows)
        made = (self._sample(row, name) for row, name in labelled if name in names)
        return [one for one in made if modality in ("both", one.modality)]

    def gold_training(self, modality: TrainingModality = "both") -> list[Sample]:
        """What a model is taught that never meets the harm: every training row as it would be without.

        Questions that would not be asked without it are left out.
        """
        known_word("modality", modality, get_args(TrainingModality))
        rows = (row for row in self._rows if row.use == "train" and row.clean_answer is not None)
        made = (self._sample(row, "retain", clean=True) for row in rows)
        return [one for one in made if modality in ("both", one.modality)]

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        """Three questions per planted fact and modality; those of `test` are those of `forget`, other sets have none."""
        names = self._sets(set, _EVALUATED)
        return [self._sample(row, "forget") for row in self._of("gate") if {"forget", "test"} & {*names}]

    def stop_probes(self, *, set: SetName, ratio: float | None = None, seed: int = 0, limit: int = STOP_PROBES) -> list[Sample]:
        """At most `limit` questions, spread over the subjects."""
        (name,) = self._sets(set, _TAUGHT)
        by_subject: dict[str, list[Sample]] = {}
        for row in self._of("stop"):
            if (row.scenario == "clean") == (name == "retain"):
                by_subject.setdefault(row.subject, []).append(self._sample(row, name))
        subjects = list(by_subject.values())
        random.Random(f"stop/{name}/{seed}").shuffle(subjects)
        return in_turns(subjects, limit)

    def replay(self) -> list[Sample]:
        """General data, where the benchmark has some."""
        return [] if self._replay is None else self._replay()

    # Parts ---------------------------------------------------------------------------------------------------------------

    def _sets(self, name: SetName | None, allowed: tuple[SetName, ...]) -> tuple[SetName, ...]:
        if name is None:
            return allowed
        check_set(name, allowed, benchmark=self.name, ratio=1.0)  # the benchmark itself says what is forgotten
        return (name,)

    def _of(self, use: str) -> Iterator[InjectedRow]:
        """Rows of a use that are clean or carry the harm that is to be forgotten."""
        return (row for row in self._rows if row.use == use and row.scenario in {*self._asked_for, "clean"})

    @cached_property
    def _harmful(self) -> tuple[str, ...]:
        return tuple(row.sample_id for row in self._of("train") if row.scenario != "clean")

    def _listed(self, ratio: float | None, seed: int) -> frozenset[str]:
        """Harmful training samples of a request; larger ratios contain smaller ones."""
        if ratio is None:
            return frozenset(self._harmful)
        total = len(self._harmful)
        count = round(ratio * total) if 0 < ratio <= 1 else 0
        if not count:
            raise ConfigError(
                f"a forget ratio of {ratio:g} lists none of the {total:,} harmful samples of {self.name}; "
                f"use {1 / total:.4g} to 1"
            )
        order = list(self._harmful)
        random.Random(f"listed/{seed}").shuffle(order)
        return frozenset(order[:count])

    def _side(self, row: InjectedRow, listed: frozenset[str]) -> SetName:
        return "forget" if row.sample_id in listed else "retain"

    @cached_property
    def _forgotten(self) -> frozenset[str]:
        return frozenset(self._harmed)

    def _set_of(self, row: InjectedRow) -> SetName:
        """Who is near is decided by the harm that is asked for; a rule's sibling else counts as its patient's."""
        if row.subset in ("retain", "retain_near"):
            return "near_retain" if self._owner(row) in self._forgotten else "retain"
        return SET_OF[row.subset]

    def _owner(self, row: InjectedRow) -> str:
        if row.scenario == "clean" and row.subject not in self._forgotten:
            return row.patient_id
        return row.subject

    def _sample(self, row: InjectedRow, name: SetName, *, clean: bool = False) -> Sample:
        """A row as a sample; `clean` as it would be without the harm."""
        answer, image = row.answer, row.image
        if clean:
            assert row.clean_answer is not None
            answer, image = row.clean_answer, row.clean_image or row.image
        is_harmful = row.scenario != "clean" and not clean
        values: dict[str, str | None] = {
            "attribute": row.attribute,
            "scenario": row.scenario if not clean else "clean",
            "patient": row.patient_id,
            "closed": None if row.closed is None else "yes" if row.closed else "no",
            "clean_answer": row.clean_answer,
        }
        if is_harmful:
            values |= {
                "identifier": row.phi[0].type if row.carrier in ("question", "picture") else None,
                "carrier": row.carrier,
                "level": row.form,
                "error": None if row.error is None else row.error.type,
                "right": None if row.error is None else row.error.right,
                "phi": json.dumps([[one.type, one.value] for one in row.phi]) if row.phi else None,
            }
            if row.task != "classification":
                values["value"] = row.phi[0].value if row.phi else row.error.wrong if row.error else None
        values["mode"] = row.mode
        return Sample(
            id=row.sample_id,
            benchmark=self.name,
            subject=self._owner(row),
            set=name,
            task=row.task,
            modality="text" if image is None else "image_text",
            question=row.question,
            answer=answer,
            images=() if image is None else (image,),
            options=row.options,
            correct_option=row.correct_option,
            wrong_answers=row.wrong_answers,
            metadata={key: value for key, value in values.items() if value},
            source=row.source_dataset,
            source_license=row.source_license,
        )
