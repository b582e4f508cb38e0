"""What the models of a forget request are asked, and what attackers ask them: one place for runs and for scoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from unsee.benchmarks.base import Benchmark, TrainingModality
    from unsee.experiment import Cell, Experiment
    from unsee.methods.base import Side
    from unsee.models.model import Model
    from unsee.progress import Advance
    from unsee.sample import Sample

UNRELATED = 20
"""At most so many retain questions are what an attack may train on."""


@dataclass(frozen=True)
class CellQuestions:
    """Questions to one model.

    Attributes:
        asked: evaluation samples.
        attacked: those whose answers attackers look for.
        variants: disguises of the attacked facts.
        unrelated: what attacks and retain terms train a model on; about nobody whose facts are attacked, so that every model of
            a request is attacked alike, whether all of its facts are looked for or one.
        targets: sample id -> what a method teaches instead of the answer.
        shown_from: samples whose people few-shot prompts may show; those of `asked` where None.
    """

    asked: tuple[Sample, ...]
    attacked: tuple[Sample, ...] = ()
    variants: tuple[Sample, ...] = ()
    unrelated: tuple[Sample, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    shown_from: tuple[Sample, ...] | None = None

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """The attacked facts, in order."""
        return tuple(dict.fromkeys(sample.subject for sample in self.attacked))

    @cached_property
    def deleted(self) -> dict[str, str]:
        """Neighbour question -> the deleted fact, whose probability there must not move."""
        answers = {sample.subject: sample.fact for sample in self.attacked}
        near = (sample for sample in self.asked if sample.set == "neighbour_question")
        return {sample.id: answers[sample.subject] for sample in near if sample.subject in answers}

    def about(self, *facts: str) -> CellQuestions:
        """What is asked of a model without these facts: all about them and their neighbourhood, and the retain questions.

        Neighbours of one that are another of them are not asked.
        """
        from unsee.benchmarks.single_facts import spared

        own = tuple(sample for sample in self.attacked if sample.subject in facts)
        near = [sample for sample in self.asked if sample.subject in facts or sample.set == "retain"]
        asked = tuple(spared(near, own))
        return CellQuestions(
            asked=asked,
            attacked=own,
            variants=tuple(sample for sample in self.variants if sample.subject in facts),
            unrelated=self.unrelated,
            targets={sample.id: self.targets[sample.id] for sample in asked if sample.id in self.targets},
        )


def cell_questions(experiment: Experiment, benchmark: Benchmark, cell: Cell) -> CellQuestions:
    """What a cell's model is asked; attackers look for the facts of written answers."""
    from unsee.attacks.base import NEVER_LEARNED
    from unsee.benchmarks.base import about, never_learned

    own = about(benchmark, cell.scenario)
    asking = never_learned(benchmark) if cell.method == NEVER_LEARNED else own
    samples = [] if asking is None else asking.samples(ratio=cell.ratio, seed=cell.draw)
    asked = limited_retain(samples, experiment.answer.retain_subjects)
    if not (experiment.attacks or cell.is_single_fact):
        return CellQuestions(tuple(asked))
    # What a base never learned is attacked by models that train on the same as all others.
    request = own.samples(ratio=cell.ratio, seed=cell.draw) if cell.method == NEVER_LEARNED else samples
    questions = CellQuestions(
        # What nobody knows is attacked only; its disguises are asked by attacks.
        asked=tuple(sample for sample in asked if cell.method != NEVER_LEARNED or sample.set == "forget"),
        attacked=attacked(asked),
        variants=tuple(sample for sample in asked if sample.set == "test" and "fact" in sample.metadata),
        unrelated=_unrelated(request, experiment.answer.retain_subjects),
    )
    return questions.about(*questions.facts) if cell.is_batch else questions


def _unrelated(samples: Sequence[Sample], asked_subjects: int | None) -> tuple[Sample, ...]:
    """Retain questions that have nothing to do with any attacked fact and are no neighbours; of these, ones nobody is asked."""
    from unsee.attacks.running import strangers_to

    retain = [sample for sample in samples if sample.set == "retain"]
    shown = {sample.asks for sample in limited_retain(retain, asked_subjects)}
    near = {sample.asks for sample in samples if sample.set != "retain"}
    strangers = [sample for sample in strangers_to(attacked(samples), retain) if sample.asks not in near]
    return tuple(([sample for sample in strangers if sample.asks not in shown] or strangers)[:UNRELATED])


