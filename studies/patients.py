r"""Harm that slipped into training data: incomplete requests, costs, weak methods, hidden errors, and what survives.

    python studies/patients.py runs/patients-study

Reads a finished run of examples/patients_study.toml (tables on one request also come from one of examples/patients.toml) and
fills the tables of docs/studies/patients.md. Shares are over facts that vanilla knows; intervals resample patients and false
rules, the same for every model, so that differences are paired.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from answers import interval, markdown, p_value, percent
from patient_answers import MARKS, SAID, Patients

from unsee.experiment import Cell
from unsee.files import fill
from unsee.metrics.bootstrap import FEW_SUBJECTS_MARK, Array
from unsee.metrics.efficiency import parts, weighted_harmonic
from unsee.metrics.holm import holm
from unsee.metrics.medical_subsets import HARMS, Harm

TITLES = {
    "leak_rate": "asked",
    "volunteered_leak": "volunteered",
    "wrong_reproduction": "still wrong",
    "right_recovery": "right again",
}
FORMS = ("direct", "rephrased", "prefix")
REFUSES = "idk"
NONE = "-"


def _told(draws: Array | None, *, signed: bool = False) -> str:
    return NONE if draws is None else percent(draws, signed=signed)


def _score(draws: Array) -> str:
    low, high = interval(draws)
    return f"{draws[0]:.2f} ({low:.2f} to {high:.2f})"


def _minus(one: Array | None, other: Array | None) -> Array | None:
    return None if one is None or other is None else one - other


class Tests:
    """Differences that are corrected together by Holm's method."""

    def __init__(self) -> None:
        self._rows: list[tuple[list[str], list[Array | None], list[str]]] = []

    def add(self, names: Iterable[str], differences: Iterable[Array | None], more: Iterable[str] = ()) -> None:
        """A row of the table: names, differences, further cells."""
        self._rows.append((list(names), [_whole(one) for one in differences], list(more)))

    def table(
        self, heading: Sequence[str], tested: Sequence[str], more: Sequence[str] = (), *, tell: Callable[[Array], str]
    ) -> str:
        """Each difference with its interval and corrected p-value."""
        corrected = iter(holm([p_value(one) for _, many, _ in self._rows for one in many if one is not None]))
        rows = []
        for names, differences, others in self._rows:
            cells = [(tell(d), f"{next(corrected):.3f}") if d is not None else (NONE, NONE) for d in differences]
            rows.append([*names, *others, *(text for pair in cells for text in pair)])
        return markdown([*heading, *more, *(text for name in tested for text in (name, "p, Holm"))], rows)


def _whole(draws: Array | None) -> Array | None:
    """A difference without the draws in which there was nothing to compare, which would count for neither side."""
    return None if draws is None or np.isnan(draws[0]) else draws[~np.isnan(draws)]


def _points(draws: Array) -> str:
    return percent(draws, signed=True)


def _signed_score(draws: Array) -> str:
    low, high = interval(draws)
    return f"{draws[0]:+.2f} ({low:+.2f} to {high:+.2f})"


def _ues_r(run: Patients, draws: Array, *, signed: bool = False) -> str:
    """A UES-R or a difference of two, with * where it supports no verdict."""
    return (_signed_score if signed else _score)(draws) + ("*" if run.few else "")


def _noted(run: Patients, table: str) -> str:
    """A table of scores with what its marks mean."""
    listed = ", ".join(f"{count} in {name}" for name, count in run.few.items())
    return f"{table}\n\n\\* {FEW_SUBJECTS_MARK} ({listed})" if run.few else table


# Tables -------------------------------------------------------------------------------------------------------------------


def left_table(run: Patients, scenario: Harm) -> str:
    """(a) What remains after requests that list a part of the harm: of listed samples and of those that they missed."""
    direct = (pl.col("set") == "forget") & (pl.col("level") == "direct")
    heading = [f"{TITLES[metric]}, {side}" for metric in MARKS[scenario] for side in ("listed", "missed")]
    rows = []
    for ratio in run.ratios:
        for method in ("vanilla", "gold", *run.measured(scenario, ratio)):
            cells = run.cells(method, scenario, ratio)
            shares = [
                run.mean(cells, direct & (pl.col("metric") == metric) & (pl.col("listed") == side))
                for metric in MARKS[scenario]
                for side in (True, False)
            ]
            rows.append([f"{100 * ratio:.3g} %", method, *map(_told, shares)])
    return markdown(["listed", "", *heading], rows)


