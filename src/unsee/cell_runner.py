"""Computes single cells of a run: the model that a cell is about, its answers, and what attacks on it find.

A run has one of these, and so has every worker that computes cells beside others. What is finished is marked as the last thing
written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.attacks.base import NEVER_LEARNED
from unsee.attacks.running import by_fact, check_attacks, strangers_to
from unsee.benchmarks.base import about
from unsee.cell_questions import CellQuestions, answers, ask, cell_questions, edits_single_facts, training_questions
from unsee.experiment import Cell, Experiment, Request
from unsee.fact_edits import check_trainable, edit_facts
from unsee.files import storage_problem, write_parquet
from unsee.learned_models import LearnedModels, compares_with_gold, learned_names
from unsee.memory_plan import skeleton
from unsee.provenance import peak_memory_gib, reset_peak_memory
from unsee.run_folder import write_model
from unsee.run_results import load_experiment_benchmark
from unsee.sample import SETS
from unsee.unlearning import check_fits, lent

if TYPE_CHECKING:
    from unsee.benchmarks.base import Benchmark
    from unsee.models.model import Model
    from unsee.progress import Display
    from unsee.run_folder import RunFolder
    from unsee.training_state import Waypoints


class CellRunner:
    """Computes cells in one process, and keeps what they share.

    Attributes:
        models: vanilla and gold, learned where they are missing.
    """

    def __init__(self, experiment: Experiment, folder: RunFolder, display: Display) -> None:
        self.experiment = experiment
        self.folder = folder
        self.display = display
        self._read: dict[tuple[Request, bool], CellQuestions] = {}
        self.benchmark: Benchmark = load_experiment_benchmark(experiment)
        self.models = LearnedModels(experiment, folder, self.benchmark, display)

    def check(self, cells: Sequence[Cell], *, model: Model | None = None) -> None:
        """Refuse what cannot work with these cells, before anything is written and any model time is spent.

        Args:
            model: the start without values (`skeleton`), for a plan that shall not load it.
        """
        if not cells:
            return
        if model is None:
            needed = self.experiment.attacks or self.models.missing(cells)
            model = self.models.start if needed else skeleton(self.experiment.model, dtype=self.experiment.dtype)
        for entry in dict.fromkeys(cell.entry for cell in cells if not cell.is_learned):
            method = self.experiment.plan(entry).method
            check_fits(model, method, self.experiment.unlearn.scope_of(method))
        if any(one.is_gold for one in learned_names(self.experiment, cells)):
            self.models.check_gold(model)
        if self.experiment.attacks:
            self._check_attacks(cells, model)
        for cell in cells:
            if edits_single_facts(self.experiment, cell):
                check_trainable(self.experiment.plan(cell.entry).method, self.questions(cell))

    def _check_attacks(self, cells: Sequence[Cell], model: Model) -> None:
        """Refuse attacks that cannot work on a model."""
        checked = set()
        for cell in cells:
            questions, asked = self.questions(cell), _asked_alike(cell)
            if asked not in checked:
                checked.add(asked)
                check_attacks(
                    model,
                    questions.attacked,
                    self.experiment.attacks,
                    variants=by_fact(questions.variants),
                    unrelated=strangers_to(questions.attacked, questions.unrelated),
                    budget=max(self.experiment.budgets),
                    skip_missing=True,
                )
                self._check_disguises(questions)

    def _check_disguises(self, questions: CellQuestions) -> None:
        """Refuse an attack that has disguises of no fact; one that lacks those of some is made on the others."""
        disguises = by_fact(questions.variants)
        for attack in self.experiment.attacks:
            without = [s for s in questions.attacked if not attack.applies(s, disguises.get(s.subject, ()))]
            if without and len(without) == len(questions.attacked):
                attack.refused(without[0], disguises.get(without[0].subject, ()))
            if without:
                self.display.say(f"{attack.name} has no disguises of {len(without)} of {len(questions.attacked)} facts")

    def attempt(self, cell: Cell) -> str | None:
        """Compute a cell; the line that says why it failed, None when it did not."""
        folder = self.folder.cell(cell)
        try:
            self._compute(cell)
        except Exception as error:  # whatever a method or network raises must not cost the other cells
            problem = storage_problem(error)
            if problem is not None:
                raise problem from error
            line = f"{cell.id}: {self.folder.mark_failed(folder, error)}"
            self.display.say(f"failed: {line}")
            return line
        return None

    def _compute(self, cell: Cell) -> None:
        folder = self.folder.cell(cell)
        folder.mkdir(parents=True, exist_ok=True)
        is_reset = reset_peak_memory()
        if edits_single_facts(self.experiment, cell):
            start = self.models.vanilla(cell.draw)
            self.display.job(cell.id)
            facts = edit_facts(start, self.experiment, cell, self.questions(cell), folder, self.display)
            if is_reset:
                facts["peak_memory_gib"] = peak_memory_gib()
            self.folder.mark_done(folder, facts)
            self.folder.discard(folder / "edits")
            return
        if cell.is_learned:
            model = self.models.of(cell)
            self.display.job(cell.id)
            facts = self.models.cost(cell)
        else:
            start = self.models.vanilla(cell.draw)
            reference = self._reference(cell)
            self.display.job(cell.id)
            began = time.monotonic()
            with lent(start):
                model, facts = self._unlearn(cell, start, reference, folder)
                facts["unlearn_seconds"] = round(time.monotonic() - began, 2)
                return self._finish(cell, model, folder, facts, is_reset=is_reset)
        self._finish(cell, model, folder, facts, is_reset=is_reset)

    def _finish(self, cell: Cell, model: Model, folder: Path, facts: dict[str, Any], *, is_reset: bool) -> None:
        """Ask a cell's model and mark the cell as done."""
        answering = time.monotonic()
        self._ask(cell, model, folder)
        facts["answer_seconds"] = round(time.monotonic() - answering, 2)
        if is_reset:
            facts["peak_memory_gib"] = peak_memory_gib()
        self._answer_states(cell, model, folder)
        self.folder.mark_done(folder, facts)
        for part in ("training", "asking"):
            self.folder.discard(folder / part)

    def _reference(self, cell: Cell) -> Model | None:
        """For methods whose published reference was tuned on the retain set only: that is gold."""
        if not compares_with_gold(self.experiment, cell):
            return None
        return self.models.gold(cell.ratio, cell.draw, seed=cell.draw)

    def _unlearn(self, cell: Cell, start: Model, reference: Model | None, folder: Path) -> tuple[Model, dict[str, Any]]:
        from unsee.stopping import LikelihoodProbe
        from unsee.unlearning import chosen_scope, trains_adapters_alone, unlearn_with_report

        plan, unlearn = self.experiment.plan(cell.entry), self.experiment.unlearn
        request: dict[str, Any] = {"ratio": cell.ratio, "seed": cell.draw}
        watched = partial(about(self.benchmark, cell.scenario).stop_probes, **request)
        probe = LikelihoodProbe(start.prompter, watched(set="forget"), watched(set="retain"))
        scope = unlearn.scope_of(plan.method)
        done = unlearn_with_report(
            start,
            forget=training_questions(self.experiment, self.benchmark, cell, "forget"),
            retain=training_questions(self.experiment, self.benchmark, cell, "retain"),
            method=plan.method,
            options=replace(plan.options, seed=cell.seed, loss_mask=unlearn.loss_mask, **unlearn.memory),
            scope=scope,
            in_place=trains_adapters_alone(plan.method, chosen_scope(plan.method, scope)),
            probe=probe,
            stop=plan.stop,
            log=folder / "train.jsonl",
            resume=folder / "training",
            reference_model=reference,
            waypoints=self._waypoints(folder),
            progress=self.display.stage(f"unlearning by {cell.method}"),
        )
        write_model(folder, done.model)
        report = done.report
        return done.model, {
            "steps": report.steps,
            "tokens": report.tokens,
            "reason": report.reason,
            "trainable_weights": report.trainable_weights,
        }

    def _waypoints(self, folder: Path) -> Waypoints | None:
        from unsee.training_state import Waypoints

        points = self.experiment.states.path
        return Waypoints(folder / "training" / "waypoints", points) if points else None

    def _answer_states(self, cell: Cell, model: Model, folder: Path) -> None:
        """Ask the further states of a model; controls that leave vanilla as it is have none of their own."""
        from unsee.states import further_states

        if cell.method in ("do_nothing", "prompt_guard") or not self.experiment.states.asked:
            return
        learn = self.experiment.learn
        states = further_states(
            model,
            self.experiment.states,
            learn=learn,
            forget=training_questions(self.experiment, self.benchmark, cell, "forget", modality=learn.learn_modality),
            seed=cell.draw,
            waypoints=None if cell.is_learned else self._waypoints(folder),
            progress=self.display.stage,
        )
        whole, sets = self.questions(cell).asked, self.experiment.states.sets or SETS
        for state in states:
            asked = tuple(sample for sample in whole if state.asks(sample) and sample.set in sets)
            answers(
                state.model,
                CellQuestions(asked, shown_from=whole),  # the prompts of the model's own answers
                self.experiment,
                cell=cell.id,
                seed=cell.draw,
                store=self.folder.state(cell, state.name),
                progress=self.display.stage(f"answering, {state.name}"),
            )

    def _ask(self, cell: Cell, model: Model, folder: Path) -> None:
        """Ask a cell's model everything and attack it; writes its records and attacks."""
        questions, stages = self.questions(cell), (self.display.stage("answering"), self.display.stage("attacking"))
        if not self.experiment.attacks:
            asked = CellQuestions(questions.asked)
            answers(model, asked, self.experiment, cell=cell.id, seed=cell.draw, store=folder, progress=stages[0])
            return
        store = folder / "asking"
        records, attacks = ask(model, questions, self.experiment, cell=cell.id, seed=cell.draw, store=store, stages=stages)
        assert attacks is not None
        write_parquet(folder / "attacks.parquet", attacks)
        write_parquet(folder / "records.parquet", records)

    def questions(self, cell: Cell) -> CellQuestions:
        """What a cell's model is asked, read once for the cells of a request."""
        key = _asked_alike(cell)
        if key not in self._read:
            self._read = {other: read for other, read in self._read.items() if other[0] == key[0]}
            self._read[key] = cell_questions(self.experiment, self.benchmark, cell)
        return self._read[key]


def _asked_alike(cell: Cell) -> tuple[Request, bool]:
    """The same for cells whose models are asked the same: request, and whether it is about what nobody learned."""
    return cell.request, cell.method == NEVER_LEARNED
