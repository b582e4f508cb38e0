r"""Harm that slipped into training data: incomplete requests, costs, weak methods, hidden errors, and what survives.

    python studies/patients.py runs/patients-study

Reads a finished run of examples/patients_study.toml (tables on one request also come from one of examples/patients.toml) and
fills the tables of docs/studies/patients.md. Shares are over facts that vanilla knows; intervals resample patients and false
rules, the same for every model, so that differences are paired.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from answers import DRAWS, interval, markdown, p_value, percent

from unsee.benchmarks.base import about
from unsee.experiment import Cell, Request
from unsee.files import fill
from unsee.metrics.bootstrap import FEW_SUBJECTS, FEW_SUBJECTS_MARK, Array, Resampler, family, weighted_means
from unsee.metrics.efficiency import Parts, Subsets, parts, weighted_harmonic
from unsee.metrics.frames import join_models, truth_frame
from unsee.metrics.gate import Gate
from unsee.metrics.holm import holm
from unsee.metrics.medical import Study
from unsee.metrics.medical_subsets import HARMS, Harm
from unsee.run_folder import RunFolder, learned_name
from unsee.run_results import answered, knowledge_gate, load_experiment_benchmark
from unsee.sample import Sample

MARKS: Mapping[Harm, tuple[str, ...]] = {
    "privacy": ("leak_rate", "volunteered_leak"),
    "incorrect": ("wrong_reproduction", "right_recovery"),
}
"""What is measured where harm was planted."""
SAID: Mapping[Harm, str] = {"privacy": "leak_rate", "incorrect": "wrong_reproduction"}
"""The share of answers that say what was planted."""
TITLES = {
    "leak_rate": "asked",
    "volunteered_leak": "volunteered",
    "wrong_reproduction": "still wrong",
    "right_recovery": "right again",
}
FORMS = ("direct", "rephrased", "prefix")
REFUSES = "idk"
NONE = "-"


class Patients:
    """A finished run of a medical benchmark; values are arrays [1 + draws], the mean of the seeds' means.

    Attributes:
        scenarios: kinds of harm that have requests.
        ratios: shares of the harm that requests list, the whole first.
        methods: in the order of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.experiment = self.folder.read_experiment()
        self.benchmark = load_experiment_benchmark(self.experiment)
        self.scenarios: tuple[Harm, ...] = tuple(one for one in HARMS if one in self.experiment.unlearn.scenarios)
        if not self.scenarios:
            raise SystemExit(f"{folder} is a run of {self.benchmark.name}, which plants no harm; give a run of patients")
        self.ratios = tuple(sorted(self.experiment.unlearn.forget_ratios, reverse=True))
        self.methods = self.experiment.unlearn.methods
        self._studies: dict[str, Study] = {}
        self._rows: dict[str, pl.DataFrame] = {}
        self._gates: dict[Request, Gate | None] = {}

    # Models ---------------------------------------------------------------------------------------------------------------

    def cells(self, method: str, scenario: str, ratio: float) -> list[Cell]:
        """Finished cells of a method or control, one per seed, each with a finished vanilla and gold."""
        own = [cell for cell in self.experiment.cells if (cell.scenario, cell.ratio) == (scenario, ratio)]
        done = [cell for cell in own if not cell.is_noise_gold and self.folder.is_done(self.folder.cell(cell))]
        anchored = {
            draw for draw in self.experiment.seeds if {"vanilla", "gold"} <= {cell.method for cell in done if cell.draw == draw}
        }
        return [cell for cell in done if cell.entry == method and cell.draw in anchored]

    def measured(self, scenario: str, ratio: float) -> list[str]:
        """Methods with a finished cell."""
        return [method for method in self.methods if self.cells(method, scenario, ratio)]

    def study(self, cell: Cell) -> Study:
        """Values per answer of a cell beside those of its vanilla and gold."""
        if cell.id not in self._studies:
            truth = truth_frame(self.asked(cell))
            gate = self._gate(cell.request)
            truth = truth.with_columns(gated=pl.lit(None, dtype=pl.Boolean)) if gate is None else gate.mark(truth)
            said = {
                name: answered(self.experiment, self._records(one))
                for name, one in (("value", cell), *((a, self._anchor(cell, a)) for a in ("vanilla", "gold")))
            }
            models = join_models(said.pop("value"), truth, {**said, "noise": None})
            found = Study.of(models, truth)
            assert found is not None
            self._studies[cell.id] = found
        return self._studies[cell.id]

    def _gate(self, request: Request) -> Gate | None:
        if request not in self._gates:
            self._gates[request] = knowledge_gate(self.experiment, self.folder, self.benchmark, request)
        return self._gates[request]

    def _records(self, cell: Cell) -> pl.DataFrame:
        records = self.folder.records(cell)
        assert records is not None
        return records

    def _anchor(self, cell: Cell, method: str) -> Cell:
        return next(
            one
            for one in self.experiment.cells
            if one.request == cell.request and one.method == method and not one.is_noise_gold
        )

    def asked(self, cell: Cell) -> list[Sample]:
        """The questions of a cell."""
        return about(self.benchmark, cell.scenario).samples(ratio=cell.ratio, seed=cell.draw)

    # Values ---------------------------------------------------------------------------------------------------------------

    @cached_property
    def _asked(self) -> list[tuple[str, str]]:
        """Set and subject of every sample of all scenarios."""
        samples = (about(self.benchmark, scenario).samples(ratio=self.ratios[0]) for scenario in self.scenarios)
        return [(sample.set, sample.subject) for sample in chain.from_iterable(samples)]

    @cached_property
    def resampler(self) -> Resampler:
        """Patients and rules of all scenarios together, so that scenarios are paired as well."""
        subjects: dict[str, list[str]] = {}
        for name, subject in self._asked:
            subjects.setdefault(family(name), []).append(subject)
        return Resampler(subjects, draws=DRAWS, seed=0)

    @cached_property
    def few(self) -> dict[str, int]:
        """Sets that UES-R rests on and that have too few subjects for a verdict -> how many."""
        subjects: dict[str, set[str]] = {}
        for name, subject in self._asked:
            subjects.setdefault(name, set()).add(subject)
        return {name: len(there) for name, there in subjects.items() if len(there) < FEW_SUBJECTS}

    def score(self, draws: Array, *, signed: bool = False) -> str:
        """A UES-R or a difference of two, with * where it supports no verdict."""
        return (_signed_score if signed else _score)(draws) + ("*" if self.few else "")

    def noted(self, table: str) -> str:
        """A table of scores with what its marks mean."""
        listed = ", ".join(f"{count} in {name}" for name, count in self.few.items())
        return f"{table}\n\n\\* {FEW_SUBJECTS_MARK} ({listed})" if self.few else table

    def rows(self, cell: Cell) -> pl.DataFrame:
        """Answers in words about known planted facts: a value of every metric, and whether the request listed the sample.

        `listed` is of the training sample that asks the same about the same picture; null for questions that were not taught.
        """
        if cell.id not in self._rows:
            self._rows[cell.id] = self._known(cell)
        return self._rows[cell.id]

    def _known(self, cell: Cell) -> pl.DataFrame:
        scenario = cell.scenario
        assert scenario in SAID
        values = self.study(cell).values.filter(
            pl.col("gated").fill_null(True),
            pl.col("view") == "generate",
            pl.col("set").is_in(["forget", "test"]),
            pl.col("metric").is_in(MARKS[scenario]),  # type: ignore[index]
        )
        # Leaks of single classes stand beside those of any.
        whole = (pl.col("metric") != "volunteered_leak") | pl.col("identifier").is_null()
        listed = self._listed(cell)
        return values.filter(whole).with_columns(
            pl.col("sample_id").replace_strict(listed, default=None, return_dtype=pl.Boolean).alias("listed")
        )

    def _listed(self, cell: Cell) -> dict[str, bool]:
        benchmark = about(self.benchmark, cell.scenario)
        request: dict[str, Any] = {"ratio": cell.ratio, "seed": cell.draw}
        on_request = {_asks(sample) for sample in benchmark.training(set="forget", **request)}
        left = {_asks(s) for s in benchmark.training(set="retain", **request) if s.metadata["scenario"] == cell.scenario}
        taught = (sample for sample in self.asked(cell) if sample.set == "forget" and sample.task == "generation")
        return {s.id: _asks(s) in on_request for s in taught if _asks(s) in on_request | left}

    def mean(self, cells: Sequence[Cell], keep: pl.Expr, column: str = "value") -> Array | None:
        """Mean over the answers that `keep` leaves, averaged over seeds; None where nobody was asked.

        Args:
            column: `value`, `vanilla` or `gold`, whose answers to the same questions are meant.
        """
        found = [one for cell in cells if (one := self.mean_of(self.rows(cell).filter(keep), column)) is not None]
        return np.mean(found, axis=0) if found else None

    def mean_of(self, rows: pl.DataFrame, column: str) -> Array | None:
        """Mean over some answers of one cell."""
        sums = rows.drop_nulls(column).group_by("subject").agg(pl.col(column).sum(), pl.len().alias("count")).sort("subject")
        if sums.is_empty():
            return None
        index = self.resampler.index["forget"]
        places = [index[subject] for subject in sums["subject"]]
        weights = np.vstack([np.ones((1, len(index))), self.resampler.weights("forget")])[:, places]
        columns = (sums[name].cast(pl.Float64).to_numpy()[:, None] for name in (column, "count"))
        return weighted_means(*columns, weights)[:, 0]

    def subsets(self, cells: Sequence[Cell]) -> dict[str, Subsets] | None:
        """Harm and ability of a model, its vanilla and gold, averaged over seeds; None where nothing could be removed."""
        found = [
            self.study(cell).subsets(cell.scenario, self.resampler, gated=True)  # type: ignore[arg-type]
            for cell in cells
        ]
        there = [one for one in found if one is not None]
        if not there:
            return None
        return {model: _averaged([one[model] for one in there]) for model in there[0]}

    def parts(self, cells: Sequence[Cell]) -> Parts | None:
        """Removal and preservation of a model."""
        found = self.subsets(cells)
        return None if found is None else parts(found["value"], vanilla=found["vanilla"], gold=found["gold"])

    # Costs ----------------------------------------------------------------------------------------------------------------

    def cost(self, cell: Cell) -> dict[str, float]:
        """Seconds in steps, steps and tokens of the training that made a cell's model from its start."""
        path = self.folder.cell(cell)
        if cell.is_learned:
            ratio = self.experiment.gold_ratio(cell.ratio) if cell.method == "gold" else None
            path = self.folder.model(learned_name(cell.method, seeds=self.experiment.seeds, seed=cell.seed, ratio=ratio))
        log = path / "train.jsonl"
        steps = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
        totals = {name: float(sum(step[name] for step in steps)) for name in ("seconds", "tokens")}
        return {"seconds": totals["seconds"], "steps": float(len(steps)), "tokens": totals["tokens"]}


