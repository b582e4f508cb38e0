"""Samples about invented people and records of models of known behaviour, for the tests of metrics."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from unsee.sample import Sample
from unsee.schemas import RECORDS

POOLS = {
    "job": "nurse pilot baker judge farmer welder dentist potter".split(),
    "birthplace": "Oslo Lima Quito Cairo Turin Porto Delhi Perth".split(),
    "food": "rice soup dumplings tacos curry noodles salad bread".split(),
    "pet": "dog cat owl parrot turtle rabbit hamster lizard".split(),
    "hobby": "chess rowing sewing pottery archery juggling fencing knitting".split(),
}
SENTENCES = {
    "job": "works as a {}",
    "birthplace": "was born in {}",
    "food": "likes to eat {}",
    "pet": "has a {} at home",
    "hobby": "spends free time on {}",
}
Manner = Literal["normal", "refuse", "always_a", "collapsed"]


def people(
    *, forget: int = 30, retain: int = 60, near: int = 20, celebrity: int = 30, seed: int = 0, small: bool = False
) -> list[Sample]:
    """Eighteen questions per person (six if `small`), in the proportions of MLLMU-Bench; forget people are asked twice."""
    rng = random.Random(seed)
    sizes = {"forget": forget, "retain": retain, "near_retain": near, "celebrity": celebrity}
    samples = []
    for set_name, size in sizes.items():
        for number in range(size):
            facts = {attribute: rng.choice(pool) for attribute, pool in POOLS.items()}
            for asked_set in (set_name, "test") if set_name == "forget" else (set_name,):
                samples += _questions(f"{set_name}-{number}", asked_set, facts, number, rng, small)
    return samples


def _questions(
    subject: str, set_name: str, facts: Mapping[str, str], number: int, rng: random.Random, small: bool
) -> list[Sample]:
    made = []
    attributes = list(facts)
    for modality in ("image_text", "text"):
        for task, count in (("classification", 5), ("generation", 2), ("cloze", 2)):
            for i in range(1 if small else count):
                attribute = attributes[(i + (number if task != "classification" else 0)) % 5]
                right = facts[attribute]
                wrong = rng.sample([value for value in POOLS[attribute] if value != right], 3)
                options = dict(zip("ABCD", rng.sample([right, *wrong], 4))) if task == "classification" else {}
                metadata: dict[str, str] = {"attribute": attribute, "value": right}
                if set_name == "test" and modality == "image_text":
                    metadata["level"] = ("near", "far", "foreign")[i % 3]
                if set_name == "near_retain":
                    metadata["relation"] = ("look_alike", "namesake")[number % 2]

                def sentence(value: str, attribute: str = attribute) -> str:
                    return f"{subject} {SENTENCES[attribute].format(value)}."

                says = sentence if task == "generation" else str
                made.append(
                    Sample(
                        id=f"{subject}/{set_name}/{modality}/{task}/{i}",
                        benchmark="toy",
                        subject=subject,
                        set=set_name,  # type: ignore[arg-type]
                        task=task,  # type: ignore[arg-type]
                        modality=modality,  # type: ignore[arg-type]
                        question=f"What about {attribute}? __",
                        answer=says(right),
                        options=options,
                        correct_option=next((letter for letter, text in options.items() if text == right), None),
                        wrong_answers=tuple(says(value) for value in wrong),
                        metadata=metadata,
                    )
                )
    return made


def answers(
    samples: Sequence[Sample],
    knows: Mapping[str, float] | float,
    *,
    seed: int = 0,
    manner: Manner = "normal",
    suppressed: Sequence[str] = (),
    letter_skill: float = 0.95,
) -> pl.DataFrame:
    """Records of a model of known behaviour.

    Args:
        samples: what it is asked.
        knows: share of the questions of each set that it can answer (a number for all sets); the rest is guessed.
        seed: its seed.
        manner: how it answers, whatever it knows.
        suppressed: sets whose right answers it has been pushed below the wrong ones (ascent that went on too long).
        letter_skill: share of known facts that it can also give by letter.
    """
    rng = random.Random(seed)
    rows = []
    for sample in samples:
        share = knows if isinstance(knows, float) else knows.get(sample.set, 1.0)
        # Test shares the knowledge of forget; a subject is known or not as a whole half of the time.
        known = rng.random() < share and manner != "collapsed"
        hidden = sample.set in suppressed
        right = _near(rng, -0.1, 0.05) if known else _near(rng, -2.5, 0.6)
        wrong = [_near(rng, -5.0 if known else -2.5, 0.6) for _ in sample.wrong_answers]
        if manner == "collapsed":
            right, wrong = _near(rng, -8.0, 1.0), [_near(rng, -8.0, 1.0) for _ in wrong]
        if hidden:
            right -= 7.0
        likelihood = {
            "answer_logprob_mean": right,
            "answer_logprob_sum": 3 * right,
            "n_answer_tokens": 3,
            "perturbed_logprobs": wrong,
        }
        if sample.options:
            by_text = dict(zip((o for o in sample.options.values() if o != sample.answer), wrong))
            scores = [right if text == sample.answer else by_text[text] for text in sample.options.values()]
            best = list(sample.options)[max(range(len(scores)), key=scores.__getitem__)]
            rows.append(row(sample, "options", parsed=best, option_logprobs=scores, **likelihood))
            letter = sample.correct_option if known and rng.random() < letter_skill else rng.choice("ABCD")
            if hidden:
                letter = rng.choice([a for a in "ABCD" if a != sample.correct_option])
            said = {"normal": letter, "refuse": "I cannot say.", "always_a": "A", "collapsed": "zq zq zq"}[manner]
            rows.append(row(sample, "letter", response=said, parsed=said if said in sample.options else None))
        else:
            text = sample.answer if known and not hidden else _guess(sample, rng)
            said = {"normal": text, "refuse": "I cannot say.", "always_a": "A", "collapsed": "zq zq zq zq"}[manner]
            parsed = None if manner == "collapsed" else said
            rows.append(row(sample, "generate", response=said, parsed=parsed, **likelihood))
    return pl.DataFrame(rows, schema=RECORDS)


def row(sample: Sample, view: str, **fields: object) -> dict[str, object]:
    """One record."""
    base = dict.fromkeys(RECORDS) | {
        "cell": "toy",
        "sample_id": sample.id,
        "subject": sample.subject,
        "set": sample.set,
        "task": sample.task,
        "modality": sample.modality,
        "view": view,
        "protocol": "strict",
        "draw": 0,
        "finish_reason": "stop",
    }
    if "parsed" in fields and "response" not in fields:
        base["response"] = fields["parsed"]
    return base | fields


def _guess(sample: Sample, rng: random.Random) -> str:
    """A plausible answer of the right kind that is only right by luck."""
    attribute = str(sample.metadata["attribute"])
    value = rng.choice(POOLS[attribute])
    return f"{sample.subject} {SENTENCES[attribute].format(value)}." if sample.task == "generation" else value


def _near(rng: random.Random, mean: float, sd: float) -> float:
    return min(-1e-3, rng.gauss(mean, sd) if not math.isnan(mean) else mean)


VANILLA = {"forget": 0.97, "test": 0.9, "retain": 0.97, "near_retain": 0.97, "celebrity": 0.9}
GOLD = VANILLA | {"forget": 0.0, "test": 0.0}


def forgot(share: float) -> dict[str, float]:
    """A model between vanilla (0) and gold (1) on what is forgotten, unharmed elsewhere."""
    return {name: VANILLA[name] + share * (GOLD[name] - VANILLA[name]) for name in VANILLA}