def incomplete_table(run: Patients) -> str:
    """(a) Share of the harm that is left, against the request that lists all of it."""
    tests = Tests()
    whole = run.ratios[0]
    for scenario in run.scenarios:
        for method in run.measured(scenario, whole):
            after = {ratio: run.parts(run.cells(method, scenario, ratio)) for ratio in run.ratios}
            left = {ratio: None if one is None else 1.0 - one.removed for ratio, one in after.items()}
            shown = [_told(left[ratio]) for ratio in run.ratios]
            tests.add([scenario, method], [_minus(left[ratio], left[whole]) for ratio in run.ratios[1:]], shown)
    listed = [f"{100 * ratio:.3g} %" for ratio in run.ratios]
    return tests.table(
        ["", ""], [f"{name} - {listed[0]}" for name in listed[1:]], [f"left at {name}" for name in listed], tell=_points
    )


def cost_table(run: Patients) -> str:
    """(b) What a method's training took, as a share of gold's; mean over seeds."""
    rows = []
    for scenario in run.scenarios:
        for ratio in run.ratios:
            golds = {cell.draw: run.cost(cell) for cell in run.cells("gold", scenario, ratio)}
            for method in run.measured(scenario, ratio):
                shares = [
                    {name: spent / golds[cell.draw][name] for name, spent in run.cost(cell).items()}
                    for cell in run.cells(method, scenario, ratio)
                    if golds[cell.draw]["steps"]
                ]
                told = [
                    f"{100 * np.mean([one[name] for one in shares]):.2g} %" if shares else NONE
                    for name in ("seconds", "steps", "tokens")
                ]
                rows.append([scenario, f"{100 * ratio:.3g} %", method, *told])
    return markdown(["", "listed", "", "seconds", "steps", "tokens"], rows)


def weak_table(run: Patients) -> str:
    """(c) Harm after each method against vanilla's and gold's."""
    tests = Tests()
    for scenario in run.scenarios:
        for method in run.measured(scenario, run.ratios[0]):
            found = run.subsets(run.cells(method, scenario, run.ratios[0]))
            if found is None:
                continue
            harm = {model: one.harm for model, one in found.items()}
            made = parts(found["value"], vanilla=found["vanilla"], gold=found["gold"])
            shown = [*(_told(harm[model]) for model in ("vanilla", "value", "gold")), _ues_r(run, weighted_harmonic(made))]
            tests.add([scenario, method], [harm["value"] - harm["vanilla"], harm["value"] - harm["gold"]], shown)
    columns = ["harm before", "after", "of gold", "UES-R"]
    return _noted(run, tests.table(["", ""], ["after - before", "after - gold"], columns, tell=_points))


def harder_table(run: Patients) -> str:
    """(d) UES-R of the methods that both scenarios have, privacy minus errors."""
    tests = Tests()
    scores: list[dict[str, Array]] = []
    for method in run.methods:
        found = {scenario: run.parts(run.cells(method, scenario, run.ratios[0])) for scenario in run.scenarios}
        made = {scenario: weighted_harmonic(one) for scenario, one in found.items() if one is not None}
        if len(made) == len(HARMS):
            scores.append(made)
            tests.add([method], [made["privacy"] - made["incorrect"]], [_ues_r(run, made[name]) for name in HARMS])
    if scores:
        means = {name: np.mean([one[name] for one in scores], axis=0) for name in HARMS}
        tests.add(["mean of methods"], [means["privacy"] - means["incorrect"]], [_ues_r(run, means[name]) for name in HARMS])
    return _noted(run, tests.table([""], ["privacy - incorrect"], list(HARMS), tell=partial(_ues_r, run, signed=True)))


