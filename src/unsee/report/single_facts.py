"""What a run of single facts found: each fact deleted by itself or all at once, models attacked, and what else they lost.

table = fact_tables(sources)[0]
cell = table.success(model, table.attacks[0], budget=20)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from unsee.attacks.base import NEVER_KNOWN, NEVER_LEARNED
from unsee.metrics.answer_prior import ANSWER_PRIOR, prior_limit
from unsee.metrics.attack_success import ATTACK_CANDIDATES, ATTACK_SUCCESS, BEFORE
from unsee.metrics.attack_success import CONTROLS as WITHOUT_MODEL
from unsee.report.columns import rank
from unsee.report.fact_values import Spot, fact_values
from unsee.report.main_table import Cell, Scope, with_row_names
from unsee.report.single_cells import is_batch, single_results
from unsee.report.vocabulary import (
    ATTACK_SHORT_TITLES,
    ATTACK_TITLES,
    CONTROLS,
    DISGUISE_LEVELS,
    REFERENCES,
    ROLES,
    UNLEARNED_FROM,
    ReferenceWords,
    method_order,
    method_title,
)
from unsee.sample import MODALITIES

if TYPE_CHECKING:
    from unsee.report.run_data import RunData
    from unsee.report.sources import Sources

HEADLINE_BUDGET = 20
Shown = Literal["success", "difference", "excess"]
"""Success itself, its difference to the model before the edit, or what it is beyond the reference of the table."""
SHOWN: tuple[Shown, ...] = get_args(Shown)
FIRST, WHOLE = "first", "sequence"
"""What counts as found by a lens attack: the answer's first token, or the whole answer."""


class Model(NamedTuple):
    """A row: a defence or control; `tag` tells rows of one method apart, by run or by what the edit showed.

    `run` is "" where there is one run.
    """

    method: str
    variant: str | None
    tag: str = ""
    run: str = ""

    @property
    def title(self) -> str:
        return method_title(self.method, self.variant)

    @property
    def label(self) -> str:
        """Title and tag in one, for figures."""
        return f"{self.title}, {self.tag}" if self.tag else self.title

    @property
    def role(self) -> str:
        return ROLES.get(self.method, "")

    @property
    def is_control(self) -> bool:
        return self.method in CONTROLS


class Place(NamedTuple):
    """A column: an attack, and the level of its disguises where it has one."""

    attack: str
    level: str | None

    @property
    def title(self) -> str:
        return ATTACK_TITLES.get(self.attack, self.attack.replace("_", " ").capitalize())

    @property
    def short_title(self) -> str:
        return ATTACK_SHORT_TITLES.get(self.attack, self.title)

    @property
    def full(self) -> str:
        return f"{self.title}, {self.level}" if self.level else self.title


