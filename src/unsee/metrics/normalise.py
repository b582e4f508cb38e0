"""Text as tokens that can be compared: case, punctuation and articles gone; numbers, units and dates understood.

`tokens("5 ft 5 in")` holds one length that equals the one of `tokens("165 cm")`; `tokens("$67k")` equals `tokens("67,000")`;
`tokens("May 12, 1990")` equals `tokens("12/05/1990")`, which could be either day. Tokens are whole words, so "Art" is not
found in "Martha".
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MONTHS = ("january february march april may june july august september october november december").split()
_MONTH = {name: i for i, name in enumerate(MONTHS, 1)} | {name[:3]: i for i, name in enumerate(MONTHS, 1)} | {"sept": 9}
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = {name: 10 * i for i, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_WORD_VALUE = {name: i for i, name in enumerate(_ONES)} | _TENS
_SCALE = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "k": 1_000}
_CURRENCY = {"$": "usd", "usd": "usd", "dollar": "usd", "dollars": "usd", "\u20ac": "eur", "eur": "eur", "euro": "eur"}
_CURRENCY |= {"euros": "eur", "\u00a3": "gbp", "gbp": "gbp"}
_UNITS = {
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), ("cm", 0.1)),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), ("cm", 1.0)),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), ("cm", 100.0)),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), ("cm", 100_000.0)),
    **dict.fromkeys(("inch", "inches", '"'), ("cm", 2.54)),
    **dict.fromkeys(("ft", "feet", "foot", "'"), ("cm", 30.48)),
    **dict.fromkeys(("kg", "kilo", "kilos", "kilogram", "kilograms"), ("kg", 1.0)),
    **dict.fromkeys(("lb", "lbs"), ("kg", 0.45359237)),
    **dict.fromkeys(("%", "percent"), ("%", 1.0)),
}
_FEET = ("ft", "feet", "foot", "'")
_INCHES = ("in", "inch", "inches", '"')
_IMPERIAL = (*_FEET, *_INCHES, "lb", "lbs")
_TOLERANCE = {"cm": 1.0, "kg": 0.5}
# Words that only repeat what a number measures: "$67,000 per year", "165 cm tall", "40 years old".
_MEASURED = frozenset("per year years yearly annually annual annum tall high old".split())
_ARTICLES = frozenset({"a", "an", "the"})
_SYMBOLS = frozenset({"'", '"', "$", "\u20ac", "\u00a3", "%"})

_LEX = re.compile(
    r"(?P<iso>\d{4}-\d{1,2}-\d{1,2}(?!\d))"
    r"|(?P<slashed>\d{1,2}(?P<sep>[/.-])\d{1,2}(?P=sep)\d{4}(?!\d))"
    r"|(?P<number>\d+(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    "|(?P<symbol>[$\u20ac\u00a3%'\"])"
    r"|(?P<stop>[.,;:!?()\n])"
)


@dataclass(frozen=True)
class Quantity:
    """A number in the unit its kind is compared in ("" for a bare number); `converted` from an imperial unit."""

    value: float
    unit: str = ""
    converted: bool = False


@dataclass(frozen=True)
class Date:
    """A date as its possible (year, month, day) readings; None where a part is not said."""

    readings: frozenset[tuple[int | None, int | None, int | None]]


Token = str | Quantity | Date


@dataclass(frozen=True)
class Tokens:
    """Tokens of a text; `clauses[i]` numbers the clause that token i stands in."""

    items: tuple[Token, ...]
    clauses: tuple[int, ...]


@dataclass(frozen=True)
class _Raw:
    text: str
    number: float | None
    date: Date | None
    glued: bool
    clause: int


@lru_cache(maxsize=65536)
def tokens(text: str) -> Tokens:
    """Normalised tokens of a text; articles are kept only where nothing else is left."""
    return _group(_lex(_plain(text)))


def same_token(fact: Token, said: Token) -> bool:
    """Whether what was said states the fact's token.

    Quantities of one unit are equal, or within 1 cm (0.5 kg) where one was converted from feet, inches or pounds; a bare
    number stands for any unit. A date states every part of it.
    """
    if isinstance(fact, str) or isinstance(said, str):
        return fact == said
    if isinstance(fact, Date):
        return isinstance(said, Date) and any(
            all(part is None or part == other for part, other in zip(mine, theirs))
            for mine in fact.readings
            for theirs in said.readings
        )
    if isinstance(said, Date):
        return fact.unit == "" and any(reading[0] == fact.value for reading in said.readings)
    if fact.unit != said.unit and "" not in (fact.unit, said.unit):
        return False
    converted = fact.converted or said.converted
    tolerance = _TOLERANCE.get(fact.unit or said.unit, 0.0) if converted else 0.0
    return abs(fact.value - said.value) <= tolerance + 1e-9 * max(1.0, abs(fact.value))


def occurrences(fact: Tokens, said: Tokens) -> list[int]:
    """Positions where the fact's tokens stand in a row in what was said."""
    size = len(fact.items)
    if size == 0:
        return []
    return [
        start
        for start in range(len(said.items) - size + 1)
        if all(same_token(mine, said.items[start + i]) for i, mine in enumerate(fact.items))
    ]


