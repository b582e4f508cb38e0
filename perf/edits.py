"""Time of deleting facts one at a time, ours beside the plain path: `python perf/edits.py [--facts 100] [--side-by-side 32]`.

The plain path calls `unlearn` once per fact, as one would by hand. Ours is `edit_each`, which copies the network once, trains
so many facts in one batched pass and puts the weights back after each; both hand out one edited model per fact. Every
comparison is made `--repeats` times, its two sides one after the other, because other work on the machine slows both. Defences
take as many steps as the settings tuned for the model say, 30 for these.

`python perf/edits.py --agreement --model tiny-a --facts 8 --side-by-side 8` compares in single precision what lens attacks find
in models that were edited side by side and alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars
import torch
from polars import DataFrame
from torch import Tensor

from unsee import load_benchmark, load_model
from unsee.attacks import attack_all
from unsee.editing import edit_each
from unsee.method_plans import MethodPlan, method_plan
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.unlearning import unlearn

DEFENCES = ("fact_erasure", "head_projection")
LENSES = ("lens_head_projection", "lens_prob_delta", "lens_prob_delta2")


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


def read_after(model: Model, name: str, facts: Mapping[str, Sequence[Sample]], side_by_side: int) -> tuple[DataFrame, Tensor]:
    """(what lens attacks find after every edit, probabilities that every layer gives the answer's tokens)."""
    plan = method_plan(name, {}, model=model.name)
    options = replace(plan.options, precision="fp32")
    found, scores = [], []
    for edited in edit_each(model, plan.method, facts, options=options, side_by_side=side_by_side):
        made = attack_all(edited.model, facts[edited.fact], attacks=LENSES, budget=20)
        found.append(made.attacks)
        scores += [score for row in made.records[""]["layer_scores"].to_list() for layer in row for score in layer]
    return polars.concat(found), torch.tensor(scores)


def agreement(model: Model, name: str, facts: Mapping[str, Sequence[Sample]], side_by_side: int) -> str:
    (alone, expected), (together, scores) = (read_after(model, name, facts, size) for size in (1, side_by_side))
    other_hits = (alone["hit_position"].is_null() != together["hit_position"].is_null()).sum()
    other_places = (~alone["hit_position"].eq_missing(together["hit_position"])).sum()
    gap = float((scores - expected).abs().max())
    return (
        f"{name:<16} {side_by_side} side by side: of {alone.height} attacks {other_hits} hit otherwise and "
        f"{other_places} elsewhere; scores differ by {gap:.1e} at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-a", help="one that knows the facts; its tuned settings are used")
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--plain", type=int, default=16, help="facts of the plain path")
    parser.add_argument("--side-by-side", type=int, nargs="+", default=[32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=DEFENCES)
    parser.add_argument("--agreement", action="store_true", help="compare what is found instead of times")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    model = load_model(arguments.model)
    facts = {sample.subject: [sample] for sample in load_benchmark("creatures", facts=arguments.facts).samples(set="forget")}
    if arguments.agreement:
        for name in arguments.methods:
            print(*(agreement(model, name, facts, size) for size in arguments.side_by_side), sep="\n")
        return
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
