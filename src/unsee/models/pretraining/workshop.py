"""What every stage reads: the worlds' pictures, numbered in one row, with what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsee.benchmarks.creatures.drawing import creature_image
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.benchmarks.portrait_art import portrait
from unsee.models.abilities import HELD_OUT_PICTURES
from unsee.models.creature_abilities import NEW_PICTURES, asked_scene, asked_species
from unsee.models.patient_abilities import PICTURES, asked_picture, case_owners
from unsee.models.pretraining import portrait_world
from unsee.models.pretraining.creature_part import render_creatures
from unsee.models.pretraining.patient_part import render_patients
from unsee.models.pretraining.picture_bank import PictureBank, kept_bank, shrink
from unsee.models.pretraining.vision import VisionPart
from unsee.models.worlds import CREATURES, PATIENTS, PORTRAITS, Figure, figure_scene, fingerprints, visible_values

STRANGERS = 18_000


@dataclass(frozen=True)
class Workshop:
    """Pictures by number: portraits, creatures, cases of patients; of each first those taught, then those held out.

    Attributes:
        pixels: [pictures, side, side, 3] of uint8, as the vision tower sees them.
        owners: owner of each taught portrait, "" for strangers.
        labels: [taught portraits, keys], what each shows.
        creature_labels: [taught creatures, keys]; empty where none is taught.
        creatures: (species, index) -> number of each taught creature, species "" for strangers.
        shown: (figure, species or case, picture) -> number of each picture that abilities ask about.
        patients: case -> number of each taught case; empty where none is taught.
        patient_labels: [taught cases, keys].
    """

    figures: Sequence[Figure]
    pixels: Tensor
    owners: list[str]
    labels: Tensor
    creature_labels: Tensor
    creatures: Mapping[tuple[str, int], int]
    shown: Mapping[tuple[str, int], int]
    patients: Mapping[int, int] = field(default_factory=dict)
    patient_labels: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.long))

    @property
    def visible(self) -> dict[tuple[str, int], list[str]]:
        """Visible values of the portraits held out."""
        by_id = {figure.id: figure for figure in self.figures}
        return {key: list(visible_values(by_id[key[0]], key[1]).values()) for key in self.shown if key[0] in by_id}

    def vision_parts(self, *, keep_portraits: bool, keep_creatures: bool = False) -> list[VisionPart]:
        """What the vision tower learns from.

        Args:
            keep_portraits: the tower knows portraits already, and a language model reads it.
            keep_creatures: the same of creatures.
        """
        count = len(self.owners)
        parts = [VisionPart(PORTRAITS, self.pixels[:count], self.labels, kept=keep_portraits)]
        if self.creatures:
            parts.append(VisionPart(CREATURES, self._part(self.creatures), self.creature_labels, kept=keep_creatures))
        if self.patients:
            parts.append(VisionPart(PATIENTS, self._part(self.patients), self.patient_labels))
        return parts

    def _part(self, numbers: Mapping[Any, int]) -> Tensor:
        first = min(numbers.values())
        return self.pixels[first : first + len(numbers)]


def assemble(
    figures: Sequence[Figure],
    portraits: PictureBank,
    creatures: PictureBank | None,
    patients: PictureBank | None = None,
    *,
    side: int,
) -> Workshop:
    """Number all pictures, and draw those that abilities ask about.

    Args:
        side: of the pictures that the vision tower sees.
    """
    by_id = {figure.id: figure for figure in figures}
    held_out = [(figure.id, index) for figure in figures for index in HELD_OUT_PICTURES]
    parts = [shrink(portraits.pixels, side)]
    parts.append(_drawn([portrait(by_id[f].face, figure_scene(by_id[f], i), size=PICTURE_SIZE) for f, i in held_out], side))
    shown = {key: len(portraits.owner) + number for number, key in enumerate(held_out)}
    taught: dict[tuple[str, int], int] = {}
    if creatures is not None:
        first = len(portraits.owner) + len(held_out)
        taught = {key: first + n for n, key in enumerate(zip(creatures.owner, creatures.index, strict=True))}
        parts.append(shrink(creatures.pixels, side))
        # Both halves ask about the same species, in turned roles.
        asked = [one for species in asked_species("A") for one in species]
        shown |= {(one.id, 0): taught[one.id, 0] for one in asked}
        new = [(one, picture) for one in asked for picture in NEW_PICTURES]
        parts.append(_drawn([creature_image(one.look, asked_scene(one.id, i), size=PICTURE_SIZE) for one, i in new], side))
        shown |= {(one.id, picture): first + len(taught) + n for n, (one, picture) in enumerate(new)}
    cases: dict[int, int] = {}
    if patients is not None:
        first = sum(len(part) for part in parts)
        cases = {number: first + n for n, number in enumerate(patients.index)}
        parts.append(shrink(patients.pixels, side))
        asked_for = [(owner, picture) for owner in case_owners() for picture in PICTURES]
        parts.append(_drawn([asked_picture(owner, picture).open() for owner, picture in asked_for], side))
        shown |= {key: first + len(cases) + n for n, key in enumerate(asked_for)}
    return Workshop(
        figures=figures,
        pixels=torch.cat(parts),
        owners=portraits.owner,
        labels=torch.from_numpy(portraits.labels),
        creature_labels=torch.empty(0, 0, dtype=torch.long) if creatures is None else torch.from_numpy(creatures.labels),
        creatures=taught,
        shown=shown,
        patients=cases,
        patient_labels=torch.empty(0, 0, dtype=torch.long) if patients is None else torch.from_numpy(patients.labels),
    )


def _drawn(images: Sequence[object], side: int) -> Tensor:
    return shrink(np.stack([np.asarray(image) for image in images]), side)


def prepare(folder: Path, *, creatures: bool, side: int, patients: bool = False) -> Workshop:
    """Draw the worlds and render their pictures, once per folder; they are the same for every size, seed and half."""
    figures = portrait_world.draw_figures()
    portraits = kept_bank(folder / "bank.npz", lambda: portrait_world.render_bank(figures, STRANGERS))
    drawn = fingerprints(creatures=creatures, patients=patients)

    def bank(world: str, render: Callable[[], PictureBank]) -> PictureBank | None:
        return kept_bank(folder / f"{world}-{drawn[world][:12]}.npz", render) if world in drawn else None

    return assemble(figures, portraits, bank(CREATURES, render_creatures), bank(PATIENTS, render_patients), side=side)
