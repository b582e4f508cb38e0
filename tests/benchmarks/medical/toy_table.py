"""A small table of medical questions: patients with two pictures each, questions open and closed, answers that follow rules.

Pictures are grey with one bright square, and differ from each other. Every patient has the finding `effusion` in the chest, so
that a false rule about its organ can be planted in many rows; side, size, count and modality vary.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from unsee.benchmarks.medical.table import SourceSplit, VqaRow, VqaTable
from unsee.sample import ImageRef

SIZE = 96
MODALITIES = ("CT", "MRI", "X-ray")
SIDES = ("left", "right")


@cache
def toy_picture(number: int) -> ImageRef:
    """A picture of its own for every number below 4096."""
    pixels = np.full((SIZE, SIZE), 40 + number % 64, dtype=np.uint8)
    at = 8 + number // 64
    pixels[at : at + 16, 60:76] = 230
    return ImageRef.from_image(Image.fromarray(pixels).convert("RGB"))


def toy_table(patients: int = 12, *, pictures: int = 2, name: str = "toy", license: str = "CC0-1.0") -> VqaTable:
    """Eight questions about every picture; the last quarter of the patients stands in the source's test split."""
    rows: list[VqaRow] = []
    for patient in range(patients):
        split: SourceSplit = "test" if patient >= patients - patients // 4 else "train"
        for picture in range(pictures):
            number = patient * pictures + picture
            side, modality = SIDES[(patient + picture) % 2], MODALITIES[number % 3]
            asked = (
                ("side", "Which lung is affected?", f"{side} lung", False, ("left lung", "right lung")),
                ("modality", "What modality is this?", modality, False, MODALITIES),
                ("organ", "Which organ shows the effusion?", "lung", False, ()),
                ("organ", "Which organ is enlarged?", ("heart", "liver", "spleen")[number % 3], False, ()),
                ("finding", "Is there an effusion?", "yes" if number % 3 else "no", True, ()),
                ("finding", "Is there a fracture?", "no" if number % 4 else "yes", True, ()),
                ("plane", "In which plane was this taken?", ("axial", "coronal")[number % 2], False, ()),
                ("size", "How large is the nodule?", f"{number % 5 + 2} cm", False, ()),
            )
            for place, (kind, question, answer, closed, options) in enumerate(asked):
                rows.append(
                    VqaRow(
                        id=f"{name}/p{patient:02d}/{picture}/{place}",
                        image=toy_picture(number),
                        question=question,
                        answer=answer,
                        group=f"p{patient:02d}",
                        study=f"s{number:03d}",
                        split=split,
                        closed=closed,
                        options=tuple(options),
                        kind=kind,
                        modality=modality,
                        region="chest",
                        triple=("effusion", "located in", "lung") if place == 2 else None,
                        source=name,
                        license=license,
                        where=f"toy.json, row {len(rows)}",
                    )
                )
    return VqaTable(name, tuple(rows))
