"""Decisions in short: letters for verdicts, one string per annotator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from unsee.benchmarks.extended.variants import Extension
from unsee.review.decisions import Decision, extension_digest

LETTERS = {"k": "keep", "r": "reject", "u": "unsure", "x": None}


def decision(item: str, annotator: str = "a", letter: str = "k", *, second: int = 0, extension: str = "e", **more) -> Decision:
    time = f"2026-01-02T03:{second // 60:02d}:{second % 60:02d}+00:00"
    return Decision(item=item, annotator=annotator, verdict=LETTERS[letter], time=time, extension=extension, **more)


def decisions(votes: Mapping[str, str], items: Sequence[str] | None = None, *, extension: str = "e") -> list[Decision]:
    """Annotator -> a letter per item, `.` where there is no decision. Items are facts of their own where none are given."""
    longest = max(map(len, votes.values()))
    names = [f"f{number}/image/easy/0" for number in range(longest)] if items is None else items
    return [
        decision(names[number], annotator, letter, extension=extension)
        for annotator, letters in votes.items()
        for number, letter in enumerate(letters)
        if letter != "."
    ]


def judged(extension: Extension, votes: dict[str, str]) -> list[Decision]:
    """Votes about the variants that passed the automatic checks, in order."""
    passed = [variant.id for variant in extension.variants if not variant.failed]
    return decisions(votes, passed, extension=extension_digest(extension))


def cohen(a: Sequence[str], b: Sequence[str]) -> Fraction:
    """1 minus observed over expected disagreement, over pairs of different verdicts."""
    n = len(a)
    first, second = Counter(a), Counter(b)
    observed = Fraction(sum(x != y for x, y in zip(a, b, strict=True)), n)
    expected = sum(Fraction(first[x] * second[y], n * n) for x in first for y in second if x != y)
    return 1 - observed / expected
