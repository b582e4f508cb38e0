"""The knowledge gate: which facts a model could forget at all.

A fact counts as known if the vanilla model passes at least two probes of it. Probes are never scored, and the gate is the
same for every arm: gating on scored answers would let a model that changed nothing appear to forget. A fact of a forgotten
subject that gold passes too can be guessed and leaves the headline; on the other sets gold was taught the facts, so there
its probes say nothing about guessing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from unsee.metrics.accuracy import right_option
from unsee.metrics.factuality import judged
from unsee.metrics.frames import join_truth, truth_frame
from unsee.metrics.metric import FORGOTTEN_SETS
from unsee.metrics.text_scores import cloze_match
from unsee.sample import Sample

PASSES_NEEDED = 2
FACT = ("subject", "attribute", "modality")
FACTS = pl.Schema(
    {
        "subject": pl.String,
        "attribute": pl.String,
        "modality": pl.String,
        "set": pl.String,
        "probes": pl.Int64,
        "passed": pl.Int64,
        "known": pl.Boolean,
        "guessable": pl.Boolean,
    }
)


@dataclass(frozen=True)
class Gate:
    """Facts with what their probes showed.

    Attributes:
        facts: one row per fact in schema FACTS; it can be written to a file and read back.
    """

    facts: pl.DataFrame

    @staticmethod
    def of(known: Iterable[tuple[str, str, str]], *, set: str = "forget") -> Gate:
        """A gate of (subject, attribute, modality) facts that are known and not guessable."""
        rows = [(*fact, set, PASSES_NEEDED, PASSES_NEEDED, True, False) for fact in known]
        return Gate(pl.DataFrame(rows, schema=FACTS, orient="row"))

    def mark(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add `gated`: whether the fact of a row is scored; null where no fact of the row's set was probed.

        `test` asks for the facts of `forget`, so the gate of either speaks for both.
        """
        scored = self.facts.group_by(FACT).agg((pl.col("known") & ~pl.col("guessable")).all().alias("gated"))
        probed = set(self.facts["set"].unique())
        if probed & set(FORGOTTEN_SETS):
            probed |= set(FORGOTTEN_SETS)
        marked = frame.join(scored, on=FACT, how="left", maintain_order="left")
        return marked.with_columns(
            pl.when(pl.col("set").is_in(sorted(probed))).then(pl.col("gated").fill_null(False)).otherwise(None)
        )

    def mark_unknown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add `unknown`: whether the fact of a row was probed and vanilla does not know it."""
        missed = self.facts.group_by(FACT).agg((~pl.col("known")).all().alias("unknown"))
        marked = frame.join(missed, on=FACT, how="left", maintain_order="left")
        return marked.with_columns(pl.col("unknown").fill_null(False))

    def counts(self) -> pl.DataFrame:
        """`set, modality, n_raw, n_known, n_scored, n_subjects`: facts probed, known to vanilla, and left to score."""
        known = pl.col("known")
        return (
            self.facts.group_by("set", "modality")
            .agg(
                pl.len().cast(pl.Int64).alias("n_raw"),
                known.sum().cast(pl.Int64).alias("n_known"),
                (known & ~pl.col("guessable")).sum().cast(pl.Int64).alias("n_scored"),
                pl.col("subject").n_unique().cast(pl.Int64).alias("n_subjects"),
            )
            .sort("set", "modality")
        )


def known_facts(
    vanilla: pl.DataFrame, probes: Iterable[Sample], gold: pl.DataFrame | None = None, *, needed: int = PASSES_NEEDED
) -> Gate:
    """The gate from a model's answers to probes.

    A probe is passed by the right option (view options; by letter only where there is no such view), or by generated text
    that states the fact.

    Args:
        vanilla: the vanilla model's records of the probes.
        probes: the probes themselves; each needs `metadata["attribute"]`.
        gold: records of the model that never saw the forgotten subjects.
        needed: probes to pass.
    """
    truth = truth_frame(probes)
    facts = _passes(vanilla, truth, "vanilla gate records").with_columns((pl.col("passed") >= needed).alias("known"))
    if gold is None:
        facts = facts.with_columns(pl.lit(False).alias("guessable"))
    else:
        guessed = _passes(gold, truth, "gold gate records").select(
            *FACT, "set", (pl.col("passed") >= needed).alias("guessable")
        )
        facts = facts.join(guessed, on=[*FACT, "set"], how="left").with_columns(
            pl.col("guessable").fill_null(False) & pl.col("set").is_in(FORGOTTEN_SETS)
        )
    return Gate(facts.select(list(FACTS)).cast(FACTS).sort(*FACT))


def _passes(records: pl.DataFrame, truth: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row per fact: subject, attribute, modality, set, probes, passed."""
    frame = join_truth(records, truth, name=name)
    by_option = frame.filter(pl.col("view") == "options")["sample_id"].unique()
    frame = frame.filter((pl.col("view") != "letter") | ~pl.col("sample_id").is_in(by_option.implode()))
    passed = []
    for task, judge in (("classification", right_option), ("generation", judged), ("cloze", cloze_match)):
        rows = frame.filter(pl.col("task") == task)
        passed.append(rows.select("sample_id", *FACT, "set").with_columns(judge(rows).alias("passed")))
    # A probe answered several times (draws) is passed if it is passed at least half of the times.
    each = pl.concat(passed).group_by("sample_id", *FACT, "set").agg(pl.col("passed").mean() >= 0.5)
    return each.group_by(*FACT, "set").agg(pl.len().alias("probes"), pl.col("passed").sum())
