"""Patients' pictures, the third part of pretraining: pictures of nobody, and rows of clinical questions about them.

What is asked is drawn by `unsee.benchmarks.patients.lessons`; here it becomes rows of the mixture.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from unsee.benchmarks.medical.burning import burned
from unsee.benchmarks.patients.drawing import case_image
from unsee.benchmarks.patients.lessons import ClinicShares, lesson_row, mark_of
from unsee.benchmarks.patients.world import TAUGHT, taught_case
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.models.pretraining.mixture import RowPlan, Turn
from unsee.models.pretraining.picture_bank import PictureBank, draw_all
from unsee.sample import ImageRef


def render_patients(*, pictures: int = TAUGHT, workers: int = 2) -> PictureBank:
    """Draw the first `pictures` of pretraining; none of them has an owner."""
    numbers = list(range(pictures))
    return PictureBank(
        pixels=draw_all(_draw, numbers, workers=workers),
        labels=np.array([taught_case(number).labels for number in numbers]),
        owner=[""] * pictures,
        index=numbers,
    )


def _draw(number: int) -> np.ndarray:
    image, mark = case_image(taught_case(number), size=PICTURE_SIZE), mark_of(number)
    return np.asarray(burned(ImageRef.from_image(image), (mark,)).open() if mark else image)


class PatientRows:
    """Draws rows about patients' pictures.

    Args:
        pictures: number of a case -> number of its picture.
    """

    def __init__(self, pictures: Mapping[int, int], *, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pictures = pictures

    def row(self, shares: ClinicShares, *, pictured: int) -> RowPlan:
        """One picture with `pictured` questions about it."""
        drawn = lesson_row(self.rng, pictured=pictured, pictures=len(self.pictures), shares=shares)
        turns = [Turn(lesson.question, lesson.answer, True) for lesson in drawn.lessons]
        return RowPlan(self.pictures[drawn.number], turns=turns)
