"""The layer curve: which share of deleted answers every layer would give away within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from unsee.answering.lens import LENS, block_count, row_of
from unsee.attacks.base import BUDGETS
from unsee.errors import DataError
from unsee.metrics.attack_success import attack_success
from unsee.sample import Sample
from unsee.schemas import ATTACKS, RESULTS

if TYPE_CHECKING:
    from unsee.metrics.cell_info import CellInfo

ATTACK = "lens_head_projection"
"""Value of the column `attack`: this attack, on one layer at a time."""


def layer_curve(
    records: pl.DataFrame,
    samples: Sequence[Sample],
    *,
    cell: CellInfo,
    budgets: Sequence[int] = BUDGETS,
    seed: int = 0,
    bootstrap: int = 1000,
) -> pl.DataFrame:
    """`attack_success` of every layer alone: facts whose answer's first token has a strict rank of at most B in D_l.

    A layer at which the model gives no number finds nothing.

    Args:
        records: schema RECORDS; of its rows those of view `lens` of protocol `lens` count, one per sample of set forget, which
            for single facts are read under each fact's own edit.
        samples: the questions; their sets decide.
        cell: identifying columns.
        budgets: values of B.
        seed, bootstrap: seed and number of resamples over subjects.

    Returns:
        Results in schema RESULTS with `layer` 1 to N, which is 0 rows without lens records.

    Raises:
        DataError: a sample is read twice, or is not among the samples.
    """
    lens = records.filter(pl.col("protocol") == LENS.name, pl.col("view") == LENS.name)
    stray = lens.filter(~pl.col("sample_id").is_in([sample.id for sample in samples]))
    if stray.height:
        raise DataError(
            f"lens records: sample {stray['sample_id'][0]!r} is recorded but not among the samples; pass the samples that were "
            "answered"
        )
    own = lens.filter(pl.col("sample_id").is_in([sample.id for sample in samples if sample.set == "forget"]))
    double = own.filter(pl.col("sample_id").is_duplicated())
    if double.height:
        edits = " and ".join(str(edit) for edit in double.filter(sample_id=double["sample_id"][0])["edit_id"].head(2))
        raise DataError(
            f"lens records: sample {double['sample_id'][0]!r} is read twice (edits {edits}); pass one row of each sample, that "
            "of its fact's own edit"
        )
    if own.is_empty():
        return pl.DataFrame(schema=RESULTS)
    blocks = block_count(len(own["layer_ranks"][0]))
    # One attack per layer, so that all layers share their draws.
    attacks = pl.concat(
        own.select(
            "sample_id",
            pl.lit(str(layer)).alias("attack"),
            pl.col("layer_ranks").list.get(row_of("layers", layer, blocks)).list.first().alias("hit_position"),
        )
        for layer in range(1, blocks + 1)
    ).with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in ATTACKS.items() if name not in _READ)
    found = attack_success(attacks, samples, cell=cell, budgets=budgets, seed=seed, bootstrap=bootstrap)
    return found.with_columns(pl.col("attack").cast(pl.Int64).alias("layer"), pl.lit(ATTACK).alias("attack")).sort(
        "set", "task", "modality", "layer", "budget"
    )


_READ = ("sample_id", "attack", "hit_position")
