"""The scores that MLLMU-Bench's published script computes otherwise than `strict` does (arXiv 2410.22108).

Accuracy and ROUGE need nothing here: the letter is read when the model answers, and both protocols use the same ROUGE.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import polars as pl

PROTOCOL = "official"
MAIN_PROTOCOL = "strict"
"""Scores composed over tasks, flags and alarms rest on this protocol where it was asked."""

_ORDERS = 4
_EPSILON = 0.1

Values = Callable[[pl.DataFrame], pl.Series]


def main_protocol(values: pl.DataFrame) -> pl.DataFrame:
    """The answers that composed scores rest on: those of `strict`, else of the first protocol there is."""
    there = values["protocol"].unique().sort()
    if there.is_empty():
        return values
    return values.filter(pl.col("protocol") == (MAIN_PROTOCOL if MAIN_PROTOCOL in there else there[0]))


def by_protocol(others: Values, official: Values) -> Values:
    """Values of a metric whose published form differs."""

    def values(frame: pl.DataFrame) -> pl.Series:
        published = (frame["protocol"] == PROTOCOL).to_numpy()
        found = np.full(frame.height, np.nan)
        for which, compute in ((published, official), (~published, others)):
            if which.any():
                found[which] = compute(frame.filter(which)).cast(pl.Float64).fill_null(np.nan).to_numpy()
        return pl.Series("value", found).fill_nan(None)

    return values


def substring(frame: pl.DataFrame) -> pl.Series:
    """1 where the missing words stand in the response as letters, in whatever case: "Art" stands in "Martha"."""
    pairs = zip(frame["parsed"], frame["answer"])
    return pl.Series("value", [float(said is not None and right.lower() in said.lower()) for said, right in pairs], pl.Float64)


def smoothed_bleu(frame: pl.DataFrame) -> pl.Series:
    """Sentence BLEU over whitespace tokens per answer, 0 to 1."""
    pairs = zip(frame["parsed"], frame["answer"])
    return pl.Series("value", [0.0 if said is None else sentence_bleu(said, right) for said, right in pairs], pl.Float64)


@lru_cache(maxsize=65536)
def sentence_bleu(response: str, answer: str) -> float:
    """BLEU-4 as nltk's `sentence_bleu` with smoothing method 1 computes it.

    With h words said and r right ones, c_n the said n-grams that occur in the answer (each at most as often as there) of t_n:

        BLEU = min(1, exp(1 - r / h)) * (p_1 p_2 p_3 p_4)^(1/4),  p_n = c_n / max(1, t_n), or 0.1 / max(1, t_n) where c_n = 0

    and 0 where no single word matches.
    """
    said, right = response.split(), answer.split()
    logs = []
    for order in range(1, _ORDERS + 1):
        there, wanted = _ngrams(said, order), _ngrams(right, order)
        hits = sum(min(count, wanted[ngram]) for ngram, count in there.items())
        if order == 1 and not hits:
            return 0.0
        logs.append(math.log((hits or _EPSILON) / max(1, there.total())))
    return math.exp(min(0.0, 1 - len(right) / len(said)) + math.fsum(logs) / _ORDERS)


def _ngrams(words: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
