"""Probability Delta squared: tokens that a layer makes likelier than the layer before it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unsee.answering.lens import Quantity
from unsee.attacks.lens_attack import DifferenceAttack


@dataclass(frozen=True)
class LensProbDelta2(DifferenceAttack):
    """Candidates are the union over m in L of top-k(D_{m+1} - 2 D_m + D_{m-1}), with `bottom` also of bottom-k.

    Paper: https://arxiv.org/abs/2505.01456. Layers 26 to 32 of 32 give the published five second differences. Differs from the
    authors' code as `lens_prob_delta` does.
    """

    name: ClassVar[str] = "lens_prob_delta2"
    quantity: ClassVar[Quantity] = "second"
    published: ClassVar[Mapping[int, tuple[int, ...]]] = {32: (27, 28, 29, 30, 31)}
