"""Protocol `strict`: option likelihoods, a bare letter, free text; nothing is guessed from a longer reply."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from unsee.answering.views import Outcome, Protocol, Setting, View
from unsee.models.questions import cloze_question, generation_question, letter_question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unsee.sample import Sample

_LETTER_TOKENS = 8
"""A reply this long is no letter, so generating on would cost time and change nothing."""
_REPEATS = re.compile(r"(\S.{0,39}?)\1{4,}", re.DOTALL)
_MIN_REPEATED = 16


def strict_views(sample: Sample, setting: Setting) -> list[View]:
    """`options` and `letter` for classification, `generate` for the other tasks.

    The answer and wrong answers are teacher forced after the question without its options.
    """
    wrong = sample.wrong_answers if setting.truth_ratio else ()
    if sample.task != "classification":
        question = cloze_question(sample) if sample.task == "cloze" else generation_question(sample)
        prompt = setting.ask(sample, question)
        return [
            View(
                name="generate",
                prompt=prompt,
                images=sample.images,
                answer=sample.answer,
                wrong_answers=wrong,
                parse=lambda outcome: parse_text(outcome.response or ""),
            )
        ]
    letters = tuple(sample.options)
    return [
        View(
            name="options",
            prompt=setting.ask(sample, generation_question(sample)),
            images=sample.images,
            options=tuple(sample.options.values()),
            answer=sample.answer,
            wrong_answers=wrong,
            respond=False,
            parse=lambda outcome: best_letter(outcome, letters),
        ),
        View(
            name="letter",
            prompt=setting.ask(sample, letter_question(sample)),
            images=sample.images,
            guesses=letters,
            max_new_tokens=_LETTER_TOKENS,
            parse=lambda outcome: parse_letter(outcome.response or "", letters),
        ),
    ]


STRICT = Protocol("strict", strict_views)


def best_letter(outcome: Outcome, letters: tuple[str, ...]) -> str | None:
    """Letter of the likeliest option, the first of equals; None where a likelihood is not a number."""
    scores = [score for score in outcome.option_logprobs or () if score is not None]
    if not scores or len(scores) < len(letters):
        return None
    return letters[max(range(len(scores)), key=lambda i: (scores[i], -i))]


def parse_letter(response: str, letters: Iterable[str]) -> str | None:
    """The letter if the response is one option letter and punctuation, as in "(B)."; None for anything else."""
    bare = response.strip(string.punctuation + string.whitespace)
    return bare if bare in set(letters) else None


def parse_text(response: str) -> str | None:
    """The response, or None if it says nothing: no letter or digit, or one stretch of text over and over.

    Over and over means five or more copies in a row of up to 40 characters that make up at least half of the response and
    16 characters.
    """
    text = response.strip()
    if not any(character.isalnum() for character in text):
        return None
    # The space lets the last word count as a copy of "word ".
    repeated = max((len(found[0]) for found in _REPEATS.finditer(text + " ")), default=0)
    return None if repeated >= max(_MIN_REPEATED, len(text) / 2) else text
