"""Creatures, the second part of pretraining: their pictures, and rows of questions about them.

What is asked is drawn by `unsee.benchmarks.creatures.lessons`; here it becomes rows of the mixture. With equal seeds the rows
of half A are those of half B, but for the species of the halves, their names and their facts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from unsee.benchmarks.creatures.drawing import creature_image
from unsee.benchmarks.creatures.lessons import STRANGERS, LessonShares, PictureJob, lesson_row, picture_jobs, visible_labels
from unsee.benchmarks.creatures.scenes import TAUGHT_PICTURES
from unsee.benchmarks.creatures.species import Half
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.models.pretraining.mixture import RowPlan, Turn
from unsee.models.pretraining.picture_bank import PictureBank, draw_all


def render_creatures(*, strangers: int = STRANGERS, pictures: int = TAUGHT_PICTURES, workers: int = 2) -> PictureBank:
    """Draw `pictures` of every species and one of each stranger; the same for both halves."""
    jobs = picture_jobs(strangers=strangers, pictures=pictures)
    return PictureBank(
        pixels=draw_all(_draw, jobs, workers=workers),
        labels=np.array([visible_labels(job.look, job.scene) for job in jobs]),
        owner=[job.species for job in jobs],
        index=[job.number for job in jobs],
    )


def _draw(job: PictureJob) -> np.ndarray:
    return np.asarray(creature_image(job.look, job.scene, size=PICTURE_SIZE))


class CreatureRows:
    """Draws rows about creatures for the base of one half.

    Args:
        half: whose names and facts are told, beside those that both bases know.
        pictures: (species, index) -> number of the picture; species "" for strangers.
    """

    def __init__(self, half: Half, pictures: Mapping[tuple[str, int], int], *, seed: int) -> None:
        self.rng = random.Random(seed)
        self.half = half
        self.pictures = pictures
        self.strangers = sum(not species for species, _ in pictures)
        self.of_each = 1 + max(index for species, index in pictures if species)

    def row(self, shares: LessonShares, *, pictured: int, texts: int) -> RowPlan:
        """One picture with `pictured` questions about it, and `texts` questions by name."""
        drawn = lesson_row(
            self.rng,
            self.half,
            pictured=pictured,
            texts=texts,
            strangers=self.strangers,
            pictures=self.of_each,
            shares=shares,
        )
        turns = [Turn(lesson.question, lesson.answer, lesson.pictured) for lesson in drawn.lessons]
        return RowPlan(self.pictures[drawn.species, drawn.number] if pictured else None, turns=turns)
