"""Answers that state another number: a count, a share, an age or a size, changed by a plausible amount."""

from __future__ import annotations

import re
from collections.abc import Iterable

from unsee.benchmarks.medical.rewording import Change, Reworded, Vocabulary, exchanged, in_case_of, opens_sentence, reworded

_COUNTS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_SHORT_UNITS = ("mm", "cm", "m", "ml", "mL", "cc", "l", "L", "g", "kg", "mg", "HU", "mmHg", "kV", "kVp", "mAs", "%")
_LONG_UNITS = ("millimet(?:er|re)s?", "centimet(?:er|re)s?", "inch(?:es)?", "percent", "degrees?")
_TIME_UNITS = ("hours?", "days?", "weeks?", "months?")
_YEARS = r"years?|yrs?|y/o"
_NUMBER = re.compile(
    r"(?<![\w.,/:#+-])(?P<number>\d+(?:\.\d+)?)(?![\d/:]|[.,]\d)"
    rf"(?:(?P<unit>[\s-]?(?:{'|'.join((*_SHORT_UNITS, *_LONG_UNITS, *_TIME_UNITS, _YEARS))}))(?!\w))?(?:(?![\w-])|(?=x\d))"
    r"|(?<![\w.,/:#+-])(?P<aged>\d+)(?P<age>-(?:year|month|week|day)s?)(?=-old)"
    rf"|(?<![\w-])(?P<word>{'|'.join(_COUNTS)})(?![\w-])",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\d\s*(?:-|\u2013|to)\s*\d[\d.]*", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:fig(?:ure)?\.?|image|picture|type|segment|zone|level|phase|question|case|no\.?|number|covid|class|slice|station)\s+\Z",
    re.IGNORECASE,
)
"""What stands before a number that counts and measures nothing."""
_GRADED = re.compile(r"\b(?:grade|stage|degree)\s+\Z", re.IGNORECASE)
_GRADES = 4
_MULTIPLIED = re.compile(r"\s*(?:x|\u00d7|by)\s*\d", re.IGNORECASE)
_FACTORS = (0.5, 0.75, 1.5, 2.0)
_STEPS = (-2, -1, 1, 2)
_COUNTED = 12
"""Up to this number things are counted, not measured."""
_HUNDRED = 100.0
_SIZES = ("small", "medium", "large")
_SIZE = Vocabulary({name: (name,) for name in _SIZES}, not_before=r"\s+(?:bowel|intestines?|cells?|vessels?|airways?)\b")


def amounts(answer: str) -> list[Reworded]:
    """The answer with other numbers in place of its first one, or where it has none with another word for a size.

    Counts move by one or two, sizes and ages to between half and twice what they are; shares and ages stay below a hundred. One
    thing becomes several, or several one, only where the number is the whole answer, because the words around it would not fit.
    """
    ranges = [match.span() for match in _RANGE.finditer(answer)]
    for match in _NUMBER.finditer(answer):
        start, end = match.span()
        before, after = answer[:start], answer[end:]
        if any(first < end and start < last for first, last in ranges) or _NAMED.search(before):
            continue
        made = _written(match, before, after)
        if made:
            return [reworded(answer, [Change(start, end, new)]) for new in made]
    return exchanged(answer, _SIZE.mentions(answer), _SIZES, lambda name, _: name)


def _written(match: re.Match[str], before: str, after: str) -> list[str]:
    """What can stand in place of a number and its unit."""
    is_alone = not re.sub(r"\W", "", before + after)
    if match["word"]:
        word = match["word"]
        count = _COUNTS.index(word.lower())
        fitting = [int(new) for new in _counted(count, is_alone=is_alone) if new < len(_COUNTS)]
        opens = opens_sentence(match.string, match.start())
        return [in_case_of(_COUNTS[new], word, usual=word.lower(), opens=opens) for new in fitting]
    digits, unit = match["number"] or match["aged"], match["unit"] or match["age"] or ""
    value, decimals = float(digits), len(digits.partition(".")[2])
    kind = unit.strip(" -").lower()
    is_spelled = len(kind) > 3 and kind not in ("mmhg", "percent")
    if not kind and not decimals and 1800 <= value < 2100:
        return []
    if is_spelled and value == 1:
        return []
    if not kind and _GRADED.search(before):
        others: Iterable[float] = [new for new in _counted(value, is_alone=True) if 1 <= new <= _GRADES]
    elif kind or decimals or value > _COUNTED or _MULTIPLIED.match(after):
        others = [value * factor for factor in _FACTORS]
    else:
        others = _counted(value, is_alone=is_alone)
    made = []
    for other in others:
        text = f"{other:.{decimals}f}"
        is_bounded = kind in ("%", "percent") or re.fullmatch(_YEARS, kind)
        if float(text) == value or (float(text) == 0 and (kind or decimals)) or (float(text) == 1 and is_spelled):
            continue
        if not (is_bounded and value <= _HUNDRED < float(text)):
            made.append(text + unit)
    return list(dict.fromkeys(made))


def _counted(value: float, *, is_alone: bool) -> list[float]:
    """Counts near one; among other words only those that take the same plural."""
    others = [value + step for step in _STEPS if value + step >= 0]
    if is_alone:
        return others
    return [] if value == 1 else [other for other in others if other >= 2]
