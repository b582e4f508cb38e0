"""The commands that change or ask one model: learn, unlearn, answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from unsee import processes
from unsee.answering import ShotSource
from unsee.command_line import (
    DONE,
    Bits,
    Count,
    File,
    FileOrFolder,
    Flag,
    Folder,
    Memory,
    Modality,
    NameOrFolder,
    Overrides,
    Share,
    TestImage,
    console,
    given_memory,
    say,
)
from unsee.errors import ConfigError
from unsee.files import only_writer, read_json, refuse_used, write_folder, write_json
from unsee.learning import LearnOptions
from unsee.memory_options import MemoryOptions
from unsee.models.checkpoints import Dtype

if TYPE_CHECKING:
    from unsee.benchmarks.base import Benchmark
    from unsee.models.model import Model
    from unsee.sample import Sample

_FACTS = "learned.json"


def learn(
    benchmark: Annotated[str, tyro.conf.Positional],
    *,
    out: Path = Path("runs/learn"),
    data: Folder = None,
    hub: Flag = False,
    skip_invalid: Flag = False,
    model: str = "tiny",
    forget_ratio: Share = None,
    draw: int = 0,
    training: tyro.conf.OmitArgPrefixes[LearnOptions] = LearnOptions(),  # noqa: B008
    dtype: Dtype = "float32",
    quantize: Bits = None,
    dry_run: Flag = False,
    memory: Memory = None,
) -> int:
    """Teach a model the subjects of a benchmark, or all but those to be forgotten (a gold model).

    Args:
        benchmark: name of a benchmark, or a folder of official files or JSON lines.
        out: folder for the checkpoint; an interrupted call goes on from it.
        data: folder with the files of a benchmark that has some, such as mllmu-bench or unlok-vqa.
        hub: download the model, or mllmu-bench, unless it is on this machine.
        skip_invalid: go on without rows of official files that cannot be used.
        model: name of an embedded model, or a model folder.
        forget_ratio: leave this share of the subjects out.
        draw: which subjects are left out.
        dtype: of the weights in memory.
        quantize: keep the weights below the adapter in 4 or 8 bits; what it learned is merged into the plain weights.
        dry_run: print what would be taught and the memory it takes, and do nothing.
        memory: with --dry-run, also print the largest batch that fits, for example 24GiB.
    """
    from unsee.learning import learn, merged_and_checked, taught
    from unsee.memory_plan import skeleton
    from unsee.memory_report import learning_work, memory_lines
    from unsee.models.loading import load_model
    from unsee.progress import ConsoleDisplay

    room = given_memory(memory, dry_run=dry_run)
    if quantize is not None and training.lora is None:
        raise ConfigError(f"--quantize {quantize} keeps the weights as they are; give --lora a rank")
    loaded = _benchmark(benchmark, data, hub=hub, skip_invalid=skip_invalid)
    samples = taught(loaded, modality=training.learn_modality, ratio=forget_ratio, draw=draw)
    if dry_run:
        say(f"would teach {model} {len(samples):,} questions in {training.epochs} passes, and save it to {out}")
        work = learning_work(loaded, training, ratio=forget_ratio, draw=draw, quantize=quantize)
        say(*memory_lines(partial(skeleton, model, dtype=dtype, hub=hub), [work], memory=room))
        return DONE
    with ConsoleDisplay(console()) as display:
        display.plan(1)
        display.job(f"learning {loaded.name}")
        with _saving(out) as state:
            pupil = learn(
                load_model(model, device=processes.device(), hub=hub, dtype=dtype, quantize=quantize),
                loaded,
                in_place=True,
                merge=False,
                ratio=forget_ratio,
                draw=draw,
                options=training,
                resume=state,
                progress=display.stage("learning"),
            )
            made, accuracy = merged_and_checked(pupil, samples, progress=display.stage("checking"))
            _save(made, out, {"base": model, "training_accuracy": accuracy})
    say(f"answers {accuracy:.1%} of {len(samples):,} training questions word for word; saved to {out}")
    return DONE


def unlearn(
    *,
    model: str,
    out: Path = Path("runs/unlearn"),
    method: str = "npo",
    forget: File = None,
    retain: File = None,
    benchmark: NameOrFolder = None,
    data: Folder = None,
    hub: Flag = False,
    skip_invalid: Flag = False,
    forget_ratio: float = 0.05,
    draw: int = 0,
    modality: Modality = "mixed",
    loss_mask: Literal["answer", "answer_and_question", "all"] = "answer",
    lora: Count = 16,
    modules: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("language",),
    quantize: Bits = None,
    reference_model: NameOrFolder = None,
    set_: Overrides = (),
    saving: tyro.conf.OmitArgPrefixes[MemoryOptions] = MemoryOptions(),  # noqa: B008
    dtype: Dtype = "float32",
    seed: int = 0,
    dry_run: Flag = False,
    memory: Memory = None,
) -> int:
    """Make a model forget your own data (--forget, --retain) or part of a benchmark (--benchmark, --forget-ratio).

    Args:
        model: the model that knows: a folder, or the name of an embedded model.
        out: folder for the adapter or weights; an interrupted call goes on from it.
        method: unlearning method; `unsee list methods` names them.
        forget: JSON lines with what to forget: question, answer, subject and perhaps image.
        retain: JSON lines with what to keep.
        benchmark: name of a benchmark, or a folder of official files or JSON lines, instead of --forget and --retain.
        data: folder with the files of a benchmark that has some, such as mllmu-bench or unlok-vqa.
        hub: download the model, or mllmu-bench, unless it is on this machine.
        skip_invalid: go on without rows of official files that cannot be used.
        forget_ratio: share of the benchmark's subjects to forget.
        draw: which subjects.
        modality: what the unlearning questions show: pictures, text only, or both.
        loss_mask: which tokens count.
        lora: rank of the adapter; none moves the weights themselves.
        modules: what moves: language, projector, vision, all-linear, mlp-down, or full module paths; a defence chooses itself.
        quantize: keep the weights below the adapter in 4 or 8 bits.
        reference_model: model tuned on the retain data only, for methods that compare with one.
        set_: settings of the method or its training, for example beta=0.1 or learning_rate=1e-4.
        dtype: of the weights in memory.
        seed: of the order of samples and of the adapter.
        dry_run: print plan, sample counts and the memory it takes, and do nothing.
        memory: with --dry-run, also print the largest batch that fits, for example 24GiB.
    """
    from unsee.memory_plan import skeleton
    from unsee.memory_report import Work, memory_lines
    from unsee.method_plans import method_plan
    from unsee.methods.scope import Scope
    from unsee.settings import assignments
    from unsee.training import check_inputs, check_stop
    from unsee.unlearning import chosen_scope

    room = given_memory(memory, dry_run=dry_run)
    settings = {names[-1]: value for names, value in assignments(set_)}
    plan = method_plan(method.replace("-", "_"), settings, model=_embedded_base(model))
    loaded = _benchmark(benchmark, data, hub=hub, skip_invalid=skip_invalid) if benchmark is not None else None
    forgotten, kept = _unlearning_data(forget, retain, loaded, forget_ratio, draw, modality)
    check_inputs(plan.method, forget=forgotten, retain=kept)
    options = replace(plan.options, seed=seed, loss_mask=loss_mask, **saving.memory)
    scope = Scope(modules=modules, rank=lora) if plan.method.scope is None else None
    check_stop(plan.stop, None)
    if dry_run:
        say(f"would make {model} forget {len(forgotten):,} questions by {method}, keeping {len(kept):,}, into {out}")
        work = Work(method, plan.method, chosen_scope(plan.method, scope), options, forgotten, kept, quantize=quantize)
        say(*memory_lines(partial(skeleton, model, dtype=dtype, hub=hub), [work], memory=room))
        return DONE
    from unsee.models.loading import load_model
    from unsee.progress import ConsoleDisplay
    from unsee.unlearning import unlearn_with_report

    with ConsoleDisplay(console()) as display:
        display.plan(1)
        display.job(f"unlearning by {method}")
        with _saving(out) as state:
            done = unlearn_with_report(
                load_model(model, device=processes.device(), hub=hub, dtype=dtype, quantize=quantize),
                forget=forgotten,
                retain=kept,
                method=plan.method,
                options=options,
                scope=scope,
                stop=plan.stop,
                resume=state,
                reference_model=load_model(reference_model, device=processes.device(), hub=hub, dtype=dtype)
                if reference_model
                else None,
                in_place=True,
                progress=display.stage("unlearning"),
            )
            _save(done.model, out, {"base": _embedded_base(model), "method": method})
    say(f"{done.report.steps} steps ({done.report.reason}); saved to {out}")
    return DONE


def answer(
    *,
    model: str,
    out: Path = Path("runs/answer"),
    benchmark: NameOrFolder = None,
    data: FileOrFolder = None,
    test_image: TestImage = None,
    hub: Flag = False,
    skip_invalid: Flag = False,
    forget_ratio: Share = None,
    draw: int = 0,
    protocols: tuple[str, ...] = ("strict",),
    shots: ShotSource = "evaluated",
    batch_size: int = 16,
    truth_ratio: bool = True,
    dtype: Dtype = "float32",
    quantize: Bits = None,
    seed: int = 0,
    dry_run: Flag = False,
) -> int:
    """Ask a model every question of a benchmark or file and write what it said to OUT/records.parquet.

    Args:
        model: name of an embedded model, or a model folder.
        out: folder for the records; an interrupted call goes on from it.
        benchmark: name of a benchmark, or a folder of official files or JSON lines.
        data: JSON lines file instead of a benchmark; or the folder of one that has files, such as mllmu-bench or unlok-vqa.
        test_image: which of the three pictures of a test question of mllmu-bench are shown; all by default.
        hub: download the model, or mllmu-bench, unless it is on this machine.
        skip_invalid: go on without rows of official files that cannot be used.
        forget_ratio: forget request that decides the sets; without it everybody is retained.
        draw: which subjects the request names.
        protocols: ways to ask: strict, official.
        shots: whom few-shot prompts of official show: people of the set that is asked, of the retain set, or nobody.
        batch_size: questions asked at once; results do not depend on it.
        truth_ratio: also score wrong answers.
        dtype: of the weights in memory.
        quantize: load the weights in 4 or 8 bits.
        seed: decides what a protocol draws at random.
        dry_run: print sample counts, and do nothing.
    """
    from unsee.benchmarks.jsonl import read_jsonl

    if benchmark is not None:
        loaded = _benchmark(benchmark, data, hub=hub, skip_invalid=skip_invalid, test_image=test_image)
        samples = loaded.samples(ratio=forget_ratio, seed=draw)
    elif data is not None:
        samples = read_jsonl(data)
    else:
        raise ConfigError("give either --benchmark or --data; say what to ask")
    if dry_run:
        say(f"would ask {model} {len(samples):,} questions")
        return DONE
    from unsee.answering import answer
    from unsee.models.loading import load_model
    from unsee.progress import ConsoleDisplay

    with ConsoleDisplay(console()) as display:
        display.plan(1)
        display.job("answering")
        records = answer(
            load_model(model, device=processes.device(), hub=hub, dtype=dtype, quantize=quantize),
            samples,
            protocols=protocols,
            batch_size=batch_size,
            truth_ratio=truth_ratio,
            seed=seed,
            shots=shots,
            store=out,
            progress=display.stage("answering"),
        )
    say(f"{records.height:,} records: {out / 'records.parquet'}")
    return DONE


def _benchmark(
    name_or_folder: str, data: Path | None = None, *, hub: bool, skip_invalid: bool, test_image: str | None = None
) -> Benchmark:
    from unsee.benchmarks import load_benchmark

    given = {"path": data, "hub": hub or None, "skip_invalid": skip_invalid or None, "test_image": test_image}
    options = {key: value for key, value in given.items() if value is not None}
    if not Path(name_or_folder).is_dir():
        return load_benchmark(name_or_folder, **options)
    if data is not None:
        raise ConfigError(f"--benchmark {name_or_folder} and --data {data} are two folders; give one of them")
    return load_benchmark(Path(name_or_folder), **options)


def _unlearning_data(
    forget: Path | None, retain: Path | None, loaded: Benchmark | None, ratio: float, draw: int, modality: Modality
) -> tuple[list[Sample], list[Sample]]:
    """(forget, retain) from files or from a benchmark."""
    from unsee.benchmarks.jsonl import read_jsonl

    if loaded is None:
        if forget is None:
            raise ConfigError("say what to forget: --forget FILE with your own questions, or --benchmark NAME")
        return read_jsonl(forget, set="forget"), read_jsonl(retain) if retain else []
    if forget or retain:
        raise ConfigError("--benchmark and --forget/--retain exclude each other; give one of them")
    from unsee.cell_questions import training_modality

    shown = training_modality(modality)
    return (
        loaded.training(set="forget", modality=shown, ratio=ratio, seed=draw),
        loaded.training(set="retain", modality=shown, ratio=ratio, seed=draw),
    )


@contextmanager
def _saving(out: Path) -> Iterator[Path]:
    """Hold an output folder that is new; gives the folder for checkpoints, which goes away when all is saved.

    Of several processes the main one holds it for all.

    Raises:
        ConfigError: the folder holds something already.
    """
    training = out.with_name(f".{out.name}.training")

    def hold(held: ExitStack) -> None:
        refuse_used(out, flag="--out")
        held.enter_context(only_writer(training))

    with ExitStack() as held:
        processes.from_main(lambda: hold(held))
        yield training / "state"
    if processes.is_main():
        shutil.rmtree(training, ignore_errors=True)


def _save(model: Model, out: Path, facts: dict[str, Any]) -> None:
    def fill(aside: Path) -> None:
        model.save(aside)
        write_json(aside / _FACTS, facts)

    processes.from_main(lambda: write_folder(out, fill))


def _embedded_base(model: str) -> str:
    """Name of the embedded model that a folder was learned from, whose tuned settings fit it; else the given name."""
    facts = Path(model) / _FACTS
    return str(read_json(facts, remedy="remove or restore it").get("base", model)) if facts.is_file() else model
