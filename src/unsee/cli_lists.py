"""The commands that look: data, models and the list of names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from unsee.command_line import DONE, Count, File, Flag, Share, say
from unsee.errors import ConfigError, DataError


def check_data(data: Annotated[str, tyro.conf.Positional], *, forget_ratio: Share = None, seed: int = 0) -> int:
    """Read every row and picture of a benchmark, a folder of JSON lines or one file, and count them.

    Args:
        data: name, folder or .jsonl file.
        forget_ratio: also count the sets of a forget request.
        seed: which subjects that request names.
    """
    from unsee.benchmarks import load_benchmark
    from unsee.benchmarks.jsonl import read_jsonl

    path = Path(data)
    if path.is_file() or path.suffix == ".jsonl":
        samples = read_jsonl(path)
        say(f"{path}: {len(samples):,} rows about {len({s.subject for s in samples}):,} subjects, no fault found")
        return DONE
    benchmark = load_benchmark(path if path.is_dir() else data)
    counts: dict[tuple[str, str, str], int] = {}
    for sample in benchmark.samples(ratio=forget_ratio, seed=seed):
        for picture in sample.images:
            picture.open()
        key = (sample.set, sample.task, sample.modality)
        counts[key] = counts.get(key, 0) + 1
    say(f"{benchmark.name}: {len(benchmark.subjects):,} subjects, fingerprint {benchmark.fingerprint[:12]}")
    say(f"training: {len(benchmark.training()):,} questions; evaluation: {sum(counts.values()):,}")
    say(*(f"  {' / '.join(key):<44}{count:>8,}" for key, count in sorted(counts.items())))
    return DONE


def export_data(benchmark: Annotated[str, tyro.conf.Positional], *, out: Path, subjects: Count = None, seed: int = 0) -> int:
    """Write a benchmark as a folder of JSON lines with its pictures, which `--benchmark DIR` reads.

    Args:
        benchmark: name of a benchmark.
        out: a new folder.
        subjects: how many subjects; the benchmark's own number by default.
        seed: which subjects are invented.
    """
    from unsee.benchmarks import load_benchmark
    from unsee.benchmarks.jsonl import export

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is not empty; choose a new folder")
    options = {"seed": seed} if subjects is None else {"seed": seed, "subjects": subjects}
    counts = export(load_benchmark(benchmark, **options), out)
    say(*(f"{out / part}.jsonl: {count:,} rows" for part, count in counts.items() if count))
    return DONE


def list_models() -> int:
    """Name the models that ship with the package."""
    from unsee.models.loading import EMBEDDED, WEIGHTS

    for name in EMBEDDED:
        folder = WEIGHTS / name
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20
        state = f"{size:.1f} MiB of weights in {folder}" if size else f"not shipped; `unsee models train {name}` makes it"
        say(f"{name:<8}{state}")
    return DONE


def train_model(
    size: Annotated[Literal["tiny"], tyro.conf.Positional] = "tiny",
    *,
    out: Path = Path("runs/train-tiny"),
    seed: int = 0,
    dry_run: Flag = False,
) -> int:
    """Train an embedded model from scratch by the committed recipe; goes on from the last finished stage.

    Args:
        size: which model.
        out: work folder; the model ends up in OUT/SIZE.
        seed: of everything random.
        dry_run: print the stages, and do nothing.
    """
    from unsee.models.pretraining.recipe import Recipe, train

    recipe = Recipe(size=size, seed=seed)
    if dry_run:
        say(*(f"stage {stage.name}: {stage.steps:,} steps" for stage in recipe.stages))
        return DONE
    say(f"model: {train(out, recipe=recipe, report=say)}")
    return DONE


def model_card(model: Annotated[str, tyro.conf.Positional] = "tiny", *, out: File = None, seed: int = 0) -> int:
    """Measure what an embedded model can do, and write its card.

    Args:
        model: name of an embedded model, or a model folder.
        out: file for the card; it is printed as well, and abilities.json is written beside it.
        seed: which questions are drawn.
    """
    from unsee.files import write_text
    from unsee.models.ability_notes import ABILITIES
    from unsee.models.card import measure

    text = measure(model, seed=seed, abilities_file=None if out is None else out.parent / ABILITIES)
    if out is not None:
        write_text(out, text)
    say(text)
    return DONE


def list_names(
    what: Annotated[Literal["all", "methods", "benchmarks", "metrics", "sets"], tyro.conf.Positional] = "all",
) -> int:
    """Name the methods, benchmarks, metrics and sets there are.

    Args:
        what: which of them.
    """
    wanted = ("methods", "benchmarks", "metrics", "sets") if what == "all" else (what,)
    for kind in wanted:
        if what == "all":
            say(f"{kind}:")
        say(*(f"  {name:<28}{text}".rstrip() for name, text in _named(kind)))
    return DONE


def _named(kind: str) -> list[tuple[str, str]]:
    """(name, what it is) of one kind."""
    if kind == "methods":
        from unsee.methods import BUILT_IN, method_names

        listed = [(made.name, made.variant, made) for made in BUILT_IN]
        own = [(name if variant == "corrected" else f"{name}_{variant}", _first_line(made)) for name, variant, made in listed]
        return own + [
            (name, "from an installed package") for name in method_names() if name not in {one for one, _, _ in listed}
        ]
    if kind == "benchmarks":
        from unsee.benchmarks import benchmark_names, built_in

        told = {
            name: _first_line(factory).removeprefix(f"Benchmark `{name}`").strip(":. ") for name, factory in built_in().items()
        }
        return [(name, told.get(name, "from an installed package")) for name in benchmark_names()]
    if kind == "metrics":
        from unsee.metrics import ALL_METRICS

        return [(metric.name, metric.description) for metric in ALL_METRICS]
    if kind == "sets":
        return list(SETS_IN_WORDS.items())
    raise DataError(f"nothing is listed under {kind!r}")


def _first_line(made: Callable[..., Any]) -> str:
    return (made.__doc__ or "").strip().split("\n")[0]


SETS_IN_WORDS = {
    "forget": "what is to be forgotten",
    "test": "the same facts in disguise: another picture, another wording",
    "retain": "other taught subjects, to be kept",
    "near_retain": "look-alikes and namesakes of forgotten subjects, to be kept",
    "celebrity": "public figures known from pretraining, to be kept",
    "general": "general abilities",
    "clinical": "clinical abilities",
    "neighbour_image": "questions about similar pictures",
    "neighbour_question": "similar questions about the same picture",
}
"""Set -> what it holds."""
