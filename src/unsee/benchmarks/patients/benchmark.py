"""The embedded benchmark of patients: identifiers and errors are woven into what is taught about drawn pictures.

benchmark = load_benchmark("patients")                      # both scenarios
privacy = load_benchmark("patients", scenario="privacy")    # identifiers are to be forgotten, errors stay
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from unsee.benchmarks.patients.drawing import case_picture
from unsee.benchmarks.patients.questions import clinical_questions
from unsee.benchmarks.patients.world import LICENSE, PATIENTS, SOURCE, patients_table, table_fingerprint, taught_case
from unsee.benchmarks.replay import replay_samples
from unsee.errors import ConfigError
from unsee.models.worlds import load_world
from unsee.provenance import digest
from unsee.sample import Sample

if TYPE_CHECKING:
    from unsee.benchmarks.medical.benchmark import MedicalBenchmark
    from unsee.benchmarks.medical.inject import InjectOptions

TUNING_PATIENTS = 24
HARMED = 2 / 3
"""Share of the taught patients: 20 of 40, as many as intervals need. The 10 clean and 10 untaught ones support no verdict."""
REPLAYED_PICTURES = 150
"""Pictures of pretraining in the general data, each with two clinical questions."""


def patients(
    subjects: int | None = None,
    *,
    patients: int | None = None,
    seed: int = 0,
    scenario: str | None = None,
    options: InjectOptions | None = None,
) -> MedicalBenchmark:
    """Benchmark `patients`: identifiers and errors woven into clinical questions about patients' drawn pictures.

    Args:
        subjects: number of patients; 40 by default.
        patients: the same by another name.
        seed: which patients there are, who of them is harmed, and how.
        scenario: privacy or incorrect, where only that harm is to be forgotten.
        options: what is planted; the usual by default.

    Raises:
        ConfigError: an option that cannot be, or too few patients to plant anything.
    """
    return _injected(subjects, patients, PATIENTS, seed, scenario, options, tuning=False)


def patients_tuning(
    subjects: int | None = None,
    *,
    patients: int | None = None,
    seed: int = 0,
    scenario: str | None = None,
    options: InjectOptions | None = None,
) -> MedicalBenchmark:
    """Benchmark `patients-tuning`: patients that occur in no set of the other, for choosing settings."""
    return _injected(subjects, patients, TUNING_PATIENTS, seed, scenario, options, tuning=True)


def _injected(
    subjects: int | None,
    patients: int | None,
    usual: int,
    seed: int,
    scenario: str | None,
    options: InjectOptions | None,
    *,
    tuning: bool,
) -> MedicalBenchmark:
    # Imported here because the table of patients is also pretraining's, which injects nothing.
    from unsee.benchmarks.medical.benchmark import MedicalBenchmark
    from unsee.benchmarks.medical.inject import InjectOptions, inject

    if subjects is not None and patients is not None and subjects != patients:
        raise ConfigError(f"subjects = {subjects} and patients = {patients} are two numbers of patients; give one")
    count = next((number for number in (subjects, patients) if number is not None), usual)
    table = patients_table(count, seed=seed, tuning=tuning)
    planted = replace(options or InjectOptions(harmed=HARMED), seed=seed)
    # Equal seeds would give tuning patients the identifiers of those that are reported.
    injection = inject(table, planted, persona_seed=f"{table.name}/{seed}" if tuning else seed)
    name = table.name
    fingerprint = digest([table_fingerprint(table), str(planted), [str(row) for row in injection.rows]])
    made = MedicalBenchmark(name, injection.rows, fingerprint=fingerprint, replay=lambda: general_samples(name))
    return made if scenario is None else made.of(scenario)


def general_samples(benchmark: str) -> list[Sample]:
    """The general data of `people`, and clinical questions about pictures of pretraining, which belong to no patient."""
    people = load_world()
    samples = replay_samples(people, people.with_role("replay"), benchmark=benchmark, seed=0)
    rng = random.Random("patients/replay")
    for number in range(REPLAYED_PICTURES):
        case = taught_case(number)
        for asked in rng.sample(clinical_questions(case), 2):
            samples.append(
                Sample(
                    id=f"{benchmark}/replay/{number}/{asked.kind}",
                    benchmark=benchmark,
                    subject=f"case {number}",
                    set="general",
                    task="generation",
                    modality="image_text",
                    images=(case_picture(case),),
                    question=rng.choice(asked.wordings["train"]),
                    answer=asked.answer,
                    metadata={"attribute": asked.kind, "form": "clinical"},
                    source=SOURCE,
                    source_license=LICENSE,
                )
            )
    return samples
