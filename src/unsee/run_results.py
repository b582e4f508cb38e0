"""From a run folder's records to its results: the gate, the scores, and whether vanilla and gold are what they should be."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.attack_results import AttackAnchors, absent_gold, attack_values, attacks_on_unknown
from unsee.attacks.base import NEVER_LEARNED
from unsee.benchmarks.base import about, taught_facts
from unsee.cell_questions import cell_questions, edits_single_facts, limited_retain
from unsee.errors import ConfigError, DataError
from unsee.experiment import Cell, Experiment, Request
from unsee.fact_edits import several_edits
from unsee.files import write_json, write_parquet
from unsee.learned_models import learned_names
from unsee.progress import Advance, Display
from unsee.run_folder import RunFolder, learned_name

if TYPE_CHECKING:
    import polars as pl

    from unsee.benchmarks.base import Benchmark
    from unsee.metrics.cell_info import CellInfo
    from unsee.metrics.gate import Gate
    from unsee.sample import Sample

TRAINING_ACCURACY = 0.95
"""Share of its training questions that a learned model answers word for word, at least."""
KNOWN_SHARE = 0.5
"""Share of probed facts about taught subjects that vanilla must know, at least."""


def load_experiment_benchmark(experiment: Experiment) -> Benchmark:
    """The benchmark that an experiment names, with its options.

    Raises:
        UserError: an unknown name or option, or files that cannot be read.
    """
    from unsee.benchmarks import benchmark_names, load_benchmark

    table = experiment.benchmark
    options: dict[str, Any] = {
        item.name: value
        for item in fields(table)
        if item.name not in ("name", "path") and (value := getattr(table, item.name)) is not None
    }
    if table.path is None:
        return load_benchmark(table.name, **options)
    if table.name in benchmark_names() and table.name != type(table)().name:
        return load_benchmark(table.name, path=Path(table.path), **options)
    return load_benchmark(Path(table.path), **options)


class _Request(NamedTuple):
    """What all cells of one forget request are scored with, read once."""

    cells: list[Cell]
    samples: list[Sample]
    gate: Gate | None
    vanilla: pl.DataFrame | None
    gold: pl.DataFrame | None
    noise: pl.DataFrame | None
    gold_states: dict[str, pl.DataFrame]
    anchors: AttackAnchors


def _request(experiment: Experiment, folder: RunFolder, benchmark: Benchmark, request: Request) -> _Request:
    ratio, draw, scenario = request
    cells = [cell for cell in experiment.cells if cell.request == request]
    vanilla = next((cell for cell in cells if cell.method == "vanilla"), None)
    gold = next((cell for cell in cells if cell.method == "gold" and not cell.is_noise_gold), None)
    noise = next((cell for cell in cells if cell.is_noise_gold), None)
    never = next((cell for cell in cells if cell.method == NEVER_LEARNED), None)
    every = about(benchmark, scenario).samples(ratio=ratio, seed=draw)
    samples = limited_retain(every, experiment.answer.retain_subjects)
    gate = knowledge_gate(experiment, folder, benchmark, request)

    def answers(cell: Cell | None) -> pl.DataFrame | None:
        records = None if cell is None else judged_records(folder, cell)
        return None if records is None else answered(experiment, records)

    attacks = None if vanilla is None else folder.attacks(vanilla)
    return _Request(
        cells=cells,
        samples=samples,
        gate=gate,
        vanilla=answers(vanilla),
        gold=answers(gold),
        noise=answers(noise),
        gold_states={} if gold is None else folder.states(gold),
        anchors=AttackAnchors(
            samples=samples,
            taught=taught_facts(about(benchmark, scenario), every),
            records=None if vanilla is None else folder.records(vanilla),
            attacks=attacks,
            never_learned=None if never is None else folder.attacks(never),
            never_known=attacks_on_unknown(attacks, samples, gate) if ratio is None and never is None else None,
            vocabulary=folder.learned_facts(_vanilla(experiment, draw)).get("vocabulary"),
            gate=gate,
            budgets=experiment.budgets,
        ),
    )


def answered(experiment: Experiment, records: pl.DataFrame) -> pl.DataFrame:
    """Records of the questions that are scored, each once: where a fact has an edit of its own, those about that fact."""
    import polars as pl

    from unsee.metrics.frames import of_own_edit

    return records.filter(pl.col("protocol").is_in(experiment.answer.protocols), of_own_edit())


def judge(
    experiment: Experiment,
    folder: RunFolder,
    benchmark: Benchmark,
    cells: Sequence[Cell],
    *,
    seed: int = 0,
    display: Display | None = None,
) -> pl.DataFrame:
    """Score the finished ones among cells; writes results.parquet, results.json and, for further states, states.parquet."""
    import polars as pl

    from unsee.metrics import score
    from unsee.metrics.utility import utility_rows
    from unsee.models.ability_notes import mark_missed
    from unsee.schemas import RESULTS, STATES

    shown = display or Display()
    advance, advance_states = shown.stage("scoring"), shown.stage("scoring further states")
    parts: list[pl.DataFrame] = []
    measured_parts: list[pl.DataFrame] = []
    scored = 0
    state_parts: list[pl.DataFrame] = []
    for asked_of in dict.fromkeys(cell.request for cell in cells):
        request = _request(experiment, folder, benchmark, asked_of)
        for cell in request.cells:
            if cell not in cells or (records := judged_records(folder, cell)) is None:
                continue
            info = cell_info(experiment, folder, benchmark, cell)
            anchors, said = request.anchors, answered(experiment, records)
            others = request.vanilla, request.gold, None if cell.is_noise_gold else request.noise
            if cell.method == NEVER_LEARNED:
                # Nobody else was asked these questions.
                anchors, others = replace(anchors, samples=cell_questions(experiment, benchmark, cell).asked), (None,) * 3
            attacks = folder.attacks(cell)
            if cell.method == "vanilla" and cell.is_single_fact and not experiment.golds:
                parts.append(absent_gold(info, never_learned=experiment.attack.never_learned))
            if attacks is not None:
                several = several_edits(experiment, cell, request.samples) if edits_single_facts(experiment, cell) else None
                parts += attack_values(records, attacks, anchors, cell=info, several=several, seed=seed)
            asked = set(said["sample_id"])
            parts.append(
                score(
                    said,
                    [sample for sample in anchors.samples if cell.ratio is not None or sample.id in asked],
                    cell=info,
                    gate=request.gate,
                    seed=seed,
                    vanilla=others[0],
                    gold=others[1],
                    noise=others[2],
                )
            )
            if (measured := folder.utility(cell.id)) is not None:
                measured_parts.append(utility_rows(measured, cell=info))
            scored += 1
            advance(scored, len(cells))
            state_parts += _state_values(folder, cell, info, request, seed=seed, advance=advance_states)
    results = mark_missed(pl.concat(parts)) if parts else pl.DataFrame(schema=RESULTS)
    results = pl.concat([results, *measured_parts])
    folder.write_results(results)
    if state_parts:
        folder.write_state_values(pl.concat(state_parts).select(STATES.names()))
    return results


def _state_values(
    folder: RunFolder, cell: Cell, info: CellInfo, request: _Request, *, seed: int, advance: Advance
) -> list[pl.DataFrame]:
    """Scores of a cell's further states, held against gold in the same state where gold has it, else against gold."""
    import polars as pl

    from unsee.metrics import score
    from unsee.schemas import RECORDS, RESULTS
    from unsee.states import step_of

    states, parts = folder.states(cell), []
    for done, (name, records) in enumerate(states.items(), start=1):
        asked = set(records["sample_id"])
        anchors = (request.vanilla, request.gold_states.get(name, request.gold))
        # The judge is not asked about further states, so what it said elsewhere stays out.
        vanilla, gold = (
            None if one is None else one.filter(pl.col("sample_id").is_in(asked)).select(RECORDS.names()) for one in anchors
        )
        values = score(
            records,
            [sample for sample in request.samples if sample.id in asked],
            cell=info,
            vanilla=vanilla,
            gold=gold,
            gate=request.gate,
            seed=seed,
        )
        state = pl.lit(name).alias("state"), pl.lit(step_of(name), dtype=pl.Int64).alias("step")
        parts.append(values.select(RESULTS.names()).filter(pl.col("group").is_null()).with_columns(*state))
        advance(done, len(states))
    return parts


