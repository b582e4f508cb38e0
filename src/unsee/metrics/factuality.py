"""An offline judge: does the answer state the profile's fact?

It reads whole tokens with dates, numbers and units normalised. A fact that stands behind a negation or a refusal in its
clause is not stated, and neither is one that is offered beside another answer ("a nurse or a pilot"). It knows no
synonyms: a right answer in other words counts as wrong, alike for every model.
"""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from unsee.metrics.metric import Metric
from unsee.metrics.normalise import Tokens, occurrences, tokens

_DENIALS = frozenset(
    "not no never neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt shouldnt "
    "hasnt havent hadnt unable unsure unaware unknown except decline refuse".split()
)
_TURNS = frozenset("but however although though while whereas yet".split())
_NOTHING = frozenset({"none", "no", "nothing", "nil", "nobody"})


@lru_cache(maxsize=65536)
def states_fact(response: str, fact: str, wrong_answers: tuple[str, ...] = ()) -> bool:
    """Whether a response states a fact, and no wrong answer beside it."""
    said, wanted = tokens(response), tokens(fact)
    if len(wanted.items) == 1 and wanted.items[0] in _NOTHING:
        stated = any(item in _NOTHING for item in said.items)
    else:
        stated = _asserted(wanted, said)
    if not stated:
        return False
    for wrong in wrong_answers:
        other = tokens(wrong)
        if not occurrences(other, wanted) and not occurrences(wanted, other) and _asserted(other, said):
            return False
    return True


def _asserted(fact: Tokens, said: Tokens) -> bool:
    return any(not _denied(said, start, start + len(fact.items)) for start in occurrences(fact, said))


def _denied(said: Tokens, start: int, end: int) -> bool:
    """Whether tokens start..end stand behind a denial in their clause, or are followed by "is not"."""
    at = start - 1
    while at >= 0 and said.clauses[at] == said.clauses[start]:
        word = said.items[at]
        if word in _TURNS:
            break
        if word in _DENIALS:
            return True
        if word in ("instead", "rather", "other") and said.items[at + 1] in ("of", "than"):
            return True
        at -= 1
    after = [
        item for item, clause in zip(said.items[end : end + 2], said.clauses[end : end + 2]) if clause == said.clauses[start]
    ]
    return bool(after) and (after[0] in ("isnt", "wasnt") or after in (["is", "not"], ["was", "not"]))


def judged(frame: pl.DataFrame) -> pl.Series:
    """1 where the answer states the fact, else 0; an unparsable answer states nothing."""
    columns = zip(frame["parsed"], frame["fact"], frame["wrong_answers"].to_list())
    return pl.Series(
        "value",
        [float(said is not None and states_fact(said, fact, tuple(wrong or ()))) for said, fact, wrong in columns],
        dtype=pl.Float64,
    )


FACTUALITY = Metric(
    "factuality",
    1,
    "knowledge",
    "answers that state the profile's fact, with dates, numbers and units normalised (offline judge)",
    tasks=("generation", "cloze"),
    views=("generate",),
    binary=True,
    values=judged,
)
