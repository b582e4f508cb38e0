"""Time of answering one model, ours beside plain rows and the published way: `python perf/answering.py [--people 200]`.

Ours answers every scored question of `people` (strict: option likelihoods, letters, generation, cloze) in packed passes. Two
other ways answer a sample of the same questions, and their time is scaled to all: our own loop with a row for every
continuation, and the published way, one question at a time with `generate`. The published way gives no option likelihoods; what
a forward pass for each option would add is printed beside it.
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

WORDINGS = {"classification": letter_question, "cloze": cloze_question, "generation": generation_question}


def ask_one_by_one(model: Model, samples: Sequence[Sample]) -> None:
    """The published way: one question at a time by `generate`."""
    for sample in samples:
        prompt = _inputs(model, sample, WORDINGS[sample.task](sample))
        model.network.generate(**prompt, max_new_tokens=8 if sample.task == "classification" else 48, do_sample=False)


def score_one_by_one(model: Model, samples: Sequence[Sample]) -> None:
    """A forward pass for every option."""
    for sample in samples:
        for option in sample.options.values():
            model.network(**_inputs(model, sample, sample.question, option))


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
    ours = seconds(lambda: answer(model, samples, truth_ratio=False))
    with_ratio = seconds(lambda: answer(model, samples, truth_ratio=True))
    few = random.Random(0).sample(list(samples), min(arguments.plain, len(samples)))
    scale = len(samples) / len(few)
    plain = scale * seconds(lambda: answer(model, few, truth_ratio=False, pack=False))
    with torch.inference_mode():
        published = scale * seconds(lambda: ask_one_by_one(model, few))
        options = scale * seconds(lambda: score_one_by_one(model, few))
    print(f"questions                     {len(samples):,} ({len(few)} asked the other ways)")
    print(f"ours, strict                  {ours:.1f} s")
    print(f"truth ratio adds              {with_ratio - ours:.1f} s")
    print(f"ours, plain rows, scaled      {plain:.1f} s")
    print(f"published way, scaled         {published:.1f} s")
    print(f"option likelihoods add        {options:.1f} s")
    print(f"ratio plain rows / ours       {plain / ours:.1f}")
    print(f"ratio published / ours        {published / ours:.1f}")
    print(f"with option likelihoods       {(published + options) / ours:.1f}")


if __name__ == "__main__":
    main()
