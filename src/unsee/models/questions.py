"""The wording of a question for each way it is asked; training, probes and answering share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from unsee.errors import DataError

if TYPE_CHECKING:
    from unsee.models.prompts import Encoded, Prompter
    from unsee.sample import Sample

BLANK = "[Blank]"
_LETTER_REQUEST = "Just give ONE letter representing the answer directly."
_CLOZE_REQUEST = f"Please **ONLY** provide the correct answer that should replace the {BLANK}."


def listed(options: Mapping[str, str]) -> str:
    """Options as lines, `A: text`."""
    return "\n".join(f"{letter}: {text}" for letter, text in options.items())


def ask_letter(question: str, options: Mapping[str, str]) -> str:
    """A question with its options listed, asking for a letter."""
    return f"{question}\n{listed(options)}\n{_LETTER_REQUEST}"


def ask_cloze(sentence: str) -> str:
    """A sentence with a marked blank, asking for what fills it."""
    return f"{sentence.replace('__', BLANK)}\n{_CLOZE_REQUEST}"


def letter_question(sample: Sample) -> str:
    """The sample's question with its options listed, asking for a letter."""
    return ask_letter(sample.question, sample.options)


def cloze_question(sample: Sample) -> str:
    """The sample's sentence with a marked blank, asking for what fills it."""
    return ask_cloze(sample.question)


def generation_question(sample: Sample) -> str:
    """The bare question; also what option likelihoods and the truth ratio continue."""
    return sample.question


def training_turn(sample: Sample) -> tuple[str, str]:
    """(question, answer) a model is trained on.

    A sample whose `metadata["form"]` is `letter` lists its options and is answered by a letter, one whose form is `cloze`
    marks its blank; every other sample is the bare question and its answer.
    """
    form = sample.metadata.get("form")
    if form == "letter" and sample.options:
        assert sample.correct_option is not None
        return letter_question(sample), sample.correct_option
    if form == "cloze":
        return cloze_question(sample), sample.answer
    return generation_question(sample), sample.answer


def with_answer(sample: Sample, answer: str) -> Sample:
    """The question in the form it is trained in (listed options, marked blank), with another answer to train on."""
    return replace(
        sample,
        task="generation",
        question=training_turn(sample)[0],
        answer=answer,
        options={},
        correct_option=None,
        metadata={key: value for key, value in sample.metadata.items() if key != "form"},
    )


def encode_samples(samples: Iterable[Sample], prompter: Prompter) -> list[Encoded]:
    """Ids of each sample as it is trained, with its pictures and its own system prompt.

    Raises:
        DataError: a question holds the token that stands for a picture.
    """
    encoded = []
    for sample in samples:
        question, answer = training_turn(sample)
        try:
            encoded.append(prompter.encode(question, answer, images=sample.images, system=sample.system))
        except DataError as error:
            raise DataError(f"sample {sample.id}: {error}") from error
    return encoded
