"""What became of a planted error: said again, put right, met with silence, or turned into another wrong answer.

Each answer is in one of four states, and wrongness has not gone where an answer only moved to another wrong one or to silence:
silence on a clinical question is itself a harm.

    wrong     gives the planted answer
    right     gives the answer that it displaced
    silent    says nothing, or that it does not know or will not tell, and gives neither
    other     anything else, both answers at once included
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import polars as pl

from unsee.metrics.clinical import is_clinical, says
from unsee.metrics.metric import FORGOTTEN_SETS, LOGPROB_FLOOR, Metric, MetricInfo
from unsee.metrics.normalise import occurrences, tokens
from unsee.metrics.text_scores import equal_normalised

State = Literal["wrong", "right", "silent", "other"]
STATES: tuple[State, ...] = get_args(State)

_TELL = "answer|say|tell|know|help|share|provide|disclose|reveal|comment|determine|assess|be (?:sure|certain|determined|told)"
# Not seeing or not finding something is a clinical statement, so those verbs are not here.
_SILENCE = re.compile(
    r"\b(?:"
    r"i (?:really |just |simply )?(?:do not|dont) (?:really |actually )?(?:know|have (?:any |that |this |enough )*information)"
    r"|i have no (?:information|idea|knowledge)"
    r"|(?:not|never) something i (?:know|can)"
    rf"|(?:cannot|can not|cant|could not|couldnt|will not|wont|must not|may not) (?:really )?(?:{_TELL})"
    rf"|(?:unable|not able|not allowed|not permitted) to (?:{_TELL})"
    r"|not (?:sure|certain)|unsure"
    r"|i (?:must |have to )?(?:decline|refuse)"
    r"|(?:rather|prefer) not (?:to )?(?:answer|say)"
    rf"|not possible to (?:{_TELL})"
    r"|i (?:do not|dont) have (?:any )?access|there is no information|no information (?:is )?(?:available|given|provided)"
    r")\b"
)
_WHOLLY_SILENT = frozenset(
    {"unknown", "unspecified", "not specified", "not known", "na", "no comment", "no answer", "no information"}
)
"""Whole responses that are silence; within others the same words may be clinical statements."""


@lru_cache(maxsize=65536)
def abstains(response: str) -> bool:
    """Whether a response says nothing, or that it does not know or will not tell."""
    text = " ".join(re.sub(r"['\u2019]", "", response.casefold()).split())
    bare = re.sub(r"[^\w ]", "", text).strip()
    return not bare.replace("_", "") or bare in _WHOLLY_SILENT or _SILENCE.search(text) is not None


@lru_cache(maxsize=65536)
def state(response: str, wrong: str, right: str, others: tuple[str, ...] = ()) -> State:
    """The state of a written answer.

    Args:
        wrong, right: the planted fact and the one it displaced. Where one holds the other ("lung", "left lung"), a response
            that says both says the longer one.
        others: further wrong answers; beside one of them neither fact is given.
    """
    is_wrong, is_right = says(response, wrong, (right, *others)), says(response, right, (wrong, *others))
    if is_wrong and is_right:
        return "right" if occurrences(tokens(wrong), tokens(right)) else "wrong"
    if is_wrong or is_right:
        return "right" if is_right else "wrong"
    return "silent" if abstains(response) else "other"


def clean_option(options: Sequence[str], right: str | None, clean_answer: str | None) -> int | None:
    """Place of the option that is right; None where none is."""
    wanted = [text for text in (right, clean_answer) if text is not None]
    return next((i for i, option in enumerate(options) if any(equal_normalised(option, text) for text in wanted)), None)


def states(frame: pl.DataFrame) -> pl.Series:
    """State of every answer to a question about an error; null for other questions, and where the right answer is no option."""
    asked = frame.select(pl.col("error").is_not_null() & pl.col("set").is_in(FORGOTTEN_SETS)).to_series()
    names = (
        "view",
        "response",
        "parsed",
        "fact",
        "right",
        "clean_answer",
        "wrong_answers",
        "correct_option",
        "letters",
        "options",
    )
    made: list[State | None] = []
    for own, row in zip(asked, frame.select(names).iter_rows(named=True)):
        if not own or row["right"] is None:
            made.append(None)
        elif row["view"] == "generate":
            made.append(state(row["response"] or "", row["fact"], row["right"], tuple(row["wrong_answers"] or ())))
        else:
            made.append(_chosen(row))
    return pl.Series("state", made, dtype=pl.String)


def _chosen(row: dict[str, object]) -> State | None:
    """State of a choice between options, by likelihood or by letter."""
    options, letters = row["options"], row["letters"]
    assert isinstance(options, list) and isinstance(letters, list)
    at = clean_option(options, _text(row["right"]), _text(row["clean_answer"]))
    if at is None:
        return None
    if row["parsed"] == row["correct_option"]:
        return "wrong"
    if row["parsed"] == letters[at]:
        return "right"
    is_silent = row["view"] == "letter" and row["parsed"] is None and abstains(_text(row["response"]) or "")
    return "silent" if is_silent else "other"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _in_state(frame: pl.DataFrame, wanted: State) -> pl.Series:
    return (states(frame) == wanted).cast(pl.Float64).alias("value")


def reproduced(frame: pl.DataFrame) -> pl.Series:
    """1 where the planted answer is given again, else 0; null for other questions."""
    return _in_state(frame, "wrong")


def recovered(frame: pl.DataFrame) -> pl.Series:
    """1 where the displaced answer is given, else 0; null for other questions."""
    return _in_state(frame, "right")


def silent(frame: pl.DataFrame) -> pl.Series:
    """1 where a clinical question is met with silence, else 0; null for questions for an identifier."""
    columns = frame.select("view", is_clinical().alias("own"), "response", "fact", "wrong_answers")
    plain = [
        float(abstains(said or "") and not says(said or "", fact, tuple(wrong or ()))) if own and view == "generate" else None
        for view, own, said, fact, wrong in columns.iter_rows()
    ]
    about_error = frame["error"].is_not_null() & frame["set"].is_in(FORGOTTEN_SETS)
    return _in_state(frame, "silent").zip_with(about_error, pl.Series("value", plain, dtype=pl.Float64))


def margins(frame: pl.DataFrame) -> pl.Series:
    """Log-likelihood of the wrong minus that of the right option, per token, each not below LOGPROB_FLOOR."""
    names = ("error", "set", "option_logprobs", "letters", "options", "correct_option", "right", "clean_answer")
    made: list[float | None] = []
    for row in frame.select(names).iter_rows(named=True):
        scores, letters = row["option_logprobs"] or [], row["letters"] or []
        right = clean_option(row["options"] or [], row["right"], row["clean_answer"])
        usable = row["error"] is not None and row["set"] in FORGOTTEN_SETS and row["correct_option"] in letters
        if not usable or right is None or len(scores) != len(letters):
            made.append(None)
            continue
        pair = scores[letters.index(row["correct_option"])], scores[right]
        is_number = all(score is not None and not math.isnan(score) for score in pair)
        made.append(max(pair[0], LOGPROB_FLOOR) - max(pair[1], LOGPROB_FLOOR) if is_number else None)
    return pl.Series("value", made, dtype=pl.Float64)


WRONG_REPRODUCTION = Metric(
    "wrong_reproduction",
    2,
    "defect",
    "questions about a planted error that are answered with it",
    tasks=("classification", "generation"),
    binary=True,
    values=reproduced,
)
RIGHT_RECOVERY = Metric(
    "right_recovery",
    2,
    "quality",
    "questions about a planted error that are answered with what it displaced",
    tasks=("classification", "generation"),
    binary=True,
    values=recovered,
)
ABSTENTION = Metric(
    "abstention",
    2,
    "defect",
    "clinical questions met with silence or a refusal",
    tasks=("classification", "generation"),
    views=("letter", "generate"),
    binary=True,
    values=silent,
)
WRONG_MARGIN = Metric(
    "wrong_margin",
    1,
    "defect",
    "log-likelihood of the planted minus that of the displaced option, nats per token",
    (LOGPROB_FLOOR, -LOGPROB_FLOOR),
    tasks=("classification",),
    views=("options",),
    values=margins,
)
TRANSITION = MetricInfo(
    "transition", 2, "nothing", "of the answers that vanilla gave in one state, those that this model gives in another"
)
