"""What a radiological picture shows: everything a question may ask for, drawn independently where anatomy allows it.

A case is drawn in words; `drawing` makes a picture of it. Sides are the patient's: in axial and coronal pictures the patient's
right side is on the viewer's left, as radiologists look at them. Sagittal pictures and organs in the midline have no side.

The findings and the knowledge about them are those of a toy world, made for measuring what a model says; they are no medicine.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Plane = Literal["axial", "coronal", "sagittal"]
Sides = Literal["paired", "left", "right", "midline"]
"""On which side of the body an organ lies."""

MODALITIES: Mapping[str, tuple[Plane, ...]] = {
    "CT": ("axial", "coronal", "sagittal"),
    "MRI": ("axial", "coronal", "sagittal"),
    "X-ray": ("coronal", "sagittal"),
    "ultrasound": ("axial", "sagittal"),
}
"""Modality -> planes it is taken in; a radiograph from the front counts as coronal, one from the side as sagittal."""
REGIONS: Mapping[str, Mapping[str, Sides]] = {
    "head": {"brain": "paired", "cerebellum": "paired"},
    "neck": {"parotid": "paired", "thyroid": "paired"},
    "chest": {"lung": "paired", "heart": "midline"},
    "abdomen": {"liver": "right", "spleen": "left", "kidney": "paired"},
    "pelvis": {"bladder": "midline", "hip": "paired"},
}
"""Region -> its organs -> where they lie."""
NORMAL = "none"
FINDINGS = ("mass", "cyst", "abscess", "calcification", "edema", "implant", "laceration")
SIZES: Mapping[str, float] = {"small": 0.09, "medium": 0.135, "large": 0.19}
"""Size -> radius as a share of half the picture's side."""
MOST = 3
"""Lesions of a picture at most; all are of one kind and size, in one organ."""
NORMAL_SHARE = 0.2

TREATMENT: Mapping[str, str] = {
    "mass": "surgery",
    "cyst": "drainage",
    "abscess": "drainage",
    "calcification": "observation",
    "edema": "medication",
    "implant": "observation",
    "laceration": "surgery",
}
SYSTEM: Mapping[str, str] = {
    "brain": "nervous",
    "cerebellum": "nervous",
    "parotid": "digestive",
    "thyroid": "endocrine",
    "lung": "respiratory",
    "heart": "circulatory",
    "liver": "digestive",
    "spleen": "lymphatic",
    "kidney": "urinary",
    "bladder": "urinary",
    "hip": "skeletal",
}
"""The knowledge graph: what a finding is treated with, and the system an organ belongs to."""

VISIBLE: Mapping[str, tuple[str, ...]] = {
    "modality": tuple(MODALITIES),
    "region": tuple(REGIONS),
    "plane": MODALITIES["CT"],
    "organ": (NORMAL, *(organ for organs in REGIONS.values() for organ in organs)),
    "finding": (NORMAL, *FINDINGS),
    "side": (NORMAL, "left", "right"),
    "size": (NORMAL, *SIZES),
    "count": tuple(str(number) for number in range(MOST + 1)),
}
"""Attribute of a case -> everything that can be seen."""


@dataclass(frozen=True)
class Case:
    """One picture in words.

    Attributes:
        organ, side, size: of the finding, `none` where there is none; a side also where a picture shows no sides.
        count: lesions, 0 where there are none.
        seed: of what no question asks for: the patient's build, where in the organ lesions lie, noise.
    """

    modality: str
    region: str
    plane: Plane
    organ: str
    finding: str
    side: str
    size: str
    count: int
    seed: int

    def __post_init__(self) -> None:
        for key, value in self.visible.items():
            if value not in VISIBLE[key]:
                raise ValueError(f"{key} {value!r} cannot be drawn; use one of {list(VISIBLE[key])}")
        if self.plane not in MODALITIES[self.modality]:
            known = list(MODALITIES[self.modality])
            raise ValueError(f"{self.modality} is not taken in plane {self.plane!r}; use one of {known}")
        if (self.finding == NORMAL) != (self.organ == NORMAL) or self.organ not in (NORMAL, *REGIONS[self.region]):
            raise ValueError(f"{self.finding} of {self.organ} is no case of the {self.region}")
        if self.side not in sides(self.region, self.organ, self.plane):
            raise ValueError(f"{self.organ} in plane {self.plane} has no side {self.side!r}")

    @property
    def visible(self) -> dict[str, str]:
        """Key of `VISIBLE` -> what this picture shows."""
        return {key: str(getattr(self, key)) for key in VISIBLE}

    @property
    def labels(self) -> list[int]:
        """Index of what is visible among `VISIBLE`, for each of its keys."""
        return [VISIBLE[key].index(value) for key, value in self.visible.items()]


def sides(region: str, organ: str, plane: Plane) -> tuple[str, ...]:
    """Sides on which a picture can show an organ's lesions."""
    where = "midline" if organ == NORMAL else REGIONS[region][organ]
    if plane == "sagittal" or where == "midline":
        return (NORMAL,)
    return ("left", "right") if where == "paired" else (where,)


def draw_case(rng: random.Random) -> Case:
    """A case by chance; each attribute is drawn uniformly among what those before it allow."""
    modality, region = rng.choice(list(MODALITIES)), rng.choice(list(REGIONS))
    plane = rng.choice(MODALITIES[modality])
    finding, organ, size = rng.choice(FINDINGS), rng.choice(list(REGIONS[region])), rng.choice(list(SIZES))
    count, seed = rng.randint(1, MOST), rng.getrandbits(48)
    if rng.random() < NORMAL_SHARE:
        return Case(modality, region, plane, NORMAL, NORMAL, NORMAL, NORMAL, 0, seed)
    return Case(modality, region, plane, organ, finding, rng.choice(sides(region, organ, plane)), size, count, seed)
