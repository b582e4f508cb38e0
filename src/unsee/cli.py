"""The commands of `unsee`. Each is one function: its signature is the flags, its docstring the help."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from unsee import cli_attack, cli_extend, cli_inject, cli_lists, cli_models, cli_review, cli_utility
from unsee.command_line import (
    DONE,
    FAILED,
    Commands,
    Count,
    File,
    Flag,
    Folder,
    Folders,
    Many,
    Memory,
    Modality,
    Name,
    NameOrFolder,
    Overrides,
    Share,
    TestImage,
    complain,
    console,
    given_memory,
    run_command,
    say,
)
from unsee.errors import ConfigError

if TYPE_CHECKING:
    from unsee.executors import Executor
    from unsee.experiment import Experiment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    from importlib.metadata import version

    given = list(sys.argv[1:] if arguments is None else arguments)
    about = "Make a multimodal LLM forget, and show with evidence whether it really did."
    shared = ("learn", "unlearn", "answer")
    return run_command(COMMANDS, given, program="unsee", version=version("unsee"), about=about, shared=shared)


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
        "benchmark": {"subjects": subjects, "celebrities": 40, "general": 20},
        "learn": {"golds": 1},
        "unlearn": {"forget_ratios": [0.15], "modalities": [modality]},
        "answer": {"protocols": ["strict"]},
    }
    read = read_experiment(tables=tables, overrides=set_)
    return _run(read, out=out, executor=_executor(read), dry_run=dry_run)


def run(
    experiment: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[TOML]")] = None,
    *,
    benchmark: NameOrFolder = None,
    data: Folder = None,
    test_image: TestImage = None,
    hub: Flag = False,
    skip_invalid: Flag = False,
    model: NameOrFolder = None,
    name: Name = None,
    methods: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME ...")] = None,
    ratios: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="FLOAT ...")] = None,
    modalities: Annotated[tuple[Modality, ...] | None, tyro.conf.arg(metavar="MODALITY ...")] = None,
    facts: Count = None,
    attacks: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME ...")] = None,
    seed: Count = None,
    only: Many = (),
    reuse: Folders = (),
    set_: Overrides = (),
    workers: Count = None,
    executor: Annotated[Literal["ray"] | None, tyro.conf.arg(metavar="ray")] = None,
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None,
    cpus_per_cell: Count = None,
    gpus_per_cell: Share = None,
    out: Folder = None,
    dry_run: Flag = False,
    memory: Memory = None,
) -> int:
    """Compute every cell of an experiment, score it and write the report; continues what was interrupted.

    Args:
        experiment: TOML file; RUN/experiment.toml repeats a run. Flags win over it.
        benchmark: name of a benchmark, or a folder of official files or JSON lines.
        data: folder with the files of a benchmark that has some, such as mllmu-bench or unlok-vqa.
        test_image: which of the three pictures of a test question of mllmu-bench are shown; all by default.
        hub: download mllmu-bench unless it is on this machine.
        skip_invalid: go on without rows of official files that cannot be used, and count them.
        model: name of an embedded model, or a model folder.
        name: of the experiment.
        methods: unlearning methods.
        ratios: shares of the subjects to forget, for example 0.05 0.1.
        modalities: what the unlearning questions show: image_text, text or mixed.
        facts: how many facts are deleted, of benchmarks that delete them one by one.
        attacks: attacks on what was forgotten; `unsee list attacks` shows them.
        seed: one seed instead of the experiment's.
        only: compute only cells whose id matches a pattern such as 'npo-*', and their vanilla and gold.
        reuse: other run folders, whose learned models and cells are taken over where they are the same.
        set_: override a setting, for example npo.beta=0.1 or learn.epochs=10.
        workers: cells computed at once, in processes that share the cores; by default as many as cores and memory bear for
            embedded models, else one after the other.
        executor: compute cells side by side on a Ray cluster whose machines share the run folder.
        address: of the cluster's head node, or auto; without it Ray starts on this machine, for this run.
        cpus_per_cell: cores that a cell asks the cluster for, 1 by default.
        gpus_per_cell: GPUs that a cell asks for, such as 0.5; none by default.
        out: run folder, runs/NAME by default.
        dry_run: print cells, sample counts, rough time and memory by part, and do nothing.
        memory: with --dry-run, also print the largest batch that fits, for example 24GiB.
    """
    from unsee.experiment import read_experiment
    from unsee.experiment_tables import BenchmarkTable

    if experiment is None and benchmark is None:
        raise ConfigError("`unsee run` needs an experiment file or --benchmark; for example `unsee run examples/people.toml`")
    unlearn = {"methods": methods, "forget_ratios": ratios, "modalities": modalities}
    tables: dict[str, Any] = {"unlearn": {key: list(value) for key, value in unlearn.items() if value is not None}}
    tables |= {key: value for key, value in (("model", model), ("name", name)) if value is not None}
    if seed is not None:
        tables["seeds"] = [seed]
    if attacks is not None:
        tables["attack"] = {"attacks": list(attacks)}
    if data is not None and benchmark is not None and (Path(benchmark).is_dir() or benchmark == BenchmarkTable.name):
        raise ConfigError(f"--benchmark {benchmark} takes no --data; name a benchmark that has files, such as mllmu-bench")
    source: dict[str, Any] = {"path": None if data is None else str(data), "test_image": test_image, "facts": facts}
    source |= {"hub": hub or None, "skip_invalid": skip_invalid or None}
    tables["benchmark"] = {key: value for key, value in source.items() if value is not None}
    if benchmark is not None:
        folder = {"name": BenchmarkTable.name, "path": benchmark}
        tables["benchmark"] |= folder if Path(benchmark).is_dir() else {"name": benchmark}
        if experiment is None and name is None:
            tables["name"] = Path(benchmark).resolve().name if Path(benchmark).is_dir() else benchmark
    of_cluster = {"address": address, "cpus_per_cell": cpus_per_cell, "gpus_per_cell": gpus_per_cell}
    read = read_experiment(experiment, tables=tables, overrides=set_)
    chosen = _executor(read, executor, workers, {key: value for key, value in of_cluster.items() if value is not None})
    out = out or Path("runs") / read.name
    return _run(read, out=out, only=only, reuse=reuse, executor=chosen, dry_run=dry_run, memory=memory)


def _executor(
    experiment: Experiment, kind: str | None = None, workers: int | None = None, of_cluster: Mapping[str, Any] | None = None
) -> Executor | None:
    """What the flags ask for, or what suits the experiment; None for one cell after the other."""
    from unsee.cluster import Cluster
    from unsee.workers import Workers, usual_workers

    if kind is None and of_cluster:
        raise ConfigError(f"--{next(iter(of_cluster)).replace('_', '-')} has no effect without --executor ray; add it")
    if kind is not None and workers is not None:
        raise ConfigError("--workers are processes of this machine, and --executor ray places cells itself; leave one out")
    if kind is not None:
        return Cluster(**(of_cluster or {}))
    count = usual_workers(experiment) if workers is None else workers
    return None if count == 1 else Workers(count)


def _run(
    experiment: Experiment,
    *,
    out: Path,
    only: tuple[str, ...] = (),
    reuse: tuple[Path, ...] = (),
    executor: Executor | None = None,
    dry_run: bool = False,
    memory: str | None = None,
) -> int:
    from unsee.progress import ConsoleDisplay
    from unsee.runs import run

    screen = console()
    room = given_memory(memory, dry_run=dry_run)
    if dry_run:
        from unsee.run_plan import plan_run

        say(*plan_run(experiment, out=out, only=only, memory=room))
        return DONE
    done = run(experiment, out=out, only=only, reuse=reuse, display=ConsoleDisplay(screen), executor=executor)
    from unsee.report.console import print_table

    print_table(out, console=screen)
    complain(*(f"failed: {line}" for line in done.failures), *(f"gate missed: {line}" for line in done.shortfalls))
    say(f"report: {done.report_path}")
    return DONE if done.ok else FAILED


def score(
    run: Annotated[Path, tyro.conf.Positional],
    *,
    judge: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None,
    judge_model: Name = None,
    judge_key_env: Annotated[str | None, tyro.conf.arg(metavar="VARIABLE")] = None,
    judge_sets: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SET ...")] = (),
    judge_timeout: float = 60.0,
    official: Folder = None,
    seed: int = 0,
) -> int:
    """Score the finished cells of a run folder again and write results.parquet, results.json and the report.

    With --judge, a model behind an OpenAI-compatible server first grades the written answers; questions, right answers and
    model answers are sent there. Nothing is asked twice, and an interrupted command goes on where it stopped.

    Args:
        run: run folder.
        judge: where the judge's API begins, such as http://localhost:8000/v1.
        judge_model: the judge's name on that server.
        judge_key_env: environment variable with the key for it; without it none is sent.
        judge_sets: judge these sets only, for example forget test; all by default.
        judge_timeout: seconds to wait for one answer.
        official: also write what each cell answered under protocol official into DIR/CELL, in MLLMU-Bench's own files.
        seed: of the bootstrap.
    """
    from unsee.progress import ConsoleDisplay
    from unsee.report import write_report
    from unsee.run_results import rescore, write_official

    if judge is not None:
        _judge(run, judge, judge_model, key_env=judge_key_env, sets=judge_sets, timeout=judge_timeout)
    elif judge_model is not None or judge_key_env is not None or judge_sets:
        raise ConfigError("--judge-model, --judge-key-env and --judge-sets have no effect without --judge URL; add it")
    if official is not None:
        say(f"{len(write_official(run, official)):,} cells in MLLMU-Bench's own files: {official}")
    with ConsoleDisplay(console()) as display:
        results = rescore(run, seed=seed, display=display)
    page = write_report(run)
    say(f"{results.height:,} values of {results['cell'].n_unique()} cells: {run / 'results.parquet'}", f"report: {page}")
    return DONE


def _judge(run: Path, url: str, model: str | None, *, key_env: str | None, sets: tuple[str, ...], timeout: float) -> None:
    from unsee.chat import ChatClient
    from unsee.judging import judge_run
    from unsee.progress import ConsoleDisplay

    if model is None:
        raise ConfigError("--judge needs --judge-model, the name of the model on that server")
    client = ChatClient(url, model, key_env=key_env, timeout=timeout)
    with ConsoleDisplay(console()) as display:
        done = judge_run(run, client=client, sets=sets, display=display)
    say(f"{done.answers:,} answers judged by {model}, {done.asked:,} questions put to it")
    for failure, count in done.failures.most_common():
        complain(f"warning: {count:,} answers have no judgement ({failure.replace('_', ' ')}) and enter no mean")


def report(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")],
    *,
    out: File = None,
    export: Folder = None,
) -> int:
    """Write the report of a run folder again and print its main table, or compare several runs on one page.

    Args:
        runs: run folders; several of one benchmark are compared.
        out: the page; RUN/report.html by default, comparison.html beside the first run for several.
        export: also write every table as CSV and LaTeX and every figure as SVG and PNG into this folder.
    """
    from unsee.report import report_runs
    from unsee.report.console import print_table

    page, files = report_runs(runs, out=out, export=export)
    for run in runs:
        print_table(run, console=console())
    if export is not None:
        say(f"{len(files):,} files: {export}")
    say(f"report: {page}")
    return DONE


COMMANDS: Commands = {
    "demo": demo,
    "run": run,
    "data": {
        "check": cli_lists.check_data,
        "export": cli_lists.export_data,
        "inject": cli_inject.inject_data,
        "extend": cli_extend.extend_data,
        "review": cli_review.review_data,
        "filter": cli_review.filter_data,
    },
    "learn": cli_models.learn,
    "unlearn": cli_models.unlearn,
    "answer": cli_models.answer,
    "attack": cli_attack.attack,
    "score": score,
    "utility": cli_utility.utility,
    "report": report,
    "models": {
        "list": cli_lists.list_models,
        "check": cli_lists.check_model,
        "train": cli_lists.train_model,
        "card": cli_lists.model_card,
    },
    "list": cli_lists.list_names,
}
"""Every command by name."""