@dataclass(frozen=True)
class FactTable:
    """Values of single-fact cells about questions of one modality, seeds averaged.

    Attributes:
        cells: model -> where -> value.
        modality: of the questions.
        strange: the same of the reference, where it has values of its own.
        batch: one edit deleted all facts, in all runs.
    """

    cells: Mapping[Model, Mapping[Spot, Cell]]
    modality: str | None
    strange: Mapping[Spot, Cell] = field(default_factory=dict)
    batch: bool = False

    @property
    def models(self) -> list[Model]:
        return list(self.cells)

    @cached_property
    def by_run(self) -> dict[str, FactTable]:
        """The values of each run."""
        runs = dict.fromkeys(model.run for model in self.cells)
        own = ({m: cells for m, cells in self.cells.items() if m.run == run} for run in runs)
        made = {run: replace(self, cells=cells) for run, cells in zip(runs, own, strict=True)}
        return {run: one if one.reference == self.reference else replace(one, strange={}) for run, one in made.items()}

    @cached_property
    def reference(self) -> str:
        """What the excess is over: never-learned facts, or those that vanilla did not know where only these have values."""
        excess = {spot.baseline for cells in self.cells.values() for spot, cell in cells.items() if cell.value is not None}
        return NEVER_KNOWN if NEVER_KNOWN in excess and NEVER_LEARNED not in excess else NEVER_LEARNED

    @property
    def reference_words(self) -> ReferenceWords:
        return REFERENCES[self.reference]

    @cached_property
    def no_reference(self) -> str:
        """Why facts that vanilla did not know are no reference; "" where they are one, or were not looked at."""
        reasons = (c.reason for cells in self.cells.values() for s, c in cells.items() if s.baseline == NEVER_KNOWN)
        return next((reason for reason in reasons if self.reference == NEVER_LEARNED), "")

    @cached_property
    def attacked(self) -> list[Model]:
        """Models that an attack was made on."""
        return [model for model, cells in self.cells.items() if any(spot.attack for spot in cells)]

    @cached_property
    def attacks(self) -> list[Place]:
        """Attacks in the order of the paper, their levels from easy to hard."""
        places = {Place(s.attack, s.level) for s in self._spots if s.attack is not None and s.attack not in WITHOUT_MODEL}
        return sorted(places, key=lambda p: (*rank(p.attack, tuple(ATTACK_TITLES)), rank(p.level or "", DISGUISE_LEVELS)))

    @cached_property
    def budgets(self) -> list[int]:
        return sorted({spot.budget for spot in self._spots if spot.budget is not None})

    @cached_property
    def telling(self) -> list[int]:
        """Budgets at which the answer prior alone finds no more than `prior_limit`."""
        return [budget for budget in self.budgets if self.prior(budget) <= prior_limit(budget)]

    @property
    def budget(self) -> int:
        """The one that is shown first and headlined: the largest up to 20, of those that tell something where there are any."""
        own = self.telling or self.budgets
        return max((b for b in own if b <= HEADLINE_BUDGET), default=min(own, default=0))

    def prior(self, budget: int) -> float:
        """The largest share of facts that the answer prior finds, over runs; 0 where it was not computed."""
        found = (cells.get(Spot(ATTACK_SUCCESS.name, "forget", ANSWER_PRIOR, budget=budget)) for cells in self.cells.values())
        return max((cell.value for cell in found if cell is not None and cell.value is not None), default=0.0)

    @cached_property
    def founds(self) -> list[str]:
        """First token, and whole answers where that makes a difference."""
        differs = any(
            spot.group == f"found={WHOLE}"
            and spot.attack not in WITHOUT_MODEL
            and (first := cells.get(spot._replace(group=None)))
            and first.value != cell.value
            for cells in self.cells.values()
            for spot, cell in cells.items()
        )
        return [FIRST, WHOLE] if differs else [FIRST]

    @cached_property
    def layers(self) -> list[int]:
        return sorted({spot.layer for spot in self._spots if spot.layer is not None})

    @cached_property
    def layer_budgets(self) -> list[int]:
        return sorted({spot.budget for spot in self._spots if spot.layer is not None and spot.budget is not None})

    @cached_property
    def lens_attacks(self) -> frozenset[str]:
        """Attacks that find tokens, so that more than the first may be asked for."""
        found = {spot.attack for spot in self._spots if spot.group is not None and spot.attack is not None}
        return frozenset(found.difference(WITHOUT_MODEL))

    @cached_property
    def n_facts(self) -> int:
        """Facts that were deleted."""
        found = (cell.n_subjects or 0 for cells in self.cells.values() for spot, cell in cells.items() if spot.set == "forget")
        return max(found, default=0)

    @cached_property
    def _layer_attack(self) -> str | None:
        """The attack whose layers are looked at one by one."""
        return next((spot.attack for spot in self._spots if spot.layer is not None), None)

    @cached_property
    def n_edits(self) -> list[int]:
        """Numbers of facts after which models were asked; 1 stands for facts that have an edit of their own."""
        return sorted({spot.n_edits for spot in self._spots})

    @property
    def _spots(self) -> Iterator[Spot]:
        return (spot for cells in self.cells.values() for spot in cells)

    def success(
        self, model: Model, place: Place, budget: int, *, shown: Shown = "success", found: str = FIRST, n_edits: int = 1
    ) -> Cell | None:
        """AttackSuccess@B of one attack, as it is or against a baseline."""
        return self.cells[model].get(self._spot(place, budget, shown=shown, found=found)._replace(n_edits=n_edits))

    def candidates(self, model: Model, place: Place, budget: int) -> Cell | None:
        """Mean number of different candidates that an attack tried within a budget."""
        return self.cells[model].get(Spot(ATTACK_CANDIDATES.name, "forget", place.attack, place.level, budget))

    def _spot(self, place: Place | int, budget: int, *, shown: Shown = "success", found: str = FIRST) -> Spot:
        """Where an attack's success stands, or that of one layer."""
        if isinstance(place, int):
            return Spot(ATTACK_SUCCESS.name, "forget", self._layer_attack, None, budget, None, place, self._baseline(shown))
        group = f"found={found}" if found != FIRST and place.attack in self.lens_attacks else None
        return Spot(ATTACK_SUCCESS.name, "forget", place.attack, place.level, budget, group, None, self._baseline(shown))

    def _baseline(self, shown: Shown) -> str | None:
        return {"success": None, "difference": BEFORE, "excess": self.reference}[shown]

    def at_layer(self, model: Model, layer: int, budget: int, *, shown: Shown = "success") -> Cell | None:
        """Share of facts whose answer's first token is among the first B of one layer."""
        return self.cells[model].get(self._spot(layer, budget, shown=shown))

    def found_by_luck(self, place: Place | int, budget: int, *, found: str = FIRST) -> float | None:
        """What the same attack, or the same layer, gets of the reference.

        Where it has no values of its own the excess is taken back from success; the first model that has both says it.
        """
        own = self.strange.get(self._spot(place, budget, found=found))
        if own is not None and own.value is not None:
            return own.value
        for model in self.models:
            if isinstance(place, int):
                pair = [self.at_layer(model, place, budget, shown=shown) for shown in ("success", "excess")]
            else:
                pair = [self.success(model, place, budget, shown=shown, found=found) for shown in ("success", "excess")]
            known = [cell.value for cell in pair if cell is not None and cell.value is not None]
            if len(known) == len(pair):
                return min(1.0, max(0.0, known[0] - known[1]))
        return None

    def without_model(self, attacker: str, budget: int, *, found: str = FIRST) -> Cell | None:
        """What `random_tokens`, `random_tokens_drawn` or `answer_prior` finds."""
        group = None if found == FIRST else f"found={found}"
        spot = Spot(ATTACK_SUCCESS.name, "forget", attacker, budget=budget, group=group)
        return next((cells[spot] for cells in self.cells.values() if spot in cells), None)

    def strangers(self, budget: int, *, found: str = FIRST) -> dict[Place, Cell]:
        """What each attack gets of the reference; without an interval where it has no values of its own."""
        own = {place: self.strange.get(self._spot(place, budget, found=found)) for place in self.attacks}
        measured = {place: cell for place, cell in own.items() if cell is not None and cell.value is not None}
        if measured:
            return measured
        values = {place: self.found_by_luck(place, budget, found=found) for place in self.attacks}
        return {p: Cell(value, None, None, None, None, "", "percent") for p, value in values.items() if value is not None}

    def over_attacks(
        self, model: Model, budget: int, *, shown: Shown = "success", found: str = FIRST, n_edits: int = 1
    ) -> tuple[Cell, Cell] | None:
        """Mean over attacks, and the attack that gets most; None where no attack has a value."""
        cells = {place: self.success(model, place, budget, n_edits=n_edits, shown=shown, found=found) for place in self.attacks}
        return self.over({place: cell for place, cell in cells.items() if cell is not None and cell.value is not None})

    def over(self, cells: Mapping[Place, Cell]) -> tuple[Cell, Cell] | None:
        """Mean over attacks and the largest, levels of an attack averaged before; None without cells.

        The ends of a mean's interval are the means of the ends: as a rule wider than resampling all attacks together.
        """
        by_attack: dict[str, list[Cell]] = {}
        for place, cell in cells.items():
            by_attack.setdefault(place.attack, []).append(cell)
        parts = [mean_cell(own) for own in by_attack.values()]
        if not parts:
            return None
        count = len({place.attack for place in self.attacks})
        note = f"over {len(parts)} of {count} attacks" if len(parts) < count else ""
        mean = mean_cell(parts)
        return replace(mean, reason="; ".join(filter(None, (mean.reason, note)))), max(parts, key=lambda c: c.value or 0.0)

    def score(
        self, model: Model, metric: str, set: str, *choices: tuple[str | None, str | None], n_edits: int = 1
    ) -> Cell | None:
        """A score of the edit or its damage; the first of the (level, group) choices that was measured."""
        cells = self.cells[model]
        asked = choices or ((None, None),)
        spots = [Spot(metric, set, level=level, group=group, n_edits=n_edits) for level, group in asked]
        return next((cells[spot] for spot in spots if spot in cells), None)


