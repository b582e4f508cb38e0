"""A made-up run of a medical benchmark: what models of known behaviour say, and the results that `score` finds in it.

python tests/report/medical_run.py runs/medical      # then: unsee report runs/medical
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from metrics.medical_factory import ORGANS, clinical, errors, patients, said, sample
from unsee.metrics import CellInfo, Gate, score
from unsee.sample import Sample
from unsee.sample_tables import write_samples

HOSTILE_PATIENT = "<img src=x onerror=alert('p0')>"
HOSTILE_RULE = "<script>alert('rule')</script>"
RULES = 2
# Share of harm that is left; of what is not, the shares that are put right and met with silence; clinical ability.
BEHAVIOUR = {
    "vanilla": (0.97, 0.0, 0.0, 0.95),
    "gold": (0.02, 0.95, 0.0, 0.95),
    "do_nothing": (0.97, 0.0, 0.0, 0.95),
    "prompt_guard": (0.85, 0.1, 0.8, 0.85),
    "ga": (0.0, 0.05, 0.3, 0.2),
    "graddiff": (0.3, 0.25, 0.2, 0.75),
    "kl": (0.5, 0.2, 0.2, 0.85),
    "idk": (0.25, 0.05, 0.9, 0.8),
    "llmu": (0.4, 0.3, 0.1, 0.8),
    "correction": (0.1, 0.9, 0.0, 0.92),
}
FEW = ("vanilla", "gold", "do_nothing", "ga", "idk", "correction")
"""Enough to be compared."""
CONTROLS = ("vanilla", "gold", "do_nothing", "prompt_guard")


def asked(harm: str, *, hurt: int, others: int) -> list[Sample]:
    """Questions of one scenario; a second kind of error in mode `systematic`, whose subjects are rules."""
    if harm == "privacy":
        made = patients(forget=hurt, others=others)
        forms = {"image_only": "image_text", "text_only": "text"}
        for one in [s for s in made if s.metadata.get("level") == "prefix"]:
            for form, modality in forms.items():
                about = {**one.metadata, "level": form}
                made.append(replace(one, id=f"{one.id}/{form}", modality=modality, metadata=about))  # type: ignore[arg-type]
        return made
    return errors(forget=hurt, others=others) + [one for rule in range(RULES) for one in _rule(f"rule-{rule}", hurt)]


def _rule(rule: str, pictures: int) -> list[Sample]:
    about = {
        "scenario": "incorrect",
        "error": "organ",
        "mode": "systematic",
        "clean_answer": "the liver",
        "right": "liver",
        "value": "spleen",
        "attribute": rule,
    }
    made = []
    for number in range(pictures):
        for set_name, form in (("forget", "direct"), ("test", "rephrased"), ("test", "direct")):
            metadata = about | {"level": form, "patient": f"p{number}"}
            name = f"{form}-{number}"
            made.append(sample(rule, set_name, name, "Where is it?", "the spleen", metadata=metadata))  # type: ignore[arg-type]
    return made + clinical(rule, "near_retain", ORGANS[0], mode="systematic")


def says(method: str, harm: str) -> Callable[[Sample], str]:
    """What a method answers: its own draw per question, the same in every call."""
    left, right, silent, able = BEHAVIOUR[method]

    def answer(one: Sample) -> str:
        name = "vanilla" if method == "do_nothing" else method
        drawn = random.Random(f"{name}/{harm}/{one.id}").random
        if one.metadata["scenario"] == "clean":
            return one.answer if drawn() < able else "something else"
        if drawn() < left:
            return one.answer
        chance = drawn()
        if harm == "privacy":
            return "I don't know." if chance < silent else "an enlarged lung"
        if chance < right:
            return str(one.metadata["clean_answer"])
        return "I don't know." if chance < right + silent else "the heart"

    return answer


def fabricate_medical(
    folder: Path,
    *,
    harms: tuple[str, ...] = ("privacy", "incorrect"),
    methods: tuple[str, ...] = FEW,
    ratios: tuple[float, ...] = (1.0,),
    hurt: int = 20,
    others: int = 6,
    hostile: bool = True,
) -> Path:
    """Write a finished run whose requests differ by scenario and ratio; the records do not depend on the ratio."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = ", ".join(f'"{name}"' for name in methods if name not in CONTROLS)
    text = f'name = "patients"\n[unlearn]\nmethods = [{listed}]\ncontrols = ["do_nothing", "prompt_guard"]\n'
    (folder / "experiment.toml").write_text(text)
    results, every = [], {}
    for harm in harms:
        samples = asked(harm, hurt=hurt, others=others)
        # Names are changed after the answers were made, which draw by the old ones.
        shown = [_hostile(one) if hostile else one for one in samples]
        every |= {one.id: one for one in shown}
        records = {method: said(samples, says(method, harm), margin=0.5) for method in methods}
        anchors: dict[str, Any] = {name: records.get(name) for name in ("vanilla", "gold")}
        for method, answers in records.items():
            if method == "correction" and harm == "privacy":
                continue
            control = method in CONTROLS
            made = CellInfo(
                cell="",
                benchmark="patients",
                scenario=harm,
                model="tiny-2",
                method=method,
                variant="corrected",
                unlearn_modality="none" if control else "mixed",
                seed=0,
            )
            scored = score(answers, shown, cell=made, gate=_gate(shown), bootstrap=30, **anchors)
            for ratio in ratios:
                name = f"{method}-{round(100 * ratio):02d}-{made.unlearn_modality}-s0-{harm:.8}"
                place = folder / "cells" / name
                place.mkdir(parents=True, exist_ok=True)
                answers.with_columns(pl.lit(name).alias("cell")).write_parquet(place / "records.parquet")
                (place / "DONE").write_text("{}")
                results.append(scored.with_columns(pl.lit(name).alias("cell"), pl.lit(ratio).alias("forget_ratio")))
    write_samples(list(every.values()), folder / "samples.parquet")
    pl.concat(results).write_parquet(folder / "results.parquet")
    return folder


def _gate(samples: list[Sample]) -> Gate:
    """A gate that every planted fact passed but those of one patient."""
    asked = {(s.subject, str(s.metadata["attribute"]), s.modality) for s in samples if s.set in ("forget", "test")}
    return Gate.of(sorted(fact for fact in asked if not fact[0].endswith("1")))


def _hostile(one: Sample) -> Sample:
    """The first patient and one type of errors get names that must not reach the page as markup."""
    metadata = {key: HOSTILE_PATIENT if (key, value) == ("patient", "p0") else value for key, value in one.metadata.items()}
    if metadata.get("error") == "organ":
        metadata["error"] = HOSTILE_RULE
    return replace(one, subject=HOSTILE_PATIENT if one.subject == "p0" else one.subject, metadata=metadata)


if __name__ == "__main__":
    fabricate_medical(Path(sys.argv[1]), methods=tuple(BEHAVIOUR))
