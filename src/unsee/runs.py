"""Runs: every cell of an experiment, computed into a folder that survives being killed.

    run = run("examples/people.toml", out="runs/people")
    run.results, run.report_path

Learned models come first, each cell then unlearns a copy of vanilla and answers. What is finished is marked as the last thing
written, so the same command goes on where it stopped and gives the same results.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.attacks.base import NEVER_LEARNED
from unsee.attacks.running import by_fact, check_attacks, strangers_to
from unsee.benchmarks.base import about
from unsee.cell_questions import CellQuestions, answers, ask, cell_questions, edits_single_facts, training_questions
from unsee.experiment import Cell, Experiment, Request, chosen_cells, read_experiment
from unsee.fact_edits import check_unseen, edit_facts
from unsee.files import only_writer, storage_problem, write_parquet
from unsee.learned_models import LearnedModels, compares_with_gold, learned_names
from unsee.progress import Display
from unsee.provenance import peak_memory_gib, reset_peak_memory
from unsee.run_folder import RunFolder
from unsee.run_results import judge, load_experiment_benchmark, shortfalls
from unsee.sample import SETS
from unsee.unlearning import lent

if TYPE_CHECKING:
    import polars as pl

    from unsee.benchmarks.base import Benchmark
    from unsee.executors import Executor
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.training_state import Waypoints


@dataclass(frozen=True)
class Run:
    """A run folder after `run`.

    Attributes:
        failures: one line per cell that failed.
        shortfalls: one line per learned model that missed its knowledge gate.
    """

    folder: Path
    failures: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()

    @cached_property
    def results(self) -> pl.DataFrame:
        """One row per value, schema RESULTS."""
        return RunFolder(self.folder).results()

    @property
    def report_path(self) -> Path:
        return RunFolder(self.folder).report_file

    @property
    def ok(self) -> bool:
        """Whether every cell finished, and vanilla and gold are what they should be."""
        return not self.failures and not self.shortfalls


def run(
    experiment: Experiment | Path | str,
    *,
    out: Path | str,
    only: Sequence[str] = (),
    reuse: Sequence[Path | str] = (),
    display: Display | None = None,
    executor: Executor | None = None,
) -> Run:
    """Compute an experiment's cells, score them and write the report.

    Args:
        experiment: an experiment or its TOML file.
        out: the run folder; one that holds part of the same experiment is continued.
        only: patterns of cell ids (`npo-*`); the vanilla and gold they are judged against come along.
        reuse: other run folders, whose learned models and cells are taken over where they are the same.
        display: shows progress; nothing is shown without it.
        executor: computes cells side by side; one after the other in this process without it.

    Raises:
        UserError: settings, data, model or folder cannot be used. The disk's troubles are `StorageError`.
    """
    experiment = experiment if isinstance(experiment, Experiment) else read_experiment(experiment)
    folder = RunFolder(Path(out))
    chosen = chosen_cells(experiment, only)
    try:
        with display or Display() as shown:
            # What cannot work must leave no folder behind that later stands in the way.
            runner = CellRunner(experiment, folder, chosen, shown, [Path(place) for place in reuse], executor)
            runner.check()
            with runner.computing(), only_writer(folder.path):
                folder.claim(experiment)
                return runner.run()
    except Exception as error:
        problem = storage_problem(error)
        if problem is None or problem is error:
            raise
        raise problem from error


class CellRunner:
    """One session of work in a run folder, or one worker's part of it."""

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        cells: tuple[Cell, ...],
        display: Display,
        reuse: Sequence[Path] = (),
        executor: Executor | None = None,
    ) -> None:
        self.reuse = reuse
        self.executor = executor
        self.experiment = experiment
        self.folder = folder
        self.cells = cells
        self.display = display
        self._read: dict[tuple[Request, bool], CellQuestions] = {}
        self.benchmark: Benchmark = load_experiment_benchmark(experiment)
        self.models = LearnedModels(experiment, folder, self.benchmark, display)

    def check(self) -> None:
        """Refuse what cannot work before anything is written."""
        if self.models.missing(self._waiting()):
            self.models.start  # noqa: B018
        if self.experiment.attacks and self._waiting():
            self._check_attacks()

    def computing(self) -> AbstractContextManager[None]:
        """Where cells are computed, at hand inside the block."""
        return self.executor.connected(self.display) if self.executor is not None and self._waiting() else nullcontext()

    def _check_attacks(self) -> None:
        """Refuse attacks that cannot work before any model time is spent."""
        checked = set()
        for cell in self._waiting():
            questions, asked = self._questions(cell), _asked_alike(cell)
            if asked not in checked:
                checked.add(asked)
                check_attacks(
                    self.models.start,
                    questions.attacked,
                    self.experiment.attacks,
                    variants=by_fact(questions.variants),
                    unrelated=strangers_to(questions.attacked, questions.unrelated),
                    budget=max(self.experiment.budgets),
                    skip_missing=True,
                )
                self._check_disguises(questions)
            if edits_single_facts(self.experiment, cell):
                check_unseen(self.experiment.plan(cell.entry).method, questions)

    def _check_disguises(self, questions: CellQuestions) -> None:
        """Refuse an attack that has disguises of no fact; one that lacks those of some is made on the others."""
        disguises = by_fact(questions.variants)
        for attack in self.experiment.attacks:
            without = [s for s in questions.attacked if not attack.applies(s, disguises.get(s.subject, ()))]
            if without and len(without) == len(questions.attacked):
                attack.refused(without[0], disguises.get(without[0].subject, ()))
            if without:
                self.display.say(f"{attack.name} has no disguises of {len(without)} of {len(questions.attacked)} facts")

    def run(self) -> Run:
        experiment, folder = self.experiment, self.folder
        began = time.monotonic()
        self.display.say(f"run {experiment.name} in {folder.path}: {len(self.cells)} cells")
        executor = None if self.executor is None else self.executor.described
        folder.begin_session(experiment, self.models.inputs, executor=executor)
        self._write_samples()
        taken = self._take_over()
        waiting = self._waiting()
        self.display.plan(len(waiting) + len(self.models.missing(waiting)))
        if self.executor is None or not waiting:
            failures = [line for cell in waiting if (line := self.attempt(cell)) is not None]
        else:
            failures = self.executor.compute(experiment, folder, waiting, self.models, self.display)
        self.display.say("scoring")
        # Cells of earlier sessions count too, or `only` would drop them from the results.
        judge(experiment, folder, self.benchmark, experiment.cells, display=self.display)
        missed = shortfalls(experiment, folder, self.cells)
        done = {cell.id: folder.done_facts(folder.cell(cell)) for cell in experiment.cells if self._is_done(cell)}
        peaks = [peak_memory_gib(), *(facts.get("peak_memory_gib", 0.0) for facts in done.values())]
        folder.end_session(
            {
                "failed": failures,
                "taken_over": [*folder.provenance().get("taken_over", []), *taken],
                "missed_gates": missed,
                "seconds": done,
                "session_seconds": round(time.monotonic() - began, 1),
                "peak_memory_gib": max(peaks),
            }
        )
        self.display.say("writing the report")
        from unsee.report import write_report

        write_report(folder.path)
        return Run(folder.path, tuple(failures), tuple(missed))

    def _take_over(self) -> list[str]:
        """Finished work of other runs, put into this one's folder."""
        from unsee.reuse import take_over

        cells = self._waiting()
        missing = set(self.models.missing(cells))
        learned = [one for one in learned_names(self.experiment, cells) if one.name in missing]
        taken = take_over(self.experiment, self.folder, self.reuse, inputs=self.models.inputs, learned=learned, cells=cells)
        if self.reuse:
            self.display.say(f"taken over from other runs: {', '.join(taken) or 'nothing is the same there'}")
        return taken

    def _waiting(self) -> list[Cell]:
        return [cell for cell in self.cells if not self._is_done(cell)]

    def _is_done(self, cell: Cell) -> bool:
        return self.folder.is_done(self.folder.cell(cell))

    def _write_samples(self) -> None:
        """Keep the questions beside the answers, so that a report needs no benchmark."""
        from unsee.sample_tables import write_samples

        if self.folder.samples_file.exists():
            return
        by_id: dict[str, Sample] = {}
        for ratio, draw, scenario in dict.fromkeys(cell.request for cell in self.experiment.cells):
            by_id |= {s.id: s for s in about(self.benchmark, scenario).samples(ratio=ratio, seed=draw)}
        for cell in self.experiment.cells:
            if cell.method == NEVER_LEARNED:
                by_id |= {s.id: s for s in self._questions(cell).asked}
        write_samples(by_id.values(), self.folder.samples_file)

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
            facts = edit_facts(start, self.experiment, cell, self._questions(cell), folder, self.display)
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
        from peft import PeftModel

        from unsee.files import write_folder
        from unsee.methods.scope import Scope
        from unsee.stopping import LikelihoodProbe
        from unsee.unlearning import chosen_scope, trains_adapters_alone, unlearn_with_report

        plan, unlearn = self.experiment.plan(cell.entry), self.experiment.unlearn
        request: dict[str, Any] = {"ratio": cell.ratio, "seed": cell.draw}
        watched = partial(about(self.benchmark, cell.scenario).stop_probes, **request)
        probe = LikelihoodProbe(start.prompter, watched(set="forget"), watched(set="retain"))
        scope = Scope(modules=unlearn.modules, rank=unlearn.lora) if plan.method.scope is None else None
        done = unlearn_with_report(
            start,
            forget=training_questions(self.experiment, self.benchmark, cell, "forget"),
            retain=training_questions(self.experiment, self.benchmark, cell, "retain"),
            method=plan.method,
            options=replace(plan.options, seed=cell.seed, loss_mask=unlearn.loss_mask, **unlearn.memory),
            scope=scope,
            in_place=trains_adapters_alone(plan.method, chosen_scope(plan.method, scope)),
            probe=probe,
            stop=plan.stop if plan.stop.target is not None or plan.stop.utility_floor is not None else None,
            log=folder / "train.jsonl",
            resume=folder / "training",
            reference_model=reference,
            waypoints=self._waypoints(folder),
            progress=self.display.stage(f"unlearning by {cell.method}"),
        )
        write_folder(folder / ("adapter" if isinstance(done.model.network, PeftModel) else "weights"), done.model.save)
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
        states = further_states(
            model,
            self.experiment.states,
            learn=self.experiment.learn,
            forget=training_questions(self.experiment, self.benchmark, cell, "forget", modality="both"),
            seed=cell.draw,
            waypoints=None if cell.is_learned else self._waypoints(folder),
            progress=self.display.stage,
        )
        whole, sets = self._questions(cell).asked, self.experiment.states.sets or SETS
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
        questions, stages = self._questions(cell), (self.display.stage("answering"), self.display.stage("attacking"))
        if not self.experiment.attacks:
            asked = CellQuestions(questions.asked)
            answers(model, asked, self.experiment, cell=cell.id, seed=cell.draw, store=folder, progress=stages[0])
            return
        store = folder / "asking"
        records, attacks = ask(model, questions, self.experiment, cell=cell.id, seed=cell.draw, store=store, stages=stages)
        assert attacks is not None
        write_parquet(folder / "attacks.parquet", attacks)
        write_parquet(folder / "records.parquet", records)

    def _questions(self, cell: Cell) -> CellQuestions:
        """What a cell's model is asked, read once for the cells of a request."""
        key = _asked_alike(cell)
        if key not in self._read:
            self._read = {other: read for other, read in self._read.items() if other[0] == key[0]}
            self._read[key] = cell_questions(self.experiment, self.benchmark, cell)
        return self._read[key]


def _asked_alike(cell: Cell) -> tuple[Request, bool]:
    """The same for cells whose models are asked the same: request, and whether it is about what nobody learned."""
    return cell.request, cell.method == NEVER_LEARNED
