r"""Deleted facts and attempts to extract them: which disguises find more, which defence holds, at what damage.

    python studies/extraction.py runs/extraction --tuning runs/extraction-tuning \
        --strengths runs/extraction-weak runs/extraction-strong

Reads a run of examples/extraction.toml and runs of examples/strengths.toml at other strengths, and fills the tables of
docs/studies/extraction.md that they tell. The run on tuning facts says which layer an attacker who knows the defence would
read, and at which rewrite score and damage strengths are compared; all other layers come from the stored records.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from answers import markdown, p_value, percent
from extracted import FOUND, LOST, REWRITE, SCORED, Extraction, Scored, Way, main_ways
from lens_layers import LensReadings, adaptive_choices, layer_table, unseen_choices
from trained_against import MARKS, trained_against

from unsee import load_model
from unsee.attacks.base import NEVER_LEARNED
from unsee.attacks.running import token_reader
from unsee.files import fill
from unsee.metrics.bootstrap import Array
from unsee.metrics.holm import holm

INTERNAL = ("head_projection", "max_entropy")
"""Defences that change what inner layers say; the others change the answer alone."""
AXES = {"rephrase_question": "question", "rephrase_image": "picture", "rephrase_multimodal": "both"}
LEVELS = ("easy", "medium", "hard")
PARTS = ("disguises", "defences", "whole", "best", "damage", "unseen")
"""Tables of one run."""
TUNING_PARTS, STRENGTH_PARTS = ("layers",), ("strengths", "comparison")
"""Tables that need a run on tuning facts, and runs at several strengths besides."""


def after(study: Extraction, way: Way) -> Array:
    """Success of an attack after the edit, averaged over defences."""
    return np.mean([study.success(method, way) for method in study.defences], axis=0)


def disguise_table(study: Extraction) -> str:
    """(a) What disguises of the question, of the picture and of both find, before and after the edits."""
    rows, tests = [], []
    for level in LEVELS:
        ways = {axis: Way(attack, level) for attack, axis in AXES.items() if Way(attack, level) in study.ways}
        for axis, way in ways.items():
            said = [study.success("vanilla", way), after(study, way), study.left(study.defences, way)]
            rows.append([level, axis, *map(percent, said)])
        for other in ("question", "picture"):
            if {"both", other} <= ways.keys():
                tests.append((level, other, after(study, ways["both"]) - after(study, ways[other])))
    adjusted = holm([p_value(difference) for *_, difference in tests])
    told = [
        [level, f"both - {other}", percent(difference, signed=True), f"{p:.4f}"]
        for (level, other, difference), p in zip(tests, adjusted, strict=True)
    ]
    first = markdown(["level", "disguised", "before", "after, mean of defences", "of what it found before"], rows)
    return f"{first}\n\n{markdown(['level', 'difference after the edits', 'points', 'p, Holm'], told)}"


def defence_table(study: Extraction) -> str:
    """(b) Each defence against each attack, marked as `trained_against` says."""
    ways = main_ways(study)
    rows = []
    for method in (*study.controls, *study.defences):
        values = [study.success(method, way) for way in ways]
        marked = [percent(value) + mark(study, method, way) for value, way in zip(values, ways, strict=True)]
        worst = max(range(len(ways)), key=lambda number: values[number][0])
        rows.append([method, *marked, percent(np.mean(values, axis=0)), ways[worst].attack])
    never = [study.unlearned_rate(way) for way in ways]
    told = [rate for rate in never if rate is not None]
    rows.append(
        [NEVER_LEARNED, *("" if rate is None else f"{100 * rate:.0f}" for rate in never), f"{100 * np.mean(told):.0f}", ""]
    )
    return markdown(["", *(way.attack for way in ways), "mean", "worst"], rows)


def mark(study: Extraction, method: str, way: Way) -> str:
    """Whether a defence was trained against an attack; nothing for a control."""
    if method not in study.defences:
        return ""
    attack = dict(zip(study.ways, study.experiment.attacks, strict=True))[way]
    return MARKS[trained_against(study.experiment.plan(method).method, attack, study.attacked()[0], blocks=study.blocks)]


def best_table(*counted: Extraction) -> str:
    """(b) The defence that leaves least, on average over attacks and to the worst of them, against every other one.

    The best one is chosen on the facts that it is tested on. The worst attack is chosen in every draw anew, for each defence.
    """
    tests: list[tuple[list[str], Array]] = []
    for study in counted:
        ways = main_ways(study)
        for title, over in (("mean of attacks", study.over_attacks), ("worst attack", study.worst)):
            at = {method: over(method, ways) for method in study.defences}
            best = min(at, key=lambda method: at[method][0])
            others = sorted((method for method in at if method != best), key=lambda method: at[method][0])
            tests += [
                ([study.counts, title, f"{best} {percent(at[best])}", f"{other} {percent(at[other])}"], at[best] - at[other])
                for other in others
            ]
    adjusted = holm([p_value(difference) for _, difference in tests])
    rows = [[*about, percent(d, signed=True), f"{p:.4f}"] for (about, d), p in zip(tests, adjusted, strict=True)]
    heading = ["found is", "by", "best", "other", "best - other, points", "p, Holm"]
    return f"{len(counted[0].facts)} facts.\n\n{markdown(heading, rows)}"


def damage_table(studies: Mapping[str, Extraction]) -> str:
    """What each strength of each defence did and cost."""
    rows = []
    for strength, study in studies.items():
        for method in study.defences:
            parts = [study.value(method, scored) for scored in SCORED]
            told = [f"{round(100 * value)} ({round(100 * low)} to {round(100 * high)})" for value, low, high in parts]
            rows.append([method, strength, *told, percent(study.over_attacks(method, main_ways(study)))])
    return markdown(
        ["", "strength", "rewrite", "lost, same picture", "lost, neighbour pictures", "lost, other facts", "mean success"], rows
    )


def at_equal(studies: Sequence[Extraction], method: str, scored: Scored, level: float) -> Array | None:
    """Mean success where a defence's number crosses a level, interpolated between strengths; None where it never does."""
    points = [(study.value(method, scored)[0], study.over_attacks(method, main_ways(study))) for study in studies]
    return where_it_crosses(points, level)


