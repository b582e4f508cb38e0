"""One answer as a person reads it: its text, and whether it is right by the metrics' own judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsee.sample import Sample


def shown(sample: Sample, record: Mapping[str, Any]) -> str:
    """The answer to print: an option with its letter, or the words the model wrote; "" for none."""
    parsed = record["parsed"]
    if sample.options and parsed in sample.options:
        return f"{parsed}: {sample.options[parsed]}"
    return str(record["response"] or parsed or "")


def is_right(sample: Sample, record: Mapping[str, Any]) -> bool:
    """Whether the answer is the right option, fills the blank, or states the fact; an unparsable one does not."""
    from unsee.metrics.factuality import states_fact
    from unsee.metrics.frames import fact_of
    from unsee.metrics.text_scores import contains_normalised

    parsed = record["parsed"]
    if parsed is None:
        return False
    if sample.options:
        return bool(parsed == sample.correct_option)
    if sample.task == "cloze":
        return contains_normalised(str(parsed), sample.answer)
    return states_fact(str(parsed), fact_of(sample), sample.wrong_answers)
