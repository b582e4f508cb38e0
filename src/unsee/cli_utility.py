"""The command that hands checkpoints over to lmms-eval or lm-evaluation-harness and reads their results back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from unsee.command_line import DONE, Count, Flag, Folder, Many, Name, complain, say
from unsee.errors import ConfigError
from unsee.models.checkpoints import Dtype

if TYPE_CHECKING:
    import polars as pl

    from unsee.utility.running import Order
    from unsee.utility.targets import Target

_WORDS = tuple[str, ...]


def utility(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|MODEL")],
    *,
    tasks: Annotated[_WORDS, tyro.conf.arg(metavar="TASK ...", help_behavior_hint="(none by default)")] = (),
    harness: Literal["lmms-eval", "lm-eval"] = "lmms-eval",
    only: Many = (),
    results: Folder = None,
    export: Folder = None,
    out: Folder = None,
    python: Annotated[str, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: this one)")] = sys.executable,
    include_path: Folder = None,
    hub: Flag = False,
    limit: Count = None,
    batch_size: int = 1,
    device: Annotated[Literal["cpu", "cuda"] | None, tyro.conf.arg(metavar="cpu|cuda")] = None,
    dtype: Annotated[Dtype | None, tyro.conf.arg(metavar="DTYPE")] = None,
    model_class: Name = None,
    model_args: Annotated[_WORDS, tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="(none by default)")] = (),
    dry_run: Flag = False,
) -> int:
    """Measure general ability by MMMU, LLaVA-Bench, POPE, ScienceQA or any task of a harness, and put it into the results.

    The harness is installed apart from this package (docs/utility.md). Values go into RUN/results.parquet and the report.

    Args:
        model: a run folder, whose finished cells are measured; a model folder; or the name of an embedded model.
        tasks: mmmu, llava-bench, pope, scienceqa, or task ids of the harness.
        harness: lmms-eval has all four, lm-eval (lm-evaluation-harness) has mmmu.
        only: cells whose id matches a pattern such as 'npo-*'.
        results: read results that were made elsewhere, one folder per cell, and run nothing.
        export: write the checkpoints and measure.sh into this new folder, for another machine, and run nothing.
        out: of a lone model: folder for its results; runs/utility by default.
        python: interpreter that has the harness.
        include_path: folder with task files of your own.
        hub: allow the harness to download questions, and LLaVA-Bench to send answers to its judge.
        limit: questions per task, to try things out.
        batch_size: questions asked at once.
        device: a GPU if there is one by default; cuda with --export.
        dtype: of the weights in memory, where the harness can choose; as the cells were answered by default.
        model_class: the harness's class for the model; the one for its family by default.
        model_args: further arguments of that class.
        dry_run: print the commands for a shell, and do nothing.
    """
    from unsee.models.checkpoints import default_device
    from unsee.utility.harnesses import harness_named, model_arguments
    from unsee.utility.known import task_ids
    from unsee.utility.running import Order
    from unsee.utility.running import export as export_to
    from unsee.utility.targets import find_targets

    if results is not None and (tasks or export is not None or dry_run):
        raise ConfigError("--results reads what was measured elsewhere; leave out --tasks, --export and --dry-run")
    if export is not None and dry_run:
        raise ConfigError("--export writes checkpoints and --dry-run writes nothing; give one of them")
    is_run = (Path(model) / "experiment.toml").is_file()
    if is_run and out is not None:
        raise ConfigError(f"the results of a run stay in {model}; leave out --out")
    home = Path(model) / "utility" if is_run else out or Path("runs/utility")
    if results is not None:
        found = find_targets(model, only=only)
        return _keep(model, home, _elsewhere(results, found.targets, is_run=is_run), is_run=is_run)
    order = Order(
        harness=harness_named(harness),
        tasks=task_ids(tasks, harness),
        python=python,
        hub=hub,
        device=device or ("cuda" if export is not None else default_device()),
        dtype=dtype,
        batch_size=batch_size,
        include=include_path,
        limit=limit,
        model=model_class,
        model_args=model_arguments(model_args),
    )
    found = find_targets(model, only=only)
    complain(*(f"left out: {line}" for line in found.skipped))
    if dry_run:
        _print(order, found.targets, home)
        return DONE
    if export is not None:
        script = export_to(order, found.targets, export)
        say(f"{len(found.targets)} checkpoints and their commands: {script}")
        say(f"afterwards: unsee utility {model} --results {export / 'results'}")
        return DONE
    order.check_judge()
    order.harness.version(python)  # before weights are merged
    return _measure(order, model, found.targets, home, is_run=is_run)


def _measure(order: Order, model: str, targets: list[Target], home: Path, *, is_run: bool) -> int:
    """Measure one checkpoint after another; what is measured is kept before the next begins."""
    from unsee.utility.running import measure

    for target in targets:
        table = measure(order, target, home / target.name, say=say)
        _keep(model, home, {target: table}, is_run=is_run)
    return DONE


def _elsewhere(results: Path, targets: list[Target], *, is_run: bool) -> dict[Target, pl.DataFrame]:
    """What other machines measured, by target."""
    from unsee.utility.reading import folder_of, no_folders, read_results

    if not results.is_dir():
        raise ConfigError(f"--results {results} is no folder; give the one that holds the harness's results")
    if not is_run:
        (target,) = targets
        return {target: read_results(folder_of(results, target.cells) or results, target)}
    places = {target: folder_of(results, target.cells) for target in targets}
    found = {target: read_results(place, target) for target, place in places.items() if place is not None}
    if not found:
        raise no_folders(results, targets)
    return found


def _keep(model: str, home: Path, measured: dict[Target, pl.DataFrame], *, is_run: bool) -> int:
    """Put values into the results table and the report, and say what they are."""
    from unsee.utility.storing import keep_lone, keep_of_run

    for target, table in measured.items():
        for row in table.iter_rows(named=True):
            value = "no value" if row["value"] is None else f"{row['value']:.4g}"
            spread = f" +- {row['stderr']:.2g} (standard error)" if row["stderr"] else ""
            chosen = f", {row['filter']}" if row["filter"] else ""
            note = f" ({row['problem']})" if row["problem"] else ""
            say(f"{target.name}: {row['task']} {row['metric']}{chosen} {value}{spread}{note}")
    say(*(keep_of_run(Path(model), measured) if is_run else keep_lone(home, measured)))
    return DONE


def _print(order: Order, targets: list[Target], home: Path) -> None:
    from unsee.utility.running import command, merges, shown

    for target in targets:
        output = str((home / target.name).resolve())
        weights = str((home / target.name / "merged").resolve()) if merges(order, target) else None
        if weights is not None:
            say(f"# {target.name} is an adapter, which {order.harness.name} does not load; --export writes it merged")
        say(shown(command(order, target, weights=weights, output=output), hub=order.hub))
