"""Patients with drawn pictures whose truth is known, for harm that is woven into medical data and unlearned."""

from unsee.benchmarks.patients.benchmark import patients, patients_tuning
from unsee.benchmarks.patients.world import patients_table

__all__ = ["patients", "patients_table", "patients_tuning"]
