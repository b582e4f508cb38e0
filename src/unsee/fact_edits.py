"""A single-fact cell: each fact is deleted by an edit of its own, asked about and attacked, and the weights go back.

    CELL/edits.jsonl            one line per finished edit
    CELL/edits/<number>/        records.parquet and attacks.parquet of a finished edit, until the cell is whole
    CELL/adapters/<number>/     the edited weights, with `unlearn.keep_edits`

A killed run goes on after the last finished edit, to the same tables. A batch cell deletes all facts by one edit, whose model
is kept like that of a forget request; a killed run goes on inside the training or the asking.

    CELL/adapter or weights     the edited model
    CELL/train.jsonl            the steps of its edit
    CELL/edits/training, asking what an interrupted session had
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.cell_questions import ask, attacked
from unsee.errors import ConfigError
from unsee.files import read_parquet, write_folder, write_parquet, write_text
from unsee.run_folder import write_model
from unsee.schemas import ALL_AT_ONCE

if TYPE_CHECKING:
    import polars as pl

    from unsee.cell_questions import CellQuestions
    from unsee.experiment import Cell, Experiment
    from unsee.methods.base import Method
    from unsee.models.model import Model
    from unsee.progress import Display
    from unsee.sample import Sample
    from unsee.training import TrainReport


class EditJournal:
    """What a single-fact cell has finished.

    Args:
        folder: the cell's folder.
        edits: the cell's edits, in order; their places number them.

    Attributes:
        done: finished edits with what they did.
    """

    def __init__(self, folder: Path, edits: Sequence[str]) -> None:
        self.folder = folder
        self.path = folder / "edits.jsonl"
        self.parts = folder / "edits"
        self.numbers = {edit: number for number, edit in enumerate(edits)}
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        found = {line["edit_id"]: line for line in map(json.loads, text.splitlines())}
        self.done = {edit: line for edit, line in found.items() if edit in self.numbers and self.part(edit).is_dir()}

    def part(self, edit: str) -> Path:
        """Folder of an edit's tables."""
        return self.parts / f"{self.numbers[edit]:05d}"

    def add(self, edit: str, records: pl.DataFrame, attacks: pl.DataFrame | None, facts: Mapping[str, Any]) -> None:
        """A finished edit: its tables first, then its line, so that a line never lacks its tables."""

        def fill(aside: Path) -> None:
            write_parquet(aside / "records.parquet", records)
            if attacks is not None:
                write_parquet(aside / "attacks.parquet", attacks)

        write_folder(self.part(edit), fill)
        self.done[edit] = {"edit_id": edit, **facts}
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.done.values()))

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """Records and attacks of all edits, in order."""
        import polars as pl

        from unsee.schemas import ATTACKS, RECORDS

        remedy = f"remove {self.folder} and run again"
        homes = [self.part(edit) for edit in self.numbers]
        records = pl.concat([read_parquet(home / "records.parquet", schema=RECORDS, remedy=remedy) for home in homes])
        if not (homes[0] / "attacks.parquet").is_file():
            return records, None
        return records, pl.concat([read_parquet(home / "attacks.parquet", schema=ATTACKS, remedy=remedy) for home in homes])


def edit_facts(
    start: Model, experiment: Experiment, cell: Cell, questions: CellQuestions, folder: Path, display: Display
) -> dict[str, Any]:
    """Delete a cell's facts, one at a time or in a batch; writes its records and attacks, returns what it cost.

    Raises:
        TrainingError: an edit diverged; names the fact that went alone. Finished edits are kept.
    """
    import polars as pl

    questions = replace(questions, targets=targets(experiment.plan(cell.entry).method, questions))
    lengths = [length for length in experiment.unlearn.sequence if length <= len(questions.facts)]
    edits = (ALL_AT_ONCE,) if cell.is_batch else (*questions.facts, *map(after_edits, lengths))
    journal = EditJournal(folder, edits)
    editor = _Editor(start, experiment, cell, questions, journal, display)
    before = editor.before()
    if cell.is_batch:
        editor.all_at_once()
    else:
        editor.one_by_one()
        editor.one_after_the_other(lengths)
    records, attacks = journal.tables()
    write_parquet(folder / "records.parquet", pl.concat([*before, records]))
    if attacks is not None:
        write_parquet(folder / "attacks.parquet", attacks)
    lines = list(journal.done.values())
    return {
        "steps": sum(line["steps"] for line in lines),
        "tokens": sum(line["tokens"] for line in lines),
        "trainable_weights": max(line["trainable_weights"] for line in lines),
        "facts": len(questions.facts),
        "unlearn_seconds": round(sum(line["edit_seconds"] for line in lines), 2),
        "answer_seconds": round(sum(line["ask_seconds"] for line in lines), 2),
    }


