"""From a cell's attacks and edits to its results: how often attacks succeed, how deep the answer lies, what edits cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from unsee.attacks.base import NEVER_KNOWN, NEVER_LEARNED

if TYPE_CHECKING:
    import polars as pl

    from unsee.metrics.cell_info import CellInfo
    from unsee.metrics.gate import Gate
    from unsee.sample import Sample


@dataclass(frozen=True, kw_only=True)
class AttackAnchors:
    """What the attacks on all cells of a request are held against.

    Attributes:
        samples: the questions of the request.
        taught: one question about each fact that vanilla was taught, for the attack that tries frequent answers.
        records: what vanilla said and its layers showed.
        attacks: attacks on vanilla.
        never_learned: attacks on facts that vanilla never knew.
        vocabulary: number of tokens.
        gate: which facts count as known.
        budgets: numbers of candidates.
        never_known: attacks on vanilla of the facts that it does not know by the gate, which stand in for never-learned ones.
    """

    samples: Sequence[Sample]
    taught: Sequence[Sample]
    records: pl.DataFrame | None
    attacks: pl.DataFrame | None
    never_learned: pl.DataFrame | None
    vocabulary: int | None
    gate: Gate | None
    budgets: Sequence[int]
    never_known: pl.DataFrame | None = None


def attacks_on_unknown(attacks: pl.DataFrame | None, samples: Sequence[Sample], gate: Gate | None) -> pl.DataFrame | None:
    """Of the attacks on vanilla those on facts that it was probed for and does not know; None where nothing was probed."""
    import polars as pl

    from unsee.metrics.frames import truth_frame

    if attacks is None or gate is None:
        return None
    asked = set(attacks["sample_id"])
    marked = gate.mark_unknown(truth_frame([sample for sample in samples if sample.id in asked]))
    return attacks.filter(pl.col("sample_id").is_in(marked.filter("unknown")["sample_id"].to_list()))


def attack_values(
    records: pl.DataFrame,
    attacks: pl.DataFrame,
    anchors: AttackAnchors,
    *,
    cell: CellInfo,
    several: Mapping[str, int] | None = None,
    seed: int = 0,
) -> list[pl.DataFrame]:
    """Results of one cell's attacks, and of its edits where it has some; with a gate also of the known facts alone.

    Args:
        records: schema RECORDS, all protocols.
        attacks: schema ATTACKS.
        several: models that several facts were deleted from, by `edit_id`, with the number of facts; None for a cell without
            edits.
        seed: of the bootstrap.
    """
    import polars as pl

    if several is None:
        return _values(records, attacks, anchors, cell=cell, seed=seed)
    start = pl.col("edit_id").is_null()
    models = [(~pl.col("edit_id").is_in(list(several)), 1)]
    models += [(pl.col("edit_id") == name, length) for name, length in several.items()]
    parts = []
    for mine, length in models:
        after = attacks.filter(mine)
        if not after.is_empty():
            parts += _values(records.filter(start | mine), after, anchors, cell=cell, n_edits=length, seed=seed)
    return parts


def absent_gold(cell: CellInfo, *, never_learned: bool) -> pl.DataFrame:
    """The row that says why a request of single facts has no gold; `cell` is vanilla's.

    Args:
        never_learned: whether facts that vanilla never learned were attacked.
    """
    import polars as pl

    from unsee.schemas import RESULTS

    others = "never-learned facts" if never_learned else "facts that vanilla does not know, if there are enough,"
    about = {
        **asdict(_beside(cell, "gold")),
        "set": "forget",
        "metric": "attack_success",
        "reason": f"no model is named that never knew these facts (learn.gold_model); {others} stand in for it",
    }
    return pl.DataFrame([about], schema=RESULTS)


def _beside(vanilla: CellInfo, method: str) -> CellInfo:
    """What identifies rows beside vanilla's that no cell of the run has."""
    return replace(vanilla, cell=vanilla.cell.replace("vanilla", method, 1).rpartition("-")[0], method=method)


