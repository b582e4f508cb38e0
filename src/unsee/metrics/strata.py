"""Means with intervals for every set x task x modality x view, and for the levels, relations and attributes within."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import polars as pl

from unsee.metrics.bootstrap import Array, Resampler, estimate, family

PLACE = ("set", "task", "modality", "protocol", "view")
STRATUM = (*PLACE, "level", "group", "metric")
Baseline = Literal["vanilla", "gold", "noise"]

_COLUMNS_AT_ONCE = 4096


def spread(values: pl.DataFrame) -> pl.DataFrame:
    """Each row once for its set and once for the level and the relation it belongs to (columns `level`, `group`)."""
    nothing = pl.lit(None, dtype=pl.String)
    return pl.concat(
        [
            values.with_columns(nothing.alias("level"), nothing.alias("group")),
            values.filter(pl.col("level").is_not_null()).with_columns(nothing.alias("group")),
            by_group(values, "relation"),
        ]
    )


def by_group(values: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows that have a `key`, with `group` "key=value"."""
    label = pl.concat_str(pl.lit(f"{key}="), key).alias("group")
    return values.filter(pl.col(key).is_not_null()).with_columns(pl.lit(None, dtype=pl.String).alias("level"), label)


def estimates(
    values: pl.DataFrame,
    resampler: Resampler,
    *,
    baselines: Sequence[Baseline] = (),
    binary: Collection[str] = (),
) -> pl.DataFrame:
    """One row per stratum and baseline: `value`, `ci_low`, `ci_high`, `n`, `n_subjects`.

    Args:
        values: rows of `spread` or `by_group`: `subject`, the STRATUM columns, `value` and one column per baseline.
        resampler: shared draws of subjects.
        baselines: models to subtract, question by question; null `baseline` is the plain value.
        binary: metrics whose numbers are 0 or 1.
    """
    totals = {"": pl.col("value")} | {name: pl.col("value") - pl.col(name) for name in baselines}
    per_subject = (
        values.group_by(*STRATUM, "subject", maintain_order=True)
        .agg(
            *(difference.sum().alias(f"sum_{name}") for name, difference in totals.items()),
            *(difference.count().cast(pl.Float64).alias(f"count_{name}") for name, difference in totals.items()),
        )
        .sort(*STRATUM, "subject", nulls_last=False)
        .with_columns(pl.struct(STRATUM).rle_id().alias("stratum"))
    )
    parts = []
    for (set_name,), part in per_subject.partition_by("set", as_dict=True).items():
        name = family(str(set_name))
        weights = resampler.weights(name)
        keys = part.unique("stratum", maintain_order=True).select(*STRATUM)
        column = (part["stratum"] - part["stratum"].min()).to_numpy()
        row = part["subject"].replace_strict(resampler.index[name], return_dtype=pl.Int64).to_numpy()
        shape = (weights.shape[1], keys.height)
        for baseline in totals:
            sums, counts = np.zeros(shape), np.zeros(shape)
            sums[row, column] = part[f"sum_{baseline}"].to_numpy()
            counts[row, column] = part[f"count_{baseline}"].to_numpy()
            proportion = keys["metric"].is_in(list(binary)).to_numpy() & (baseline == "")
            parts.append(_rows(keys, sums, counts, weights, proportion, baseline or None))
    if not parts:
        return pl.DataFrame(schema={**dict.fromkeys(STRATUM, pl.String), **_NUMBERS})
    return pl.concat(parts)


_NUMBERS: dict[str, type[pl.DataType]] = {
    "baseline": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
    "n_subjects": pl.Int64,
}


def _rows(
    keys: pl.DataFrame, sums: Array, counts: Array, weights: Array, proportion: np.ndarray, baseline: str | None
) -> pl.DataFrame:
    present = counts.sum(axis=0) > 0
    keys, sums, counts, proportion = keys.filter(present), sums[:, present], counts[:, present], proportion[present]
    made = []
    for start in range(0, keys.height, _COLUMNS_AT_ONCE):
        end = start + _COLUMNS_AT_ONCE
        found = estimate(sums[:, start:end], counts[:, start:end], weights, proportion[start:end])
        made.append(
            keys[start:end].with_columns(
                pl.lit(baseline, dtype=pl.String).alias("baseline"),
                pl.Series("value", found.value),
                pl.Series("ci_low", found.low).fill_nan(None),
                pl.Series("ci_high", found.high).fill_nan(None),
                pl.Series("n", found.questions),
                pl.Series("n_subjects", found.subjects),
            )
        )
    return pl.concat(made) if made else keys.clear().with_columns(pl.lit(None, dtype=d).alias(c) for c, d in _NUMBERS.items())