class _Editor:
    """One session of work on a single-fact cell."""

    def __init__(
        self,
        start: Model,
        experiment: Experiment,
        cell: Cell,
        questions: CellQuestions,
        journal: EditJournal,
        display: Display,
    ) -> None:
        self.start, self.experiment, self.cell = start, experiment, cell
        self.questions, self.journal, self.display = questions, journal, display
        plan, unlearn = experiment.plan(cell.entry), experiment.unlearn
        self.method, self.stop = plan.method, plan.stop
        self.options = replace(plan.options, seed=cell.seed, loss_mask=unlearn.loss_mask, **unlearn.memory)
        self.scope = unlearn.scope_of(plan.method)
        self.samples: dict[str, list[Sample]] = {}
        for sample in questions.attacked:
            self.samples.setdefault(sample.subject, []).append(sample)

    def before(self) -> list[pl.DataFrame]:
        """How likely the start model finds what the method is about to teach."""
        from unsee.answering import answer
        from unsee.answering.edit import edit_protocol

        if not self.questions.targets:
            return []
        return [
            answer(
                self.start,
                [sample for sample in self.questions.asked if sample.id in self.questions.targets],
                protocols=[edit_protocol({}, self.questions.targets)],
                cell=self.cell.id,
                batch_size=self.experiment.answer.batch_size,
                truth_ratio=False,
                seed=self.cell.draw,
                store=self.journal.parts / "before",
            )
        ]

    def one_by_one(self) -> None:
        """Every fact on its own."""
        from unsee.editing import edit_each

        facts, size = self.questions.facts, self.experiment.unlearn.side_by_side
        show = self.display.stage(f"deleting by {self.cell.method}")
        for first in range(0, len(facts), size):
            # Groups are always the same, because rounding depends on who is edited beside whom.
            group = facts[first : first + size]
            if all(fact in self.journal.done for fact in group):
                continue
            began = time.monotonic()
            for edited in edit_each(
                self.start,
                self.method,
                {fact: self.samples[fact] for fact in group},
                retain=self.questions.unrelated,
                options=self.options,
                scope=self.scope,
                side_by_side=size,
                stop=self.stop,
            ):
                if edited.fact in self.journal.done:
                    continue
                if self.experiment.unlearn.keep_edits:
                    # First, because an edit that is noted as finished is not made again.
                    home = self.journal.folder / "adapters" / self.journal.part(edited.fact).name
                    write_folder(home, edited.model.save)
                self._ask(edited.fact, edited.model, self.questions.about(edited.fact), edited.report, began)
                show(len(self.journal.done), len(self.journal.numbers))
                began = time.monotonic()

    def one_after_the_other(self, lengths: Sequence[int]) -> None:
        """Facts deleted from one model, which is asked about all of them after some; an interrupted session deletes anew."""
        from unsee.unlearning import unlearn_with_report

        if all(after_edits(length) in self.journal.done for length in lengths):
            return
        show = self.display.stage(f"deleting one after the other by {self.cell.method}")
        model, began = self.start, time.monotonic()
        for count, fact in enumerate(self.questions.facts[: max(lengths)], start=1):
            done = unlearn_with_report(
                model,
                forget=self.samples[fact],
                retain=self.questions.unrelated,
                method=self.method,
                options=self.options,
                scope=self.scope,
                stop=self.stop,
                in_place=count > 1,
            )
            model = done.model
            name = after_edits(count)
            if count in lengths and name not in self.journal.done:
                self._ask(name, model, self.questions.about(*self.questions.facts[:count]), done.report, began)
                began = time.monotonic()
            show(count, max(lengths))

    def all_at_once(self) -> None:
        """All facts deleted by one edit of one model, which is asked about all of them."""
        from unsee.unlearning import unlearn_with_report

        if ALL_AT_ONCE in self.journal.done:
            return
        began = time.monotonic()
        done = unlearn_with_report(
            self.start,
            forget=self.questions.attacked,
            retain=self.questions.unrelated,
            method=self.method,
            options=self.options,
            scope=self.scope,
            stop=self.stop,
            log=self.journal.folder / "train.jsonl",
            resume=self.journal.parts / "training",
            progress=self.display.stage(f"deleting all facts by {self.cell.method}"),
        )
        write_model(self.journal.folder, done.model)
        self._ask(ALL_AT_ONCE, done.model, self.questions, done.report, began, store=self.journal.parts / "asking")

    def _ask(
        self,
        edit: str,
        model: Model,
        questions: CellQuestions,
        report: TrainReport,
        began: float,
        *,
        store: Path | None = None,
    ) -> None:
        """Ask and attack an edited model and note it; `store` keeps what an interrupted session had."""
        asking = time.monotonic()
        about: dict[str, Any] = {"cell": self.cell.id, "seed": self.cell.draw, "edit_id": edit}
        records, attacks = ask(model, questions, self.experiment, store=store, **about)
        line = {
            "steps": report.steps,
            "tokens": report.tokens,
            "reason": report.reason,
            "loss": report.loss,
            "terms": dict(report.terms or {}),
            "trainable_weights": report.trainable_weights,
            "edit_seconds": round(asking - began, 3),
            "ask_seconds": round(time.monotonic() - asking, 3),
        }
        self.journal.add(edit, records, attacks, line)


