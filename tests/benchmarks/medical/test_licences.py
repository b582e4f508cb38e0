"""Which licences of medical data need a further word before rows are written."""

from __future__ import annotations

import pytest

from unsee.benchmarks.medical.formats import FORMATS
from unsee.benchmarks.medical.licences import is_restricted, terms_of


@pytest.mark.parametrize(
    ("license", "terms"),
    [
        ("CC0-1.0", "open"),
        ("CC-BY-4.0", "open"),
        ("MIT AND CC-BY-4.0", "open"),
        ("CC-BY-NC-4.0", "non-commercial"),
        ("MIT AND CC-BY-NC-4.0", "non-commercial"),
        ("(MIT OR CC-BY-NC-4.0)", "non-commercial"),
        ("LicenseRef-PhysioNet-Credentialed", "credentialed"),
        ("CC-BY-NC-4.0 AND LicenseRef-PhysioNet-Credentialed", "credentialed"),
        ("", "unclear"),
        ("ask the hospital", "unclear"),
        ("MIT AND LicenseRef-PathVQA-pictures", "unclear"),
    ],
)
def test_terms(license: str, terms: str) -> None:
    assert terms_of(license) == terms
    assert is_restricted(license) is (terms != "open")


def test_formats() -> None:
    """As the data sets' cards and agreements say; PMC-VQA has no licence of its own."""
    assert {name: terms_of(reader.license) for name, reader in FORMATS.items()} == {
        "slake": "open",
        "vqa-rad": "open",
        "path-vqa": "unclear",
        "pmc-vqa": "unclear",
        "mimic-cxr-vqa": "credentialed",
        "llava-med": "non-commercial",
        "medforget": "credentialed",
    }
