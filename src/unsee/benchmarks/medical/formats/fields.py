"""Values of rows as medical data sets write them, and how they are brought into one form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from unsee.printable import half_character

POLAR = frozenset({"yes", "no"})
_NOTHING = frozenset({"", "null", "none", "nan"})
_KINDS: Mapping[str, str] = {
    "abn": "abnormality",
    "atrib": "attribute",
    "attrib": "attribute",
    "kg": "knowledge",
    "organ system": "organ",
    "pos": "position",
    "pres": "presence",
    "quantity": "count",
}
_MODALITIES: Mapping[str, str] = {"x-ray": "X-ray", "xray": "X-ray", "ct": "CT", "mri": "MRI", "us": "ultrasound"}


class Unusable(Exception):
    """A row cannot be used; says why and what to change."""


def text(values: Mapping[str, Any], key: str, *, remedy: str = "fill it in or remove the row") -> str:
    """A text that is not empty, without spaces around it; numbers count as texts.

    Raises:
        Unusable: the key is missing, empty or holds something else.
    """
    if key not in values:
        raise Unusable(f"has no {key}; add it, or check that --format names the data set of this file")
    made = written(values[key], key)
    if not made:
        raise Unusable(f"its {key} is empty; {remedy}")
    return made


def optional(values: Mapping[str, Any], key: str) -> str:
    """A text, or "" where the key is missing or holds what data sets write for nothing (`NULL`, `nan`)."""
    made = written(values.get(key), key)
    return "" if made.casefold() in _NOTHING else made


def written(value: Any, key: str) -> str:
    """A text or number as text without spaces around it, "" for None and NaN.

    Raises:
        Unusable: it is something else, or half a character that no file can hold.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable(f"{key} holds {type(value).__name__} {value!r:.40} where a text belongs; put it in quotes")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # tables with gaps turn whole numbers into floats
    made = str(value).strip()
    if (at := half_character(made)) is not None:
        raise Unusable(f"{key} holds half a character at {at}; write it anew")
    return made


def is_polar(answer: str) -> bool:
    """Whether an answer is yes or no."""
    return answer.strip(" .").casefold() in POLAR


def closed_by(answer_type: str, answer: str) -> bool | None:
    """Whether a question offers a choice: as the source says; without its word, True for yes and no, else unknown."""
    said = answer_type.strip().casefold()
    if said in ("closed", "yes/no"):
        return True
    if said:
        return False
    return True if is_polar(answer) else None


def kind_of(name: str) -> str:
    """What a question asks for, under one name for all data sets; of several, the first."""
    first = re.split(r"[,;]", name)[0].strip().casefold()
    return _KINDS.get(first, first)


def modality_of(name: str) -> str:
    """How a picture was taken, under one name for all data sets."""
    return _MODALITIES.get(name.strip().casefold(), name.strip())


def region_of(name: str) -> str:
    """A part of the body in small letters: `chest heart` for `Chest_heart`."""
    return " ".join(name.replace("_", " ").split()).casefold()
