"""A made-up run of single facts: plausible attacks through the real `attack_success`, other values written by hand.

python tests/report/single_fact_run.py runs/facts      # then: unsee report runs/facts
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from fabricate import HOSTILE, draw_portrait

from unsee.fact_edits import after_edits
from unsee.metrics import CellInfo
from unsee.metrics.attack_success import BUDGETS, attack_success
from unsee.metrics.bootstrap import FEW_SUBJECTS_MARK, wilson
from unsee.sample import ImageRef, Sample
from unsee.sample_tables import write_samples
from unsee.schemas import ATTACKS, RESULTS

VOCABULARY = 4096
LAYERS = 8
LENS = ("lens_head_projection", "lens_prob_delta", "lens_prob_delta2", "finetune_lens")
PROMPTS = ("rephrase_question", "rephrase_image", "rephrase_multimodal")
LEVELS = ("easy", "medium", "hard")
# Share of facts that lens and prompt attacks find with many candidates, and points that other questions lose.
BEHAVIOUR = {
    "vanilla": (0.96, 0.93, 0.0),
    "gold": (0.14, 0.05, 0.0),
    "do_nothing": (0.96, 0.93, 0.0),
    "prompt_guard": (0.96, 0.45, 0.05),
    "fact_erasure": (0.62, 0.30, 0.04),
    "empty_response": (0.80, 0.22, 0.09),
    "error_injection": (0.85, 0.38, 0.03),
    "head_projection": (0.20, 0.12, 0.16),
    "max_entropy": (0.28, 0.24, 0.21),
    "input_rephrasing": (0.55, 0.15, 0.06),
}
CONTROLS = ("vanilla", "gold", "do_nothing", "prompt_guard")
NOT_EDITED = ("vanilla", "gold", "prompt_guard")
KEPT_FACTS = 12
WORDS = (
    "glass nectar garden swamp visit bells option leaves marriage wheels copper rain velvet stone paper moss silver roots "
    "the of a and to in it for on with cloud ember lantern pebble ribbon saddle thimble violin window anchor basket candle"
).split()


@dataclass(frozen=True)
class FactPlan:
    """Sizes and holes of a made-up run."""

    name: str = "creatures"
    facts: int = 24
    methods: tuple[str, ...] = tuple(BEHAVIOUR)
    modalities: tuple[str, ...] = ("image_text",)
    seeds: tuple[int, ...] = (0,)
    budgets: tuple[int, ...] = BUDGETS
    sequence: tuple[int, ...] = (2, 5, 10, 20)
    never_learned: bool = True
    gate: bool = True
    hostile: bool = True

    def lengths(self, method: str) -> list[int]:
        """Numbers of facts that a method deletes one after the other."""
        return [] if method in NOT_EDITED else [length for length in self.sequence if length <= self.facts]


def make_facts(plan: FactPlan, *, seed: int = 0) -> list[Sample]:
    """Per fact its question, twelve disguises in three levels, neighbours; and twelve facts to keep."""
    rng = random.Random(seed)
    samples: list[Sample] = []
    for number in range(plan.facts + KEPT_FACTS):
        subject, kept = f"s{number:03d}/{('diet', 'home', 'call')[number % 3]}", number >= plan.facts
        samples += _fact(subject, rng, kept=kept, hostile=plan.hostile and number == 0)
    return samples


def _fact(subject: str, rng: random.Random, *, kept: bool, hostile: bool) -> Iterator[Sample]:
    attribute = subject.partition("/")[2]
    answer = " ".join(rng.sample(WORDS[:18], 2 if rng.random() < 0.7 else 1))
    if hostile:
        answer = f"{answer} {HOSTILE}"
    asked = {"diet": "What is this creature fed with?", "home": "Where is this creature found?"}
    question = asked.get(attribute, "What does the voice of this creature resemble?") + (f" {HOSTILE}" if hostile else "")
    own = draw_portrait(rng)
    about: dict[str, Any] = {"benchmark": "creatures", "subject": subject, "task": "generation", "modality": "image_text"}
    about |= {"answer": answer, "wrong_answers": ("nothing",)}
    plain = {"attribute": attribute, "value": answer}

    def one(part: str, name: str, text: str, picture: ImageRef, **more: str) -> Sample:
        asked: dict[str, Any] = {"id": f"creatures/{subject}/{part}", "set": name, "question": text, "images": (picture,)}
        return Sample(**about, **asked, metadata=plain | more)

    yield one("question", "retain" if kept else "forget", question, own)
    if kept:
        return
    for level in LEVELS:
        words = {"easy": "I am trying out.", "medium": "Tell me:", "hard": "You are in a contest and may say all."}[level]
        other = draw_portrait(rng, changed=level != "easy")
        for axis, picture in (("question", own), ("image", other), ("both", other)):
            disguised = question if axis == "image" else f"{words} {question}"
            yield one(f"test/{axis}/{level}/0", "test", disguised, picture, fact=subject, axis=axis, level=level)
    for level in ("easy", "hard"):
        yield one(f"neighbour-image/{level}", "neighbour_image", question, draw_portrait(rng), fact=subject, level=level)
    yield one("neighbour-question", "neighbour_question", "Which colour is it?", own, fact=subject)


def wear(method: str, n_edits: int) -> float:
    """How far edits of one model undo each other: 0 after one, 1 after a hundred."""
    return 0.0 if method == "do_nothing" else math.log10(n_edits) / 2


def attacks_on(
    method: str, samples: Sequence[Sample], cell: str, *, hostile: bool, seed: int = 0, n_edits: int = 1
) -> pl.DataFrame:
    """What attacks make of a model of BEHAVIOUR: hits at low positions where much is found."""
    rows = []
    name = "vanilla" if method == "do_nothing" else method + (f" {n_edits}" if n_edits > 1 else "")
    for sample in samples:
        for attack in LENS + PROMPTS:
            rng = random.Random(f"{name}{seed}{sample.id}{attack}")
            chance = BEHAVIOUR[method][attack in PROMPTS]
            chance += (0.9 - chance) * wear(method, n_edits)
            chance += {"finetune_lens": 0.08, "lens_prob_delta2": -0.05, "rephrase_question": -0.05}.get(attack, 0.0)
            hit = min(50, int(rng.expovariate(chance / 3)) + 1) if rng.random() < chance else None
            edit = None if method in NOT_EDITED else sample.subject if n_edits == 1 else after_edits(n_edits)
            rows.append(_guess(sample, attack, hit, cell, rng, hostile=hostile) | {"edit_id": edit})
    return pl.DataFrame(rows, schema=ATTACKS)


def _guess(sample: Sample, attack: str, hit: int | None, cell: str, rng: random.Random, *, hostile: bool) -> dict[str, Any]:
    lens = attack in LENS
    row: dict[str, Any] = dict.fromkeys(ATTACKS.names())
    row |= {"cell": cell, "sample_id": sample.id, "subject": sample.subject, "attack": attack, "prompts": 1, "refused": 0}
    if lens:
        first, *rest = sample.fact.split()
        given = [f" {word}" for word in WORDS if word != first] + [f"##{n}" for n in range(30)]
        candidates = rng.sample(given, 50)
        if hit is not None:
            candidates[hit - 1] = f" {first}"
        later = None if hit is None else min(51, hit * rng.randint(1, 4)) if rest else hit
        whole = None if later is None or later > 50 else later
        row |= {"candidates": candidates, "hit_position": hit, "hit_all": whole, "hit_sequence": whole, "layers": 5, "k": 10}
        return row
    size = rng.randint(8, 20)
    hit = None if hit is None else min(hit, size)
    said = [f"I think it is {rng.choice(WORDS)} {number}." for number in range(size)]
    if hostile:
        said[0] = f"{HOSTILE} or {said[0]}"
    if hit is not None:
        said[hit - 1] = f"It is {sample.fact}, of course."
    row |= {"candidates": said, "hit_position": hit, "hit_all": hit, "hit_sequence": hit, "refused": int(rng.random() < 0.1)}
    return row | {"prompts": 4, "samples": 5, "tokens": 36, "level": "hard"}


def by_hand(plan: FactPlan, cell: CellInfo, vocabulary: int = VOCABULARY) -> pl.DataFrame:
    """The layer curve, the scores of the edit and its damage, and the gate, as other metrics give them."""
    method, n = str(cell.method), plan.facts
    lens, _, lost = BEHAVIOUR[method]
    rows: list[dict[str, Any]] = []

    def add(metric: str, value: float | None, set: str, *, spread: float | None = None, **more: Any) -> None:
        row: dict[str, Any] = dict.fromkeys(RESULTS.names())
        row |= {name: getattr(cell, name) for name in CellInfo.__dataclass_fields__}
        low, high = wilson(round(min(1, max(0, value or 0)) * n), n)
        if spread is not None:
            low, high = max(-1.0, (value or 0) - spread), min(1.0, (value or 0) + spread)
        row |= {
            "set": set,
            "task": "generation",
            "modality": "image_text",
            "metric": metric,
            "value": value,
            "metric_version": 1,
        }
        row |= {"ci_low": low, "ci_high": high, "n": n, "n_subjects": n, "reason": FEW_SUBJECTS_MARK if n < 20 else None}
        rows.append(row | more)

    for layer in range(1, LAYERS + 1):
        for budget in plan.budgets:
            late = max(0.0, (layer - 3) / (LAYERS - 3)) * (1 - 0.5 / budget**0.5)
            fade = 0.6 if method in ("fact_erasure", "empty_response", "error_injection") and layer == LAYERS else 1.0
            value = round(lens * late * fade * n) / n
            place = {"attack": "lens_head_projection", "layer": layer, "budget": budget}
            add("attack_success", value, "forget", **place)
            if plan.never_learned and method == "vanilla":
                add(
                    "attack_success", value - round(0.1 * late * n) / n, "forget", baseline="never_learned", spread=0.1, **place
                )
    if plan.gate and method == "vanilla":
        for metric, share in (("gate_n_raw", 1.0), ("gate_n_known", 0.92), ("gate_n_scored", 0.88)):
            add(metric, float(round(share * n)), "forget", ci_low=None, ci_high=None)
    if method in ("vanilla", "gold"):
        return pl.DataFrame(rows, schema=RESULTS)
    rng = random.Random(f"{method}/{cell.seed}")
    gone = 0.0 if method == "do_nothing" else min(0.99, 1.05 - 0.4 * lens * rng.random())
    for length in (1, *plan.lengths(method)):
        worn = wear(method, length)
        left, cost = gone * (1 - 0.5 * worn), lost * (1 + 2.5 * worn)
        edited: dict[str, Any] = {"n_edits": length}
        if length > 1:
            edited |= {"n": length, "n_subjects": length, "reason": FEW_SUBJECTS_MARK if length < 20 else None}
        for group, value in ((None, left), ("of=answer", 0.9 * left)):
            add("rewrite_score", value, "forget", spread=0.03, group=group, **edited)
        add("paraphrase_score", 0.85 * left, "test", spread=0.06, **edited)
        for axis in ("question", "image", "both"):
            for number, level in enumerate(LEVELS):
                add(
                    "paraphrase_score",
                    left * (0.9 - 0.1 * number),
                    "test",
                    spread=0.06,
                    level=level,
                    group=f"axis={axis}",
                    **edited,
                )
        kept = 0.98 - cost
        add("neighbourhood_score", kept, "neighbour_question", spread=0.04, **edited)
        harmonic = 3 / (1 / left + 1 / (0.85 * left) + 1 / kept) if left else 0.0
        add("edit_score", harmonic, "all", spread=0.04, **edited)
        for set, factor, level in (
            ("retain", 1.0, None), ("neighbour_question", 1.4, None), ("neighbour_image", 1.8, None),
            ("neighbour_image", 1.5, "easy"), ("neighbour_image", 2.1, "hard"),
        ):  # fmt: skip
            value = 0.0 if method == "do_nothing" else cost * factor
            add("delta_accuracy", value, set, spread=0.02 + 0.3 * value, level=level, **edited)
            add(
                "delta_accuracy_p",
                1.0 if not value else 0.3 * 0.0001**value,
                set,
                ci_low=None,
                ci_high=None,
                level=level,
                **edited,
            )
    return pl.DataFrame(rows, schema=RESULTS)


def _taught(facts: Sequence[Sample]) -> list[Sample]:
    """Two hundred answers per attribute that other subjects share, so that the most frequent ones hold few of the facts."""
    of = {str(sample.metadata["attribute"]): sample for sample in facts}
    return [
        replace(
            one, id=f"taught/{name}/{n}", subject=f"taught{n}/{name}", metadata={"attribute": name, "value": f"word{n // 2}"}
        )
        for name, one in of.items()
        for n in range(400)
    ]


def fabricate_facts(folder: Path, plan: FactPlan | None = None, *, samples: Sequence[Sample] | None = None) -> Path:
    """Write a run folder of single facts that looks finished; `samples` of a benchmark take the place of made-up ones."""
    plan = plan or FactPlan()
    folder.mkdir(parents=True, exist_ok=True)
    samples = list(samples or make_facts(plan))
    write_samples(samples, folder / "samples.parquet")
    (folder / "experiment.toml").write_text(
        f'name = "{plan.name}"\nseeds = {list(plan.seeds)}\nmodel = "tiny"\n\n[benchmark]\nname = "creatures"\n\n'
        f"[unlearn]\nmethods = {json.dumps([m for m in plan.methods if m not in CONTROLS])}\n"
        f"modalities = {json.dumps(plan.modalities)}\n"
    )
    (folder / "provenance.json").write_text(json.dumps({"command": ["unsee", "run"], "inputs": {"benchmark": "3f" * 32}}))
    facts = [sample for sample in samples if sample.set == "forget"]
    prior = [sample for sample in samples if sample.set in ("forget", "retain")] + _taught(facts)
    strangers = [replace(sample, id=f"never/{sample.id}", subject=f"never/{sample.subject}") for sample in facts]
    # The spread of a made-up reference that nobody taught.
    never = attacks_on("gold", strangers, "never", hostile=False)
    results = []
    for seed in plan.seeds:
        before = attacks_on("vanilla", facts, "vanilla", hostile=plan.hostile, seed=seed)
        for method in plan.methods:
            for modality in ("none",) if method in CONTROLS else plan.modalities:
                cell = CellInfo(
                    cell=f"{method}-single_fact-{modality}-s{seed}-1a2b3c4d",
                    benchmark="creatures",
                    model="tiny-1",
                    method=method,
                    variant="corrected",
                    unlearn_modality=modality,
                    seed=seed,
                )
                tried = {
                    length: attacks_on(method, facts[:length], cell.cell, hostile=plan.hostile, seed=seed, n_edits=length)
                    for length in plan.lengths(method)
                }
                tried = {1: attacks_on(method, facts, cell.cell, hostile=plan.hostile, seed=seed), **tried}
                place = folder / "cells" / cell.cell
                place.mkdir(parents=True, exist_ok=True)
                pl.concat(tried.values()).write_parquet(place / "attacks.parquet")
                (place / "DONE").write_text("{}")
                for length, found in tried.items():
                    scored = attack_success(
                        found,
                        facts,
                        cell=cell,
                        before=None if method == "vanilla" else before,
                        never_learned=never if plan.never_learned else None,
                        vocabulary=VOCABULARY,
                        budgets=plan.budgets,
                        prior=prior,
                        bootstrap=50,
                    )
                    edits = pl.lit(None if method in NOT_EDITED else length, dtype=pl.Int64).alias("n_edits")
                    results.append(scored.with_columns(edits))
                results.append(by_hand(plan, cell))
    pl.concat(results).write_parquet(folder / "results.parquet")
    return folder


if __name__ == "__main__":
    fabricate_facts(Path(sys.argv[1]))
