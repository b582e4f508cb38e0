"""The knowledge gate."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from unsee.errors import DataError
from unsee.metrics.gate import Gate, known_facts
from unsee.sample import Sample
from unsee.schemas import RECORDS

from .record_factory import row


def probe(subject: str, number: int, *, set: str = "forget", attribute: str = "job") -> Sample:
    return Sample(
        id=f"{subject}/{attribute}/{set}/{number}",
        benchmark="toy",
        subject=subject,
        set=set,  # type: ignore[arg-type]
        task="classification",
        modality="text",
        question="What?",
        answer="nurse",
        options={"A": "nurse", "B": "pilot"},
        correct_option="A",
        metadata={"attribute": attribute},
    )


def said(probes: list[Sample], options: str, letters: str | None = None) -> pl.DataFrame:
    rows = [row(sample, "options", parsed=letter) for sample, letter in zip(probes, options)]
    rows += [row(sample, "letter", parsed=letter) for sample, letter in zip(probes, letters or "")]
    return pl.DataFrame(rows, schema=RECORDS)


PROBES = [probe(who, i) for who in "xyz" for i in range(3)]


def test_two_of_three_probes_make_a_fact_known() -> None:
    gate = known_facts(said(PROBES, "AAB" + "ABB" + "AAA"), PROBES)
    assert gate.facts["subject"].to_list() == ["x", "y", "z"]
    assert gate.facts["passed"].to_list() == [2, 1, 3]
    assert gate.facts["known"].to_list() == [True, False, True]


def test_what_gold_passes_too_is_guessable() -> None:
    gate = known_facts(said(PROBES, "A" * 9), PROBES, said(PROBES, "AAB" + "ABB" + "BBB"))
    assert gate.facts["guessable"].to_list() == [True, False, False]
    counts = gate.counts().row(0, named=True)
    assert (counts["n_raw"], counts["n_known"], counts["n_scored"]) == (3, 3, 2)


def test_gold_was_taught_the_retained_facts_so_they_are_not_guessable() -> None:
    probes = [replace(p, set="retain") for p in PROBES]
    gate = known_facts(said(probes, "A" * 9), probes, said(probes, "A" * 9))
    assert not gate.facts["guessable"].any()


def test_options_decide_and_letters_only_where_there_is_nothing_else() -> None:
    assert not known_facts(said(PROBES[:3], "BBB", "AAA"), PROBES[:3]).facts["known"][0]
    only_letters = said(PROBES[:3], "", "AAB")
    assert known_facts(only_letters, PROBES[:3]).facts["known"][0]


def test_generated_probes_pass_by_stating_the_fact() -> None:
    texts = [replace(p, task="generation", options={}, correct_option=None) for p in PROBES[:3]]
    records = [row(s, "generate", parsed=text) for s, text in zip(texts, ["A nurse.", "not a nurse", "nurse"])]
    assert known_facts(pl.DataFrame(records, schema=RECORDS), texts).facts["passed"].to_list() == [2]


def test_mark_speaks_for_test_and_is_silent_about_sets_it_did_not_probe() -> None:
    gate = Gate.of([("x", "job", "text")])
    frame = pl.DataFrame(
        {
            "subject": ["x", "x", "y", "x", "c"],
            "attribute": ["job", "job", "job", "pet", "job"],
            "modality": ["text"] * 5,
            "set": ["forget", "test", "forget", "forget", "celebrity"],
        }
    )
    assert gate.mark(frame)["gated"].to_list() == [True, True, False, False, None]


def test_unknown_records_are_refused() -> None:
    with pytest.raises(DataError, match="vanilla gate records"):
        known_facts(said(PROBES, "A" * 9), PROBES[:3])
