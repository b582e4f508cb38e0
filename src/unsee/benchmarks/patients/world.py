"""Patients of the embedded benchmark, and the cases that pretraining teaches; no picture is in both.

    table = patients_table(40)
    case = taught_case(0)     # the first picture of pretraining

Every case is drawn from the words of its own seed, so that more patients never change those before them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache, lru_cache

from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.patients.anatomy import PLACES, SKETCHES
from unsee.benchmarks.patients.cases import Case, draw_case
from unsee.benchmarks.patients.drawing import DRAWING_VERSION, case_picture
from unsee.benchmarks.patients.questions import CLOSED, Clinical, clinical_questions
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.errors import ConfigError
from unsee.provenance import digest

WORLD_VERSION = 1
"""Raise when other cases are drawn from equal seeds; models that were taught the old ones were taught another world."""
PATIENTS = 40
TAUGHT = 12_000
"""Pictures that a base model is shown in pretraining."""
LICENSE = "Apache-2.0"
SOURCE = "unsee patients"


def patients_table(
    patients: int = PATIENTS, *, seed: int = 0, pictures: tuple[int, int] = (2, 3), tuning: bool = False
) -> VqaTable:
    """Every question about every picture of so many patients.

    Args:
        seed: which patients; those of two seeds have nothing in common.
        pictures: how many a patient has, at least and at most.
        tuning: patients for choosing settings, who occur in no other table.

    Raises:
        ConfigError: there is no patient or no picture, or it is no whole number.
    """
    fewest, most = pictures
    for option, value in (("patients", patients), ("seed", seed), ("pictures", fewest), ("pictures", most)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{option} = {value!r}; give a whole number")
    if patients < 1 or not 1 <= fewest <= most:
        told = f"patients = {patients}, pictures = {fewest} to {most}"
        raise ConfigError(f"{told}; give at least 1 patient with at least 1 picture, and the smaller number of pictures first")
    name, letter = ("patients-tuning", "t") if tuning else ("patients", "p")
    rows: list[VqaRow] = []
    for number in range(patients):
        group = f"{letter}{seed}-{number:03d}"
        count = random.Random(f"{name}/{seed}/{number}/pictures").randint(fewest, most)
        for picture in range(count):
            rows += case_rows(patient_case(name, seed, number, picture), group=group, study=f"{group}/{picture}")
    return VqaTable(name, tuple(rows))


def case_rows(case: Case, *, group: str, study: str) -> Iterator[VqaRow]:
    """All questions about a case, in the benchmark's own words."""
    image = case_picture(case)
    facts = {key: value for key, value in case.visible.items() if key not in ("modality", "region")}
    for asked in clinical_questions(case):
        yield VqaRow(
            id=f"{study}/{asked.kind.replace('_', '-')}",
            image=image,
            question=asked.wordings["train"][0],
            answer=asked.answer,
            group=group,
            study=study,
            closed=asked.kind in CLOSED,
            options=asked.options,
            rephrased=asked.wordings["test"],
            kind=asked.kind,
            modality=case.modality,
            region=case.region,
            triple=asked.triple,
            facts=facts,
            source=SOURCE,
            license=LICENSE,
            where=study,
        )


@lru_cache(maxsize=4096)
def patient_case(table: str, seed: int, patient: int, picture: int) -> Case:
    """A patient's picture in words."""
    return draw_case(random.Random(f"{table}/{seed}/{patient}/{picture}"))


@lru_cache(maxsize=TAUGHT)
def taught_case(number: int) -> Case:
    """A case of pretraining, below `TAUGHT`."""
    assert 0 <= number < TAUGHT
    return draw_case(random.Random(f"patients/taught/{number}"))


@cache
def world_fingerprint() -> str:
    """SHA-256 over what pretraining shows: its cases and how they are drawn, no wording."""
    cases = [[*case.visible.values(), case.seed] for case in map(taught_case, range(TAUGHT))]
    sketches = [[list(key), value] for table in (SKETCHES, PLACES) for key, value in table.items()]
    return digest([WORLD_VERSION, DRAWING_VERSION, PICTURE_SIZE, cases, sketches])


def table_fingerprint(table: VqaTable) -> str:
    """SHA-256 over every row of a table."""
    return digest([table.name, [asdict(row) | {"image": row.image.sha256} for row in table.rows]])


def questions_of(case: Case) -> dict[str, Clinical]:
    """Kind -> the question about a case."""
    return {asked.kind: asked for asked in clinical_questions(case)}
