"""The command that attacks one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from unsee.command_line import DONE, Bits, Flag, Overrides, console, say
from unsee.errors import DataError
from unsee.models.checkpoints import Dtype

if TYPE_CHECKING:
    import polars as pl

    from unsee.models.model import Model
    from unsee.sample import Sample


def attack(
    *,
    model: str,
    data: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    attack: str = "lens_head_projection",
    out: Path = Path("runs/attack"),
    budget: int = 50,
    set_: Overrides = (),
    before: str | None = None,
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
    hard). Rows of set retain are what an attack that trains the model trains it on, and where their metadata give attribute,
    whose answers the answer prior tries. Attacked rows whose metadata give never_learned = true are facts that the model was
    never taught: what is found there is luck, and the difference to it is printed.

    Args:
        model: name of an embedded model, or a model folder.
        data: JSON lines file.
        attack: name of an attack; `unsee list attacks` shows them.
        out: folder for candidates and records; an interrupted call goes on from it.
        budget: candidates that are kept of each fact.
        set_: options of the attack, for example k=2 or layers=[4,6,8].
        before: the model before the edit, attacked alike, also while it is only told to refuse: gives the paired difference.
        batch_size: questions asked at once; results do not depend on it.
        hub: download the model unless it is on this machine.
        dtype: of the weights in memory.
        quantize: load the weights in 4 or 8 bits.
        seed: of random responses and of training.
        dry_run: print what would be attacked, and do nothing.
    """
    from unsee.attacks import load_attack
    from unsee.attacks.running import by_fact, check_attacks, strangers_to
    from unsee.memory_plan import skeleton
    from unsee.settings import assignments

    chosen = load_attack(attack, **{names[-1]: value for names, value in assignments(set_)})
    samples, variants, others = _read(data)
    # The same for every model, whichever of the facts it is asked about.
    unrelated = strangers_to(samples, others)
    # What loads last fails first.
    options: dict[str, Any] = {"variants": by_fact(variants), "unrelated": unrelated, "budget": budget}
    for name in [model, before] if dry_run else [before]:
        if name is not None:
            check_attacks(skeleton(name, dtype=dtype, hub=hub), samples, [chosen], **options)
    if dry_run:
        say(f"would attack {model} on {len(samples):,} questions by {chosen.name}, with {len(variants):,} disguises")
        return DONE
    import polars as pl

    from unsee.attack_summary import Tried, summary
    from unsee.attacks import attack_all
    from unsee.files import write_parquet
    from unsee.methods import load_method
    from unsee.models.loading import load_model
    from unsee.presets import FACT_GUARD
    from unsee.progress import ConsoleDisplay

    known, strangers = [s for s in samples if not _is_stranger(s)], [s for s in samples if _is_stranger(s)]
    with ConsoleDisplay(console()) as display:
        display.plan(1 if before is None else 3)

        def made(attacked: Model, asked: list[Sample], folder: Path, title: str) -> pl.DataFrame:
            display.job(f"attacking {title}by {chosen.name}")
            found = attack_all(
                attacked,
                asked,
                attacks=[chosen],
                variants=variants,
                unrelated=unrelated,
                budget=budget,
                batch_size=batch_size,
                seed=seed,
                random_tokens=True,
                store=folder,
                progress=display.stage("attacking"),
            ).attacks
            write_parquet(folder / "attacks.parquet", found)
            return found

        loaded = load_model(model, hub=hub, dtype=dtype, quantize=quantize)
        found = made(loaded, samples, out, "")
        vocabulary = int(loaded.base.config.get_text_config().vocab_size)
        earlier = refusal = None
        if before is not None:
            del loaded
            start = load_model(before, hub=hub, dtype=dtype, quantize=quantize)
            earlier = made(start, known, out / "before", f"{before} ")
            load_method("prompt_guard", wording=FACT_GUARD).apply(start, known, ())
            refusal = made(start, known, out / "refusal", f"{before}, told to refuse, ")
    own = pl.col("sample_id").is_in([sample.id for sample in known])
    tried = Tried(
        samples=known,
        found=found.filter(own),
        strangers=strangers,
        never_learned=found.filter(~own) if strangers else None,
        before=earlier,
        refusal=refusal,
        others=others,
        vocabulary=vocabulary,
    )
    refused = int(found["refused"].sum())
    held = [f"{refused:,} prompts hold their answer and were not asked"] if refused else []
    say(*summary(tried, attack=chosen.name, budget=budget, seed=seed), *held, f"{out / 'attacks.parquet'}")
    return DONE


def _is_stranger(sample: Sample) -> bool:
    return bool(sample.metadata.get("never_learned"))


def _read(data: Path) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """(attacked samples, their disguises, everything else) of a file."""
    from unsee.benchmarks.jsonl import read_jsonl

    rows = read_jsonl(data, set="forget")
    attacked = [row for row in rows if row.set == "forget"]
    if all(_is_stranger(row) for row in attacked):
        raise DataError(
            f"{data} holds no row of set forget, so there is nothing to attack; give the rows to attack that set, or none"
        )
    disguises = [row for row in rows if row.set == "test"]
    return attacked, disguises, [row for row in rows if row.set not in ("forget", "test")]
