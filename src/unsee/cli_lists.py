"""The commands that look: data, models and the list of names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from unsee.command_line import DONE, FAILED, Bits, Count, File, Flag, NameOrFolder, Share, TestImage, console, say
from unsee.errors import ConfigError, DataError
from unsee.files import refuse_used, write_json
from unsee.models.checkpoints import Dtype


def check_data(
    data: Annotated[str, tyro.conf.Positional],
    *,
    forget_ratio: Share = None,
    seed: int = 0,
    test_image: TestImage = None,
    hub: Flag = False,
    skip_invalid: Flag = False,
    out: File = None,
) -> int:
    """Read every row and picture of a benchmark, a folder or one file, count them and say what is wrong.

    Ends with 1 where facts contradict each other, counts are not what they should be, or rows were skipped.

    Args:
        data: name, folder of official files or JSON lines, or .jsonl file.
        forget_ratio: also count the sets of a forget request.
        seed: which subjects that request names.
        test_image: which of the three pictures of a test question of mllmu-bench are counted; all by default.
        hub: download mllmu-bench unless it is on this machine.
        skip_invalid: go on at rows of official files that cannot be used, and list them all.
        out: also write every finding, and the ids of all rows that were left out, into this JSON file.
    """
    import warnings

    from unsee.benchmarks import load_benchmark
    from unsee.benchmarks.data_report import data_report, samples_report, whole_report
    from unsee.benchmarks.data_tables import print_report
    from unsee.benchmarks.jsonl import read_jsonl

    path = Path(data)
    if path.is_file() or path.suffix == ".jsonl":
        samples = read_jsonl(path)
        report = samples_report(str(path), samples)
        say(f"{path}: {len(samples):,} rows about {report.subjects:,} subjects" + (", no fault found" if report.ok else ""))
    else:
        given = {"test_image": test_image, "hub": hub or None, "skip_invalid": skip_invalid or None}
        options = {key: value for key, value in given.items() if value is not None}
        with warnings.catch_warnings(action="ignore"):  # the report says it
            loaded = load_benchmark(path if path.is_dir() else data, **options)
        report = data_report(loaded, ratio=forget_ratio, seed=seed)
        asked = sum(count.asked for count in report.counts)
        say(f"{report.name}: {report.subjects:,} subjects, fingerprint {report.fingerprint[:12]}")
        say(f"training: {report.training.total():,} questions; evaluation: {asked:,}")
    if out is not None:
        write_json(out, whole_report(report))
    print_report(report, console())
    if out is not None:
        say(f"all findings: {out}")
    return DONE if report.ok else FAILED


def export_data(
    benchmark: Annotated[str, tyro.conf.Positional],
    *,
    out: Path,
    format: Literal["jsonl", "mllmu-bench", "unlok-vqa"] = "jsonl",
    subjects: Count = None,
    seed: int = 0,
    draw: int = 0,
    i_have_the_right_to: Flag = False,
    skip_invalid: Flag = False,
) -> int:
    """Write a benchmark as a folder, which `--benchmark DIR` reads: JSON lines, or the files of a published benchmark.

    Args:
        benchmark: name of a benchmark, or a folder of official files or JSON lines.
        out: a new folder.
        format: jsonl is ours; mllmu-bench and unlok-vqa are what their published scripts read, the latter for single facts.
        subjects: how many subjects; the benchmark's own number by default.
        seed: which subjects are invented.
        draw: for mllmu-bench: which of them its forget configs name.
        i_have_the_right_to: write rows whose licence is non-commercial, credentialed or unclear, and mix licences.
        skip_invalid: for unlok-vqa: leave out facts without a neighbour question, which published scripts do not read.
    """
    from unsee.benchmarks import load_benchmark
    from unsee.benchmarks.jsonl import export
    from unsee.benchmarks.medical.files import check_licenses
    from unsee.benchmarks.mllmu_bench.export import export_official
    from unsee.benchmarks.unlok_vqa.export import export_unlok

    refuse_used(out, flag="--out")
    if skip_invalid and format != "unlok-vqa":
        raise ConfigError(f"--skip-invalid has no effect with --format {format}; leave it out")
    folder = Path(benchmark).is_dir()
    options = {} if folder else {"seed": seed} if subjects is None else {"seed": seed, "subjects": subjects}
    loaded = load_benchmark(Path(benchmark) if folder else benchmark, **options)
    # Rows that name no licence are the user's own or made by us.
    named = (sample.source_license for sample in (*loaded.training(), *loaded.samples()) if sample.source_license)
    check_licenses(named, i_have_the_right_to=i_have_the_right_to)
    if format == "mllmu-bench":
        counts = export_official(loaded, out, draw=draw)
        say(*(f"{out / config}: {count:,} rows" for config, count in counts.items()))
        return DONE
    if format == "unlok-vqa":
        say(*(f"{out / part}: {count:,}" for part, count in export_unlok(loaded, out, skip_invalid=skip_invalid).items()))
        return DONE
    counts = export(loaded, out)
    say(*(f"{out / part}.jsonl: {count:,} rows" for part, count in counts.items() if count))
    return DONE


def list_models() -> int:
    """Name the models that ship with the package."""
    from unsee.models.loading import EMBEDDED, WEIGHTS

    width = max(map(len, EMBEDDED)) + 2
    for name, command in EMBEDDED.items():
        folder = WEIGHTS / name
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20
        state = f"{size:.1f} MiB of weights in {folder}" if size else f"not shipped; `{command}` makes it"
        say(f"{name:<{width}}{state}")
    return DONE


def check_model(
    model: Annotated[str, tyro.conf.Positional],
    *,
    hub: Flag = False,
    dtype: Dtype = "float32",
    quantize: Bits = None,
) -> int:
    """Find out by short passes what works with a model, and say why something does not.

    Args:
        model: a model folder, the name of an embedded model, or with --hub a name of the Hugging Face Hub.
        hub: download the model unless it is on this machine.
        dtype: of the weights in memory.
        quantize: load the weights in 4 or 8 bits.
    """
    import warnings

    from unsee.models.loading import load_model

    with warnings.catch_warnings(action="ignore"):  # the same is said below
        found = load_model(model, hub=hub, dtype=dtype, quantize=quantize).features
    for name, feature in found.items():
        say(f"{name:<14}{'yes' if feature.available else f'no: {feature.reason}'}")
    return FAILED if found.missing() else DONE


def train_model(
    size: Annotated[Literal["micro", "tiny", "small"], tyro.conf.Positional] = "tiny",
    *,
    out: Path = Path("runs/train-tiny"),
    seed: int = 0,
    creatures: Annotated[Literal["A", "B"] | None, tyro.conf.arg(metavar="A|B|none")] = "A",
    start: NameOrFolder = None,
    length: float = 1.0,
    patients: Flag = False,
    form: Literal["llava", "idefics3"] = "llava",
    dry_run: Flag = False,
) -> int:
    """Train an embedded model by the committed recipe; a killed call goes on from its last saved state.

    Args:
        size: which model.
        out: work folder of this recipe; the model ends up in OUT/SIZE.
        seed: of everything random.
        creatures: half of the creatures whose names and facts are taught; none for people alone.
        start: embedded model or model folder to teach creatures to, in less time than from scratch.
        length: all stages as a multiple of their usual steps.
        patients: teach the weights of `start` clinical questions about patients' pictures, and keep what they know.
        form: of the network; idefics3 has another connector, processor and prompt, and starts from scratch.
        dry_run: print the stages, and do nothing.
    """
    from unsee.models.pretraining.recipe import make_recipe

    recipe = make_recipe(size, seed=seed, creatures=creatures, start=start, length=length, patients=patients, form=form)
    if dry_run:
        say(f"{recipe.version}, {'from ' + recipe.start.version if recipe.start else 'from scratch'}")
        say(f"stage vision: {recipe.vision.steps:,} steps")
        for stage in recipe.stages:
            about = f"{stage.creatures:.1%} about creatures"
            about += f", {stage.patients:.1%} about patients" if recipe.patients else ""
            say(f"stage {stage.name}: {stage.steps:,} steps of {stage.rows} rows, {about}")
        return DONE
    from unsee.models.pretraining.training import train

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
    what: Annotated[Literal["all", "methods", "attacks", "benchmarks", "metrics", "sets"], tyro.conf.Positional] = "all",
) -> int:
    """Name the methods, attacks, benchmarks, metrics and sets there are.

    Args:
        what: which of them.
    """
    wanted = ("methods", "attacks", "benchmarks", "metrics", "sets") if what == "all" else (what,)
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
    if kind == "attacks":
        from unsee.attacks import BUILT_IN as ATTACKS
        from unsee.attacks import attack_names

        told = {made.name: _first_line(made) for made in ATTACKS}
        return [(name, told.get(name, "from an installed package")) for name in attack_names()]
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
