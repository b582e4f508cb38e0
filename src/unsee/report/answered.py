"""What every model of one forget request said to every question: the gallery, the examples and the matrix read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unsee.report.answers import is_right, shown
from unsee.report.main_table import with_row_names
from unsee.report.vocabulary import method_order, method_title

if TYPE_CHECKING:
    from unsee.report.main_table import Scope
    from unsee.report.run_data import RunData
    from unsee.sample import Sample

Key = tuple[str, str | None]
"""(method, variant)."""

_MAX_TEXT = 280
_VIEWS = ("options", "generate", "letter")


@dataclass(frozen=True)
class Reply:
    """What one model said."""

    text: str
    right: bool


@dataclass(frozen=True)
class Answered:
    """A question with the replies of the models; set and subject are those of the request, whatever the sample says."""

    sample: Sample
    set_name: str
    subject: str
    replies: Mapping[Key, Reply]

    @property
    def fact(self) -> str:
        return str(self.sample.metadata.get("attribute", ""))

    @property
    def truth(self) -> str:
        answer = self.sample.answer
        return cut(f"{self.sample.correct_option}: {answer}" if self.sample.correct_option else answer)


@dataclass(frozen=True)
class Answers:
    """Questions in the order of their ids, and the models in the order of the table."""

    models: Mapping[Key, str]
    questions: Sequence[Answered]


def answers_of(run: RunData, samples: Sequence[Sample], scope: Scope) -> Answers:
    """All answers to one forget request, from the first seed; a question asked under two protocols counts once, strictly.

    The set and subject of a question are what the unlearned cells' records say, since vanilla may have answered before any
    request, and a question of two requests is kept as one sample.
    """
    cells = cells_of(run, scope)
    by_id = {sample.id: sample for sample in samples}
    places: dict[str, tuple[str, str]] = {}
    said: dict[str, dict[Key, Mapping[str, Any]]] = {}
    for (method, variant), cell in cells.items():
        records = run.records(cell)
        protocols = records["protocol"].drop_nulls().unique().to_list()
        protocol = "strict" if "strict" in protocols or not protocols else sorted(protocols)[0]
        columns = ("sample_id", "set", "subject", "view", "protocol", "parsed", "response")
        for record in records.select(columns).iter_rows(named=True):
            if record["protocol"] not in (None, protocol) or record["view"] not in _VIEWS or record["sample_id"] not in by_id:
                continue
            if method not in ("vanilla", "gold") or record["sample_id"] not in places:
                places[record["sample_id"]] = record["set"], record["subject"]
            given = said.setdefault(record["sample_id"], {})
            old = given.get((method, variant))
            if old is None or _VIEWS.index(record["view"]) < _VIEWS.index(old["view"]):
                given[method, variant] = record
    questions = [
        Answered(
            by_id[sample_id],
            *places[sample_id],
            {
                key: Reply(cut(shown(by_id[sample_id], record)), is_right(by_id[sample_id], record))
                for key, record in said[sample_id].items()
            },
        )
        for sample_id in sorted(said)
    ]
    return Answers({key: method_title(*key, short=True) for key in cells}, questions)


def cells_of(run: RunData, scope: Scope) -> dict[Key, str]:
    """(method, variant) -> cell of a forget request, its first seed, in the table's order."""
    return {key: cells[0] for key, cells in all_cells_of(run, scope).items()}


def all_cells_of(run: RunData, scope: Scope) -> dict[Key, list[str]]:
    """(method, variant) -> cells of a forget request, one per seed, in the table's order.

    A control without a ratio or modality of its own serves every request.
    """
    if not run.results.height:
        return {}
    found: dict[Key, set[tuple[bool, int, str]]] = {}
    named = with_row_names(run.results)
    wanted = named.select("cell", "method", "variant", "forget_ratio", "unlearn_modality", "scenario", "seed").unique()
    for cell, method, variant, ratio, modality, scenario, seed in wanted.iter_rows():
        if ratio not in (None, scope.forget_ratio) or modality not in (None, scope.unlearn_modality) or cell is None:
            continue
        if scenario not in (None, scope.scenario):
            continue
        found.setdefault((method, variant), set()).add((ratio is None, seed if seed is not None else -1, cell))
    ordered = sorted(found.items(), key=lambda item: (*method_order(item[0][0]), item[0][1] or ""))
    return {key: [cell for _, _, cell in sorted(ranks)] for key, ranks in ordered}


def cut(text: str, length: int = _MAX_TEXT) -> str:
    """The text on one line, and its beginning where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}\u2026"
