"""Time of learning people, and packed against unpacked steps: `python perf/learning.py [--people 100]`.

Prints how long vanilla takes with the default settings and what it then knows, and the time of the same steps with packed rows
and with one conversation a row.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from unsee import load_benchmark, load_model
from unsee.learning import LearnOptions, learn, taught, training_accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20, help="steps of the packed / unpacked comparison")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    benchmark = load_benchmark("people", subjects=arguments.people)

    def timed(options: LearnOptions) -> float:
        began = time.perf_counter()
        learn(model, benchmark, options=options)
        return time.perf_counter() - began

    few = replace(LearnOptions(), steps=arguments.steps)
    base = timed(replace(few, steps=1))
    packed = timed(few) - base
    plain = timed(replace(few, pack=False)) - base
    began = time.perf_counter()
    vanilla = learn(model, benchmark)
    spent = time.perf_counter() - began
    accuracy = training_accuracy(vanilla, taught(benchmark))
    print(f"learning {arguments.people} people        {spent:.0f} s, {accuracy:.3f} of training questions right")
    print(f"{arguments.steps - 1} steps packed / unpacked  {packed:.1f} s / {plain:.1f} s")
    print(f"ratio unpacked / packed       {plain / packed:.2f}")


if __name__ == "__main__":
    main()
