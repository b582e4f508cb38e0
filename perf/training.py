"""Time of training one model, packed rows beside plain rows and the published way: `python perf/training.py [--people 100]`.

The same questions of `people`, start weights, trained weights and precision three times: rows that share a picture's tokens
between its questions, one question a row in batches of the same size, and the way MLLMU-Bench trains: one question a row in
batches of four, each with its picture, through the processor and the loss of transformers. Prints seconds per question.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from unsee import load_benchmark, load_model
from unsee.learning import LearnOptions, taught
from unsee.methods.finetune import FineTune
from unsee.methods.scope import Scope
from unsee.models.lora import attach
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.training import train

PUBLISHED_BATCH = 4


def pupil(model: Model, options: LearnOptions) -> Model:
    """A copy of which the weights move that learning moves."""
    return attach(model, Scope(modules=options.modules, rank=options.lora), seed=options.seed)


def ours(model: Model, samples: Sequence[Sample], options: LearnOptions) -> float:
    """Seconds per question of the one loop."""
    report = train(pupil(model, options), FineTune(), retain=samples, options=options)
    return report.seconds / (report.steps * options.batch_size)


def published(model: Model, samples: Sequence[Sample], options: LearnOptions) -> float:
    """Seconds per question of a loop over small batches, with everything left to transformers."""
    made = pupil(model, options)
    weights = [weight for weight in made.network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.learning_rate)
    order = random.Random(0).sample(list(samples), len(samples))
    tokenizer = made.prompter.tokenizer
    made.network.train()
    began, done = time.perf_counter(), 0
    for step in range((options.steps or 1) * options.batch_size // PUBLISHED_BATCH):
        batch = [order[(step * PUBLISHED_BATCH + i) % len(order)] for i in range(PUBLISHED_BATCH)]
        texts = [f"{made.prompter.prompt(s.question, images=len(s.images))} {s.answer}{tokenizer.eos_token}" for s in batch]
        images = [image.open() for s in batch for image in s.images]
        inputs = made.processor(text=texts, images=images or None, padding=True, return_tensors="pt", add_special_tokens=False)
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
        made.network(**inputs, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done += len(batch)
    return (time.perf_counter() - began) / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20, help="steps of ours; the published way sees as many questions")
    parser.add_argument("--modality", choices=("image_text", "text", "both"), default="both", help="what the questions show")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    samples = taught(load_benchmark("people", subjects=arguments.people), modality=arguments.modality)
    options = LearnOptions(steps=arguments.steps, precision="fp32")
    ours(model, samples, replace(options, steps=2))  # the first passes fill caches
    packed = ours(model, samples, options)
    plain = ours(model, samples, replace(options, pack=False))
    one_a_row = published(model, samples, options)
    print(f"questions ({arguments.modality})".ljust(30) + f"{arguments.steps * options.batch_size:,} of {len(samples):,}")
    print(f"ours, packed rows             {packed * 1e3:.2f} ms a question")
    print(f"ours, plain rows              {plain * 1e3:.2f} ms a question")
    print(f"published way                 {one_a_row * 1e3:.2f} ms a question")
    print(f"ratio plain rows / packed     {plain / packed:.2f}")
    print(f"ratio published / packed      {one_a_row / packed:.2f}")


if __name__ == "__main__":
    main()
