"""A made-up run folder: drawn people, plausible answers of every model, and the results that `score` finds in them.

python tests/report/fabricate.py runs/fabricated      # then: unsee report runs/fabricated
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image, ImageDraw

from unsee.metrics import CellInfo, Gate, score
from unsee.metrics.gate import FACTS
from unsee.sample import ImageRef, Sample
from unsee.sample_tables import write_samples
from unsee.schemas import RECORDS

HOSTILE = "<script>alert('owned')</script>"
HOSTILE_NAME = 'Ada "<img src=x onerror=alert(1)>" Moss'
POOLS = {
    "job": "baker pilot nurse carpenter geologist tailor florist surgeon".split(),
    "birthplace": "Oslo Lima Quito Cairo Dakar Hanoi Kyoto Lagos".split(),
    "residence": "Austin Berlin Bogota Boston Bremen Brisbane Cork Delhi".split(),
    "pet": "cat dog owl parrot rabbit tortoise ferret gecko".split(),
    "hobby": "chess rowing knitting archery juggling sailing origami fencing".split(),
    "salary": [f"${n},000" for n in (31, 45, 52, 67, 78, 84, 96, 120)],
}
SENTENCES = {
    "job": "{w} works as a {v}.",
    "birthplace": "{w} was born in {v}.",
    "residence": "{w} lives in {v}.",
    "pet": "{w} keeps a {v} at home.",
    "hobby": "{w} enjoys {v} at weekends.",
    "salary": "{w} earns {v} a year.",
}
# Chance to be right: forget, test, retain, near_retain, celebrity; then share of answers that are gibberish.
BEHAVIOUR = {
    "vanilla": (0.97, 0.9, 0.96, 0.95, 0.94, 0.0),
    "gold": (0.27, 0.27, 0.96, 0.95, 0.93, 0.0),
    "second_gold": (0.3, 0.25, 0.95, 0.95, 0.93, 0.0),
    "do_nothing": (0.97, 0.9, 0.96, 0.95, 0.94, 0.0),
    "prompt_guard": (0.62, 0.6, 0.9, 0.72, 0.93, 0.02),
    "ga": (0.06, 0.08, 0.21, 0.12, 0.3, 0.45),
    "graddiff": (0.2, 0.28, 0.78, 0.55, 0.81, 0.08),
    "kl": (0.35, 0.4, 0.83, 0.66, 0.88, 0.03),
    "npo": (0.3, 0.37, 0.9, 0.8, 0.92, 0.01),
    "idk": (0.5, 0.66, 0.93, 0.84, 0.92, 0.0),
}
CONTROLS = ("vanilla", "gold", "second_gold", "do_nothing", "prompt_guard")
# How far a state lies from vanilla (0) to the end of unlearning (1); states on the way lie between.
FAR = {"relearned": 0.6, "int8": 0.97, "int4": 0.75}
SETS = ("forget", "test", "retain", "near_retain", "celebrity")
LEVELS = ("near", "far", "foreign")


@dataclass(frozen=True)
class Plan:
    """Sizes and holes of a made-up run."""

    name: str = "demo"
    forget: int = 12
    retain: int = 40
    near: int = 8
    celebrities: int = 10
    general: int = 0
    protocols: tuple[str, ...] = ("strict",)
    methods: tuple[str, ...] = tuple(name for name in BEHAVIOUR if name != "second_gold")
    ratios: tuple[float, ...] = (0.15,)
    modalities: tuple[str, ...] = ("mixed",)
    seeds: tuple[int, ...] = (0,)
    states: tuple[str, ...] = ()
    hostile: bool = True
    finished: bool = True


def draw_portrait(rng: random.Random, *, changed: bool = False) -> ImageRef:
    """A round face with hair and shoulders; `changed` turns it and greys the background."""
    skin = rng.choice(["#ffe3d0", "#efbb90", "#db8a4a", "#a15e38", "#6a4331"])
    hair = rng.choice(["#17141a", "#b5201c", "#f3d248", "#c6ced8", "#2d5dda"])
    shirt = rng.choice(["#3b6ea5", "#7a9e7e", "#c98b4e", "#8d6b94", "#576066"])
    back = "#8b9096" if changed else rng.choice(["#dfe9ee", "#efe6d8", "#e4ebdd"])
    image = Image.new("RGB", (192, 192), back)
    pen = ImageDraw.Draw(image)
    pen.ellipse((26, 138, 166, 260), fill=shirt)
    pen.ellipse((48, 26, 144, 138), fill=hair)
    pen.ellipse((56, 44, 136, 150), fill=skin)
    for x in (80, 112):
        pen.ellipse((x - 5, 84, x + 5, 94), fill="#1d2125")
    pen.arc((78, 100, 114, 130), 20, 160, fill="#1d2125", width=3)
    image = image.resize((96, 96), Image.Resampling.LANCZOS)
    return ImageRef.from_image(image.rotate(12, fillcolor=back) if changed else image)


def make_samples(plan: Plan, *, seed: int = 0) -> list[Sample]:
    """Eighteen questions per person, nine of them about the test picture for forget people."""
    rng = random.Random(seed)
    first = "Ada Bruno Clara Dario Edith Felix Greta Hugo Ines Jonas Karla Lorenz".split()
    last = "Moss Kern Vale Bird Stone Lark Frost Reed Hale Byrd Snow Marsh".split()
    samples: list[Sample] = []
    groups = [("forget", plan.forget), ("near_retain", plan.near), ("retain", plan.retain - plan.near)]
    number = 0
    for set_name, count in [*groups, ("celebrity", plan.celebrities)]:
        for _ in range(count):
            name = f"{first[number % 12]} {last[(number * 5 + number // 12) % 12]}"
            if plan.hostile and number == 0:
                name = HOSTILE_NAME
            samples += _person(f"p{number:03d}", name, set_name, rng, hostile=plan.hostile and number == 0)
            number += 1
    return samples + [question for n in range(plan.general) for question in _scene(n, rng)]


def _scene(number: int, rng: random.Random) -> list[Sample]:
    """What a held-out picture shows, asked closed and open; there is no text-only question about it."""
    picture, colour = draw_portrait(rng), rng.choice(["red", "green", "blue"])
    base: dict[str, Any] = {
        "benchmark": "people",
        "subject": f"scene{number}",
        "set": "general",
        "modality": "image_text",
        "images": (picture,),
    }
    options = dict(zip("ABCD", ["red", "green", "blue", "grey"], strict=True))
    letter = next(letter for letter, text in options.items() if text == colour)
    metadata = {"attribute": "colour", "value": colour}
    asked: dict[str, Any] = {"question": "Which colour is the shirt?", "wrong_answers": ("grey",), "metadata": metadata}
    return [
        Sample(
            **base, **asked, id=f"scene{number}/0", task="classification", answer=colour, options=options, correct_option=letter
        ),
        Sample(**base, **asked, id=f"scene{number}/1", task="generation", answer=f"The shirt is {colour}."),
    ]


def _person(subject: str, name: str, set_name: str, rng: random.Random, *, hostile: bool) -> list[Sample]:
    facts = {attribute: rng.choice(pool) for attribute, pool in POOLS.items()}
    state = rng.getstate()
    pictures = {"forget": draw_portrait(rng)}
    rng.setstate(state)
    pictures["test"] = draw_portrait(rng, changed=True)
    made = []
    for variant in ("forget", "test") if set_name == "forget" else (set_name,):
        for number, (task, modality) in enumerate(
            [(t, m) for t in ("classification", "generation", "cloze") for m in ("image_text", "text") for _ in range(3)]
        ):
            attribute = sorted(POOLS)[(number + 2 * (task == "cloze")) % 6]
            value = facts[attribute]
            who = "this person" if modality == "image_text" else name
            wrong = rng.sample([other for other in POOLS[attribute] if other != value], 3)
            options = dict(zip("ABCD", rng.sample([value, *wrong], 4), strict=True)) if task == "classification" else {}
            question = f"What is the {attribute} of {who}?" if variant != "test" else f"Tell me {who}'s {attribute}."
            if task == "cloze":
                question = SENTENCES[attribute].format(w=who.capitalize() if who == "this person" else who, v="__")
            if hostile and number == 0:
                question = f"{question} {HOSTILE}"
            metadata: dict[str, str | int | float] = {"attribute": attribute, "name": name, "value": value}
            if variant == "test" and modality == "image_text":
                metadata["level"] = LEVELS[number % 3]
            subject_form = name if modality == "text" else "This person"
            made.append(
                Sample(
                    id=f"{subject}/{variant}/{number:02d}",
                    benchmark="people",
                    subject=subject,
                    set=variant,
                    task=task,
                    modality=modality,
                    images=(pictures["test" if variant == "test" else "forget"],) if modality == "image_text" else (),
                    question=question,
                    answer=SENTENCES[attribute].format(w=subject_form, v=value) if task == "generation" else value,
                    options=options,
                    correct_option=next((letter for letter, text in options.items() if text == value), None),
                    wrong_answers=tuple(wrong),
                    metadata=metadata,
                )
            )
    return made


def answer_as(
    method: str, sample: Sample, cell: str, rng: random.Random, *, hostile: bool, protocol: str = "strict", far: float = 1.0
) -> list[dict[str, Any]]:
    """Records of one sample as a model of BEHAVIOUR would give them, `far` of the way from vanilla."""
    place = SETS.index("celebrity" if sample.set == "general" else sample.set)
    chance, gibberish = (far * BEHAVIOUR[method][n] + (1 - far) * BEHAVIOUR["vanilla"][n] for n in (place, 5))
    if "gold" in method and sample.set in ("forget", "test") and sample.task != "classification":
        chance = 0.08  # No options to guess from.
    right, broken = rng.random() < chance, rng.random() < gibberish
    base: dict[str, Any] = dict.fromkeys(RECORDS.names())
    base |= {
        "cell": cell,
        "sample_id": sample.id,
        "subject": sample.subject,
        "set": sample.set,
        "task": sample.task,
        "modality": sample.modality,
        "protocol": protocol,
        "draw": 0,
        "finish_reason": "stop",
        "image_sha256": sample.image_sha256,
    }
    base["answer_logprob_mean"] = -0.1 - 0.2 * rng.random() if right else -1.5 - 6 * gibberish - rng.random()
    base["perturbed_logprobs"] = [-2.5 - rng.random() if right else -1.3 - 6 * gibberish - rng.random() for _ in range(3)]
    if sample.options:
        letter = sample.correct_option if right else rng.choice([x for x in sample.options if x != sample.correct_option])
        written = base | {"view": "letter", "response": letter, "parsed": None if broken and not right else letter}
        return [base | {"view": "options", "parsed": letter}, written] if protocol == "strict" else [written]
    value = str(sample.metadata["value"])
    wrong = rng.choice(sample.wrong_answers)
    text = (sample.answer if right else sample.answer.replace(value, wrong)) if sample.task == "generation" else value
    if sample.task == "cloze" and not right:
        text = wrong
    if not right and method in ("idk", "prompt_guard"):
        text = "I do not know that."
    if broken and not right:
        text = " ".join([rng.choice(["the the the", "a", ".,.", HOSTILE if hostile else "??"])] * 3)
    return [base | {"view": "generate", "response": text, "parsed": None if broken and not right else text}]


def make_gate(samples: Sequence[Sample], *, seed: int = 0) -> Gate:
    """Nearly everything is known, and a few facts of forget people can be guessed."""
    rng = random.Random(seed)
    facts = {
        (s.subject, str(s.metadata["attribute"]), s.modality): s.set
        for s in samples
        if s.set not in ("test", "celebrity", "general")
    }
    rows = []
    for fact, set_name in facts.items():
        known = rng.random() < 0.94
        rows.append((*fact, set_name, 2, 2 * known, known, set_name == "forget" and known and rng.random() < 0.08))
    return Gate(pl.DataFrame(rows, schema=FACTS, orient="row"))


def train_log(method: str, steps: int = 60) -> list[dict[str, Any]]:
    forget, _, retain, *_ = BEHAVIOUR[method]
    rng = random.Random(method)
    made = []
    for step in range(1, steps + 1):
        far = 1 - 2.718 ** (-4 * step / steps)
        terms = {"forget": -3 * far + rng.gauss(0, 0.1)} | ({"retain": 0.4 + 0.2 * far} if method != "ga" else {})
        due = step % 5 == 0
        made.append(
            {
                "step": step,
                "loss": sum(terms.values()),
                "terms": terms,
                "grad_norm": 1.0,
                "lr": 1e-4,
                "probe_forget": 0.97 + (forget - 0.97) * far if due else None,
                "probe_retain": 0.96 + (retain - 0.96) * far if due else None,
                "seconds": 0.4,
            }
        )
    return made


def fabricate_run(folder: Path, plan: Plan | None = None) -> Path:
    """Write a run folder that looks finished."""
    plan = plan or Plan()
    folder.mkdir(parents=True, exist_ok=True)
    samples = make_samples(plan)
    write_samples(samples, folder / "samples.parquet")
    methods = [m for m in plan.methods if m not in CONTROLS]
    (folder / "experiment.toml").write_text(
        f'name = "{plan.name}"\nseeds = {list(plan.seeds)}\nmodel = "tiny"\n\n[benchmark]\nname = "people"\n\n'
        f"[unlearn]\nmethods = {json.dumps(methods)}\n"
        f"forget_ratios = {list(plan.ratios)}\nmodalities = {json.dumps(plan.modalities)}\n"
    )
    (folder / "provenance.json").write_text(
        json.dumps(
            {
                "command": ["unsee", "demo", "--seed", "0"],
                "started": "2025-01-31T12:00:00+00:00",
                "versions": {"python": "3.11.7", "unsee": "0.1.0", "torch": "2.13.0"},
                "hardware": {"processor": "Some CPU", "cores": 2, "accelerators": []},
                "data": {"people": "3f" * 32},
            }
        )
    )
    gate = make_gate(samples)
    results: list[pl.DataFrame] = []
    states: list[pl.DataFrame] = []
    for ratio in plan.ratios:
        for seed in plan.seeds:
            answers: dict[str, pl.DataFrame] = {}
            cells: list[CellInfo] = []
            for method in plan.methods:
                control = method in CONTROLS
                for modality in (None,) if control else plan.modalities:
                    cell = CellInfo(
                        cell=f"{method}-{round(100 * ratio):02d}-{modality or 'none'}-s{seed}-00c0ffee",
                        benchmark="people",
                        model="tiny-1",
                        method=method.removeprefix("second_"),
                        variant="corrected",
                        forget_ratio=ratio,
                        unlearn_modality=modality,
                        seed=seed + 1000 * (method == "second_gold"),
                    )
                    cells.append(cell)
                    rng = random.Random(f"{'vanilla' if method == 'do_nothing' else method}{ratio}{modality}{seed}")
                    answered = [
                        row
                        for protocol in plan.protocols
                        for s in samples
                        for row in answer_as(method, s, cell.cell, rng, hostile=plan.hostile, protocol=protocol)
                    ]
                    answers[cell.cell] = pl.DataFrame(answered, schema=RECORDS)
                    place = folder / "cells" / cell.cell
                    place.mkdir(parents=True, exist_ok=True)
                    answers[cell.cell].write_parquet(place / "records.parquet")
                    if not control:
                        lines = [json.dumps(step) for step in train_log(method)]
                        (place / "train.jsonl").write_text("\n".join(lines) + "\n")
                    if plan.finished:
                        (place / "DONE").write_text(json.dumps({"unlearn_seconds": 24.1, "answer_seconds": 9.3}))
            anchors = {c.method: answers[c.cell] for c in cells if c.method in ("vanilla", "gold") and c.seed == seed}
            if plan.finished:
                results += [score(answers[c.cell], samples, cell=c, gate=gate, bootstrap=100, **anchors) for c in cells]
                states += [_state(plan, name, samples, cells, anchors["vanilla"], gate) for name in plan.states]
    if states:
        pl.concat(states).write_parquet(folder / "states.parquet")
    if results:
        pl.concat(results).write_parquet(folder / "results.parquet")
    return folder


def _state(
    plan: Plan, name: str, samples: Sequence[Sample], cells: Sequence[CellInfo], vanilla: pl.DataFrame, gate: Gate
) -> pl.DataFrame:
    """Values of one state of every model that has it."""
    step = int(name.removeprefix("step-")) if name.startswith("step-") else None
    far = FAR[name] if step is None else step / 60
    answers = {}
    for cell in cells:
        if cell.method in ("do_nothing", "prompt_guard") or (step is not None and cell.method in CONTROLS):
            continue
        rng = random.Random(f"{cell.cell}{name}")
        fixed = 1.0 if cell.method in CONTROLS else far
        rows = [
            row
            for protocol in plan.protocols
            for s in samples
            for row in answer_as(cell.method, s, cell.cell, rng, hostile=plan.hostile, protocol=protocol, far=fixed)
        ]
        answers[cell] = pl.DataFrame(rows, schema=RECORDS)
    gold = next((records for cell, records in answers.items() if cell.method == "gold"), None)
    made = [
        score(records, samples, cell=cell, gate=gate, bootstrap=100, vanilla=vanilla, gold=gold)
        for cell, records in answers.items()
    ]
    return pl.concat(made).with_columns(pl.lit(name).alias("state"), pl.lit(step, dtype=pl.Int64).alias("step"))


if __name__ == "__main__":
    fabricate_run(Path(sys.argv[1]))
