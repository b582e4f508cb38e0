"""Predicted beside measured memory of training: `python perf/memory.py [NAME ...] [--width 768] [--batch-size 4] [--json]`.

A LLaVA with random weights (about 110 million at the default width) takes two training steps in a process of its own for each
way of training. Measured is the process's largest size above what it had before the model was built, with all libraries loaded
and warm; on a GPU what was allocated there. Predicted is the plan of `unsee ... --dry-run`.

glibc keeps freed memory for later unless MALLOC_TRIM_THRESHOLD_ is set, which doubled the size of a process in one measurement;
the measured processes get MALLOC_TRIM_THRESHOLD_=131072, `--default-heap` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from random_llava import SMALL, Shape, build

from unsee.memory_plan import plan_training, size_text, without_values
from unsee.methods import Scope, load_method
from unsee.models.lora import attach
from unsee.provenance import peak_memory_gib, reset_peak_memory
from unsee.sample import ImageRef, Sample
from unsee.training import train
from unsee.training_options import TrainOptions

TRIMMED = {"MALLOC_TRIM_THRESHOLD_": "131072"}
"""Environment in which freed memory goes back to the system at once."""
WORDS = "nurse pilot baker Oslo Lima Quito tea rice soup dog cat owl Monday red green blue nine seven".split()


@dataclass(frozen=True)
class Way:
    """A way of training: method, LoRA rank (None trains the weights) and options other than the batch size."""

    method: str
    rank: int | None
    options: dict[str, Any]


WAYS = {
    "full": Way("graddiff", None, {}),
    "lora": Way("graddiff", 16, {}),
    "full_checkpointed": Way("graddiff", None, {"gradient_checkpointing": True}),
    "lora_checkpointed": Way("graddiff", 16, {"gradient_checkpointing": True}),
    "lora_adapter_off": Way("kl", 16, {}),
    "cached_reference": Way("kl", 16, {"reference": "cache"}),
    "cached_top_k": Way("kl", 16, {"reference": "cache", "reference_top_k": 64}),
    "second_model": Way("kl", 16, {"reference": "second_model"}),
    "lora_bf16": Way("graddiff", 16, {"precision": "bf16"}),
}


def questions(count: int, *, pixels: int) -> list[Sample]:
    """As many questions about as many different pictures."""
    from PIL import Image

    draw = random.Random(0)
    return [
        Sample(
            id=f"q{number}",
            benchmark="memory",
            subject=f"s{number}",
            set="forget" if number % 2 else "retain",
            task="generation",
            modality="image_text",
            images=(ImageRef.from_image(Image.new("RGB", (pixels, pixels), (number % 256, 7 * number % 256, 9))),),
            question=" ".join(draw.choices(WORDS, k=40)),
            answer=" ".join(draw.choices(WORDS, k=12)),
        )
        for number in range(count)
    ]


def tokenizer() -> Any:
    from unsee.models.tiny import train_tokenizer

    return train_tokenizer([f"USER: {' '.join(WORDS)}\nASSISTANT: {' '.join(WORDS)}"] * 20)


def shape_of(width: int) -> Shape:
    """The default shape at another width."""
    return Shape(
        width=width,
        heads=width // 64,
        inner=width * 8 // 3 // 32 * 32,
        eye_width=width // 2,
        eye_heads=max(1, width // 128),
    )


def settings(way: Way, batch_size: int) -> dict[str, Any]:
    samples = questions(4 * batch_size, pixels=112)
    options = TrainOptions(batch_size=batch_size, steps=2, **way.options)
    return {"forget": samples[: 2 * batch_size], "retain": samples[2 * batch_size :], "options": options}


def measure(name: str, *, width: int, batch_size: int) -> dict[str, Any]:
    """Train in this process; bytes predicted and measured."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    way = WAYS[name]
    method = load_method(way.method)
    small = build(SMALL, tokenizer())  # loads what is loaded late
    plan_training(attach(small, Scope(rank=way.rank)), method, **settings(way, 2))
    warm = attach(small, Scope(rank=way.rank), in_place=True)
    warm.network.to(device)
    train(warm, method, **settings(way, 2))
    before = 0.0 if device == "cuda" else resident_gib()
    if not reset_peak_memory():
        raise SystemExit("this system does not forget the largest size of a process, so nothing can be measured")
    model = build(shape_of(width), tokenizer(), device=device)
    model = attach(model, Scope(rank=way.rank), in_place=True)
    train(model, method, **settings(way, batch_size))
    measured = (peak_memory_gib() - before) * 2**30
    plan = plan_training(without_values(model), method, device=device, **settings(way, batch_size))
    weights = sum(weight.numel() for weight in model.network.parameters())
    return {"way": name, "weights": weights, "predicted": plan.total, "measured": measured, "parts": plan.parts}


def resident_gib() -> float:
    """Size of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="NAME", help=f"of {', '.join(WAYS)}; all by default")
    parser.add_argument("--width", type=int, default=768, help="of the residual stream")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--default-heap", action="store_true", help="let glibc keep freed memory, as it does by default")
    parser.add_argument("--json", action="store_true", help="measure one way in this process and print numbers only")
    arguments = parser.parse_args()
    if arguments.json:
        (name,) = arguments.ways
        print(json.dumps(measure(name, width=arguments.width, batch_size=arguments.batch_size)))
        return
    environment = os.environ if arguments.default_heap else {**os.environ, **TRIMMED}
    size = ["--width", str(arguments.width), "--batch-size", str(arguments.batch_size)]
    print(f"{'':<20}{'predicted':>12}{'measured':>12}{'ratio':>8}")
    for name in arguments.ways or WAYS:
        command = [sys.executable, __file__, name, *size, "--json"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        predicted, measured = found["predicted"], found["measured"]
        print(f"{name:<20}{size_text(predicted):>12}{size_text(measured):>12}{predicted / measured:>8.2f}")
    print(f"{found['weights'] / 1e6:.0f} million weights, batch size {arguments.batch_size}")


if __name__ == "__main__":
    main()