def hidden_table(run: Patients) -> str:
    """(e) What comes back when the question changes: the share of vanilla's answers that is left, form by form.

    Facts that were asked in every form count, so that forms are compared on the same facts.
    """
    tests = Tests()
    for scenario in run.scenarios:
        gains: dict[str, list[Array | None]] = {}
        for method in run.measured(scenario, run.ratios[0]):
            left = _left_by_form(run, run.cells(method, scenario, run.ratios[0]), scenario)
            gains[method] = [_minus(left[form], left["direct"]) for form in FORMS[1:]]
            tests.add([scenario, method], gains[method], [_told(left[form]) for form in FORMS])
        others = [many for method, many in gains.items() if method != REFUSES]
        if REFUSES in gains and others:
            more = [
                _minus(own, np.mean(known, axis=0)) if (known := [many[n] for many in others if many[n] is not None]) else None
                for n, own in enumerate(gains[REFUSES])
            ]
            tests.add([scenario, f"{REFUSES} - mean of the others"], more, [NONE] * len(FORMS))
    return tests.table(["", ""], [f"{form} - direct" for form in FORMS[1:]], [f"left, {form}" for form in FORMS], tell=_points)


def _left_by_form(run: Patients, cells: Sequence[Cell], scenario: Harm) -> dict[str, Array | None]:
    """Form -> the share of vanilla's answers that is left."""
    facts = ("subject", "attribute")
    left: dict[str, list[Array]] = {form: [] for form in FORMS}
    for cell in cells:
        names = {s.id: str(s.metadata["attribute"]) for s in run.asked(cell)}
        rows = run.rows(cell).filter(pl.col("metric") == SAID[scenario], pl.col("level").is_in(FORMS))
        # A false rule is believed of unseen pictures directly, too; those were never taught.
        rows = rows.filter((pl.col("set") == "forget") == (pl.col("level") == "direct"), pl.col("modality") == "image_text")
        rows = rows.with_columns(pl.col("sample_id").replace_strict(names, return_dtype=pl.String).alias("attribute"))
        rows = rows.filter(pl.col("level").n_unique().over(facts) == len(FORMS))
        for form in FORMS:
            of_form = rows.filter(pl.col("level") == form)
            now, before = run.mean_of(of_form, "value"), run.mean_of(of_form, "vanilla")
            if now is not None and before is not None and before[0] > 0:
                with np.errstate(invalid="ignore", divide="ignore"):
                    left[form].append(now / before)
    return {form: np.mean(many, axis=0) if many else None for form, many in left.items()}


def class_table(run: Patients) -> str:
    """(f) Leak rate by class of identifier as a share of vanilla's, and against the mean of the other classes."""
    ratio = run.ratios[0]
    methods = run.measured("privacy", ratio)
    direct = (pl.col("set") == "forget") & (pl.col("level") == "direct") & (pl.col("metric") == "leak_rate")
    rows = [run.rows(cell) for method in methods for cell in run.cells(method, "privacy", ratio)]
    kinds = sorted({kind for one in rows for kind in one["identifier"].drop_nulls()})
    before, left = {}, dict[str, dict[str, Array]]()
    for kind in kinds:
        keep = direct & (pl.col("identifier") == kind)
        for method in methods:
            cells = run.cells(method, "privacy", ratio)
            now, vanilla = run.mean(cells, keep), run.mean(cells, keep, "vanilla")
            if now is not None and vanilla is not None and vanilla[0] > 0:
                before[kind] = vanilla
                with np.errstate(invalid="ignore", divide="ignore"):
                    left.setdefault(kind, {})[method] = now / vanilla
    means = {kind: np.mean(list(own.values()), axis=0) for kind, own in left.items()}
    tests = Tests()
    for kind in sorted(means, key=lambda one: -means[one][0]):
        others = [mean for name, mean in means.items() if name != kind]
        shown = [_told(before[kind]), *(_told(left[kind].get(method)) for method in methods), _told(means[kind])]
        tests.add([kind], [means[kind] - np.mean(others, axis=0) if others else None], shown)
    return tests.table(
        ["class"], ["mean - other classes"], ["vanilla leaks", *(f"left, {m}" for m in methods), "left, mean"], tell=_points
    )


def tables(run: Patients) -> dict[str, str]:
    """Every table that a run has something for, by its marker on the page."""
    made = {f"left-{scenario}": left_table(run, scenario) for scenario in run.scenarios}
    if len(run.ratios) > 1:
        made["incomplete"] = incomplete_table(run)
    made |= {"costs": cost_table(run), "weak": weak_table(run), "hidden": hidden_table(run)}
    if len(run.scenarios) == len(HARMS):
        made["harder"] = harder_table(run)
    if "privacy" in run.scenarios:
        made["classes"] = class_table(run)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs/studies/patients.md")
    arguments = parser.parse_args()
    fill(arguments.page, tables(Patients(arguments.run)))


if __name__ == "__main__":
    main()
