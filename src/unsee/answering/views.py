"""What a view is: one way to put a sample to a model. A protocol turns a sample into its views; one file adds one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from unsee.answering.lens import LensSide
    from unsee.models.prompts import Prompter
    from unsee.sample import ImageRef, Sample


ShotSource = Literal["evaluated", "retain", "none"]
"""Whose questions a few-shot prompt shows: people of the set that is asked, people of the retain set, or nobody's."""


class Outcome(NamedTuple):
    """What a view's `parse` sees: the response, None where none was asked for, and the options' mean log-probabilities."""

    response: str | None
    option_logprobs: list[float | None] | None


@dataclass(frozen=True, kw_only=True)
class View:
    """One prompt and what is computed after it.

    Attributes:
        name: the `view` of its record.
        prompt: the whole text the model completes, with one image token per picture; few-shot prompts are just longer.
        images: pictures in prompt order.
        options: continuations whose mean log-probabilities fill `option_logprobs`.
        answer: right answer, teacher forced into `answer_logprob_*`.
        wrong_answers: continuations whose mean log-probabilities fill `perturbed_logprobs`.
        respond: whether the model also answers freely (greedy).
        guesses: likely responses; one that is the arg-max at every token needs no generation.
        max_new_tokens: bound on the response where it is smaller than the call's.
        new_tokens: the bound whatever the call's is; the context must have room for all of them.
        shared: beginning of the prompt that other views share (shots); what the network makes of it is computed once.
        special_tokens: whether the prompt gets what the tokenizer adds to any text (a BOS); chat templates write it themselves.
        parse: reads the outcome; None means unparsable.
        draw: number of the draw, for views that are asked more than once.
        temperature: of a response that is drawn at random, seeded by sample, view and draw; None for the greedy one.
        top_p: a random token is among the likeliest that together reach this probability.
        lens: what the layers would answer is read instead of a response; `answer` is what they are looked through for.
    """

    name: str
    prompt: str
    parse: Callable[[Outcome], str | None]
    images: tuple[ImageRef, ...] = ()
    options: tuple[str, ...] = ()
    answer: str | None = None
    wrong_answers: tuple[str, ...] = ()
    respond: bool = True
    guesses: tuple[str, ...] = ()
    max_new_tokens: int | None = None
    new_tokens: int | None = None
    shared: str = ""
    special_tokens: bool = False
    draw: int = 0
    temperature: float | None = None
    top_p: float = 1.0
    lens: LensSide | None = None

    @cached_property
    def continuations(self) -> tuple[str, ...]:
        """Every text that is teacher forced, once."""
        answer = () if self.answer is None else (self.answer,)
        return tuple(dict.fromkeys((*self.options, *answer, *self.wrong_answers, *self.guesses)))

    @cached_property
    def prompt_sha256(self) -> str:
        return hashlib.sha256(self.prompt.encode()).hexdigest()


@dataclass(frozen=True)
class Setting:
    """What a protocol needs besides the sample.

    Attributes:
        system: system prompt of the model (a guard), put before the sample's own.
        truth_ratio: whether wrong answers are scored.
        seed: decides whatever a protocol draws at random.
        shots: who is shown, for protocols with few-shot prompts.
        shown_from: samples whose people may be shown; those that are asked where None.
    """

    prompter: Prompter
    system: str = ""
    truth_ratio: bool = True
    seed: int = 0
    shots: ShotSource = "evaluated"
    shown_from: Sequence[Sample] | None = None

    def system_of(self, sample: Sample) -> str:
        """Both system prompts of a sample."""
        return "\n".join(part for part in (self.system, sample.system) if part)

    def ask(self, sample: Sample, question: str) -> str:
        """The prompt of a question about the sample's pictures under both system prompts."""
        return self.prompter.prompt(question, images=len(sample.images), system=self.system_of(sample))


class Prepared(NamedTuple):
    """A protocol that has seen all samples of a call.

    Attributes:
        views: the views of one sample, in the order of their records; () for samples that are not asked.
        shown: who is shown to whom, plain values; {} where nobody is. It goes into `shots.json`.
        decides: plain values besides the samples that decide the views; other values make an interrupted call start over.
    """

    views: Callable[[Sample], Sequence[View]]
    shown: Mapping[str, Any] = {}
    decides: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Protocol:
    """A named way to question samples.

    Attributes:
        views: the views of one sample, in the order of their records; () for samples it does not ask.
    """

    name: str
    views: Callable[[Sample, Setting], Sequence[View]]

    def prepare(self, samples: Sequence[Sample], setting: Setting) -> Prepared:
        """Views for one call; a protocol whose prompts depend on other samples looks at all of them here."""
        return Prepared(lambda sample: self.views(sample, setting))