def judged_records(folder: RunFolder, cell: Cell) -> pl.DataFrame | None:
    """What a finished cell's model said, with what the judge said of it where it was asked; None for an unfinished cell."""
    from unsee.metrics.judge_scores import attach

    records = folder.records(cell)
    return None if records is None else attach(records, folder.judgements(cell))


def rescore(path: Path | str, *, seed: int = 0, display: Display | None = None) -> pl.DataFrame:
    """Score the finished cells of a run folder again; `run` uses seed 0 for the bootstrap.

    Raises:
        DataError: the folder is no run.
    """
    folder = RunFolder(Path(path))
    experiment = folder.read_experiment()
    return judge(experiment, folder, load_experiment_benchmark(experiment), experiment.cells, seed=seed, display=display)


def write_utility(folder: RunFolder, measured: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Keep what harnesses measured beside their cells, and put it into the results; other values stay as they are.

    Args:
        measured: cell id -> schema UTILITY; tasks measured before are replaced.

    Raises:
        DataError: the run has no results, or none of one of these cells.
    """
    import polars as pl

    from unsee.metrics import CellInfo
    from unsee.metrics.utility import is_utility, utility_rows
    from unsee.utility.reading import merged

    results = folder.results().filter(~is_utility())
    columns = [item.name for item in fields(CellInfo)]
    infos = {row["cell"]: CellInfo(**row) for row in results.select(columns).unique("cell", maintain_order=True).to_dicts()}
    missing = next((cell for cell in measured if cell not in infos), None)
    if missing is not None:
        raise DataError(f"{folder.results_file} has no values of {missing}; `unsee score {folder.path}` writes them")
    kept = {cell: merged(folder.utility(cell), table) for cell, table in measured.items()}
    for cell, table in kept.items():
        write_parquet(folder.path / "cells" / cell / "utility.parquet", table)
    every = {cell: kept[cell] if cell in kept else folder.utility(cell) for cell in infos}
    rows = [utility_rows(table, cell=infos[cell]) for cell, table in every.items() if table is not None]
    results = pl.concat([results, *rows])
    folder.write_results(results)
    return results


def write_official(path: Path | str, out: Path) -> list[Path]:
    """Write what the finished cells of a run answered under protocol `official` in MLLMU-Bench's own files.

    Args:
        path: run folder.
        out: gets one folder per cell, named by its id.

    Returns:
        The cells' folders.

    Raises:
        DataError: the folder is no run.
        ConfigError: no cell has finished, or the run did not ask that protocol.
    """
    from unsee.metrics.official_results import official_results

    folder = RunFolder(Path(path))
    experiment = folder.read_experiment()
    benchmark = load_experiment_benchmark(experiment)
    written = []
    for cell in experiment.cells:
        records = folder.records(cell)
        if records is None:
            continue
        samples = about(benchmark, cell.scenario).samples(ratio=cell.ratio, seed=cell.draw)
        for name, content in official_results(records, samples, name=cell.id).items():
            write_json(out / cell.id / name, content)
        written.append(out / cell.id)
    if not written:
        raise ConfigError(f"{path} has no finished cell, so there is nothing to write; run it first")
    return written


def cell_info(experiment: Experiment, folder: RunFolder, benchmark: Benchmark, cell: Cell) -> CellInfo:
    """What identifies a cell in the results."""
    from unsee.metrics import CellInfo

    return CellInfo(
        cell=cell.id,
        benchmark=benchmark.name,
        scenario=cell.scenario,
        model=folder.learned_facts(_vanilla(experiment, cell.draw)).get("start", experiment.model),
        method=cell.method,
        variant=cell.variant,
        forget_ratio=cell.ratio,
        unlearn_modality=None if cell.modality == "none" else cell.modality,
        seed=cell.seed,
    )


def _vanilla(experiment: Experiment, draw: int) -> str:
    return learned_name("vanilla", seeds=experiment.seeds, seed=draw, ratio=None)


def knowledge_gate(experiment: Experiment, folder: RunFolder, benchmark: Benchmark, request: Request) -> Gate | None:
    """Which facts of a forget request count; None where the benchmark has no probes or vanilla has not been asked."""
    import polars as pl

    from unsee.metrics import known_facts

    ratio, draw, scenario = request
    only: dict[str, Any] = {"set": "forget"} if ratio is None else {}
    probes = about(benchmark, scenario).gate_probes(ratio=ratio, seed=draw, **only)
    asked = {probe.id for probe in probes}

    def answers(role: str, of: float | None) -> pl.DataFrame | None:
        name = learned_name(role, seeds=experiment.seeds, seed=draw, ratio=of)
        records = folder.gate_records(name)
        return None if records is None else records.filter(pl.col("sample_id").is_in(sorted(asked)))

    vanilla = answers("vanilla", None)
    if not probes or vanilla is None:
        return None
    with warnings.catch_warnings():
        # Gold is only asked what it must not know.
        warnings.filterwarnings("ignore", message="gold gate records")
        return known_facts(vanilla, probes, answers("gold", experiment.gold_ratio(ratio)))


def shortfalls(experiment: Experiment, folder: RunFolder, cells: Sequence[Cell]) -> list[str]:
    """One line for each learned model that is not what it should be.

    Vanilla and gold must answer the questions they were taught, and vanilla must know most probed facts; gold must know no
    more about the forget subjects than can be guessed (the contamination alarm).
    """
    import polars as pl

    from unsee.metrics.alarm import contaminated

    found = []
    for name, *_ in learned_names(experiment, cells):
        accuracy = folder.learned_facts(name).get("training_accuracy", 1.0)
        if accuracy < TRAINING_ACCURACY:
            found.append(
                f"{name} answers {accuracy:.1%} of its training questions, below {TRAINING_ACCURACY:.0%}; raise learn.epochs"
            )
    if not folder.results_file.is_file():
        return found
    results = folder.results()
    for cell in cells:
        rows = results.filter(pl.col("cell") == cell.id)
        if cell.method == "vanilla":
            counts = rows.filter(pl.col("set").is_in(["forget", "retain", "near_retain"]) & pl.col("baseline").is_null())
            raw = float(counts.filter(pl.col("metric") == "gate_n_raw")["value"].sum())
            known = float(counts.filter(pl.col("metric") == "gate_n_known")["value"].sum())
            if raw and known / raw < KNOWN_SHARE:
                remedy = (
                    "raise learn.epochs" if experiment.learn.epochs else "take a model that does, or teach it (learn.epochs)"
                )
                found.append(f"{cell.id} knows {known:.0f} of {raw:.0f} probed facts, below {KNOWN_SHARE:.0%}; {remedy}")
        if cell.method == "gold":
            found += [
                f"{cell.id} knows more about the forget subjects than can be guessed ({alarms} alarms); "
                "a name, a portrait or a fact has leaked into the start model"
                for alarms in contaminated(rows).values()
            ]
    return found
