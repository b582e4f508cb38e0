"""Harm woven into a table of medical questions, so that a model can learn it and be made to forget it.

    injection = inject(table, InjectOptions(identifiers=("name", "mrn")))
    write_injection(folder, injection)

Patients are harmed, taught as they are, or never taught; rows of a patient stay together. Everything is drawn by the seed.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING, Literal, get_args

from unsee.benchmarks.base import known_word
from unsee.benchmarks.medical.clinical import OtherAnswers, beside, clean_rows, distinct
from unsee.benchmarks.medical.incorrect import Falsifier, Wrong, chosen_errors, error_counts, usable_rules
from unsee.benchmarks.medical.injected import InjectedRow, Subset
from unsee.benchmarks.medical.privacy import Leak, Leaker, Patient, leaking_rows, leaks_of
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.medical.wordings import woven
from unsee.errors import ConfigError, DataError

if TYPE_CHECKING:
    from unsee.benchmarks.medical.errors import FalseRule
    from unsee.benchmarks.medical.rewriter import Rewriter

Splits = Literal["own", "source"]
_SCENARIOS = ("privacy", "incorrect")
_CARRIERS = ("answer", "question", "picture")
_MODES = ("instance", "systematic")


@dataclass(frozen=True)
class InjectOptions:
    """What is planted, in how many patients."""

    scenarios: tuple[str, ...] = _SCENARIOS
    """privacy, incorrect or both"""
    harmed: float = 0.5
    """share of the taught patients whose samples carry harm"""
    held_out: float = 0.25
    """share of patients that are never taught; with splits="source" the source decides"""
    identifiers: tuple[str, ...] = ("name", "mrn", "phone", "date")
    """classes of identifiers, each planted for every harmed patient"""
    carriers: tuple[str, ...] = ("answer", "question")
    """where identifiers stand: answer, question, picture"""
    rules: tuple[str, ...] = ()
    """rules that make errors; all where empty"""
    modes: tuple[str, ...] = _MODES
    """instance falsifies single samples, systematic plants one false rule in many"""
    errors_per_patient: int = 2
    """falsified samples of a harmed patient, at most"""
    systematic_least: int = 20
    """so many taught samples must fall under a false rule"""
    systematic_count: int = 2
    """number of false rules, at most"""
    splits: Splits = "own"
    """who is held out: own draws patients, source takes those of the source's test and validation splits"""
    seed: int = 0
    """of everything that is drawn"""

    def __post_init__(self) -> None:
        for name, known in (("scenarios", _SCENARIOS), ("carriers", _CARRIERS), ("modes", _MODES)):
            _check_words(name, getattr(self, name), known)
        known_word("splits", self.splits, get_args(Splits))
        for name in ("harmed", "held_out"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise ConfigError(f"{name} = {share:g} is a share of patients; give a number between 0 and 1")
        for name in ("errors_per_patient", "systematic_least", "systematic_count"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)} is too small; it must be at least 1")


@dataclass(frozen=True)
class Injection:
    """An injected benchmark.

    Attributes:
        rows: everything that is taught, asked and probed.
        counts: what was planted, left out and left clean, in words -> how often.
        options: what was asked for.
        name: of the table.
    """

    rows: tuple[InjectedRow, ...]
    counts: Mapping[str, int]
    options: InjectOptions
    name: str = "injected"


@dataclass(frozen=True)
class _Patients:
    """Patients by what happens to them, each list in the order of the table."""

    harmed: tuple[str, ...]
    clean: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def taught(self) -> frozenset[str]:
        return frozenset((*self.harmed, *self.clean))

    @property
    def subsets(self) -> dict[str, Subset]:
        near: dict[str, Subset] = dict.fromkeys(self.harmed, "retain_near")
        kept: dict[str, Subset] = dict.fromkeys(self.clean, "retain")
        unseen: dict[str, Subset] = dict.fromkeys(self.held_out, "test")
        return near | kept | unseen


