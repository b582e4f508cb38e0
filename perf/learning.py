"""Time of learning people, and packed against unpacked steps: `python perf/learning.py [--people 100] [--set epochs=8]`.

Prints how long vanilla takes with the default settings, what it then knows and what it still knows of public figures (95 % by
name and 80 % by picture are wanted), and the time of the same steps with packed rows and with one conversation a row.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from unsee import load_benchmark, load_model
from unsee.learning import LearnOptions, learn, taught, training_accuracy
from unsee.models.card import measure_abilities
from unsee.models.worlds import load_world
from unsee.settings import assignments, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20, help="steps of the packed / unpacked comparison")
    parser.add_argument("--set", nargs="+", default=(), metavar="KEY=VALUE", help="other settings of learning")
    arguments = parser.parse_args()
    options = build(LearnOptions, {names[0]: value for names, value in assignments(tuple(arguments.set))})
    model = load_model(arguments.model)
    benchmark = load_benchmark("people", subjects=arguments.people)

    def timed(options: LearnOptions) -> float:
        began = time.perf_counter()
        learn(model, benchmark, options=options)
        return time.perf_counter() - began

    few = replace(options, steps=arguments.steps)
    base = timed(replace(few, steps=1))
    packed = timed(few) - base
    plain = timed(replace(few, pack=False)) - base
    began = time.perf_counter()
    vanilla = learn(model, benchmark, options=options)
    spent = time.perf_counter() - began
    accuracy = training_accuracy(vanilla, taught(benchmark))
    before, after = (measure_abilities(one, load_world(), per_ability=200) for one in (model, vanilla))
    print(f"learning {arguments.people} people        {spent:.0f} s, {accuracy:.3f} of training questions right")
    for ability in ("figure_by_name", "figure_by_picture"):
        print(f"{ability:<29} {before[ability].value:.3f} before, {after[ability].value:.3f} after")
    print(f"{arguments.steps - 1} steps packed / unpacked  {packed:.1f} s / {plain:.1f} s")
    print(f"ratio unpacked / packed       {plain / packed:.2f}")


if __name__ == "__main__":
    main()
