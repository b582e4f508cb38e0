"""What each model took: from what its cells noted when done and from their training logs, averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unsee.report.answered import all_cells_of
from unsee.report.columns import Unit
from unsee.report.main_table import Cell, Scope
from unsee.report.sources import Sources
from unsee.report.tables import Heading

if TYPE_CHECKING:
    from unsee.report.run_data import RunData

_COSTS: tuple[tuple[str, str, str, Unit], ...] = (
    ("cost/seconds", "Making it", "learning or unlearning", "seconds"),
    ("cost/answering", "Answering", "all questions", "seconds"),
    ("cost/steps", "Steps", "of the optimizer", "count"),
    ("cost/tokens", "Tokens", "trained on", "count"),
    ("cost/memory", "Memory", "peak", "gib"),
)


def cost_headings() -> list[Heading]:
    """Columns of what a model took."""
    return [Heading(key, title, hint, unit=unit) for key, title, hint, unit in _COSTS]


def cost_cells(sources: Sources, scope: Scope) -> dict[tuple[str, str | None, str], dict[str, Cell]]:
    """(method, variant, run) -> what is known about its cost; unknown parts are left out."""
    found = {}
    for source in sources.runs:
        for (method, variant), cells in all_cells_of(source.run, scope).items():
            parts = [_cost(source.run, cell) for cell in cells]
            means = {key: _mean([part[key] for part in parts if key in part]) for key, *_ in _COSTS}
            units = {key: unit for key, _, _, unit in _COSTS}
            found[method, variant, source.name if len(sources.runs) > 1 else ""] = {
                key: Cell(value, None, None, None, None, "", units[key], n_seeds=len(cells))
                for key, value in means.items()
                if value is not None
            }
    return found


def _cost(run: RunData, cell: str) -> dict[str, float]:
    log, facts = run.train_log(cell), run.facts(cell)
    seconds = [step["seconds"] for step in log if isinstance(step.get("seconds"), int | float)]
    tokens = [step["tokens"] for step in log if isinstance(step.get("tokens"), int | float)]
    given = {
        "cost/seconds": facts.get("unlearn_seconds", sum(seconds) if seconds else None),
        "cost/answering": facts.get("answer_seconds"),
        "cost/steps": facts.get("steps", len(log) if log else None),
        "cost/tokens": facts.get("tokens", sum(tokens) if tokens else None),
        "cost/memory": facts.get("peak_memory_gib"),
    }
    return {key: float(value) for key, value in given.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
