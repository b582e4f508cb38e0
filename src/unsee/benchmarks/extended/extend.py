"""From a table to an extension: facts are chosen, variants made by rules and by the user's generators, and all are checked.

    source = read_source("okvqa", "OK-VQA")
    with work_for(out) as work:
        extension = extend(source, ExtendOptions(facts=100), work=work, name="mine")
    write_extension(out, extension)

Equal tables, options and generators give equal extensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from unsee.benchmarks.extended.checks import PICTURES, Checker, counts_of
from unsee.benchmarks.extended.facts import Chosen, choose_facts
from unsee.benchmarks.extended.picturing import Drawer
from unsee.benchmarks.extended.rewriting import Rewritten, rewrite
from unsee.benchmarks.extended.rules import OWN_TABLE, Rules
from unsee.benchmarks.extended.variants import GRADES, Extension, Variant
from unsee.progress import Display

if TYPE_CHECKING:
    from unsee.benchmarks.extended.picture_makers import PictureMaker
    from unsee.benchmarks.extended.tables import Source
    from unsee.benchmarks.extended.work import WorkFolder
    from unsee.chat import ChatClient
    from unsee.models.model import Model

STEP = "extend"
"""Name of this step in the history of an extension."""


@dataclass(frozen=True)
class ExtendOptions:
    """What is drawn of a table."""

    facts: int | None = None
    """how many facts to delete; all that are not kept and can be where unset"""
    keep: float = 0.2
    """share of the table's questions that are kept as the retain panel, whole pictures and groups at a time"""
    seed: int = 0
    """of everything that is drawn"""


@dataclass(frozen=True)
class Generators:
    """What the user brings beside the rules.

    Attributes:
        rewriter: a model behind a server; `sees` says whether it is shown pictures.
        editor, generator: programs that edit and draw pictures.
        judge: a model that must know the variants.
    """

    rewriter: ChatClient | None = None
    sees: bool = False
    editor: PictureMaker | None = None
    generator: PictureMaker | None = None
    judge: Model | None = None

    def told(self) -> dict[str, Any]:
        """Their names, for the history."""
        named = {
            "rewriter": self.rewriter and self.rewriter.model,
            "image_editor": self.editor and self.editor.name,
            "image_generator": self.generator and self.generator.name,
            "check_model": self.judge and self.judge.name,
        }
        return {key: name for key, name in named.items() if name} | ({"rewriter_sees": True} if self.sees else {})


def told(source: Source, options: ExtendOptions, generators: Generators) -> dict[str, Any]:
    """What was asked for, as the history of an extension has it."""
    return {"table": source.table.name, **asdict(options), **generators.told()}


def extend(
    source: Source,
    options: ExtendOptions | None = None,
    *,
    work: WorkFolder,
    name: str,
    generators: Generators | None = None,
    display: Display | None = None,
) -> Extension:
    """Make and check all variants of a table's facts.

    Args:
        work: finished items; an interrupted call goes on there and gives the same extension. The pictures of the result lie
            in it, so it must stay until `write_extension` is done.
        name: what the benchmark is called in results.

    Raises:
        UserError: options cannot work, no fact can be deleted, or a generator is not there or keeps failing.
    """
    options, generators = options or ExtendOptions(), generators or Generators()
    shown = display or Display()
    chosen = choose_facts(source, facts=options.facts, keep=options.keep, seed=options.seed)
    shown.plan(2 + (generators.rewriter is not None) + (generators.judge is not None))
    chosen, rewritten = _rewritten(chosen, generators, work, shown)
    variants, absent = _made(chosen, rewritten, generators, work, options.seed, shown)
    variants = _checked(chosen, variants, generators, work, shown)
    history = {
        "name": STEP,
        "options": told(source, options, generators),
        "counts": {
            **counts_of(variants),
            "facts": dict(Counter(fact.role for fact in chosen.facts)),
            "table": dict(chosen.counts) | ({"rows skipped by the reader": n} if (n := len(source.table.skipped)) else {}),
            "absent": dict(sorted(absent.items())),
        },
    }
    return Extension(name=name, facts=chosen.facts, variants=tuple(variants), history=(history,))


def _rewritten(chosen: Chosen, generators: Generators, work: WorkFolder, display: Display) -> tuple[Chosen, Rewritten]:
    """What the rewriter wrote, and the facts with the alternates it added."""
    if generators.rewriter is None:
        return chosen, Rewritten({}, {}, Counter())
    display.job("rewording")
    show = display.stage(f"asking {generators.rewriter.model}")
    made = rewrite(chosen, generators.rewriter, work.replies, sees=generators.sees, progress=show)
    facts = tuple(replace(fact, alternates=made.alternates.get(fact.id, fact.alternates)) for fact in chosen.facts)
    return replace(chosen, facts=facts), made


def _made(
    chosen: Chosen, rewritten: Rewritten, generators: Generators, work: WorkFolder, seed: int, display: Display
) -> tuple[list[Variant], Counter[str]]:
    rules = Rules(chosen, work, seed=seed)
    drawer = Drawer(work, seed=seed, editor=generators.editor, generator=generators.generator)
    display.job("making variants" if drawer.idle else "making variants and drawing pictures")
    show = display.stage("facts")
    made: list[Variant] = []
    for done, fact in enumerate(chosen.deleted, start=1):
        of_rules = [*rules.of(fact), *rewritten.variants.get(fact.id, ())]
        made += _numbered([*drawer.of(fact, of_rules), *of_rules])
        show(done, len(chosen.deleted))
    return made, rewritten.counts + drawer.counts


def _numbered(variants: Sequence[Variant]) -> list[Variant]:
    """Variants of one fact by kind and grade, each group counted from 0: pictures made of its own first, those of rows last."""
    found: list[Variant] = []
    for kind, grades in GRADES.items():
        for grade in grades:
            group = [one for one in variants if (one.kind, one.grade) == (kind, grade)]
            group.sort(key=lambda one: kind in PICTURES and one.generator == OWN_TABLE)
            found += [replace(one, number=number, id=f"{one.fact}/{kind}/{grade}/{number}") for number, one in enumerate(group)]
    return found


def _checked(
    chosen: Chosen, variants: Sequence[Variant], generators: Generators, work: WorkFolder, display: Display
) -> list[Variant]:
    display.job("checking variants")
    show = display.stage("facts")
    checker, of_fact = Checker(), dict[str, list[Variant]]()
    for one in variants:
        of_fact.setdefault(one.fact, []).append(one)
    checked: list[Variant] = []
    for done, fact in enumerate(chosen.deleted, start=1):
        checked += checker.check(fact, of_fact.get(fact.id, ()))
        show(done, len(chosen.deleted))
    if generators.judge is None:
        return checked
    from unsee.benchmarks.extended.knowledge import check_knowledge

    display.job(f"asking {generators.judge.name} the variants")
    return check_knowledge(generators.judge, checked, store=work.answers, progress=display.stage("variants"))