def after_edits(count: int) -> str:
    """What stands in `edit_id` for a model that so many facts were deleted from, one after the other."""
    return f"after {count} edits"


def several_edits(experiment: Experiment, cell: Cell, samples: Sequence[Sample]) -> dict[str, int]:
    """`edit_id` of an editing cell's models that several facts were deleted from -> how many; `samples` are the questions."""
    if cell.is_batch:
        return {ALL_AT_ONCE: len({sample.subject for sample in attacked(samples)})}
    return {after_edits(length): length for length in experiment.unlearn.sequence}


def check_trainable(method: Method, questions: CellQuestions) -> None:
    """Refuse a method that has nothing to teach about a fact, or trains on what its numbers are measured by.

    What it resists or spares would be what it has seen: questions that attackers ask, or the retain questions that say what an
    edit costs.

    Raises:
        ConfigError: names the question, or the setting that leaves some aside.
        DataError: a fact lacks what the method teaches instead of its answer.
    """
    left_aside = {one.asks for one in questions.unrelated}
    if "retain" in method.needs and (not left_aside or left_aside & {one.asks for one in questions.asked}):
        raise ConfigError(
            f"method {method.name} trains on retain questions, and all there are measure what its edits cost; leave some aside "
            "by answer.retain_subjects, or take the method without its retain term"
        )
    own = {sample.question for sample in questions.attacked}
    asked = {sample.question.casefold(): sample for sample in questions.variants if sample.question not in own}
    for sample in questions.attacked:
        for trained in method.transform([sample]):
            found = asked.get(trained.question.casefold())
            if found is not None:
                raise ConfigError(
                    f"method {method.name} trains on {trained.question!r}, which attackers ask (sample {found.id}); "
                    "give the method other wordings"
                )


def targets(method: Method, questions: CellQuestions) -> dict[str, str]:
    """What a method teaches instead of the answer, for the edited question and its rewordings; often nothing."""
    taught = {}
    for sample in questions.attacked:
        changed = {one.answer for one in method.transform([sample])} - {sample.answer}
        if changed:
            taught[sample.subject] = min(changed)
    reworded = [sample for sample in questions.variants if sample.metadata.get("axis") == "question"]
    return {one.id: taught[one.subject] for one in (*questions.attacked, *reworded) if one.subject in taught}
