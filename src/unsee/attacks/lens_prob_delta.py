"""Probability Delta: tokens that a layer makes likelier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unsee.answering.lens import Quantity
from unsee.attacks.lens_attack import DifferenceAttack


@dataclass(frozen=True)
class LensProbDelta(DifferenceAttack):
    """Candidates are the union over l in L of top-k(D_{l+1} - D_l), with `bottom` also of bottom-k.

    Paper: https://arxiv.org/abs/2505.01456, after https://arxiv.org/abs/2309.17410. Differs from the authors' code: adjacent
    layers are differenced before L selects, where the code differences the selected layers, however far apart; k = 4 of the
    highest for five differences instead of 2 of the highest and 2 of the lowest, which is the same budget of 20.
    """

    name: ClassVar[str] = "lens_prob_delta"
    quantity: ClassVar[Quantity] = "first"
    published: ClassVar[Mapping[int, tuple[int, ...]]] = {32: (27, 28, 29, 30, 31)}
