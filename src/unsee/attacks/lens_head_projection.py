"""Head Projection: what the logit lens shows at several layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from unsee.attacks.lens_attack import LensAttack


@dataclass(frozen=True)
class LensHeadProjection(LensAttack):
    """Candidates are the union over l in L of top-k(D_l), D_l = softmax(W_U norm(h_l)) at the last prompt token.

    Paper: https://arxiv.org/abs/2505.01456, after https://arxiv.org/abs/2309.17410. Differs from the authors' code: fp32 and
    strict ranks instead of half precision in which ties count as hits; the last layer is normed once; tokens that several
    layers give count once, and the union is cut to the budget.
    """

    name: ClassVar[str] = "lens_head_projection"
    published: ClassVar[Mapping[int, tuple[int, ...]]] = {32: (25, 29, 30, 31, 32), 40: (36, 37, 38, 39, 40)}
