"""The commands of `unsee`. Each is one function: its signature is the flags, its docstring the help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from unsee import cli_lists, cli_models
from unsee.command_line import (
    DONE,
    FAILED,
    Commands,
    Count,
    Flag,
    Folder,
    Many,
    Modality,
    Name,
    NameOrFolder,
    Overrides,
    complain,
    console,
    run_command,
    say,
)
from unsee.errors import ConfigError

if TYPE_CHECKING:
    from unsee.experiment import Experiment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    from importlib.metadata import version

    given = list(sys.argv[1:] if arguments is None else arguments)
    about = "Make a multimodal LLM forget, and show with evidence whether it really did."
    return run_command(COMMANDS, given, program="unsee", version=version("unsee"), about=about)


def demo(
    *,
    out: Path = Path("runs/demo"),
    seed: int = 0,
    subjects: int = 60,
    modality: Modality = "mixed",
    set_: Overrides = (),
    dry_run: Flag = False,
) -> int:
    """Teach the embedded model fictitious people, make it forget some by five methods, and show what came of it.

    Args:
        out: run folder; the same command continues an interrupted run.
        seed: of training and of who is forgotten.
        subjects: number of fictitious people.
        modality: what the unlearning questions show.
        set_: override a setting, for example npo.beta=0.1.
        dry_run: print cells, sample counts and rough costs, and do nothing.
    """
    from unsee.experiment import read_experiment

    tables = {
        "name": "demo",
        "seeds": [seed],
        "benchmark": {"subjects": subjects, "celebrities": 40},
        "learn": {"golds": 1},
        "unlearn": {"forget_ratios": [0.15], "modalities": [modality]},
    }
    return _run(read_experiment(tables=tables, overrides=set_), out=out, dry_run=dry_run)


def run(
    experiment: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[TOML]")] = None,
    *,
    benchmark: NameOrFolder = None,
    model: NameOrFolder = None,
    name: Name = None,
    methods: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME ...")] = None,
    ratios: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="FLOAT ...")] = None,
    modalities: Annotated[tuple[Modality, ...] | None, tyro.conf.arg(metavar="MODALITY ...")] = None,
    seed: Count = None,
    only: Many = (),
    set_: Overrides = (),
    out: Folder = None,
    dry_run: Flag = False,
) -> int:
    """Compute every cell of an experiment, score it and write the report; continues what was interrupted.

    Args:
        experiment: TOML file; RUN/experiment.toml repeats a run. Flags win over it.
        benchmark: name of a benchmark, or a folder of JSON lines.
        model: name of an embedded model, or a model folder.
        name: of the experiment.
        methods: unlearning methods.
        ratios: shares of the subjects to forget, for example 0.05 0.1.
        modalities: what the unlearning questions show: image_text, text or mixed.
        seed: one seed instead of the experiment's.
        only: compute only cells whose id matches a pattern such as 'npo-*', and their vanilla and gold.
        set_: override a setting, for example npo.beta=0.1 or learn.epochs=10.
        out: run folder, runs/NAME by default.
        dry_run: print cells, sample counts and rough costs, and do nothing.
    """
    from unsee.experiment import BenchmarkTable, read_experiment

    if experiment is None and benchmark is None:
        raise ConfigError("`unsee run` needs an experiment file or --benchmark; for example `unsee run examples/people.toml`")
    unlearn = {"methods": methods, "forget_ratios": ratios, "modalities": modalities}
    tables: dict[str, Any] = {"unlearn": {key: list(value) for key, value in unlearn.items() if value is not None}}
    tables |= {key: value for key, value in (("model", model), ("name", name)) if value is not None}
    if seed is not None:
        tables["seeds"] = [seed]
    if benchmark is not None:
        folder = {"name": BenchmarkTable.name, "path": benchmark}
        tables["benchmark"] = folder if Path(benchmark).is_dir() else {"name": benchmark}
        if experiment is None and name is None:
            tables["name"] = Path(benchmark).resolve().name if Path(benchmark).is_dir() else benchmark
    read = read_experiment(experiment, tables=tables, overrides=set_)
    return _run(read, out=out or Path("runs") / read.name, only=only, dry_run=dry_run)


def _run(experiment: Experiment, *, out: Path, only: tuple[str, ...] = (), dry_run: bool = False) -> int:
    from unsee.progress import ConsoleDisplay
    from unsee.runs import run

    screen = console()
    if dry_run:
        from unsee.run_plan import plan_run

        say(*plan_run(experiment, out=out, only=only))
        return DONE
    done = run(experiment, out=out, only=only, display=ConsoleDisplay(screen))
    from unsee.report.console import print_table

    print_table(out, console=screen)
    complain(*(f"failed: {line}" for line in done.failures), *(f"gate missed: {line}" for line in done.shortfalls))
    say(f"report: {done.report_path}")
    return DONE if done.ok else FAILED


def score(run: Annotated[Path, tyro.conf.Positional], *, seed: int = 0) -> int:
    """Score the finished cells of a run folder again and write results.parquet, results.json and the report.

    Args:
        run: run folder.
        seed: of the bootstrap.
    """
    from unsee.progress import ConsoleDisplay
    from unsee.report import write_report
    from unsee.run_results import rescore

    with ConsoleDisplay(console()) as display:
        results = rescore(run, seed=seed, display=display)
    page = write_report(run)
    say(f"{results.height:,} values of {results['cell'].n_unique()} cells: {run / 'results.parquet'}", f"report: {page}")
    return DONE


def report(run: Annotated[Path, tyro.conf.Positional]) -> int:
    """Write the report of a run folder again and print its main table.

    Args:
        run: run folder.
    """
    from unsee.report import write_report
    from unsee.report.console import print_table

    page = write_report(run)
    print_table(run, console=console())
    say(f"report: {page}")
    return DONE


COMMANDS: Commands = {
    "demo": demo,
    "run": run,
    "data": {"check": cli_lists.check_data, "export": cli_lists.export_data},
    "learn": cli_models.learn,
    "unlearn": cli_models.unlearn,
    "answer": cli_models.answer,
    "score": score,
    "report": report,
    "models": {"list": cli_lists.list_models, "train": cli_lists.train_model, "card": cli_lists.model_card},
    "list": cli_lists.list_names,
}
"""Every command by name."""