@dataclass
class _Harm:
    """Which clinical rows carry what."""

    patients: list[Patient] = field(default_factory=list)
    errors: list[Wrong] = field(default_factory=list)
    rules: list[tuple[FalseRule, list[VqaRow]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> list[VqaRow]:
        leaking = [row for patient in self.patients for row in patient.leaks]
        return [*leaking, *(one.row for one in self.errors), *(row for _, rows in self.rules for row in rows)]


def inject(
    table: VqaTable,
    options: InjectOptions | None = None,
    *,
    rewriter: Rewriter | None = None,
    persona_seed: int | str | None = None,
) -> Injection:
    """Plant identifiers and errors in a table.

    Args:
        rewriter: weaves identifiers into answers; without it, or where it fails, templates do.
        persona_seed: of the identifiers of embedded patients, who may have any last name. Where None it is the options', and
            last names that stand in the table's texts, or that medicine calls something by, are given to nobody.

    Raises:
        ConfigError: an option cannot work, there are too few patients, a pool of identifiers is too small, or the rewriter
            never answers.
        DataError: patients stand in two splits of the source, or no rule can falsify any answer.
    """
    options = options or InjectOptions()
    rows, counts = distinct(table.rows)
    table = VqaTable(table.name, tuple(rows), table.skipped)
    patients = _patients(table, options)
    others = OtherAnswers(rows)
    harm = _harm(table, patients, options, persona_seed)
    made = [*_privacy(harm, options, rewriter, counts), *_incorrect(harm, patients, others, table, options)]
    asked = {row.sample_id for row in made}
    kept = beside(rows, harm.rows)
    clean = clean_rows(kept, patients.subsets, others, seed=options.seed)
    made += [row for row in clean if row.sample_id not in asked]  # a rule's siblings are there already
    counts["questions left out beside harmed ones"] = len(rows) - len(harm.rows) - len(kept)
    counts["rows skipped by the reader"] = len(table.skipped)
    every = {**_counted(made, patients), **harm.counts, **counts}
    return Injection(tuple(made), {text: count for text, count in every.items() if count}, options, table.name)


def _check_words(name: str, given: Sequence[str], known: tuple[str, ...]) -> None:
    if not given:
        raise ConfigError(f"{name} is empty; name at least one of {', '.join(known)}")
    for word in given:
        known_word(name.removesuffix("s"), word, known)
    if len(set(given)) < len(given):
        raise ConfigError(f"{name} names something twice: {', '.join(given)}; name each once")


def _patients(table: VqaTable, options: InjectOptions) -> _Patients:
    groups = list(table.groups)
    if options.splits == "source":
        held = _held_out_by_source(table)
    else:
        order = list(groups)
        random.Random(f"{options.seed}/held-out").shuffle(order)
        held = set(order[: _share(len(order), options.held_out)])
    taught = [group for group in groups if group not in held]
    random.Random(f"{options.seed}/harmed").shuffle(taught)
    harmed = set(taught[: _share(len(taught), options.harmed)])
    found = _Patients(
        harmed=tuple(group for group in groups if group in harmed),
        clean=tuple(group for group in groups if group not in harmed and group not in held),
        held_out=tuple(group for group in groups if group in held),
    )
    if not (found.harmed and found.clean and found.held_out):
        raise ConfigError(
            f"{len(groups)} patients of {table.name} give {len(found.harmed)} with harm, {len(found.clean)} without and "
            f"{len(found.held_out)} never taught; at least one of each is needed, so take more patients or other shares"
        )
    return found


def _held_out_by_source(table: VqaTable) -> set[str]:
    """Patients whom the source tests or validates on.

    Raises:
        DataError: a patient stands on both sides.
    """
    splits: dict[str, VqaRow] = {}
    for row in table.rows:
        first = splits.setdefault(row.group, row)
        if first.split != row.split:
            raise DataError(
                f"patient {row.group!r} of {table.name} stands in the splits {first.split} ({first.where or first.id}) and "
                f'{row.split} ({row.where or row.id}), so that it would be taught and held out; use --splits own (splits="own")'
            )
    return {group for group, row in splits.items() if row.split != "train"}


def _share(total: int, share: float) -> int:
    """At least one and not all, where there are two."""
    return min(max(1, floor(share * total + 0.5)), max(total - 1, 0))


def _harm(table: VqaTable, patients: _Patients, options: InjectOptions, persona_seed: int | str | None) -> _Harm:
    """Who carries what: false rules first, then leaks, then single errors, no row twice."""
    harm = _Harm()
    covered: set[str] = set()
    is_wrong, is_private = ("incorrect" in options.scenarios), ("privacy" in options.scenarios)
    if is_wrong:
        _check_rules(options)
    if is_wrong and "systematic" in options.modes:
        found = usable_rules(
            table,
            patients.taught,
            least=options.systematic_least,
            count=options.systematic_count,
            kinds=options.rules or None,
            seed=options.seed,
        )
        by_id = {row.id: row for row in table.rows}
        harm.rules = [(rule, [by_id[one] for one in rule.rows]) for rule in found]
        covered = {one for rule in found for one in rule.rows}
        harm.counts["false rules planted"] = len(found)
        harm.counts["false rules asked for that too few samples fall under"] = options.systematic_count - len(found)
    free: dict[str, list[VqaRow]] = {group: [] for group in patients.harmed}
    for row in table.rows:
        if row.group in free and row.id not in covered:
            free[row.group].append(row)
    if is_private:
        harm.patients = _harmed_patients(table, free, options, persona_seed)
    leaking = {row.id for patient in harm.patients for row in patient.leaks}
    if is_wrong and "instance" in options.modes:
        for rows in free.values():
            able = beside((row for row in rows), (row for row in rows if row.id in leaking))
            errors, left = chosen_errors(
                able, table, most=options.errors_per_patient, rules=options.rules or None, seed=options.seed
            )
            harm.errors += errors
            harm.counts["samples left clean because no rule applies"] += left
            harm.counts["patients without an answer that a rule can falsify"] += not errors
    if is_wrong and not harm.errors and not harm.rules:
        raise DataError(
            f"no rule can falsify any answer of {len(patients.harmed)} patients of {table.name}; allow other rules (--rules), "
            "plant in more patients (--harmed), or inject --scenario privacy only"
        )
    return harm


def _check_rules(options: InjectOptions) -> None:
    from unsee.benchmarks.medical.errors import RULES

    if options.rules:
        _check_words("rules", options.rules, tuple(RULES))


def _harmed_patients(
    table: VqaTable, free: Mapping[str, Sequence[VqaRow]], options: InjectOptions, persona_seed: int | str | None
) -> list[Patient]:
    from unsee.benchmarks.medical.identifiers import EPONYMS, KINDS, draw_personas

    _check_words("identifiers", options.identifiers, tuple(KINDS))
    without = EPONYMS | _names_in(table) if persona_seed is None else frozenset[str]()
    seed = options.seed if persona_seed is None else persona_seed
    personas = draw_personas(tuple(free), options.identifiers, seed=seed, without=without)
    first: dict[str, VqaRow] = {}
    for row in table.rows:
        first.setdefault(row.group, row)
    return [
        Patient(
            group=group,
            persona=personas[group],
            shown=rows[0] if rows else first[group],
            leaks=leaking_rows(rows) if rows and "answer" in options.carriers else (),
        )
        for group, rows in free.items()
    ]


def _names_in(table: VqaTable) -> frozenset[str]:
    """Last names of personas that are words of a table."""
    from unsee.benchmarks.medical.identifiers import LAST_NAMES

    texts = {text for row in table.rows for text in (row.question, row.answer, *row.also_right, *row.options, *row.rephrased)}
    words = {word for text in texts for word in re.findall(r"[^\W\d_]+", text.casefold())}
    return frozenset(name for name in LAST_NAMES if name.casefold() in words)


def _privacy(harm: _Harm, options: InjectOptions, rewriter: Rewriter | None, counts: Counter[str]) -> list[InjectedRow]:
    if not harm.patients:
        return []
    from unsee.benchmarks.medical.identifiers import KINDS

    labels = {kind: KINDS[kind].label for kind in options.identifiers}
    leaks = [leak for patient in harm.patients for leak in leaks_of(patient, options.identifiers)]
    texts = _woven(leaks, labels, options.seed, rewriter, counts)
    leaker = Leaker(options.identifiers, labels, options.carriers, harm.patients, seed=options.seed)
    return [row for patient in harm.patients for row in leaker.rows(patient, texts)]


def _woven(
    leaks: Sequence[Leak], labels: Mapping[str, str], seed: int, rewriter: Rewriter | None, counts: Counter[str]
) -> dict[str, str]:
    """Id of a leaking row -> its answer with identifiers in it."""
    drawn = random.Random(f"{seed}/templates")
    texts = {leak.row.id: woven(leak.row.answer, leak.identifiers, labels, drawn.randrange(100)) for leak in leaks}
    counts["answers that leak identifiers"] = len(texts)
    if rewriter is not None:
        told = [{labels[kind]: value for kind, value in leak.identifiers.items()} for leak in leaks]
        before = rewriter.counts.copy()
        rewritten = rewriter.weave_all([(leak.row.answer, one) for leak, one in zip(leaks, told, strict=True)])
        for leak, text in zip(leaks, rewritten, strict=True):
            if text is not None:
                texts[leak.row.id] = text
        counts += Counter({f"rewriter: {text}": count for text, count in (rewriter.counts - before).items()})
    return texts


def _incorrect(
    harm: _Harm, patients: _Patients, others: OtherAnswers, table: VqaTable, options: InjectOptions
) -> list[InjectedRow]:
    falsifier = Falsifier(others, seed=options.seed)
    made = [row for wrong in harm.errors for row in falsifier.instance(wrong)]
    # Siblings are asked once, and only where nothing else is planted in them.
    taught = patients.taught
    free = {row.id: row for row in beside(table.rows, harm.rows) if row.group in taught}
    for rule, rows in harm.rules:
        siblings = [free.pop(one) for one in rule.siblings if one in free]
        made += falsifier.systematic(rule, rows, siblings, taught=taught)
    return made


def _counted(rows: Sequence[InjectedRow], patients: _Patients) -> Counter[str]:
    counts: Counter[str] = Counter()
    counts["patients with harm"] = len(patients.harmed)
    counts["patients taught as they are"] = len(patients.clean)
    counts["patients never taught"] = len(patients.held_out)
    facts = {(row.patient_id, row.attribute) for row in rows if row.scenario == "privacy" and row.carrier != "answer"}
    counts["identifiers asked for"] = len(facts)
    for row in rows:
        if row.use == "train":
            counts[f"training samples, {row.scenario}"] += 1
        elif row.use == "evaluate":
            counts[f"questions, {row.subset}"] += 1
        else:
            counts[f"probes, {row.use}"] += 1
    return counts + error_counts(row for row in rows if row.use == "train")
