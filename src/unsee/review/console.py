"""What `unsee data filter` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unsee.printable import printable
from unsee.review.agreement import Estimate
from unsee.review.decisions import REASONS
from unsee.review.filtering import Filtered, Rate

_SHOWN = 12
"""So many reasons are told one by one."""


def print_filtered(found: Filtered, screen: Console) -> None:
    """Counts, accept rates, reasons and agreement."""

    def say(text: str) -> None:
        screen.print(Text(printable(text)), soft_wrap=True)

    rule = found.rule
    say(f"variants: {found.raw:,} raw, {found.automatic:,} passed the automatic checks, {found.manual:,} kept")
    say(f"judged: {found.judged:,} by {len(found.annotators)} ({', '.join(found.annotators) or 'nobody'})")
    say(f"rule: kept if {rule.keep_if} kept it; unsure: {rule.unsure}; undecided: {rule.undecided}")
    if found.bare:
        say(f"facts without any variant left: {found.bare:,}")
    for title, rates in (("kind and grade", found.grades), ("generator", found.generators), ("annotator", found.people)):
        if rates:
            screen.print(_table(title, rates))
    told = [(count, verdict, reason) for verdict, own in found.reasons.items() for reason, count in own.items()]
    for count, verdict, reason in sorted(told, reverse=True)[:_SHOWN]:
        say(f"{verdict}: {REASONS.get(reason, reason)}: {count:,}")
    if len(told) > _SHOWN:
        say(f"{len(told) - _SHOWN:,} more reasons are in the history of the folder")
    for code, (judged, kept) in found.overruled.items():
        say(f"failed check {code}: {judged:,} verdicts, {kept:,} of them keep; such variants stay out")
    agreed = found.agreement
    name = {"cohen": "Cohen's kappa", "fleiss": "Fleiss' kappa", None: "kappa"}[agreed.statistic]
    say(f"{name}: {_words(agreed.kappa)}")
    for pair in agreed.pairs:
        first, second = pair.annotators
        if pair.agreement.value is None:
            say(f"{first} and {second}: {pair.agreement.reason}")
            continue
        line = f"{first} and {second}: same verdict {_words(pair.agreement)}"
        say(line if len(agreed.pairs) == 1 else f"{line}; Cohen's kappa {_words(pair.kappa)}")


def _words(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"none: {estimate.reason}"
    interval = "no interval" if estimate.low is None else f"{estimate.low:.2f} to {estimate.high:.2f}"
    mark = f"; {estimate.reason}" if estimate.reason else ""
    return f"{estimate.value:.2f} ({interval}; {estimate.items:,} variants of {estimate.facts:,} facts{mark})"


def _table(title: str, rates: Sequence[Rate]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(title, overflow="fold")
    for heading in ("kept", "judged", "rate", "95 %"):
        table.add_column(heading, justify="right")
    for rate in rates:
        interval = f"{rate.low:.2f} to {rate.high:.2f}"
        table.add_row(Text(printable(rate.group)), f"{rate.kept:,}", f"{rate.judged:,}", f"{rate.value:.2f}", interval)
    return table
