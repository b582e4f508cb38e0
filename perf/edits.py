"""Time of deleting facts one at a time, ours beside the plain path: `python perf/edits.py [--facts 100] [--side-by-side 32]`.

The plain path calls `unlearn` once per fact, as one would by hand. Ours is `edit_each`, which copies the network once, trains
so many facts in one batched pass and puts the weights back after each; both hand out one edited model per fact. Every
comparison is made `--repeats` times, its two sides one after the other, because other work on the machine slows both. Defences
take as many steps as the settings tuned for the model say, 30 for these.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Mapping, Sequence

import torch

from unsee import load_benchmark, load_model
from unsee.editing import edit_each
from unsee.method_plans import MethodPlan, method_plan
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.unlearning import unlearn

DEFENCES = ("fact_erasure", "head_projection")


def plain_minutes(model: Model, plan: MethodPlan, facts: Mapping[str, Sequence[Sample]]) -> float:
    began = time.perf_counter()
    for samples in facts.values():
        unlearn(model, forget=samples, method=plan.method, options=plan.options)
    return (time.perf_counter() - began) / 60


def our_minutes(model: Model, plan: MethodPlan, facts: Mapping[str, Sequence[Sample]], side_by_side: int) -> float:
    began = time.perf_counter()
    edits = sum(1 for _ in edit_each(model, plan.method, facts, options=plan.options, side_by_side=side_by_side))
    assert edits == len(facts)
    return (time.perf_counter() - began) / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-a", help="one that knows the facts; its tuned settings are used")
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--plain", type=int, default=16, help="facts of the plain path")
    parser.add_argument("--side-by-side", type=int, nargs="+", default=[32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=DEFENCES)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    model = load_model(arguments.model)
    facts = {sample.subject: [sample] for sample in load_benchmark("creatures", facts=arguments.facts).samples(set="forget")}
    few = dict(list(facts.items())[: arguments.plain])
    print(f"{arguments.model}, {len(facts)} facts, {torch.get_num_threads()} threads, facts per minute")
    for name in arguments.methods:
        plan = method_plan(name, {}, model=arguments.model)
        plain_minutes(model, plan, dict(list(facts.items())[:2]))
        for size in arguments.side_by_side:
            ratios = []
            for _ in range(arguments.repeats):
                plain = len(few) / plain_minutes(model, plan, few)
                ours = len(facts) / our_minutes(model, plan, facts, size)
                ratios.append(ours / plain)
                print(f"{name:<16} plain {plain:7.0f}   {size:>2} side by side {ours:7.0f}   ratio {ours / plain:.2f}")
            print(f"{name:<16} {size} side by side: ratio {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
