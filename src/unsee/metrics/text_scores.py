"""Overlap of generated text with the right answer: ROUGE and BLEU for sentences, normalised match for cloze."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import polars as pl

from unsee.metrics.metric import Metric
from unsee.metrics.normalise import occurrences, same_token, tokens
from unsee.metrics.official_scores import by_protocol, smoothed_bleu, substring
from unsee.sample import Task


class Overlap(NamedTuple):
    """F-measures and BLEU, each from 0 to 1."""

    rouge_1: float
    rouge_2: float
    rouge_l: float
    bleu: float


@lru_cache(maxsize=1)
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


@lru_cache(maxsize=1)
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU as SacreBleu

    return SacreBleu(effective_order=True)


@lru_cache(maxsize=65536)
def overlap(response: str, answer: str) -> Overlap:
    """ROUGE-1/2/L F-measure with stemming (rouge-score) and sentence BLEU (sacrebleu, effective order); no overlap is 0."""
    if not response.strip():
        return Overlap(0.0, 0.0, 0.0, 0.0)
    bleu = 1.0 if response == answer else min(1.0, _bleu().sentence_score(response, [answer]).score / 100)
    scores = _rouge().score(answer, response)
    return Overlap(scores["rouge1"].fmeasure, scores["rouge2"].fmeasure, scores["rougeL"].fmeasure, bleu)


@lru_cache(maxsize=65536)
def equal_normalised(response: str, answer: str) -> bool:
    """Whether a response is the answer, up to case, punctuation, articles, and the form of dates, numbers and units."""
    said, wanted = tokens(response).items, tokens(answer).items
    return len(said) == len(wanted) > 0 and all(same_token(mine, other) for mine, other in zip(wanted, said))


@lru_cache(maxsize=65536)
def contains_normalised(response: str, answer: str) -> bool:
    """Whether the answer stands in a response as whole tokens."""
    return bool(occurrences(tokens(answer), tokens(response)))


def _overlaps(frame: pl.DataFrame, field: int) -> pl.Series:
    pairs = zip(frame["parsed"], frame["answer"])
    return pl.Series("value", [0.0 if said is None else overlap(said, right)[field] for said, right in pairs], dtype=pl.Float64)


def rouge_1(frame: pl.DataFrame) -> pl.Series:
    """ROUGE-1 F-measure per answer."""
    return _overlaps(frame, 0)


def rouge_2(frame: pl.DataFrame) -> pl.Series:
    """ROUGE-2 F-measure per answer."""
    return _overlaps(frame, 1)


def rouge_l(frame: pl.DataFrame) -> pl.Series:
    """ROUGE-L F-measure per answer."""
    return _overlaps(frame, 2)


def bleu(frame: pl.DataFrame) -> pl.Series:
    """Sentence BLEU per answer, 0 to 1."""
    return _overlaps(frame, 3)


def cloze_exact(frame: pl.DataFrame) -> pl.Series:
    """1 where the response is the missing words and nothing else, up to normalisation."""
    pairs = zip(frame["parsed"], frame["answer"])
    return pl.Series(
        "value", [float(said is not None and equal_normalised(said, right)) for said, right in pairs], dtype=pl.Float64
    )


def cloze_match(frame: pl.DataFrame) -> pl.Series:
    """1 where the response holds the missing words as whole tokens, up to normalisation."""
    pairs = zip(frame["parsed"], frame["answer"])
    return pl.Series(
        "value", [float(said is not None and contains_normalised(said, right)) for said, right in pairs], dtype=pl.Float64
    )


def _metric(name: str, description: str, values: Callable[[pl.DataFrame], pl.Series], task: Task) -> Metric:
    return Metric(name, 1, "knowledge", description, tasks=(task,), views=("generate",), binary=task == "cloze", values=values)


ROUGE_1 = _metric("rouge_1", "ROUGE-1 F-measure with stemming", rouge_1, "generation")
ROUGE_2 = _metric("rouge_2", "ROUGE-2 F-measure with stemming", rouge_2, "generation")
ROUGE_L = _metric("rouge_l", "ROUGE-L F-measure with stemming", rouge_l, "generation")
BLEU = _metric("bleu", "sentence BLEU, 0 to 1; official: whitespace tokens", by_protocol(bleu, smoothed_bleu), "generation")
CLOZE_EXACT = _metric("cloze_exact", "responses that are the missing words and nothing else", cloze_exact, "cloze")
CLOZE_ACCURACY = _metric(
    "cloze_accuracy",
    "missing words found in the response, with dates, numbers and units normalised; official: as letters",
    by_protocol(cloze_match, substring),
    "cloze",
)