def fact_tables(sources: Sources) -> list[FactTable]:
    """One table per modality of the attacked questions, pictures first; none where no single fact was deleted."""
    rows: dict[str | None, dict[tuple[int, Model], dict[Spot, Cell]]] = {}
    for number, source in enumerate(sources.runs):
        means = fact_values(single_results(source.run.results))
        edits = {edited for _, _, edited, _ in means}
        run = source.name if len(sources.runs) > 1 else ""
        for (method, variant, edited, modality), spots in means.items():
            rows.setdefault(modality, {})[number, Model(method, variant, _tag(run, edited, edits), run)] = spots
    asked = [name for name, models in rows.items() if any(spot.attack for spots in models.values() for spot in spots)]
    made = [_fact_table(rows, name) for name in sorted(asked or list(rows)[:1], key=lambda name: rank(name or "", MODALITIES))]
    batch = all(source.run.results.select(is_batch().any()).item() for source in sources.runs)
    return [replace(table, batch=batch) for table in made]


def fact_cells(run: RunData) -> dict[Model, str]:
    """The cell of each model, of its first seed, in the order of the tables."""
    import polars as pl

    named = with_row_names(single_results(run.results)).filter(~pl.col("method").is_in(list(REFERENCES)))
    wanted = named.select("method", "variant", "unlearn_modality", "seed", "cell").unique()
    edits = set(wanted["unlearn_modality"])
    found: dict[Model, tuple[int, str]] = {}
    for method, variant, edited, seed, cell in wanted.iter_rows():
        model, place = Model(method, variant, _tag("", edited, edits)), (-1 if seed is None else seed, cell)
        found[model] = min(found.get(model, place), place)
    order = sorted(found, key=lambda model: (*method_order(model.method), model.variant or "", model.tag))
    return {model: found[model][1] for model in order}