def _values(
    records: pl.DataFrame,
    attacks: pl.DataFrame,
    anchors: AttackAnchors,
    *,
    cell: CellInfo,
    n_edits: int | None = None,
    seed: int,
) -> list[pl.DataFrame]:
    """Values of attacks on one model, or on models that carry as many edits each."""
    import polars as pl

    from unsee.metrics.attack_success import attack_success
    from unsee.metrics.edit_scores import edit_scores
    from unsee.metrics.layer_curve import layer_curve

    anchored = cell.method not in ("vanilla", NEVER_LEARNED)
    parts = []
    for gated, kept in _by_gate(attacks, anchors, cell):
        chosen = attacks.filter(pl.col("sample_id").is_in(kept))
        subjects = chosen["subject"].unique().to_list()
        if chosen.is_empty():
            continue
        values = [
            attack_success(
                chosen,
                anchors.samples,
                cell=cell,
                before=anchors.attacks if anchored else None,
                never_learned=anchors.never_learned if cell.method != NEVER_LEARNED else None,
                # Among all facts are those of the reference, which cannot be held against themselves.
                never_known=anchors.never_known if gated else None,
                vocabulary=anchors.vocabulary,
                prior=anchors.taught,
                budgets=anchors.budgets,
                seed=seed,
            ),
            layer_curve(
                records.filter(pl.col("sample_id").is_in(kept)), anchors.samples, cell=cell, budgets=anchors.budgets, seed=seed
            ),
        ]
        if n_edits and anchors.records is not None:
            about = "edit_id" if n_edits == 1 else "subject"
            own = pl.col(about).is_in(subjects) | pl.col("edit_id").is_null() | (pl.col("set") == "retain").and_(n_edits > 1)
            values.append(
                edit_scores(records.filter(own), anchors.samples, before=anchors.records, cell=cell, n_edits=n_edits, seed=seed)
            )
        parts += [part.with_columns(pl.lit(gated, dtype=pl.Boolean).alias("gated")) for part in values]
        if gated and cell.method == "vanilla" and anchors.never_known is not None:
            parts.append(_unknown_values(records, anchors.never_known, anchors, cell=cell, seed=seed))
    return [part.with_columns(pl.lit(n_edits, dtype=pl.Int64).alias("n_edits")) for part in parts]


def _unknown_values(
    records: pl.DataFrame, unknown: pl.DataFrame, anchors: AttackAnchors, *, cell: CellInfo, seed: int
) -> pl.DataFrame:
    """What attacks and layers of vanilla find of the facts that it does not know, where these are enough for a reference."""
    import polars as pl

    from unsee.metrics.attack_reference import FEWEST_UNKNOWN
    from unsee.metrics.attack_success import attack_success
    from unsee.metrics.layer_curve import layer_curve

    about = _beside(cell, NEVER_KNOWN)
    own = records.filter(pl.col("sample_id").is_in(unknown["sample_id"].unique().to_list()))
    found = pl.concat(
        [
            attack_success(unknown, anchors.samples, cell=about, budgets=anchors.budgets, seed=seed),
            layer_curve(own, anchors.samples, cell=about, budgets=anchors.budgets, seed=seed),
        ]
    )
    return found.filter(pl.col("n_subjects") >= FEWEST_UNKNOWN).with_columns(pl.lit(None, dtype=pl.Boolean).alias("gated"))


def _by_gate(attacks: pl.DataFrame, anchors: AttackAnchors, cell: CellInfo) -> list[tuple[bool | None, list[str]]]:
    """(flag, attacked samples) for all facts and, with a gate, for those that are known and cannot be guessed."""
    import polars as pl

    from unsee.metrics.frames import truth_frame

    every = attacks["sample_id"].unique().to_list()
    if anchors.gate is None or cell.method == NEVER_LEARNED:
        return [(None, every)]
    asked = set(every)
    marked = anchors.gate.mark(truth_frame([sample for sample in anchors.samples if sample.id in asked]))
    return [(False, every), (True, marked.filter(pl.col("gated").fill_null(False))["sample_id"].to_list())]