def _plain(text: str) -> str:
    """Lower case, straight quotes, no accents."""
    for quotes, straight in (("\u2018\u2019\u2032\u00b4`", "'"), ("\u201c\u201d\u2033", '"')):
        text = re.sub(f"[{quotes}]", straight, text)
    text = unicodedata.normalize("NFKD", text).casefold().replace("''", '"')
    return "".join(c for c in text if not unicodedata.combining(c))


def _lex(text: str) -> list[_Raw]:
    raw: list[_Raw] = []
    clause, end = 0, -1
    for match in _LEX.finditer(text):
        kind, found = match.lastgroup, match.group()
        if kind == "sep":
            kind = "slashed"
        glued = match.start() == end
        end = match.end()
        if kind == "stop":
            clause += 1
            continue
        number = float(found.replace(",", "")) if kind == "number" else None
        date = _iso(found) if kind == "iso" else _slashed(found) if kind == "slashed" else None
        word = re.sub(r"'s$", "", found).replace("'", "") if kind == "word" else found
        raw.append(_Raw(word, number, date, glued, clause))
    return raw


def _iso(text: str) -> Date:
    year, month, day = (int(part) for part in text.split("-"))
    return Date(frozenset({(year, month, day)}))


def _slashed(text: str) -> Date:
    first, second, year = (int(part) for part in re.split(r"[/.-]", text))
    readings = {(year, month, day) for month, day in ((first, second), (second, first)) if month <= 12 and day <= 31}
    return Date(frozenset(readings or {(year, first, second)}))


def _group(raw: list[_Raw]) -> Tokens:
    """Numbers, dates and quantities made of several words become one token each."""
    raw = _spelled(raw)
    items: list[Token] = []
    clauses: list[int] = []
    at = 0
    while at < len(raw):
        token, step = _date(raw, at) or _quantity(raw, at) or _word(raw, at)
        while isinstance(token, Quantity) and at + step < len(raw) and raw[at + step].text in _MEASURED | _ARTICLES:
            step += 1
        if token is not None:
            items.append(token)
            clauses.append(raw[at].clause)
        at += step
    if not items:
        bare = [r for r in raw if r.text not in _SYMBOLS]
        return Tokens(tuple(r.text for r in bare), tuple(r.clause for r in bare))
    return Tokens(tuple(items), tuple(clauses))


def _word(raw: list[_Raw], at: int) -> tuple[Token | None, int]:
    word = raw[at]
    dropped = word.text in _ARTICLES or word.text in _SYMBOLS
    return None if dropped else word.date if word.date is not None else word.text, 1


