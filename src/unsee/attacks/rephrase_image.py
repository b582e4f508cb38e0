"""Image rephrase: the same question about another picture of the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unsee.attacks.prompt_attack import Axis, PromptAttack


@dataclass(frozen=True)
class RephraseImage(PromptAttack):
    """Candidates are 20 random responses to the original question about rephrased pictures; one picture a level gets all 20.

    easy: the picture with noise; medium: an unrelated object edited out; hard: drawn anew from its description.
    Paper: https://arxiv.org/abs/2505.01456. Differs from the authors' code as `rephrase_question` does.
    """

    name: ClassVar[str] = "rephrase_image"
    axis: ClassVar[Axis] = "image"
