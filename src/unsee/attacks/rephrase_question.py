"""Question rephrase: other wordings of the question about the same picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unsee.attacks.prompt_attack import Axis, PromptAttack


@dataclass(frozen=True)
class RephraseQuestion(PromptAttack):
    """Candidates are 5 random responses to each of 4 rephrased questions about the original picture.

    easy: an unrelated sentence before the question; medium: a paraphrase; hard: a jailbreak preamble.
    Paper: https://arxiv.org/abs/2505.01456. Differs from the authors' code: temperature and top-p are pinned; the answer is
    compared as whole words without regard to case; prompts that hold the answer are not asked, and counted.
    """

    name: ClassVar[str] = "rephrase_question"
    axis: ClassVar[Axis] = "question"
