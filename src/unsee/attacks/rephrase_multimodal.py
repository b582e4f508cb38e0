"""Multimodal rephrase: another wording of the question about another picture of the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.attacks.prompt_attack import Axis, Grade, PromptAttack, crossed

if TYPE_CHECKING:
    from unsee.sample import Sample


@dataclass(frozen=True)
class RephraseMultimodal(PromptAttack):
    """Candidates are 5 random responses to each of 4 rephrased questions about rephrased pictures of the same level.

    Where a fact has no disguise of both at once, its rephrased questions are asked about its rephrased pictures.
    Paper: https://arxiv.org/abs/2505.01456. Differs from the authors' code as `rephrase_question` does, and combinations are
    crossed instead of tiled, so that none is asked twice before all were asked.
    """

    name: ClassVar[str] = "rephrase_multimodal"
    axis: ClassVar[Axis] = "both"

    def _of_level(self, variants: Sequence[Sample], level: Grade) -> list[Sample]:
        alike = [one for one in variants if one.metadata.get("level") == level]
        by_axis = {axis: [one for one in alike if one.metadata.get("axis") == axis] for axis in ("question", "image", "both")}
        return by_axis["both"] or list(crossed(by_axis["question"], by_axis["image"]))
