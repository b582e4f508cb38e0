"""The factories: patients of the embedded table with harm woven in, general data that holds no patient."""

from __future__ import annotations

import pytest

from unsee.benchmarks.patients import patients, patients_tuning
from unsee.benchmarks.patients.benchmark import REPLAYED_PICTURES, general_samples
from unsee.benchmarks.patients.world import patients_table
from unsee.errors import ConfigError


@pytest.fixture(scope="module")
def benchmark():
    return patients(8)


def test_patients_are_those_of_the_table(benchmark):
    table = patients_table(8)
    assert benchmark.name == "patients" and set(benchmark.scenarios) == {"privacy", "incorrect"}
    assert {row.patient_id for row in benchmark.rows} == set(table.groups)
    assert {row.image.sha256 for row in benchmark.rows if row.image} == {row.image.sha256 for row in table.rows}
    assert {row.source_license for row in benchmark.rows} == {"Apache-2.0"}


def test_options_decide_who_is_there(benchmark):
    assert patients(patients=8).fingerprint == benchmark.fingerprint != patients(8, seed=1).fingerprint
    assert patients(8, scenario="privacy").scenario == "privacy"
    tuning = patients_tuning(8)
    assert tuning.name == "patients-tuning"
    shown = {row.image.sha256 for row in benchmark.rows if row.image}
    assert not shown & {row.image.sha256 for row in tuning.rows if row.image}
    with pytest.raises(ConfigError, match="subjects = 8 and patients = 9 are two numbers"):
        patients(8, patients=9)


def test_tuning_patients_share_no_identifier_with_reported_ones() -> None:
    reported, tuning = (
        {(planted.type, planted.value) for row in made(40).rows for planted in row.phi} for made in (patients, patients_tuning)
    )
    assert len(reported) == len(tuning) == 80 and not reported & tuning


def test_general_data_holds_no_patient(benchmark):
    clinical = [sample for sample in general_samples("patients") if sample.metadata.get("form") == "clinical"]
    assert len(clinical) == 2 * REPLAYED_PICTURES and len({sample.id for sample in clinical}) == len(clinical)
    shown = {row.image.sha256 for row in benchmark.rows if row.image}
    assert not shown & {sample.image_sha256 for sample in clinical}
    values = {planted.value for row in benchmark.rows for planted in row.phi}
    assert values and not any(value in sample.question + sample.answer for sample in clinical for value in values)