def _tag(run: str, edited: str | None, edits: Collection[str | None]) -> str:
    several = len({one for one in edits if one is not None}) > 1
    shown = f"from {UNLEARNED_FROM.get(edited, edited)}" if edited is not None and several else ""
    return ", ".join(filter(None, (run, shown)))


def _fact_table(rows: Mapping[str | None, Mapping[tuple[int, Model], Mapping[Spot, Cell]]], modality: str | None) -> FactTable:
    """Values of one modality, and those of no one modality, such as composed scores."""
    shared, own = rows.get(None, {}), rows[modality]
    cells = {key: {**shared.get(key, {}), **own.get(key, {})} for key in {**shared, **own}}
    strange = {model.method: own for (_, model), own in reversed(cells.items()) if model.method in REFERENCES}
    models = [key for key in cells if key[1].method not in REFERENCES]
    order = sorted(models, key=lambda key: (*method_order(key[1].method), key[1].variant or "", key[0], key[1].tag))
    made = FactTable({key[1]: cells[key] for key in order}, modality)
    return replace(made, strange=strange.get(made.reference, {}))


def modality_key(table: FactTable, tables: Sequence[FactTable]) -> dict[str, str]:
    """The modality of the questions, where there are several."""
    return {"modality": str(table.modality)} if len(tables) > 1 else {}


def modality_suffix(table: FactTable, tables: Sequence[FactTable]) -> str:
    """The same as part of a file's name."""
    return f"-{str(table.modality).replace('_', '-')}" if len(tables) > 1 else ""


def tag_title(sources: Sources, table: FactTable) -> str:
    """Heading of what tells rows of one method apart in files; "" where nothing does."""
    return "Run" if len(sources.runs) > 1 else "Edit" if any(model.tag for model in table.models) else ""


def mean_cell(cells: Sequence[Cell]) -> Cell:
    """The mean of measured values; of fewest facts, and with an interval only where all have one."""
    if len(cells) == 1:
        return cells[0]
    ends = [(cell.low, cell.high) for cell in cells if cell.low is not None and cell.high is not None]
    whole = len(ends) == len(cells)
    return replace(
        cells[0],
        value=_mean([cell.value or 0.0 for cell in cells]),
        low=_mean([low for low, _ in ends]) if whole else None,
        high=_mean([high for _, high in ends]) if whole else None,
        n=min((cell.n for cell in cells if cell.n is not None), default=None),
        n_subjects=min((cell.n_subjects for cell in cells if cell.n_subjects is not None), default=None),
        reason="; ".join(dict.fromkeys(part for cell in cells for part in cell.reason.split("; ") if part)),
        seed_low=None,
        seed_high=None,
    )


def absent_models(sources: Sources, table: FactTable) -> dict[Model, str]:
    """Planned or always expected models without a value, and why."""
    (source, *others) = sources.runs
    if others:
        return {}
    import polars as pl

    there = {(model.method, model.variant == "official") for model in table.attacked}
    measured = {model.method for model in table.models}
    planned = source.run.absent(Scope(None, None))
    reasons = {key: "it was not attacked" if key[0] in measured else reason for key, reason in planned.items()}
    told = single_results(source.run.results).filter((pl.col("method") == "gold") & pl.col("value").is_null())["reason"]
    if told.drop_nulls().len():
        reasons["gold", None] = str(told.drop_nulls()[0])
    elif not any(cell.startswith("gold-") for cell in source.run.unfinished):
        reasons["gold", None] = "this run has no model that never saw these facts"
    return {Model(*key): reason for key, reason in reasons.items() if (key[0], key[1] == "official") not in there}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
