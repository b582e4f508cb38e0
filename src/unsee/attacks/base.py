"""What an attack is. Subclass `Attack` in one file: which views it needs, and how their records become candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from unsee.answering import Setting, View
    from unsee.models.model import Model
    from unsee.sample import Sample

BUDGETS = (1, 5, 10, 20, 50)
"""Numbers of candidates that success is reported for."""
NEVER_LEARNED = "never_learned"
"""Name of the control that attacks facts which the model never learned."""
NEVER_KNOWN = "never_known"
"""Name of the reference where there are no such facts: those that vanilla does not know by the knowledge gate."""
RANDOM_DRAWN = "random_tokens_drawn"
"""Name of the control that tries tokens which were drawn blindly."""

Record = Mapping[str, Any]
"""One row of the schema RECORDS."""
ReadToken = Callable[[int], str]
"""A token id as text."""


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """What an attacker tries for one sample, and what the attempt may use.

    Attributes:
        candidates: in the order they are tried, each once.
        hit: position of the right one, from 1; None for a miss.
        hit_all, hit_sequence: the same where every token, or the whole answer at once, has to be found; see schema ATTACKS.
        prompts, samples, tokens: prompts asked, responses to each, and longest response in tokens.
        layers, k: layers read and tokens taken of each.
    """

    candidates: tuple[str, ...]
    hit: int | None
    hit_all: int | None
    hit_sequence: int | None
    prompts: int
    samples: int | None = None
    tokens: int | None = None
    layers: int | None = None
    k: int | None = None


@dataclass(frozen=True)
class Attack:
    """Base of every attack; a frozen dataclass whose fields are its options.

    Attributes:
        needs: `lens` for one that reads hidden states, `prompts` for one that only asks.
        tunes: whether `prepare` changes the model, so that the attack's records are of another model.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[Literal["lens", "prompts"]] = "prompts"
    tunes: ClassVar[bool] = False

    @property
    def graded(self) -> str | None:
        """Level of the disguises it uses; None for an attack that uses none, or several."""
        return None

    def shares_rows(self, other: Attack) -> bool:
        """Whether the results of two attacks could not be told apart."""
        return (self.name, self.graded) == (other.name, other.graded)

    def check(self, *, blocks: int, budget: int) -> None:
        """Refuse what cannot work on a model of so many decoder layers; raises ConfigError."""

    def views(self, sample: Sample, setting: Setting, variants: Sequence[Sample]) -> Sequence[View]:
        """What to ask; `variants` are the graded disguises of the sample's fact."""
        raise NotImplementedError

    def applies(self, sample: Sample, variants: Sequence[Sample]) -> bool:
        """Whether there is what the attack needs to be made on a fact."""
        return True

    def refused(self, sample: Sample, variants: Sequence[Sample]) -> int:
        """Number of prompts that are not asked because the answer stands in them."""
        return 0

    def prepare(self, model: Model, unrelated: Sequence[Sample], *, seed: int = 0) -> Model:
        """The model to attack, trained on samples that have nothing to do with the attacked facts."""
        return model

    def candidates(self, sample: Sample, records: Sequence[Record], *, budget: int, read: ReadToken) -> Guesses:
        """At most `budget` candidates from the records of a sample's views, in the order of the views; no model runs."""
        raise NotImplementedError
