"""A run on disk: where everything lies, whose it is, and what is finished.

    RUN/experiment.toml, provenance.json, samples.parquet
    RUN/models/<vanilla|gold-...>/   a checkpoint, train.jsonl, gate/records.parquet, learned.json, DONE
    RUN/cells/<id>/                  adapter or weights, train.jsonl, records.parquet, attacks.parquet, judgements.parquet,
                                     utility.parquet, DONE or FAILED
    RUN/cells/<id>/states/<state>/   records.parquet of a further state of its model
    RUN/results.parquet, results.json, states.parquet, report.html

DONE is the last file written into its folder.
"""

from __future__ import annotations

import shutil
import tomllib
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError, DataError
from unsee.experiment import Cell, Experiment, parse_experiment, ratio_text
from unsee.files import read_json, read_parquet, remove_leftovers, write_folder, write_json, write_parquet, write_text
from unsee.provenance import command_line, hardware, now, versions
from unsee.settings import differences

if TYPE_CHECKING:
    import polars as pl

    from unsee.models.model import Model

_SESSIONS_KEPT = 20


def write_model(cell: Path, model: Model) -> None:
    """Keep the model of a cell in its folder: its adapter, or all weights where it has none."""
    write_folder(cell / ("adapter" if model.has_adapter else "weights"), model.save)


