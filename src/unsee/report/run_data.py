"""What the report reads of a run folder; parts that are not there yet read as empty."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import DataError, UserError
from unsee.schemas import ADDED, ATTACKS, RECORDS, RESULTS, STATES

if TYPE_CHECKING:
    import polars as pl

    from unsee.report.main_table import Scope


@dataclass(frozen=True)
class RunData:
    """A run as it lies on disk.

    Attributes:
        folder: the run folder.
        experiment: the resolved experiment.
        provenance: versions, hashes, hardware, command; empty where the file is missing.
        results: schema RESULTS, no rows where no cell was scored.
        finished: ids of cells with DONE, sorted.
        unfinished: ids of cells without, sorted.
    """

    folder: Path
    experiment: Mapping[str, Any]
    provenance: Mapping[str, Any]
    results: pl.DataFrame
    finished: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.experiment.get("name") or self.folder.name)

    @property
    def is_demo(self) -> bool:
        return self.name == "demo"

    @cached_property
    def states(self) -> pl.DataFrame:
        """Values of further states, schema STATES; no rows where the run asked none. Read when first needed."""
        return _read_table(self.folder / "states.parquet", STATES)

    @property
    def licenses(self) -> list[str]:
        """Licences of the questions that the run keeps, each once; empty where it keeps none."""
        import polars as pl

        path = self.folder / "samples.parquet"
        if not path.is_file():
            return []
        return pl.read_parquet(path, columns=["source_license"])["source_license"].unique(maintain_order=True).to_list()

    def absent(self, scope: Scope) -> dict[tuple[str, str | None], str]:
        """Why each planned model may have no values for a request: (method, variant) -> reason."""
        unlearn = self.experiment.get("unlearn", {})
        unlearn = unlearn if isinstance(unlearn, Mapping) else {}
        reasons: dict[tuple[str, str | None], str] = {}
        for entry in ("vanilla", "gold", *unlearn.get("controls", ()), *unlearn.get("methods", ())):
            method = str(entry).replace("-", "_")
            variant = "official" if method.endswith("_official") else None
            method = method.removesuffix("_official")
            if not self._takes(method, scope):
                continue
            cells = [cell for cell in self.unfinished if self._serves(cell, method, scope)]
            failures = [line for cell in cells if (line := self.failure(cell)) is not None]
            reasons[method, variant] = f"failed: {failures[0]}" if failures else "its cell has not finished"
        return reasons

    @staticmethod
    def _takes(method: str, scope: Scope) -> bool:
        """Whether a method is made for a scenario at all."""
        from unsee.methods import method_class, method_names

        made = method_class(method).scenarios if scope.scenario is not None and method in method_names() else ()
        return not made or scope.scenario in made

    def failure(self, cell: str) -> str | None:
        """Why a cell failed, in one line; None for others."""
        path = self.folder / "cells" / cell / "FAILED"
        if cell in self.finished or not path.is_file():
            return None
        return next(iter(path.read_text(encoding="utf-8", errors="replace").splitlines()), "no reason given")

    def facts(self, cell: str) -> dict[str, Any]:
        """What a finished cell noted when it was done, such as its times; {} for others."""
        path = self.folder / "cells" / cell / "DONE"
        return _read_json(path) if path.is_file() and path.stat().st_size else {}

    @staticmethod
    def _serves(cell: str, method: str, scope: Scope) -> bool:
        from unsee.experiment import ratio_text

        name, ratio, modality = [*cell.split("-"), "", ""][:3]
        wanted = None if scope.forget_ratio is None else ratio_text(scope.forget_ratio)
        fits = modality == "none" or scope.unlearn_modality in (None, modality)
        return name == method and wanted in (None, ratio) and fits

    def records(self, cell: str) -> pl.DataFrame:
        """What the cell's model said, schema RECORDS; no rows where it has not answered."""
        return _read_table(self.folder / "cells" / cell / "records.parquet", RECORDS)

    def attacks(self, cell: str) -> pl.DataFrame:
        """What attackers would try against the cell's model, schema ATTACKS; no rows where it was not attacked."""
        return _read_table(self.folder / "cells" / cell / "attacks.parquet", ATTACKS)

    def train_log(self, cell: str) -> list[dict[str, Any]]:
        """The cell's steps; empty for a cell that trained nothing. A last line cut by a kill is left out."""
        path = self.folder / "cells" / cell / "train.jsonl"
        if not path.is_file():
            return []
        steps: list[dict[str, Any]] = []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                steps.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number < len(lines):
                    raise DataError(f"{path}, line {number}: no JSON ({error}); remove the cell and run it again") from error
        return steps


def read_run(folder: Path | str) -> RunData:
    """Read a run folder.

    Raises:
        UserError: the folder is missing or no run.
        DataError: one of its files is damaged.
    """
    folder = Path(folder)
    experiment_file = folder / "experiment.toml"
    if not experiment_file.is_file():
        raise UserError(f"{folder} is no run folder, it holds no experiment.toml; give the folder that `unsee run` wrote")
    try:
        experiment = tomllib.loads(experiment_file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{experiment_file} is no valid TOML ({error}); restore it or run the experiment anew") from error
    cells = sorted(path for path in folder.glob("cells/*") if path.is_dir() and not path.name.startswith("."))
    return RunData(
        folder=folder,
        experiment=experiment,
        provenance=_read_json(folder / "provenance.json"),
        results=_read_table(folder / "results.parquet", RESULTS),
        finished=tuple(path.name for path in cells if (path / "DONE").exists()),
        unfinished=tuple(path.name for path in cells if not (path / "DONE").exists()),
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no valid JSON ({error}); remove it and run the experiment again") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object; remove it and run the experiment again")
    return value


def _read_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    import polars as pl

    if not path.is_file():
        return pl.DataFrame(schema=schema)
    try:
        table = pl.read_parquet(path)
        late = [column for column in schema.names() if column in ADDED - {*table.columns}]
        table = table.with_columns(pl.lit(None, dtype=schema[column]).alias(column) for column in late)
        missing = [column for column in schema.names() if column not in table.columns]
        if missing:
            raise DataError(f"{path} lacks the columns {', '.join(missing)}; run the experiment again with this version")
        return table.cast({column: schema[column] for column in schema.names()})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); remove it and run the experiment again") from error
