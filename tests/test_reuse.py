"""Finished work of other runs is taken over where it is the same, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unsee.errors import ConfigError, DataError
from unsee.experiment import Experiment
from unsee.experiment_tables import LearnTable, StatesTable
from unsee.files import write_json, write_text
from unsee.learned_models import LearnedName
from unsee.reuse import _same_model, take_over
from unsee.run_folder import RunFolder
from unsee.runs import Run, run


def taken_over(done: Run) -> list[str]:
    found: list[str] = json.loads((done.folder / "provenance.json").read_text())["taken_over"]
    return found


@pytest.fixture(scope="module")
def narrower(experiment: Experiment) -> Experiment:
    """Fewer cells and no further states."""
    unlearn = replace(experiment.unlearn, methods=("ga",), controls=())
    settings = {"ga": experiment.method["ga"]}
    return replace(experiment, unlearn=unlearn, method=settings, states=StatesTable())


def test_the_same_models_and_cells_are_taken_over(finished: Run, narrower: Experiment, tmp_path: Path) -> None:
    done = run(narrower, out=tmp_path / "again", reuse=[finished.folder])
    learned = {path.name for path in (done.folder / "models").iterdir()}
    assert set(taken_over(done)) == learned | {cell.id for cell in narrower.cells}
    ids = [cell.id for cell in narrower.cells]
    assert_frame_equal(
        done.results.sort("cell", maintain_order=True),
        finished.results.filter(pl.col("cell").is_in(ids)).sort("cell", maintain_order=True),
    )
    # Its states were not asked for here.
    assert not list(done.folder.glob("cells/*/states"))
    assert not (done.folder / "states.parquet").exists()


def test_a_removed_source_costs_nothing(finished: Run, narrower: Experiment, tmp_path: Path) -> None:
    done = run(narrower, out=tmp_path / "again", reuse=[finished.folder])
    for file in done.folder.rglob("*"):
        assert not file.is_symlink()
    again = run(narrower, out=done.folder)
    assert_frame_equal(again.results, done.results)
    assert len(taken_over(again)) == len(taken_over(done)) > 0


def test_learned_models_are_the_same_in_one_dtype_and_in_the_bits_they_were_taught_in(tmp_path: Path) -> None:
    vanilla = LearnedName("vanilla", None, 0, 0)
    adapter, weights = Experiment(learn=LearnTable(lora=16)), Experiment()

    def taken(ours: Experiment, theirs: Experiment) -> bool:
        source = RunFolder(tmp_path / theirs.hash)
        write_text(source.experiment_file, theirs.to_toml())
        write_json(source.model("vanilla") / "learned.json", {"ratio": None, "draw": 0, "seed": 0})
        folder = RunFolder(tmp_path / f"{ours.hash}-{theirs.hash}")
        return take_over(ours, folder, [source.path], inputs={}, learned=[vanilla], cells=()) == ["vanilla"]

    assert taken(adapter, adapter) and taken(weights, weights)
    assert not taken(replace(weights, dtype="bfloat16"), weights)
    assert not taken(adapter, replace(adapter, quantize="4bit"))
    # Weights that learn themselves are quantized for the cells alone.
    assert taken(replace(weights, quantize="4bit"), weights)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (StatesTable(), set()),
        (StatesTable(path=1), {"step-00000002"}),
        (StatesTable(relearn=0.5), {"relearned"}),
        (StatesTable(bits=(4,)), {"int4"}),
        (StatesTable(path=1, relearn=0.5, bits=(8, 4)), {"step-00000002", "relearned", "int4", "int8"}),
        (StatesTable(bits=(4,), sets=("forget",)), None),
        (StatesTable(path=2, bits=(4,)), None),
    ],
)
def test_cells_bring_the_states_that_are_asked_for_and_no_others(
    wanted: StatesTable, found: set[str] | None, tmp_path: Path
) -> None:
    """None: the cell is made anew."""
    theirs = Experiment(states=StatesTable(path=1, relearn=0.5, bits=(4, 8)))
    source, folder = RunFolder(tmp_path / "source"), RunFolder(tmp_path / "own")
    cell = next(cell for cell in theirs.cells if cell.method == "ga")
    write_text(source.experiment_file, theirs.to_toml())
    for name in ("step-00000002", "relearned", "int4", "int8"):
        write_text(source.state(cell, name) / "records.parquet", "")
    source.mark_done(source.cell(cell), {})
    ours = replace(theirs, states=wanted)
    taken = take_over(ours, folder, [source.path], inputs={}, learned=(), cells=[cell])
    assert taken == ([] if found is None else [cell.id])
    assert {one.name for one in folder.cell(cell).glob("states/*")} == (found or set())


@pytest.mark.slow
def test_another_recipe_or_states_are_made_anew(finished: Run, narrower: Experiment, tmp_path: Path) -> None:
    longer = replace(narrower, learn=replace(narrower.learn, epochs=1))
    assert taken_over(run(longer, out=tmp_path / "longer", reuse=[finished.folder])) == []
    on_the_way = replace(narrower, states=StatesTable(path=2))
    taken = taken_over(run(on_the_way, out=tmp_path / "way", reuse=[finished.folder]))
    assert taken and all(name.startswith(("vanilla", "gold")) and "-none-" not in name for name in taken)


def test_what_cannot_be_a_source_is_refused(
    finished: Run, experiment: Experiment, narrower: Experiment, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="own folder"):
        run(experiment, out=finished.folder, reuse=[finished.folder])
    with pytest.raises(DataError, match="is no run folder"):
        run(narrower, out=tmp_path / "out", reuse=[tmp_path / "nothing"])


def test_a_gold_that_is_given_is_not_taken_for_vanilla(tmp_path: Path) -> None:
    """Where nothing is taught, the same stands beside both. What was only linked there, its gate unasked, can be linked on."""
    source = RunFolder(tmp_path)
    wanted = LearnedName("vanilla", None, 0, 0), LearnedName("gold", None, 0, 0, is_gold=True)
    for one in wanted:
        write_json(source.model(one.name) / "learned.json", {"ratio": None, "draw": 0, "seed": 0})
        source.mark_done(source.model(one.name), {})
    assert [_same_model(source, one) for one in wanted] == [source.model("vanilla"), source.model("gold")]
    (source.model("gold") / "DONE").unlink()
    assert [_same_model(source, one) for one in wanted] == [source.model("vanilla"), source.model("gold")]
