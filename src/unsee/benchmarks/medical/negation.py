"""Answers that deny what is there, or find what is not: yes and no, presence and absence, "no X" and "X"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from unsee.benchmarks.medical.rewording import Change, Reworded, capitalised, in_case_of, is_granted, reworded, same
from unsee.benchmarks.medical.table import VqaRow

_LEAD = re.compile(
    r"\s*(?P<word>yes\b(?![/-])|no\b(?=\s*(?:[.,;:!]|--|- |\Z)|\s+(?:there|it|the|this|these|they|that)\b))"
    r"(?P<rest>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_WHETHER = re.compile(r"\W*(?:is|are|was|were|does|do|did|has|have|had|can|could|any|should|would|will)(?!\w)", re.IGNORECASE)
_ASKS_PRESENCE = re.compile(r"\W*(?:is|are|was|were)\s+(?:there|any)\b|\W*(?:does|do|did|has|have|can|any)\b", re.IGNORECASE)
_BE = r"(?:is|are|was|were)"
_AUXILIARY = r"(?:is|are|was|were|has been|have been|can|could|does|do|did|should|may|will)"
_COUNTABLE = frozenset(
    "mass nodule lesion fracture tumor tumour cyst effusion pneumothorax hemorrhage haemorrhage hematoma haematoma infarct "
    "stone abscess aneurysm polyp ulcer hernia shadow opacity infiltrate metastasis thrombus embolus abnormality finding tube "
    "catheter collection shift body device defect stenosis".split()
)
"""Things that take an article when there is one of them."""
_PHRASE_END = re.compile(
    r"\s+(?:in|of|at|on|within|with|without|near|along|to|from|or|and|but|seen|visible|present|noted|identified|that|which|is|are|"
    r"was|were|can|here)\b|[.,;:!?]|\Z",
    re.IGNORECASE,
)
_SIGN_OF = re.compile(r"(?:[\w-]+ )*?(?:evidence|signs?) of\b", re.IGNORECASE)
_PAIRS = {
    **{"present": "absent", "absent": "present", "presence": "absence", "absence": "presence"},
    **{"normal": "abnormal", "abnormal": "normal", "positive": "negative", "negative": "positive"},
}
_PAIR = re.compile(
    rf"(?<![\w-])(?<!\bat )(?<!within )(?:{'|'.join(_PAIRS)})(?![\w-])"
    r"(?!\s+(?:with|study|pressure|saline|film|position|predictive|contrast)\b)",
    re.IGNORECASE,
)
_NOT = re.compile(
    rf"\b(?P<verb>{_AUXILIARY}) ?(?:not|n't|n\u2019t)(?!\w)(?!\s+(?:only|applicable|known|given|specified|sure|certain|"
    r"provided|mentioned|possible|clear|be (?:determined|assessed|said|seen clearly|identified with certainty))\b)",
    re.IGNORECASE,
)
_THERE = re.compile(
    rf"\bthere (?P<verb>{_BE}) (?P<word>(?:no|not an?|not any|an?|any|some|evidence)\b ?)?"
    r"(?!(?:no|not|only|also|one|two|three|four|several|many|multiple|the|longer|more)\b|\d)(?P<what>\w)",
    re.IGNORECASE,
)
_SHOWS_NO = re.compile(
    r"\b(?P<verb>shows?|demonstrates?|reveals?|has|have|had|with|sees?|contains?) no (?!longer|more)(?=\w)", re.IGNORECASE
)
_NO = re.compile(r"\A\s*no (?!longer\b|one\b|more\b|comment|answer|idea|information|other\b|\d)(?=\w)", re.IGNORECASE)
_WITHOUT = re.compile(
    r"(?<!\w)(?:without(?! (?:doubt|question))|with(?= (?:(?:iv|intravenous|oral|gadolinium) )?contrast\b| evidence\b))(?!\w)",
    re.IGNORECASE,
)
_STATES = (
    "visible seen present noted identified enlarged normal abnormal intact detected observed evident dilated displaced "
    "collapsed thickened widened narrowed fractured obstructed ruptured calcified inflated deviated shifted demonstrated shown"
).split()
_IS = re.compile(rf"\b(?P<verb>{_AUXILIARY})\b(?! not\b)(?= (?P<state>\w+))", re.IGNORECASE)
_NOT_A_FINDING = re.compile(
    r"(?:yes|no|none|nothing|normal|unknown|both|neither|left|right|bilateral|not|the|it|this|these|they|cannot|only|\d)\b",
    re.IGNORECASE,
)
_LONGEST_FINDING = 6
"""So many words, at most, of an answer that is a bare finding."""


def negation(row: VqaRow) -> list[Reworded]:
    """The answer denied; none where no part of it can be denied without contradicting the rest."""
    is_choice = re.search(r"\bor\b", row.question, re.IGNORECASE) is not None
    asks_whether = _WHETHER.match(row.question) is not None and not is_choice
    lead = _LEAD.match(row.answer)
    if lead is not None:
        return _lead_denied(row.answer, lead)
    made = next(_denied(row.answer, any_state=asks_whether), None)
    if made is not None:
        return [made] if asks_whether or not is_granted(row.question, made.right, made.wrong) else []
    asks_presence = _ASKS_PRESENCE.match(row.question) is not None and not is_choice
    return _finding_denied(row, asks_presence=asks_presence)


def _lead_denied(answer: str, lead: re.Match[str]) -> list[Reworded]:
    """Yes for no or no for yes, and what follows denied too."""
    word, rest = lead["word"], lead["rest"]
    other = in_case_of("no" if word.lower() == "yes" else "yes", word, usual=word.lower(), opens=True)
    if re.search(r"\w", rest):
        made = next(_denied(rest, any_state=True), None)
        if made is None:
            return []
        rest = made.answer
    return [Reworded(answer[: lead.start("word")] + other + rest, other, word)]


def _denied(text: str, *, any_state: bool) -> Iterator[Reworded]:
    """A statement denied in every way that fits it, the surest first.

    Args:
        any_state: whether any "is" may become "is not", rather than only "is visible" and its like.
    """
    ways: tuple[Callable[[str], Reworded | None], ...] = (
        _there_denied,
        _no_dropped,
        _not_dropped,
        _pair_exchanged,
        _without_exchanged,
    )
    for way in ways:
        made = way(text)
        if made is not None:
            yield made
    for match in _IS.finditer(text):
        if any_state or match["state"].lower() in _STATES:
            end = match.end("state")
            yield reworded(text, [Change(match.start(), end, f"{match['verb']} not {match['state']}")])


def _there_denied(text: str) -> Reworded | None:
    match = _THERE.search(text)
    if match is None:
        return None
    end = match.start("what") + _phrase_length(text[match.start("what") :])
    what, word, verb = text[match.start("what") : end], (match["word"] or "").strip().lower(), match["verb"]
    opening = text[match.start() : match.start("verb")] + verb
    if word.startswith("no"):
        new = f"{opening} {_with_article(what, verb)}"
    else:
        new = f"{opening} no {'evidence ' if word == 'evidence' else ''}{what}"
    return reworded(text, [Change(match.start(), end, new)])


def _no_dropped(text: str) -> Reworded | None:
    shows = _SHOWS_NO.search(text)
    if shows is not None:
        end = shows.end() + _phrase_length(text[shows.end() :])
        new = f"{shows['verb']} {_with_article(text[shows.end() : end], 'is')}"
        return reworded(text, [Change(shows.start(), end, new)])
    match = _NO.match(text)
    if match is None:
        return None
    end = match.end() + _phrase_length(text[match.end() :])
    what = text[match.end() : end]
    has_verb = re.match(rf"\s+(?:{_BE}|can)\b", text[end:], re.IGNORECASE)
    new = _with_article(what, "is") if has_verb else what
    start = match.start() + len(match.group()) - len(match.group().lstrip())
    return reworded(text, [Change(start, end, capitalised(new) if text[start].isupper() else new)])


def _not_dropped(text: str) -> Reworded | None:
    match = _NOT.search(text)
    if match is None:
        return None
    state = re.match(r"\s+\w+", text[match.end() :])
    after = state.group() if state else ""
    return reworded(text, [Change(match.start(), match.end() + len(after), match["verb"] + after)])


def _pair_exchanged(text: str) -> Reworded | None:
    match = _PAIR.search(text)
    if match is None:
        return None
    word = match.group()
    new = in_case_of(_PAIRS[word.lower()], word, usual=word.lower(), opens=True)
    return reworded(text, [Change(*match.span(), new)])


def _without_exchanged(text: str) -> Reworded | None:
    match = _WITHOUT.search(text)
    if match is None:
        return None
    word = match.group()
    new = in_case_of("with" if word.lower() == "without" else "without", word, usual=word.lower(), opens=True)
    return reworded(text, [Change(*match.span(), new)])


def _finding_denied(row: VqaRow, *, asks_presence: bool) -> list[Reworded]:
    """A bare finding with "no" before it, where the question asks for its presence or offers that answer."""
    start = len(row.answer) - len(row.answer.lstrip())
    finding = re.sub(r"\A(?:an?|any|some)\s+", "", row.answer[start:], flags=re.IGNORECASE).rstrip(" .")
    is_offered = any(same(option, f"no {finding}") for option in row.options)
    if not (asks_presence or is_offered) or not finding or _NOT_A_FINDING.match(finding):
        return []
    if len(finding.split()) > _LONGEST_FINDING or re.search(r"[.;!?]|,", finding):
        return []
    end = row.answer.index(finding) + len(finding)
    is_name = len(finding) > 1 and finding[:2].isupper()
    no = "No " if row.answer[start].isupper() else "no "
    new = no + (finding if is_name else finding[0].lower() + finding[1:])
    return [reworded(row.answer, [Change(start, end, new)])]


def _phrase_length(text: str) -> int:
    """Characters of the noun phrase that a text begins with, past what it is evidence of."""
    sign = _SIGN_OF.match(text)
    start = sign.end() if sign else 0
    end = _PHRASE_END.search(text, start)
    return end.start() if end else len(text)


def _with_article(what: str, verb: str) -> str:
    """A noun phrase with its article, where it names one thing that is counted."""
    if verb.lower() not in ("is", "was") or what.split(" ")[-1].lower() not in _COUNTABLE:
        return what
    return f"{'an' if what[0].lower() in 'aeiou' else 'a'} {what}"