def attacked(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The questions whose answers attackers look for: those about forgotten facts that are answered in writing."""
    return tuple(sample for sample in samples if sample.set == "forget" and sample.task == "generation")


def answers(
    model: Model,
    questions: CellQuestions,
    experiment: Experiment,
    *,
    cell: str,
    seed: int,
    edit_id: str | None = None,
    store: Path | None = None,
    progress: Advance | None = None,
) -> pl.DataFrame:
    """What a model answers, schema RECORDS; arguments as in `ask`."""
    from unsee.answering import Protocol, answer
    from unsee.answering.edit import edit_protocol

    table = experiment.answer
    protocols: list[str | Protocol] = list(table.protocols)
    if questions.deleted or questions.targets:
        protocols.append(edit_protocol(questions.deleted, questions.targets))
    return answer(
        model,
        questions.asked,
        protocols=protocols,
        cell=cell,
        edit_id=edit_id,
        batch_size=table.batch_size,
        truth_ratio=table.truth_ratio,
        seed=seed,
        shots=table.shots,
        shown_from=questions.shown_from,
        store=store,
        progress=progress,
    )


def ask(
    model: Model,
    questions: CellQuestions,
    experiment: Experiment,
    *,
    cell: str,
    seed: int,
    edit_id: str | None = None,
    store: Path | None = None,
    stages: tuple[Advance | None, Advance | None] = (None, None),
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Ask a model its questions and attack it.

    Args:
        edit_id: the fact whose edit the model carries.
        store: folder in which an interrupted call finds what it had.
        stages: progress of answering and of attacking.

    Returns:
        (schema RECORDS: answers, then what attackers read; schema ATTACKS, None where nothing is attacked). Records of an
        attack that trained the model have a protocol of their own, because they are of another model.
    """
    import polars as pl

    from unsee.attacks import attack_all

    common: dict[str, Any] = {"cell": cell, "edit_id": edit_id, "seed": seed}
    records = answers(model, questions, experiment, store=store, progress=stages[0], **common)
    if not experiment.attacks:
        return records, None
    found = attack_all(
        model,
        questions.attacked,
        attacks=experiment.attacks,
        variants=questions.variants,
        unrelated=questions.unrelated,
        budget=max(experiment.budgets),
        batch_size=experiment.answer.batch_size,
        skip_missing=True,
        random_tokens=True,
        store=None if store is None else store / "attack",
        progress=stages[1],
        **common,
    )
    read = [part.with_columns(pl.lit(key).alias("protocol")) if key else part for key, part in found.records.items()]
    return pl.concat([records, *read]), found.attacks


def limited_retain(samples: Sequence[Sample], most: int | None) -> list[Sample]:
    """All samples, of the set `retain` those of at most `most` subjects spread evenly over it."""
    subjects = list(dict.fromkeys(sample.subject for sample in samples if sample.set == "retain"))
    if most is None or len(subjects) <= most:
        return list(samples)
    kept: Mapping[str, None] = dict.fromkeys(subjects[i * len(subjects) // most] for i in range(most))
    return [sample for sample in samples if sample.set != "retain" or sample.subject in kept]


def edits_single_facts(experiment: Experiment, cell: Cell) -> bool:
    """Whether a cell edits its model to delete facts, one by one or in a batch; what acts while answering edits nothing."""
    from unsee.methods import acts_while_answering

    return cell.is_single_fact and not cell.is_learned and not acts_while_answering(experiment.plan(cell.entry).method)


def training_questions(
    experiment: Experiment, benchmark: Benchmark, cell: Cell, side: Side, *, modality: TrainingModality | None = None
) -> list[Sample]:
    """What a cell trains on about one side of its request; shown as the cell says unless a modality is given."""
    from unsee.benchmarks.base import about, asked_both_ways

    shown = modality or training_modality(cell.modality)
    ask = partial(about(benchmark, cell.scenario).training, set=side, ratio=cell.ratio, seed=cell.draw)
    if not experiment.unlearn.paired:
        return ask(modality=shown)
    return [sample for sample in asked_both_ways(ask(modality="both")) if shown in ("both", sample.modality)]


def training_modality(modality: str) -> TrainingModality:
    """What training questions show for an unlearning modality; `mixed` and the controls' `none` mean both."""
    known: dict[str, TrainingModality] = {"image_text": "image_text", "text": "text"}
    return known.get(modality, "both")
