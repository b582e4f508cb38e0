"""Keeps the variants that annotators agree on, and counts what they kept and why they rejected the rest."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from unsee.benchmarks.extended.variants import GRADES, Extension, Variant
from unsee.errors import DataError
from unsee.metrics.bootstrap import wilson
from unsee.review.agreement import Agreement, agreement
from unsee.review.decisions import REASONS, Decision, extension_digest, standing

KeepIf = Literal["all", "majority", "any"]
Unsure = Literal["reject", "keep", "ignore"]
Undecided = Literal["drop", "keep"]


@dataclass(frozen=True)
class Rule:
    """When a variant that passed the automatic checks is kept.

    Attributes:
        keep_if: `all` who judged it kept it, more than half (`majority`) did, or `any` did.
        unsure: what a verdict `unsure` counts as; `ignore` leaves it out.
        undecided: what happens to variants without a verdict that counts.
    """

    keep_if: KeepIf = "all"
    unsure: Unsure = "reject"
    undecided: Undecided = "drop"

    def keeps(self, verdicts: Iterable[str]) -> bool | None:
        """Whether the verdicts about one variant keep it; None where none counts."""
        counted = [self.unsure if verdict == "unsure" else verdict for verdict in verdicts]
        votes = [verdict == "keep" for verdict in counted if verdict != "ignore"]
        if not votes:
            return None
        return {"all": all(votes), "majority": 2 * sum(votes) > len(votes), "any": any(votes)}[self.keep_if]


@dataclass(frozen=True)
class Rate:
    """How many of the judged variants of a group were kept.

    Attributes:
        group: such as `question/easy`, a generator or an annotator.
        kept, judged: numbers of variants.
        low, high: Wilson's 95 % interval, over variants.
    """

    group: str
    kept: int
    judged: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.kept / self.judged


@dataclass(frozen=True)
class Filtered:
    """What was kept, and the report about it.

    Attributes:
        extension: the facts as they were, the kept variants, and one step more in the history.
        rule: what decided.
        annotators: by name.
        raw: variants before any check.
        automatic: of these, variants that passed the automatic checks.
        judged: of these, variants with a verdict that counts.
        manual: variants that were kept.
        bare: facts to delete that have no variant any more.
        grades: accept rates by kind and grade.
        generators, people: accept rates by generator, and of each annotator's own verdicts.
        reasons: verdict and reason -> how often, over all annotators; own words as they were written.
        overruled: code of an automatic check -> verdicts on variants that failed it, and how many of these were to keep.
        agreement: between annotators, on variants that passed the automatic checks.
        skipped: decisions about variants that are not there.
    """

    extension: Extension
    rule: Rule
    annotators: tuple[str, ...]
    raw: int
    automatic: int
    judged: int
    manual: int
    bare: int
    grades: tuple[Rate, ...]
    generators: tuple[Rate, ...]
    people: tuple[Rate, ...]
    reasons: Mapping[str, Mapping[str, int]]
    overruled: Mapping[str, tuple[int, int]]
    agreement: Agreement
    skipped: int


def filter_extension(
    extension: Extension,
    decisions: Iterable[Decision],
    *,
    keep_if: KeepIf = "all",
    unsure: Unsure = "reject",
    undecided: Undecided = "drop",
    skip_invalid: bool = False,
    seed: int = 0,
) -> Filtered:
    """Keep the variants that annotators agree on; those that failed automatic checks stay out whatever people said.

    Args:
        extension: what was reviewed.
        decisions: of all annotators; the latest of each about a variant counts.
        keep_if: `all` who judged it kept it, more than half (`majority`) did, or `any` did.
        unsure: what a verdict `unsure` counts as; `ignore` leaves it out.
        undecided: what happens to variants without a verdict that counts.
        skip_invalid: leave out decisions about variants that are not there, and count them.
        seed: of the bootstrap behind the agreement's intervals.

    Raises:
        DataError: there are no decisions, or one is about another extension or a variant that is not there.
    """
    rule = Rule(keep_if, unsure, undecided)
    given = standing(decisions)
    known, skipped = _fitting(extension, given, skip_invalid=skip_invalid)
    if not known and undecided == "drop":
        raise DataError(
            "the files hold no decision about what is there, so nothing would be kept; review some variants, or keep them with "
            "--undecided keep"
        )
    passed = {variant.id: variant for variant in extension.variants if not variant.failed}
    votes: dict[str, list[Decision]] = defaultdict(list)
    for decision in known:
        votes[decision.item].append(decision)
    outcome = {item: rule.keeps(str(one.verdict) for one in votes[item]) for item in passed}
    kept = tuple(
        variant
        for variant in extension.variants
        if variant.id in passed and (undecided == "keep" if outcome[variant.id] is None else outcome[variant.id])
    )
    decided = [passed[item] for item, value in outcome.items() if value is not None]
    counted = [decision for decision in known if decision.item in passed]
    alive = {variant.fact for variant in kept}
    found = Filtered(
        extension=extension,
        rule=rule,
        annotators=tuple(sorted({decision.annotator for decision in known})),
        raw=len(extension.variants),
        automatic=len(passed),
        judged=len(decided),
        manual=len(kept),
        bare=sum(fact.role == "delete" and fact.id not in alive for fact in extension.facts),
        grades=_rates(
            decided, lambda one: f"{one.kind}/{one.grade}", outcome, [f"{k}/{g}" for k, own in GRADES.items() for g in own]
        ),
        generators=_rates(decided, lambda one: one.generator, outcome),
        people=_people(counted),
        reasons=_reasons(counted),
        overruled=_overruled(extension.variants, votes),
        agreement=agreement(counted, facts={variant.id: variant.fact for variant in extension.variants}, seed=seed),
        skipped=skipped,
    )
    step = {"name": "filter", "of": extension_digest(extension), **summary(found)}
    return replace(found, extension=replace(extension, variants=kept, history=(*extension.history, step)))


def summary(found: Filtered) -> dict[str, Any]:
    """The report as JSON, which stands in the history of what was kept."""
    return {
        "options": asdict(found.rule),
        "annotators": list(found.annotators),
        "counts": {"raw": found.raw, "automatic": found.automatic, "judged": found.judged, "manual": found.manual},
        "facts_without_variants": found.bare,
        "accepted": {
            name: {rate.group: {"kept": rate.kept, "judged": rate.judged, "ci": [rate.low, rate.high]} for rate in rates}
            for name, rates in (("grade", found.grades), ("generator", found.generators), ("annotator", found.people))
        },
        "reasons": {verdict: dict(own) for verdict, own in found.reasons.items()},
        "overruled_checks": {code: {"judged": judged, "kept": kept} for code, (judged, kept) in found.overruled.items()},
        "agreement": asdict(found.agreement),
        "skipped_decisions": found.skipped,
    }


def _fitting(extension: Extension, given: Sequence[Decision], *, skip_invalid: bool) -> tuple[list[Decision], int]:
    """Decisions about variants of this extension, and how many are about others."""
    digest, items = extension_digest(extension), {variant.id for variant in extension.variants}
    other = next((one for one in given if one.extension != digest), None)
    if other is not None:
        raise DataError(
            f"{other.where or other.item} was decided about another extension ({other.extension[:12]}, not {digest[:12]}); "
            "filter the folder that was reviewed"
        )
    absent = [one for one in given if one.item not in items]
    if absent and not skip_invalid:
        more = f", and {len(absent) - 1:,} more" if len(absent) > 1 else ""
        raise DataError(
            f"{absent[0].where or 'a decision'}: there is no variant {absent[0].item!r}{more}; "
            "filter the folder that was reviewed, or leave such decisions out with --skip-invalid"
        )
    if absent:
        warnings.warn(
            f"{len(absent):,} decision{'s' * (len(absent) > 1)} about variants that are not there left out", stacklevel=3
        )
    return [one for one in given if one.item in items], len(absent)


def _rate(group: str, kept: int, judged: int) -> Rate:
    return Rate(group, kept, judged, *wilson(kept, judged))


def _rates(
    variants: Iterable[Variant], group: Callable[[Variant], str], outcome: Mapping[str, bool | None], order: Sequence[str] = ()
) -> tuple[Rate, ...]:
    judged, kept = Counter[str](), Counter[str]()
    for variant in variants:
        judged[group(variant)] += 1
        kept[group(variant)] += outcome[variant.id] is True
    names = sorted(judged, key=lambda name: (order.index(name) if name in order else len(order), name))
    return tuple(_rate(name, kept[name], judged[name]) for name in names)


def _people(decisions: Iterable[Decision]) -> tuple[Rate, ...]:
    judged, kept = Counter[str](), Counter[str]()
    for decision in decisions:
        judged[decision.annotator] += 1
        kept[decision.annotator] += decision.verdict == "keep"
    return tuple(_rate(name, kept[name], judged[name]) for name in sorted(judged))


def _reasons(decisions: Iterable[Decision]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for decision in decisions:
        if decision.reason:
            # Own words that differ in case and blanks only are one reason.
            reason = decision.reason if decision.reason in REASONS else " ".join(decision.reason.casefold().split())
            counts[str(decision.verdict)][reason] += 1
    return {verdict: dict(own.most_common()) for verdict, own in sorted(counts.items())}


def _overruled(variants: Iterable[Variant], votes: Mapping[str, Sequence[Decision]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for variant in variants:
        own = votes.get(variant.id, ())
        for code in variant.failed if own else ():
            judged, kept = found.get(code, (0, 0))
            found[code] = (judged + len(own), kept + sum(one.verdict == "keep" for one in own))
    return dict(sorted(found.items()))