def _spelled(raw: list[_Raw]) -> list[_Raw]:
    """Number words ("sixty-seven thousand", "two hundred and five", "67k") become numbers."""
    result: list[_Raw] = []
    at = 0
    while at < len(raw):
        total, current, end = 0.0, None, at
        while end < len(raw):
            word = raw[end]
            value = _WORD_VALUE.get(word.text)
            if current is None and end == at and word.number is not None:
                current = word.number
            elif value is not None and (current is None or (current % 100 == 0 and end > at)):
                current = (current or 0) + value
            elif value is not None and current is not None and value < 10 and raw[end - 1].text in _TENS:
                current += value
            elif word.text in _SCALE and end > at and current is not None and (word.text != "k" or word.glued):
                current *= _SCALE[word.text]
                if current >= 1000:
                    total, current = total + current, 0.0
            elif (
                word.text == "and"
                and end > at
                and raw[end - 1].text in _SCALE
                and end + 1 < len(raw)
                and raw[end + 1].text in _WORD_VALUE
            ):
                pass
            else:
                break
            end += 1
        if end == at or current is None:
            result.append(raw[at])
            at += 1
        else:
            result.append(_Raw(raw[at].text, total + current, None, raw[at].glued, raw[at].clause))
            at = end
    return result


def _date(raw: list[_Raw], at: int) -> tuple[Token, int] | None:
    """Such as "12 May 1990", "the 12th of May, 1990", "May 12th 1990", "May 1990", "12 May"."""
    day: int | None = None
    end = at
    if _is_day(raw, end):
        day = _whole(raw, end)
        end += 1
        if end < len(raw) and raw[end].text in ("st", "nd", "rd", "th") and raw[end].glued:
            end += 1
        if end < len(raw) and raw[end].text == "of":
            end += 1
    if end >= len(raw) or raw[end].text not in _MONTH:
        return None
    month = _MONTH[raw[end].text]
    end += 1
    if day is None and _is_day(raw, end):
        day = _whole(raw, end)
        end += 1
        if end < len(raw) and raw[end].text in ("st", "nd", "rd", "th") and raw[end].glued:
            end += 1
    year = _whole(raw, end)
    if year is not None and 1000 <= year <= 2999:
        end += 1
    else:
        year = None
    if day is None and year is None:
        return None
    return Date(frozenset({(year, month, day)})), end - at


def _whole(raw: list[_Raw], at: int) -> int | None:
    number = raw[at].number if at < len(raw) else None
    return int(number) if number is not None and number == int(number) else None


def _is_day(raw: list[_Raw], at: int) -> bool:
    value = _whole(raw, at)
    return value is not None and 1 <= value <= 31


def _quantity(raw: list[_Raw], at: int) -> tuple[Token, int] | None:
    """A number with its unit or currency, before or after."""
    currency = _CURRENCY.get(raw[at].text)
    if currency and at + 1 < len(raw) and raw[at + 1].number is not None:
        value, step = raw[at + 1].number, 2
        if at + 2 < len(raw) and raw[at + 2].text == "m" and raw[at + 2].glued:
            return Quantity((value or 0.0) * 1e6, currency), 3
        if at + 2 < len(raw) and _CURRENCY.get(raw[at + 2].text) == currency:
            step = 3
        return Quantity(value or 0.0, currency), step
    number = raw[at].number
    if number is None:
        return None
    after = raw[at + 1].text if at + 1 < len(raw) else ""
    if after in _FEET:
        return _feet(raw, at, number)
    if after in _CURRENCY:
        return Quantity(number, _CURRENCY[after]), 2
    if after in _UNITS:
        unit, scale = _UNITS[after]
        return Quantity(number * scale, unit, converted=after in _IMPERIAL), 2
    return Quantity(number), 1


def _feet(raw: list[_Raw], at: int, feet: float) -> tuple[Token, int]:
    """Such as "5 feet", "5 ft 5 in", "5'5" with or without the inch sign."""
    end = at + 2
    if end < len(raw) and raw[end].text == "and":
        end += 1
    inches = raw[end].number if end < len(raw) else None
    marked = end + 1 < len(raw) and raw[end + 1].text in _INCHES
    if inches is not None and inches < 12 and (marked or raw[at + 1].text == "'"):
        return Quantity(feet * 30.48 + inches * 2.54, "cm", converted=True), end + (2 if marked else 1) - at
    return Quantity(feet * 30.48, "cm", converted=True), 2
