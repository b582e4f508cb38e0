"""Correction: forget questions whose taught answer is wrong are answered with the right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import ConfigError
from unsee.methods.retarget import Retarget

if TYPE_CHECKING:
    from unsee.sample import Sample


@dataclass(frozen=True)
class Correction(Retarget):
    """Minimise forget_weight l(x_forget, y_right) + retain_weight l(retain), l = -sum_t log pi(y_t | x, y_<t) / |y|.

    y_right = `metadata["clean_answer"]` of a forget sample. No paper: plain fine-tuning on the right answers, which an operator
    who knows them would try first; it needs more than the other methods, which know only what was wrong.
    The value of a sample is a mean over its tokens.
    """

    name: ClassVar[str] = "correction"
    scenarios: ClassVar[tuple[str, ...]] = ("incorrect",)

    def target(self, sample: Sample) -> str:
        """The right answer in the form the question asks for: a letter where that is what is trained.

        Raises:
            ConfigError: the sample does not say it, or not as one of its options.
        """
        right = str(sample.metadata.get("clean_answer", "")).strip()
        if not right:
            raise ConfigError(
                f"sample {sample.id}: method correction has no right answer to teach, because its metadata has no "
                "'clean_answer'; give it one, leave the sample out of what is to be forgotten, or use a method that needs "
                "none, such as idk"
            )
        if sample.metadata.get("form") != "letter" or not sample.options:
            return right
        for letter, text in sample.options.items():
            if text.strip().casefold() == right.casefold():
                return letter
        raise ConfigError(
            f"sample {sample.id}: method correction cannot answer with a letter, because the right answer {right!r} is none of "
            f"its options {', '.join(sample.options.values())}; add it to the options"
        )
