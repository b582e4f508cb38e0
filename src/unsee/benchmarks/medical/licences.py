"""Licences of medical data: which rows may leave the machine without a further question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Terms = Literal["open", "non-commercial", "credentialed", "unclear"]

PHYSIONET = "LicenseRef-PhysioNet-Credentialed"
"""Credentialed access under PhysioNet's data use agreement; SPDX has no identifier for it."""
PMC_ARTICLES = "LicenseRef-PMC-per-article"
"""Pictures of PubMed Central articles, each under the licence of its article."""
PATHVQA = "MIT AND LicenseRef-PathVQA-pictures"
"""Tagged MIT, but the copyright of the pictures stays with the textbooks and the digital library they were taken from."""

TERMS: Mapping[str, Terms] = {
    "CC0-1.0": "open",
    "CC-BY-4.0": "open",
    "CC-BY-SA-4.0": "open",
    "MIT": "open",
    "Apache-2.0": "open",
    "BSD-3-Clause": "open",
    "CC-BY-NC-4.0": "non-commercial",
    "CC-BY-NC-SA-4.0": "non-commercial",
    "CC-BY-NC-ND-4.0": "non-commercial",
    PHYSIONET: "credentialed",
    PMC_ARTICLES: "unclear",
    "LicenseRef-PathVQA-pictures": "unclear",
}
"""Known licences, by SPDX identifier where there is one."""

_STRICTEST: tuple[Terms, ...] = ("credentialed", "non-commercial", "unclear", "open")


def terms_of(license: str) -> Terms:
    """The strictest terms among the parts of an SPDX expression; `unclear` where a part is not known."""
    parts = license.replace(" OR ", " AND ").split(" AND ")
    found = {TERMS.get(part.strip(" ()"), "unclear") for part in parts}
    return next(terms for terms in _STRICTEST if terms in found)


def is_restricted(license: str) -> bool:
    """Whether rows under a licence are exported only by somebody who says to have the right to.

    That holds for non-commercial and credentialed data, and where nobody can tell what the licence allows.
    """
    return terms_of(license) != "open"


def notice(licenses: Iterable[str]) -> str:
    """What a page says that shows rows under restricted licences; "" for others, and for rows that name no licence."""
    named = [name for name in dict.fromkeys(licenses) if name.strip() and is_restricted(name)]
    listed = " and ".join(f"{name} ({terms_of(name)})" for name in named)
    return (
        f"This page holds questions and pictures under {listed}: pass it on only to people who may have them." if named else ""
    )
