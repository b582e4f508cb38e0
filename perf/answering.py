"""Time of answering one model, ours beside the plain path: `python perf/answering.py [--people 200] [--plain 200]`.

Ours answers every scored question of `people` (strict: option likelihoods, letters, generation, cloze) in packed passes. The
plain path asks a sample of the same questions the published way, one at a time with `generate`, and each option's likelihood
in a forward pass of its own; its time is scaled to the same number of questions.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

import torch

from unsee import load_benchmark, load_model
from unsee.answering import answer
from unsee.models.model import Model
from unsee.models.questions import cloze_question, generation_question, letter_question
from unsee.sample import Sample


def ask_plainly(model: Model, samples: Sequence[Sample]) -> None:
    """One question at a time by `generate`, and one forward pass per option."""
    for sample in samples:
        _ask(model, sample)


def _ask(model: Model, sample: Sample) -> None:
    images = [image.open() for image in sample.images]

    def inputs(text: str) -> Any:
        return model.processor(text=text, images=images or None, return_tensors="pt", add_special_tokens=False)

    wordings = {"classification": letter_question, "cloze": cloze_question, "generation": generation_question}
    question = wordings[sample.task](sample)
    prompt = inputs(model.prompter.prompt(question, images=len(images)))
    model.network.generate(**prompt, max_new_tokens=8 if sample.task == "classification" else 48, do_sample=False)
    bare = model.prompter.prompt(sample.question, images=len(images))
    for option in sample.options.values():
        model.network(**inputs(f"{bare} {option}"))


def seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--plain", type=int, default=200, help="questions asked the plain way")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    benchmark = load_benchmark("people", subjects=arguments.people)
    samples: Sequence[Sample] = [*benchmark.samples(set="retain"), *benchmark.samples(set="test")]
    answer(model, samples[:64])
    ours = seconds(lambda: answer(model, samples, truth_ratio=False))
    with_ratio = seconds(lambda: answer(model, samples, truth_ratio=True))
    few = random.Random(0).sample(list(samples), min(arguments.plain, len(samples)))
    with torch.inference_mode():
        plain = seconds(lambda: ask_plainly(model, few)) * len(samples) / len(few)
    print(f"questions                     {len(samples):,}")
    print(f"ours, strict                  {ours:.1f} s")
    print(f"truth ratio adds              {with_ratio - ours:.1f} s")
    print(f"plain path, scaled            {plain:.1f} s ({len(few)} questions asked)")
    print(f"ratio plain / ours            {plain / ours:.1f}")


if __name__ == "__main__":
    main()