def where_it_crosses(points: Sequence[tuple[float, Array]], level: float) -> Array | None:
    """What stands beside a number where it crosses a level, on straight lines between the points; None where it never does."""
    ordered = sorted(points, key=lambda point: point[0])
    for (low, before), (high, after) in pairwise(ordered):
        if low <= level <= high:
            share = 0.0 if high == low else (level - low) / (high - low)
            return before + share * (after - before)
    return next((beside for value, beside in ordered if value == level), None)


def tuned_levels(tuning: Extraction) -> dict[Scored, float]:
    """Rewrite score and damage at which strengths are compared: medians over defences of what they did on tuning facts."""
    return {scored: median(tuning.value(method, scored)[0] for method in tuning.defences) for scored in (REWRITE, LOST)}


def comparison_table(levels: Mapping[Scored, float], *counted: Mapping[str, Extraction]) -> str:
    """Internal-state defences minus the others in mean success: at each strength, at equal rewrite score and equal damage.

    Args:
        levels: the value at which defences are compared; one that reaches it at no strength is left out.
        counted: strength -> its run, for each way to count.
    """
    tests = [test for studies in counted for test in _comparisons(levels, studies)]
    adjusted = holm([p_value(difference) for *_, difference in tests])
    return markdown(
        ["found is", "at", "left out, and what its strengths reach", "internal - output, points", "p, Holm"],
        [[*about, percent(d, signed=True), f"{p:.4f}"] for (*about, d), p in zip(tests, adjusted, strict=True)],
    )


def _comparisons(levels: Mapping[Scored, float], studies: Mapping[str, Extraction]) -> list[tuple[str, str, str, Array]]:
    every = list(studies.values())
    found, sides = every[0].counts, (INTERNAL, tuple(name for name in every[0].defences if name not in INTERNAL))
    tests: list[tuple[str, str, str, Array]] = []
    for strength, study in studies.items():
        inner, output = (np.mean([study.over_attacks(method, main_ways(study)) for method in side], axis=0) for side in sides)
        tests.append((found, f"strength {strength}", "", inner - output))
    for scored, level in levels.items():
        at = {method: at_equal(every, method, scored, level) for side in sides for method in side}
        inside, outside = ([share for method in side if (share := at[method]) is not None] for side in sides)
        missing = [f"{name} ({_reached(every, name, scored)})" for name, share in at.items() if share is None]
        if inside and outside:
            difference = np.mean(inside, axis=0) - np.mean(outside, axis=0)
            title = f"{scored.metric} = {level:.3f}, {len(inside)} against {len(outside)}"
            tests.append((found, title, ", ".join(missing), difference))
    return tests


def _reached(studies: Sequence[Extraction], method: str, scored: Scored) -> str:
    values = sorted(study.value(method, scored)[0] for study in studies)
    return f"{values[0]:.3f} to {values[-1]:.3f}"


def reading_tables(counted: Sequence[Extraction], tuning: Path | None) -> str:
    """White-box attacks on other layers: those that no loss has read or, with a tuning run, the best one there."""
    read = token_reader(load_model(counted[0].experiment.model))
    tables = []
    for study in counted:
        readings = LensReadings(study, read)
        if tuning is None:
            choices = unseen_choices(readings)
        else:
            choices = adaptive_choices(readings, LensReadings(Extraction(tuning, found=study.found), read))
        tables.append(layer_table(readings, choices))
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--strengths", type=Path, nargs="*", default=[], help="runs at other strengths, last word a name")
    parser.add_argument("--tuning", type=Path, help="a run on tuning facts")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, *TUNING_PARTS, *STRENGTH_PARTS), help="fill these tables alone")
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/studies/extraction.md")
    arguments = parser.parse_args()
    told = [*PARTS, *(TUNING_PARTS if arguments.tuning else ()), *(STRENGTH_PARTS if arguments.strengths else ())]
    chosen = arguments.parts or told
    if arguments.tuning is None and {"layers", "comparison"} & set(chosen):
        parser.error("layers and comparison need a run on tuning facts; give it by --tuning, or leave these parts out")
    folders = {"tuned": arguments.run} | {folder.name.rpartition("-")[2]: folder for folder in arguments.strengths}
    studies, whole = ({name: Extraction(folder, found=column) for name, folder in folders.items()} for column in FOUND.values())
    counted = (studies["tuned"], whole["tuned"])
    study = counted[0]
    made: dict[str, Callable[[], str]] = {
        "disguises": lambda: disguise_table(study),
        "defences": lambda: defence_table(study),
        "whole": lambda: defence_table(counted[1]),
        "best": lambda: best_table(*counted),
        "damage": lambda: damage_table({"tuned": study}),
        "unseen": lambda: reading_tables(counted, None),
        "layers": lambda: reading_tables(counted, arguments.tuning),
        "strengths": lambda: damage_table(studies),
        "comparison": lambda: comparison_table(tuned_levels(Extraction(arguments.tuning)), studies, whole),
    }
    fill(arguments.page, {part: made[part]() for part in chosen})


if __name__ == "__main__":
    main()