def _asks(sample: Sample) -> tuple[str, ...]:
    """What makes two samples the same question about the same picture."""
    return (sample.question, *(image.sha256 for image in sample.images))


def _averaged(those: Sequence[Subsets]) -> Subsets:
    rights = [one.right for one in those if one.right is not None]
    kept = {name: np.mean([one.kept[name] for one in those], axis=0) for name in those[0].kept}
    return Subsets(np.mean([one.harm for one in those], axis=0), kept, np.mean(rights, axis=0) if rights else None)


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
            shown = [*(_told(harm[model]) for model in ("vanilla", "value", "gold")), run.score(weighted_harmonic(made))]
            tests.add([scenario, method], [harm["value"] - harm["vanilla"], harm["value"] - harm["gold"]], shown)
    columns = ["harm before", "after", "of gold", "UES-R"]
    return run.noted(tests.table(["", ""], ["after - before", "after - gold"], columns, tell=_points))


def harder_table(run: Patients) -> str:
    """(d) UES-R of the methods that both scenarios have, privacy minus errors."""
    tests = Tests()
    scores: list[dict[str, Array]] = []
    for method in run.methods:
        found = {scenario: run.parts(run.cells(method, scenario, run.ratios[0])) for scenario in run.scenarios}
        made = {scenario: weighted_harmonic(one) for scenario, one in found.items() if one is not None}
        if len(made) == len(HARMS):
            scores.append(made)
            tests.add([method], [made["privacy"] - made["incorrect"]], [run.score(made[name]) for name in HARMS])
    if scores:
        means = {name: np.mean([one[name] for one in scores], axis=0) for name in HARMS}
        tests.add(["mean of methods"], [means["privacy"] - means["incorrect"]], [run.score(means[name]) for name in HARMS])
    return run.noted(tests.table([""], ["privacy - incorrect"], list(HARMS), tell=partial(run.score, signed=True)))


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
