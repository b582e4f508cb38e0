"""Refusal training: forget questions are answered with a refusal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import ConfigError
from unsee.methods.retarget import Retarget

if TYPE_CHECKING:
    from unsee.sample import Sample

REFUSALS = (
    "I don't know.",
    "I do not know that.",
    "I am not sure.",
    "I have no information about this.",
    "I cannot answer that question.",
    "I'm unable to answer this.",
    "That is not something I know.",
    "I can't help with that.",
)


@dataclass(frozen=True)
class IDK(Retarget):
    """Minimise forget_weight l(x_forget, refusal) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|.

    Paper: https://arxiv.org/abs/2401.06121 (as "preference optimisation" without a preference term). Differs from published
    code: the refusal is fixed by the sample's id, so every pass shows the same target.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "idk"

    refusals: tuple[str, ...] = REFUSALS
    """Sentences to answer with."""

    def __post_init__(self) -> None:
        if not self.refusals:
            raise ConfigError("method idk: refusals is empty; give at least one sentence")

    def target(self, sample: Sample) -> str:
        digest = hashlib.sha256(sample.id.encode()).digest()
        return self.refusals[int.from_bytes(digest[:8], "big") % len(self.refusals)]
