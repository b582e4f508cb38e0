"""Right answers to four-option questions, and answers that are none.

Only `parsed` is read: what counts as an answer is decided once, when the model is asked, and no letter is guessed from the
beginning of a sentence here. An answer that cannot be parsed is wrong, and counted apart, so that a model that has stopped
answering is not taken for one that has forgotten.
"""

from __future__ import annotations

import polars as pl

from unsee.metrics.metric import Metric


def right_option(frame: pl.DataFrame) -> pl.Series:
    """1 where the chosen option is the right one, else 0."""
    return frame.select((pl.col("parsed") == pl.col("correct_option")).fill_null(False).cast(pl.Float64)).to_series()


def unparsable(frame: pl.DataFrame) -> pl.Series:
    """1 where no answer could be read from the response, else 0."""
    return frame.select(pl.col("parsed").is_null().cast(pl.Float64)).to_series()


def repeated(frame: pl.DataFrame) -> pl.Series:
    """1 where the response is the most frequent one of its set and view: near 1 for a model that always says the same."""
    group = ["set", "protocol", "view"]
    times = pl.len().over([*group, "response"])
    first = pl.col("response") == pl.col("response").sort_by(times, "response", descending=True).first().over(group)
    return frame.select(first.fill_null(False).cast(pl.Float64)).to_series()


ACCURACY = Metric(
    "accuracy",
    1,
    "knowledge",
    "four-option questions answered right, by option likelihood (view options) or by letter (view letter)",
    tasks=("classification",),
    views=("options", "letter"),
    binary=True,
    values=right_option,
)
UNPARSABLE = Metric(
    "unparsable_rate", 1, "defect", "responses from which no answer can be read", binary=True, values=unparsable
)
REPEATED = Metric(
    "repeated_response_rate",
    1,
    "defect",
    "responses equal to the most frequent one of the set",
    views=("letter", "generate"),
    binary=True,
    values=repeated,
)
