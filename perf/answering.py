"""Time of answering one model, ours beside plain rows and the published way: `python perf/answering.py [--people 200]`.

Ours answers every question of `people` in packed passes. Two other ways answer a sample of the same questions, and their time
is scaled to all: the published way, one question at a time with `generate`, and our own loop with a row for every continuation.
Protocol strict also asks for likelihoods: of every option, and of the answer where there are no options. The published way
needs a forward pass for each, and the second comparison is of like with like. The first is of written answers only, with no
pass of the published way counted for the likelihoods that ours gives beside them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

import torch

from unsee import load_benchmark, load_model
from unsee.answering import Protocol, answer
from unsee.answering.strict import STRICT
from unsee.models.model import Model
from unsee.models.questions import cloze_question, generation_question, letter_question
from unsee.sample import Sample

WRITTEN = Protocol("written", lambda sample, setting: [view for view in STRICT.views(sample, setting) if view.respond])
WORDINGS = {"classification": letter_question, "cloze": cloze_question, "generation": generation_question}


def ask_one_by_one(model: Model, samples: Sequence[Sample]) -> None:
    """The published way: one question at a time by `generate`."""
    for sample in samples:
        prompt = _inputs(model, sample, WORDINGS[sample.task](sample))
        model.network.generate(**prompt, max_new_tokens=8 if sample.task == "classification" else 48, do_sample=False)


def score_one_by_one(model: Model, samples: Sequence[Sample]) -> None:
    """A forward pass for every option, or for the answer where there are no options."""
    for sample in samples:
        for text in sample.options.values() or (sample.answer,):
            model.network(**_inputs(model, sample, sample.question, text))


def _inputs(model: Model, sample: Sample, question: str, answer: str = "") -> Any:
    images = [image.open() for image in sample.images]
    text = f"{model.prompter.prompt(question, images=len(images))} {answer}".rstrip()
    return model.processor(text=text, images=images or None, return_tensors="pt", add_special_tokens=False)


def seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--plain", type=int, default=200, help="questions asked the other ways")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    benchmark = load_benchmark("people", subjects=arguments.people)
    samples: Sequence[Sample] = [*benchmark.samples(set="retain"), *benchmark.samples(set="test")]
    answer(model, samples[:64])
    written = seconds(lambda: answer(model, samples, protocols=(WRITTEN,), truth_ratio=False))
    strict = seconds(lambda: answer(model, samples, truth_ratio=False))
    few = random.Random(0).sample(list(samples), min(arguments.plain, len(samples)))
    scale = len(samples) / len(few)
    plain = scale * seconds(lambda: answer(model, few, truth_ratio=False, pack=False))
    with torch.inference_mode():
        published = scale * seconds(lambda: ask_one_by_one(model, few))
        likelihoods = scale * seconds(lambda: score_one_by_one(model, few))
    print(f"questions                     {len(samples):,} ({len(few)} asked the other ways)")
    print(f"written answers               ours {written:.1f} s, published way, scaled {published:.1f} s")
    print(f"and likelihoods               ours {strict:.1f} s, published way, scaled {published + likelihoods:.1f} s")
    print(f"the same in plain rows        {plain:.1f} s, scaled")
    whole = (published + likelihoods) / strict
    print(f"ratio published / ours        {published / written:.1f} written, {whole:.1f} with likelihoods")
    print(f"ratio plain rows / ours       {plain / strict:.1f}")


if __name__ == "__main__":
    main()
