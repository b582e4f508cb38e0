"""Finished work of other runs, taken over where it is the same: learned models and cells.

    run("tradeoff.toml", out="runs/tradeoff", reuse=["runs/modality"])

A learned model is the same if benchmark, start model, its dtype and bits, recipe, seed and forget request are; a cell if its
id is, which hashes everything that decides its records. What is taken over is linked or copied, so that each run folder stays
whole on its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError
from unsee.files import write_folder
from unsee.memory_options import DECIDES_NOTHING
from unsee.settings import plain

if TYPE_CHECKING:
    from unsee.experiment import Cell, Experiment
    from unsee.experiment_tables import StatesTable
    from unsee.learned_models import LearnedName
    from unsee.run_folder import RunFolder

_OF_ANOTHER_RUN = ("DONE", "FAILED")
_REMADE = {"golds", "gold_model", "seed", *DECIDES_NOTHING}
_GOLD = "gold model"


def take_over(
    experiment: Experiment,
    folder: RunFolder,
    sources: Sequence[Path],
    *,
    inputs: Mapping[str, str],
    learned: Iterable[LearnedName],
    cells: Iterable[Cell],
) -> list[str]:
    """Link what other runs have finished into a run folder; returns the names of what was taken.

    Args:
        inputs: content hashes of benchmark, start model and a gold model that is given.
        learned: the learned models that are still missing.
        cells: the cells that are still to be computed.

    Raises:
        ConfigError: a source is this run itself.
        DataError: a source is no run.
    """
    from unsee.run_folder import RunFolder

    taken = []
    learned, cells = list(learned), list(cells)
    for place in sources:
        if place.resolve() == folder.path.resolve():
            raise ConfigError(f"--reuse names the run's own folder {place}; name another run, a run goes on by itself")
        source = RunFolder(place)
        theirs = source.read_experiment()
        began = dict(source.provenance().get("inputs", {}))
        same_gold = began.pop(_GOLD, None) == inputs.get(_GOLD)
        if began != {name: value for name, value in inputs.items() if name != _GOLD}:
            continue  # another benchmark or start model: nothing there can be the same
        if _recipe(theirs) == _recipe(experiment):
            for one in learned:
                home = folder.model(one.name)
                same = not home.exists() and (same_gold or not one.is_gold)
                match = _same_model(source, one) if same else None
                if match is not None:
                    # Its gate stays, but is asked again where this run probes other facts.
                    write_folder(home, partial(_link, match, without=_OF_ANOTHER_RUN))
                    taken.append(one.name)
        # Adapters refer to vanilla by its place, and the first seed decides which one bears the plain name.
        if _covers(theirs.states, experiment.states) and theirs.seeds[0] == experiment.seeds[0]:
            unasked = _unasked(theirs.states, experiment.states)
            for cell in cells:
                home, found = folder.cell(cell), source.cell(cell)
                same = same_gold or not experiment.needs_gold(cell.entry)
                if same and not home.exists() and source.is_done(found):
                    write_folder(home, partial(_link, found, without=unasked))
                    taken.append(cell.id)
    return taken


def _recipe(experiment: Experiment) -> dict[str, Any]:
    learn = {key: value for key, value in experiment.decisive["learn"].items() if key not in _REMADE}
    return {**learn, "dtype": experiment.dtype, "taught_in": experiment.taught_in}


def _same_model(source: RunFolder, wanted: LearnedName) -> Path | None:
    """A learned model of the source that was not taught the same subjects, with the same seed; its gate may be unfinished."""
    for home in sorted((source.path / "models").glob("*")):
        # A gold model that is given was taught elsewhere and differs from vanilla in nothing that is written beside it.
        if home.name.startswith(".") or home.name.startswith("gold") != wanted.is_gold:
            continue
        facts = source.learned_facts(home.name)
        if (facts.get("ratio"), facts.get("draw"), facts.get("seed")) == (wanted.ratio, wanted.draw, wanted.seed):
            return home
    return None


def _covers(theirs: StatesTable, ours: StatesTable) -> bool:
    """Whether cells made with `theirs` hold all further states that `ours` asks for, asked about the same sets."""
    if not ours.asked:
        return True
    apart = {"path": 0, "bits": [], "sets": []}
    relearn = not ours.relearn or plain(theirs) | apart == plain(ours) | apart
    alike = ours.path in (0, theirs.path) and relearn and set(ours.sets) == set(theirs.sets)
    return alike and set(ours.bits) <= set(theirs.bits)


def _unasked(theirs: StatesTable, ours: StatesTable) -> tuple[str, ...]:
    """Folders of further states in cells made with `theirs` that `ours` does not ask for."""
    if not ours.asked:
        return ("states",)
    way = () if ours.path else ("step-*",)
    again = () if ours.relearn else ("relearned",)
    return (*way, *again, *(f"int{width}" for width in theirs.bits if width not in ours.bits))


def _link(source: Path, target: Path, *, without: Sequence[str] = ()) -> None:
    """The files of a folder as hard links, copies where the file systems differ."""

    def place(one: str, other: str) -> str:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)
        return other

    shutil.copytree(
        source, target, copy_function=place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*without, "training")
    )
