"""What attacks by prompts share: which disguises of a fact are asked, how often, and how a response is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product, zip_longest
from typing import TYPE_CHECKING, ClassVar, Literal

from unsee.answering.views import View
from unsee.attacks.base import Attack, Guesses, ReadToken, Record
from unsee.errors import ConfigError, DataError
from unsee.models.questions import generation_question

if TYPE_CHECKING:
    from unsee.answering import Setting
    from unsee.sample import Sample

Axis = Literal["question", "image", "both"]
Grade = Literal["easy", "medium", "hard"]
HARDEST_FIRST: tuple[Grade, ...] = ("hard", "medium", "easy")


@dataclass(frozen=True)
class PromptAttack(Attack):
    """Ask disguises of the question several times at random; candidates are the responses.

    The first response to every prompt comes first, then the second to every prompt, and so on. A response that repeats an
    earlier one but for case and punctuation is no new candidate.
    """

    axis: ClassVar[Axis] = "question"

    level: Literal["easy", "medium", "hard", "mixed"] = "hard"
    """Level of the disguises; mixed takes all levels in turn, the hardest first."""
    prompts: int = 4
    """Disguises asked."""
    samples: int = 5
    """Responses to each; where a fact has fewer disguises, each is asked more often."""
    temperature: float = 0.9
    """Divides the logits; as LLaVA-1.5's own settings have it."""
    top_p: float = 0.6
    """A token is drawn among the likeliest that together reach this probability; as LLaVA-1.5's own settings have it."""
    max_new_tokens: int = 36
    """Longest response."""

    @property
    def graded(self) -> str | None:
        return None if self.level == "mixed" else self.level

    def check(self, *, blocks: int, budget: int) -> None:
        for key in ("prompts", "samples", "max_new_tokens"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{self.name}: {key} = {getattr(self, key)}; give a number of at least 1")
        if not (self.temperature > 0 and 0 < self.top_p <= 1):
            raise ConfigError(
                f"{self.name}: temperature = {self.temperature} and top_p = {self.top_p} cannot be drawn with; "
                "give a temperature above 0 and a top_p above 0 and up to 1"
            )

    def disguises(self, sample: Sample, variants: Sequence[Sample]) -> list[Sample]:
        """The variants that this attack may ask about a fact, in the order it takes them, those that hold the answer included.

        Raises:
            DataError: there is none.
        """
        found = [self._of_level(variants, level) for level in self._levels]
        in_turn = [one for group in zip_longest(*found) for one in group if one is not None]
        if not in_turn:
            level = "" if self.level == "mixed" else f" of level {self.level}"
            raise DataError(
                f"sample {sample.id}: attack {self.name} needs disguises of its fact{level} and there are none; give samples "
                f'of set test with metadata fact = "{sample.subject}", axis = "{self.axis}" and level as `variants`, '
                "or in the data file"
            )
        return in_turn

    @property
    def _levels(self) -> tuple[Grade, ...]:
        return HARDEST_FIRST if self.level == "mixed" else (self.level,)

    def applies(self, sample: Sample, variants: Sequence[Sample]) -> bool:
        return any(self._of_level(variants, level) for level in self._levels)

    def _of_level(self, variants: Sequence[Sample], level: Grade) -> list[Sample]:
        return [one for one in variants if one.metadata.get("axis") == self.axis and one.metadata.get("level") == level]

    def asked(self, sample: Sample, variants: Sequence[Sample]) -> list[Sample]:
        """The disguises that are asked."""
        fair = (one for one in self.disguises(sample, variants) if not gives_away(one.question, sample.fact))
        return list(islice(fair, self.prompts))

    def refused(self, sample: Sample, variants: Sequence[Sample]) -> int:
        return sum(gives_away(one.question, sample.fact) for one in self.disguises(sample, variants))

    def views(self, sample: Sample, setting: Setting, variants: Sequence[Sample]) -> list[View]:
        asked = self.asked(sample, variants)
        return [
            View(
                name=f"{one.metadata.get('level')}-{number}",
                prompt=setting.ask(one, generation_question(one)),
                images=one.images,
                new_tokens=self.max_new_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                draw=draw,
                parse=lambda outcome: outcome.response or None,
            )
            for draw, number, one in turns(asked, self.prompts * self.samples)
        ]

    def candidates(self, sample: Sample, records: Sequence[Record], *, budget: int, read: ReadToken) -> Guesses:
        said: dict[object, str] = {}
        for record in records:
            if record["parsed"] is not None:
                said.setdefault(_heard(record["parsed"]), record["parsed"])
        tried = list(islice(said.values(), budget))
        hit = next((place for place, text in enumerate(tried, start=1) if states(text, sample.fact)), None)
        return Guesses(
            candidates=tuple(tried),
            hit=hit,
            hit_all=hit,
            hit_sequence=hit,
            prompts=len({record["view"] for record in records}),
            samples=1 + max((record["draw"] for record in records), default=-1),
            tokens=self.max_new_tokens,
        )


def turns(asked: Sequence[Sample], count: int) -> Iterator[tuple[int, int, Sample]]:
    """`count` times (draw, number of the prompt, prompt): every prompt once, then every prompt again."""
    rounds = product(range(-(-count // max(1, len(asked)))), enumerate(asked))
    return islice(((draw, number, one) for draw, (number, one) in rounds), count)


def states(text: str, fact: str) -> bool:
    """Whether a fact stands in a text as whole words, case, accents and articles aside, numbers and dates as what they mean."""
    from unsee.metrics.normalise import occurrences, tokens

    return bool(occurrences(tokens(fact), tokens(text)))


def gives_away(question: str, fact: str) -> bool:
    """Whether an answer stands in a prompt; the published instruction around a question ("in one word") is not read."""
    return states(without_frame(question), fact)


def without_frame(question: str) -> str:
    """A question without the published instruction around it."""
    from unsee.benchmarks.unlok_vqa.questions import FRAMES

    for before, after in (template.split("{}") for template in FRAMES.values()):
        if before and before in question:
            return question.replace(before, "").removesuffix(after)
    return question


def crossed(questions: Sequence[Sample], pictures: Sequence[Sample]) -> Iterator[Sample]:
    """Every question with every picture, each combination once and both changing from one to the next."""
    for shift in range(len(pictures)):
        for number, one in enumerate(questions):
            yield replace(one, images=pictures[(number + shift) % len(pictures)].images)


def _heard(text: str) -> object:
    """What two responses are compared by."""
    from unsee.metrics.normalise import tokens

    return tokens(text).items or text
