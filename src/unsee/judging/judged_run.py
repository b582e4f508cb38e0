"""A whole run folder put to the judge.

    RUN/judge/replies.jsonl            every reply, by the hash of its request
    RUN/cells/<id>/judgements.parquet  what it comes to, schema JUDGEMENTS

`unsee score` reads the second; the first keeps anything from being asked twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.chat import ChatClient, ReplyCache
from unsee.errors import ConfigError, DataError, nearest
from unsee.files import only_writer, write_json, write_parquet
from unsee.judging.judge import judge, written_answers
from unsee.judging.rubric import RUBRIC_VERSION
from unsee.progress import Display
from unsee.run_folder import RunFolder
from unsee.sample import SETS
from unsee.sample_tables import read_samples

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class JudgedRun:
    """What judging came to.

    Attributes:
        answers: answers judged.
        asked: replies that came this time; the others were known, or equal to these.
        failures: failure -> number of answers without a score.
    """

    answers: int
    asked: int
    failures: Counter[str] = field(default_factory=Counter)


def judge_run(path: Path | str, *, client: ChatClient, sets: Sequence[str] = (), display: Display | None = None) -> JudgedRun:
    """Judge the written answers of every finished cell; sets and cells judged before stay judged.

    Args:
        path: run folder.
        sets: judge these sets only.

    Raises:
        ConfigError: an unknown set, or nothing to judge.
        DataError: the folder is no run or has no finished cell.
        ChatError: the judge is not there or gave up; finished cells and replies are kept.
    """
    for name in sets:
        if name not in SETS:
            raise ConfigError(f"--judge-sets names {name!r}; {nearest(name, SETS)}")
    folder, display = RunFolder(Path(path)), display or Display()
    finished = [
        (cell, written_answers(found)) for cell in folder.read_experiment().cells if (found := folder.records(cell)) is not None
    ]
    if not finished:
        raise DataError(f"{folder.path} has no finished cell to judge; run its experiment first")
    wanted = set(sets) or None
    if not any(written_answers(found, wanted).height for _, found in finished):
        there = sorted({name for _, found in finished for name in found["set"].unique()})
        raise ConfigError(
            f"--judge-sets {' '.join(sets)}: no written answers there; this run has them in {', '.join(there)}"
            if there
            else f"{folder.path} has no written answers to generation questions, so there is nothing to judge"
        )
    samples = read_samples(folder.samples_file)
    before, answers, failures = client.answered, 0, Counter[str]()
    with only_writer(folder.path / "judge"), ReplyCache(folder.path / "judge" / "replies.jsonl") as cache:
        display.plan(len(finished))
        for cell, found in finished:
            display.job(f"judging {cell.id}")
            made = judge(
                found, samples, client=client, sets=wanted, cache=cache, progress=display.stage(f"judge {client.model}")
            )
            answers += made.height
            failures.update(made["failure"].drop_nulls())
            write_parquet(folder.cell(cell) / "judgements.parquet", _with_earlier(made, folder.judgements(cell)))
        told = {"model": client.model, "url": client.shown_url, "rubric_version": RUBRIC_VERSION}
        write_json(folder.path / "provenance.json", {**folder.provenance(), "judge": told})
    return JudgedRun(answers, client.answered - before, failures)


def _with_earlier(made: pl.DataFrame, earlier: pl.DataFrame | None) -> pl.DataFrame:
    """New judgements and those earlier ones of the same judge that they do not replace."""
    import polars as pl

    if earlier is None or made.is_empty():
        return made if earlier is None else earlier
    same = earlier.filter((pl.col("judge") == made["judge"][0]) & (pl.col("rubric_version") == RUBRIC_VERSION))
    kept = same.join(made, on=["sample_id", "protocol", "view", "draw"], how="anti", maintain_order="left")
    return pl.concat([made, kept])