@dataclass(frozen=True)
class RunFolder:
    """Paths and marks of one run."""

    path: Path

    @property
    def experiment_file(self) -> Path:
        return self.path / "experiment.toml"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.parquet"

    @property
    def results_file(self) -> Path:
        return self.path / "results.parquet"

    @property
    def states_file(self) -> Path:
        return self.path / "states.parquet"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def cell(self, cell: Cell) -> Path:
        return self.path / "cells" / cell.id

    def model(self, name: str) -> Path:
        return self.path / "models" / name

    def state(self, cell: Cell, name: str) -> Path:
        """Records of a further state of a cell's model."""
        return self.cell(cell) / "states" / name

    def read_experiment(self) -> Experiment:
        """The experiment this folder belongs to.

        Raises:
            DataError: the folder is no run.
        """
        try:
            return parse_experiment(tomllib.loads(self.experiment_file.read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(f"{self.path} is no run folder: it has no readable experiment.toml; check the path") from error
        except ValueError as error:
            raise DataError(f"{self.experiment_file} cannot be used ({error}); restore it or start anew elsewhere") from error

    def claim(self, experiment: Experiment) -> None:
        """Take the folder for an experiment, or find that it is the experiment's already.

        Raises:
            ConfigError: it belongs to another experiment (names the keys), or holds something else.
        """
        if self.experiment_file.exists():
            keys = differences(self.read_experiment().decisive, experiment.decisive)
            if keys:
                named = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
                raise ConfigError(
                    f"{self.path} holds another experiment (different: {named}); "
                    "choose another folder with --out, or give the same settings to continue"
                )
            remove_leftovers(self.path)
            return
        strangers = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")]
        if strangers:
            raise ConfigError(f"{self.path} is not empty and no run ({sorted(strangers)[0]}); choose another folder with --out")
        write_text(self.experiment_file, experiment.to_toml())

    def provenance(self) -> dict[str, Any]:
        """What provenance.json holds; empty where there is none yet."""
        path = self.path / "provenance.json"
        return read_json(path, remedy="remove it and run again") if path.is_file() else {}

    def begin_session(
        self, experiment: Experiment, inputs: Mapping[str, str], *, executor: Mapping[str, Any] | None = None
    ) -> None:
        """Write down what goes in, and refuse inputs that changed since the run began.

        Args:
            inputs: content hashes by what they are of.
            executor: what computes cells side by side, in words.

        Raises:
            ConfigError: data or model differ from what the finished cells were made with.
        """
        before = self.provenance()
        changed = [name for name, value in before.get("inputs", {}).items() if inputs.get(name) != value]
        if changed:
            raise ConfigError(
                f"{self.path} was begun with another {' and another '.join(changed)}, whose content has changed since; "
                "restore it, or choose another folder with --out"
            )
        session: dict[str, Any] = {
            "started": now(),
            "command": command_line(),
            "versions": versions(),
            "hardware": hardware(),
            "executor": None if executor is None else dict(executor),
        }
        write_json(
            self.path / "provenance.json",
            {
                **before,
                "experiment": experiment.name,
                "experiment_sha256": experiment.hash,
                "seeds": list(experiment.seeds),
                "inputs": dict(inputs),
                "started": before.get("started", session["started"]),
                **{key: session[key] for key in ("command", "versions", "hardware", "executor")},
                "sessions": [*before.get("sessions", []), session][-_SESSIONS_KEPT:],
            },
        )

    def end_session(self, facts: Mapping[str, Any]) -> None:
        """Add what came out: timings, failures and the like."""
        write_json(self.path / "provenance.json", {**self.provenance(), "finished": now(), **facts})

    def is_done(self, folder: Path) -> bool:
        return (folder / "DONE").is_file()

    def mark_done(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """The last thing written into a folder."""
        (folder / "FAILED").unlink(missing_ok=True)
        write_json(folder / "DONE", facts)

    def done_facts(self, folder: Path) -> dict[str, Any]:
        return read_json(folder / "DONE", remedy="remove it and run again")

    def mark_failed(self, folder: Path, error: BaseException) -> str:
        """Write why a cell failed; returns its first line."""
        line = failure_line(error)
        details = "".join(traceback.format_exception(error))
        write_text(folder / "FAILED", f"{line}\n\n{details}")
        return line

    def failure(self, folder: Path) -> str | None:
        """The line of a failed cell, None for others."""
        path = folder / "FAILED"
        return path.read_text(encoding="utf-8").splitlines()[0] if path.is_file() and not self.is_done(folder) else None

    def discard(self, folder: Path) -> None:
        """Remove what only an unfinished job needs."""
        shutil.rmtree(folder, ignore_errors=True)

    def records(self, cell: Cell) -> pl.DataFrame | None:
        """What a finished cell's model said, None for an unfinished one."""
        from unsee.schemas import RECORDS

        folder = self.cell(cell)
        if not self.is_done(folder):
            return None
        return read_parquet(folder / "records.parquet", schema=RECORDS, remedy=f"remove {folder} and run again")

    def attacks(self, cell: Cell) -> pl.DataFrame | None:
        """What attackers tried on a finished cell's model, None for an unfinished cell and one that was not attacked."""
        from unsee.schemas import ATTACKS

        folder = self.cell(cell)
        path = folder / "attacks.parquet"
        if not self.is_done(folder) or not path.is_file():
            return None
        return read_parquet(path, schema=ATTACKS, remedy=f"remove {folder} and run again")

    def states(self, cell: Cell) -> dict[str, pl.DataFrame]:
        """What the further states of a finished cell's model said, by name."""
        from unsee.schemas import RECORDS

        folder = self.cell(cell)
        if not self.is_done(folder):
            return {}
        files = sorted((folder / "states").glob("*/records.parquet"))
        return {f.parent.name: read_parquet(f, schema=RECORDS, remedy=f"remove {folder} and run again") for f in files}

    def judgements(self, cell: Cell) -> pl.DataFrame | None:
        """What the judge said of a cell's answers, None where it was not asked."""
        from unsee.schemas import JUDGEMENTS

        path = self.cell(cell) / "judgements.parquet"
        return read_parquet(path, schema=JUDGEMENTS, remedy="remove it and judge again") if path.is_file() else None

    def utility(self, cell: str) -> pl.DataFrame | None:
        """What harnesses measured of the model of a cell, by its id; None where none was asked."""
        from unsee.schemas import UTILITY

        path = self.path / "cells" / cell / "utility.parquet"
        remedy = f"remove it; `unsee utility {self.path} --results DIR` reads results again"
        return read_parquet(path, schema=UTILITY, remedy=remedy) if path.is_file() else None

    def gate_records(self, name: str) -> pl.DataFrame | None:
        """What a learned model said to the gate probes, None where it was not asked."""
        from unsee.schemas import RECORDS

        path = self.model(name) / "gate" / "records.parquet"
        remedy = f"remove {path.parent} and {self.model(name) / 'DONE'} and run again"
        return read_parquet(path, schema=RECORDS, remedy=remedy) if path.is_file() else None

    def learned_facts(self, name: str) -> dict[str, Any]:
        """What is written beside a learned model; empty where it is not there yet."""
        path = self.model(name) / "learned.json"
        return read_json(path, remedy=f"remove {path.parent} and run again") if path.is_file() else {}

    def results(self) -> pl.DataFrame:
        """The table of all values, schema RESULTS.

        Raises:
            DataError: it is not there or damaged.
        """
        from unsee.schemas import RESULTS

        return read_parquet(self.results_file, schema=RESULTS, remedy=f"`unsee score {self.path}` writes it again")

    def state_values(self) -> pl.DataFrame:
        """Values of further states, schema STATES; empty where a run has none.

        Raises:
            DataError: the table is damaged.
        """
        import polars as pl

        from unsee.schemas import STATES

        if not self.states_file.is_file():
            return pl.DataFrame(schema=STATES)
        return read_parquet(self.states_file, schema=STATES, remedy=f"`unsee score {self.path}` writes it again")

    def write_state_values(self, values: pl.DataFrame) -> None:
        write_parquet(self.states_file, values)

    def write_results(self, results: pl.DataFrame) -> None:
        write_parquet(self.results_file, results)
        write_text(self.path / "results.json", results.write_json())


def learned_name(role: str, *, seeds: Iterable[int], seed: int, ratio: float | None) -> str:
    """Folder of a learned model: `vanilla` (of the first seed), `vanilla-s1`, `gold-05-s0`."""
    if ratio is not None:
        return f"{role}-{ratio_text(ratio)}-s{seed}"
    return role if seed == next(iter(seeds)) else f"{role}-s{seed}"


def failure_line(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text or 'no message'}"
