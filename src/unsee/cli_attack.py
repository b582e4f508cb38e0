"""The command that attacks one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from unsee.command_line import DONE, Bits, Flag, Overrides, console, say
from unsee.errors import DataError
from unsee.models.checkpoints import Dtype

if TYPE_CHECKING:
    import polars as pl

    from unsee.attacks import Attack
    from unsee.sample import Sample


def attack(
    *,
    model: str,
    data: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    attack: str = "lens_head_projection",
    out: Path = Path("runs/attack"),
    budget: int = 50,
    set_: Overrides = (),
    batch_size: int = 16,
    hub: Flag = False,
    dtype: Dtype = "float32",
    quantize: Bits = None,
    seed: int = 0,
    dry_run: Flag = False,
) -> int:
    """Try to extract answers from a model and write what was tried to OUT/attacks.parquet.

    Rows of the data file that are of set forget, or name no set, are attacked. Rows of set test are disguises of their facts
    for attacks by prompts: their metadata give fact (the subject), axis (question, image or both) and level (easy, medium or
    hard). Rows of set retain are what an attack that trains the model trains it on.

    Args:
        model: name of an embedded model, or a model folder.
        data: JSON lines file.
        attack: name of an attack; `unsee list attacks` shows them.
        out: folder for candidates and records; an interrupted call goes on from it.
        budget: candidates that are kept of each fact.
        set_: options of the attack, for example k=2 or layers=[4,6,8].
        batch_size: questions asked at once; results do not depend on it.
        hub: download the model unless it is on this machine.
        dtype: of the weights in memory.
        quantize: load the weights in 4 or 8 bits.
        seed: of random responses and of training.
        dry_run: print what would be attacked, and do nothing.
    """
    from unsee.attacks import load_attack
    from unsee.settings import assignments

    chosen = load_attack(attack, **{names[-1]: value for names, value in assignments(set_)})
    samples, variants, unrelated = _read(data)
    if dry_run:
        say(f"would attack {model} on {len(samples):,} questions by {chosen.name}, with {len(variants):,} disguises")
        return DONE
    from unsee.attacks import attack_all
    from unsee.files import write_parquet
    from unsee.models.loading import load_model
    from unsee.progress import ConsoleDisplay

    with ConsoleDisplay(console()) as display:
        display.plan(1)
        display.job(f"attacking by {chosen.name}")
        loaded = load_model(model, hub=hub, dtype=dtype, quantize=quantize)
        found = attack_all(
            loaded,
            samples,
            attacks=[chosen],
            variants=variants,
            unrelated=unrelated,
            budget=budget,
            batch_size=batch_size,
            seed=seed,
            store=out,
            progress=display.stage("attacking"),
        ).attacks
    write_parquet(out / "attacks.parquet", found)
    vocabulary = int(loaded.base.config.get_text_config().vocab_size)
    say(*_lines(found, samples, chosen, vocabulary=vocabulary, budget=budget, seed=seed), f"{out / 'attacks.parquet'}")
    return DONE


def _read(data: Path) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """(attacked samples, their disguises, everything else) of a file."""
    from unsee.benchmarks.jsonl import read_jsonl

    rows = read_jsonl(data, set="forget")
    attacked = [row for row in rows if row.set == "forget"]
    if not attacked:
        raise DataError(
            f"{data} holds no row of set forget, so there is nothing to attack; give the rows to attack that set, or none"
        )
    disguises = [row for row in rows if row.set == "test"]
    return attacked, disguises, [row for row in rows if row.set not in ("forget", "test")]


def _lines(found: pl.DataFrame, samples: list[Sample], attack: Attack, *, vocabulary: int, budget: int, seed: int) -> list[str]:
    """AttackSuccess@B with its interval, beside what random tokens find."""
    import polars as pl

    from unsee.attacks.base import BUDGETS
    from unsee.metrics import CellInfo
    from unsee.metrics.attack_success import RANDOM_TOKENS, attack_success

    budgets = sorted({*(one for one in BUDGETS if one < budget), budget})
    results = attack_success(found, samples, cell=CellInfo(cell=""), vocabulary=vocabulary, budgets=budgets, seed=seed).filter(
        pl.col("group").is_null(), pl.col("task").is_not_null()
    )
    lines = []
    for row in results.filter(pl.col("attack") == attack.name).iter_rows(named=True):
        place = f"{row['n']:,} {row['task']} {row['modality']} questions"
        interval = "no interval" if row["ci_low"] is None else f"{row['ci_low']:.1%} to {row['ci_high']:.1%}"
        alone = results.filter(attack=RANDOM_TOKENS, budget=row["budget"], task=row["task"], modality=row["modality"])
        chance = f", random tokens {alone['value'][0]:.1%}" if alone.height else ""
        note = f" ({row['reason']})" if row["reason"] else ""
        value = f"AttackSuccess@{row['budget']:<3} {row['value']:6.1%}"
        lines.append(f"{value} ({interval}{chance}), {place}{note}")
    refused = int(found["refused"].sum())
    if refused:
        lines.append(f"{refused:,} prompts hold their answer and were not asked")
    return lines
