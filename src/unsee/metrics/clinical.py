"""Clinical ability: closed questions by accuracy, open ones by the share of the right answer's words that are said.

The convention of LLaVA-Med for both kinds of questions, on text that is normalised as everywhere here. A question whose source
does not say that it offers a choice counts as open.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

from unsee.metrics.factuality import states_fact
from unsee.metrics.metric import FORGOTTEN_SETS, Metric
from unsee.metrics.normalise import same_token, tokens

_YES_NO = ("yes", "no")
_NEITHER = re.compile(r"\b(?:yes or no|no or yes|yes nor no|yes/no)\b", re.IGNORECASE)


@lru_cache(maxsize=65536)
def says(response: str, answer: str, others: tuple[str, ...] = ()) -> bool:
    """Whether a response gives an answer; of "yes" and "no" the first that is said counts, else as `states_fact` reads it.

    "Yes or no" says neither.
    """
    wanted = tokens(answer).items
    if len(wanted) == 1 and wanted[0] in _YES_NO:
        said = tokens(_NEITHER.sub(" ", response)).items
        return next((item for item in said if item in _YES_NO), None) == wanted[0]
    return states_fact(response, answer, others)


@lru_cache(maxsize=65536)
def recall(response: str, answer: str) -> float:
    """Share of an answer's tokens that a response holds, each as often as it was said."""
    wanted, left = tokens(answer).items, list(tokens(response).items)
    hits = 0
    for token in wanted:
        at = next((i for i, said in enumerate(left) if same_token(token, said)), None)
        if at is not None:
            del left[at]
            hits += 1
    return hits / len(wanted) if wanted else 0.0


def is_clinical() -> pl.Expr:
    """Questions of a medical benchmark that ask for no identifier."""
    return pl.col("scenario").is_not_null() & pl.col("identifier").is_null()


def _asked(*, closed: bool) -> pl.Expr:
    offers = (pl.col("closed") == "yes").fill_null(False)
    return is_clinical() & ~pl.col("set").is_in(FORGOTTEN_SETS) & (offers if closed else ~offers)


def closed_right(frame: pl.DataFrame) -> pl.Series:
    """1 where a closed question is answered right, else 0; null for other questions."""
    asked = frame.select(_asked(closed=True)).to_series()
    columns = zip(asked, frame["parsed"], frame["fact"], frame["wrong_answers"].to_list())
    return pl.Series(
        "value",
        [
            float(said is not None and says(said, fact, tuple(wrong or ()))) if own else None
            for own, said, fact, wrong in columns
        ],
        dtype=pl.Float64,
    )


def open_recall(frame: pl.DataFrame) -> pl.Series:
    """Token recall of open questions; null for other questions."""
    asked = frame.select(_asked(closed=False)).to_series()
    columns = zip(asked, frame["parsed"], frame["answer"])
    return pl.Series(
        "value", [(0.0 if said is None else recall(said, answer)) if own else None for own, said, answer in columns], pl.Float64
    )


CLOSED_ACCURACY = Metric(
    "closed_accuracy",
    2,
    "knowledge",
    "closed clinical questions answered right in words",
    tasks=("generation",),
    views=("generate",),
    binary=True,
    values=closed_right,
)
TOKEN_RECALL = Metric(
    "token_recall",
    1,
    "knowledge",
    "share of the right answer's words said in answer to open clinical questions",
    tasks=("generation",),
    views=("generate",),
    values=open_recall,
)
