"""The layer curve by hand."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from unsee.answering.lens import row_of
from unsee.errors import DataError
from unsee.metrics import CellInfo, layer_curve
from unsee.metrics.attack_success import attack_success
from unsee.metrics.bootstrap import wilson
from unsee.sample import Sample, SetName
from unsee.schemas import ATTACKS, RECORDS, RESULTS

from .record_factory import row

LAYERS = 11
RANKS = {1: [1, 7, 30, None], 2: [None, 2, 51, 1], LAYERS: [1, 1, 1, 3]}
"""Strict ranks of four facts' first tokens at some layers; at the others they are 100."""


def fact(number: int, set: SetName = "forget") -> Sample:
    return Sample(
        id=f"{set}{number}",
        benchmark="b",
        subject=f"s{number}",
        set=set,
        task="generation",
        modality="image_text",
        question="What?",
        answer="tea",
    )


def seen(one: Sample, number: int, **fields: Any) -> dict[str, object]:
    """A lens record whose second token, embeddings and differences would be found at once."""
    ranks: list[list[int | None]] = [[1, 1] for _ in range(3 * LAYERS)]
    for layer in range(1, LAYERS + 1):
        ranks[row_of("layers", layer, LAYERS)] = [RANKS.get(layer, [100] * 4)[number], 1]
    told = {"view": "lens", "protocol": "lens", "layer_ranks": ranks, "edit_id": one.subject}
    return row(one, **told | fields)


FACTS = [fact(number) for number in range(4)]


def curve(*rows: dict[str, object], samples: list[Sample] = FACTS, **options: Any) -> pl.DataFrame:
    return layer_curve(pl.DataFrame(rows, schema=RECORDS), samples, cell=CellInfo(cell="c", method="m"), **options)


def test_first_tokens_by_layer_and_budget() -> None:
    """The rank has to be at most B, and a layer that gives no number finds nothing."""
    table = curve(*(seen(one, i) for i, one in enumerate(FACTS)))
    assert table.schema == RESULTS
    assert table["layer"].to_list() == [layer for layer in range(1, LAYERS + 1) for _ in range(5)]
    assert table["budget"].to_list() == [1, 5, 10, 20, 50] * LAYERS

    def at(layer: int) -> list[float]:
        return table.filter(layer=layer)["value"].to_list()

    assert at(1) == [0.25, 0.25, 0.5, 0.5, 0.75]
    assert at(2) == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert at(3) == [0.0] * 5
    assert at(LAYERS) == [0.75, 1.0, 1.0, 1.0, 1.0]
    first = table.row(0, named=True)
    assert (first["metric"], first["attack"], first["set"], first["group"], first["level"]) == (
        "attack_success",
        "lens_head_projection",
        "forget",
        None,
        None,
    )
    assert (first["n"], first["n_subjects"], first["higher_is_better"], first["cell"]) == (4, 4, False, "c")
    assert (first["ci_low"], first["ci_high"]) == pytest.approx(tuple(wilson(1, 4)))
    assert first["reason"] == "fewer than 20 subjects: no verdict"


def test_one_layer_equals_the_attack_on_that_layer() -> None:
    """Values and intervals are those of an attack that reads layer 1 alone."""
    again = fact(0, "forget")
    twice = Sample(**{**vars(again), "id": "again"})  # type: ignore[arg-type]
    samples = [*FACTS, twice]
    found = curve(*(seen(one, i) for i, one in enumerate(FACTS)), seen(twice, 2), samples=samples, seed=3).filter(layer=1)
    hits = [*RANKS[1], RANKS[1][2]]
    attacks = pl.DataFrame(
        [{"sample_id": s.id, "attack": "lens_head_projection", "hit_position": hit} for s, hit in zip(samples, hits)],
        schema=ATTACKS,
    )
    same = attack_success(attacks, samples, cell=CellInfo(cell="c", method="m"), seed=3)
    columns = ("budget", "value", "ci_low", "ci_high", "n", "n_subjects")
    assert found.select(columns).rows() == same.select(columns).rows()


def test_only_lens_records_of_forgotten_facts_count() -> None:
    kept = fact(9, "retain")
    rows = [
        seen(FACTS[0], 0),
        seen(kept, 1),
        seen(FACTS[1], 1, protocol="rephrase_image"),
        seen(FACTS[2], 2, view="lens_bottom"),
    ]
    table = curve(*rows, samples=[*FACTS, kept], budgets=(1,))
    assert set(table["set"]) == {"forget"} and set(table["n"]) == {1} and set(table["ci_low"]) == {None}
    none = curve(row(FACTS[0], "generate"))
    assert none.is_empty() and none.schema == RESULTS


def test_a_model_without_an_edit_has_one_row_per_sample() -> None:
    table = curve(*(seen(one, i, edit_id=None) for i, one in enumerate(FACTS)), budgets=(10,))
    assert table.filter(layer=1)["value"].to_list() == [0.5]


def test_records_that_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"sample 'forget0' is read twice \(edits s0 and s1\)"):
        curve(seen(FACTS[0], 0), seen(FACTS[0], 0, edit_id="s1"))
    with pytest.raises(DataError, match="sample 'forget3' is recorded but not among the samples"):
        curve(seen(FACTS[3], 3), samples=FACTS[:3])
