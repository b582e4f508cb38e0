"""White-box attacks on other layers than their own: those that a defence did not see, and one layer chosen by an attacker.

Records of the lens hold every layer, so that an attack on other layers is made from a finished run without its model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl
from answers import markdown, p_value, percent
from extracted import BUDGET, Extraction, within
from trained_against import distributions, layers_seen, lens_of

from unsee.answering.lens import LENS, indices
from unsee.attacks import attack_rows
from unsee.attacks.base import NEVER_LEARNED, Attack, ReadToken
from unsee.attacks.lens_attack import LensAttack
from unsee.attacks.running import model_key
from unsee.metrics.bootstrap import Array
from unsee.metrics.holm import holm

Layers = tuple[int, ...]
LEVEL = 0.05
"""Adjusted p-values below it are marked."""


class LensReadings:
    """The attacks of a run that read layers, made from its records on any layers.

    Args:
        study: the run.
        read: token id -> text, by the tokenizer of the run's model.

    Attributes:
        attacks: those that read layers, by name, as the run made them.
    """

    def __init__(self, study: Extraction, read: ReadToken) -> None:
        self.study, self._read = study, read
        self.attacks: dict[str, Attack] = {one.name: one for one in study.experiment.attacks if lens_of(one) is not None}
        self._found: dict[tuple[str, str, Layers | None], pl.DataFrame] = {}
        self._lens: dict[str, pl.DataFrame] = {}

    def positions(self, method: str, attack: str, layers: Layers | None = None) -> Array:
        """Where an attack on some layers finds the answer, [facts]; None reads the attack's own layers."""
        return self.study.positions(self._rows(method, attack, layers))

    def success(self, method: str, attack: str, layers: Layers | None = None) -> Array:
        """AttackSuccess@B with its draws."""
        return self.study.mean(within(self.positions(method, attack, layers), BUDGET))

    def unlearned_rate(self, attack: str, layers: Layers | None = None) -> float:
        """Share of never-learned facts that the attack names."""
        found = self._rows(NEVER_LEARNED, attack, layers)[self.study.found]
        return float((found <= BUDGET).fill_null(False).mean())  # type: ignore[arg-type]

    def reading(self, attack: str, layers: Layers | None = None) -> LensAttack:
        """How an attack reads its own layers, or others."""
        found = lens_of(self.attacks[attack])
        assert found is not None
        return found if layers is None else replace(found, layers=layers)

    def unseen(self, attack: str, seen: Iterable[int] = ()) -> Layers:
        """All layers that an attack can read without any distribution that a loss has read."""
        hidden = frozenset(seen)
        possible = indices(self.reading(attack).quantity, self.study.blocks)
        return tuple(one for one in possible if not distributions(self.reading(attack, (one,)), self.study.blocks) & hidden)

    def deepest_unseen(self, attack: str, seen: Iterable[int]) -> Layers:
        """As many of those as the attack reads, the deepest."""
        return self.unseen(attack, seen)[-len(self.reading(attack).chosen(self.study.blocks)) :]

    def best_layer(self, method: str, attack: str, seen: Iterable[int] = ()) -> int:
        """The one layer that finds most, of equals the deepest, of those that a loss has not read."""
        free = self.unseen(attack, seen)
        return max(free, key=lambda layer: (self.success(method, attack, (layer,))[0], layer))

    def _rows(self, method: str, attack: str, layers: Layers | None) -> pl.DataFrame:
        key = method, attack, layers
        if key not in self._found:
            made: Any = self.attacks[attack]
            own = self._records(method).filter(pl.col("protocol") == (model_key(made) or LENS.name))
            asked = set(own["sample_id"])
            self._found[key] = attack_rows(
                own.with_columns(pl.lit(LENS.name).alias("protocol")),
                [sample for sample in self.study.attacked(method) if sample.id in asked],
                made if layers is None else replace(made, layers=layers),
                variants={},
                budget=BUDGET,
                read=self._read,
            )
        return self._found[key]

    def _records(self, method: str) -> pl.DataFrame:
        if method not in self._lens:
            records = self.study.folder.records(self.study.cell(method))
            assert records is not None
            alone = ~pl.col("edit_id").fill_null("").str.contains("after")
            self._lens[method] = records.filter(pl.col("view").is_in([LENS.name, "lens_bottom"]), alone)
        return self._lens[method]


class Choice(NamedTuple):
    """Layers that attacks on one model read.

    Attributes:
        method: what made the model.
        why: those layers, in words.
        layers: by attack; None reads the attack's own, and an attack that is not named is not made.
    """

    method: str
    why: str
    layers: Mapping[str, Layers | None]


def unseen_choices(readings: LensReadings) -> list[Choice]:
    """Each model read as the attacks do, then without the layers that its defence, or that other defences have read."""
    study, seen, choices = readings.study, _seen(readings), []
    groups = sorted(dict.fromkeys(seen.values()), key=len)
    controls = [name for name in study.controls if name != "do_nothing"]
    for method in (*controls, *study.defences, NEVER_LEARNED):
        choices.append(Choice(method, "its own", dict.fromkeys(readings.attacks)))
        for group in groups:
            if seen.get(method, frozenset()) <= group:
                left = {attack: readings.deepest_unseen(attack, group) for attack in readings.attacks}
                layers = {attack: own for attack, own in left.items() if own}
                choices.append(Choice(method, f"without {in_words(sorted(group))}", layers))
    return choices


def adaptive_choices(readings: LensReadings, tuning: LensReadings) -> list[Choice]:
    """Each model read as the attacks do, then in the best layer on tuning facts: of all, and of those no defence read."""
    study = readings.study
    attacks = [attack for attack in readings.attacks if attack in tuning.attacks]
    seen = sorted(frozenset[int]().union(*_seen(readings).values()))
    choices = []
    for method in ("vanilla", *study.defences):
        choices.append(Choice(method, "its own", dict.fromkeys(readings.attacks)))
        for why, out in (("best of all", ()), (f"best without {in_words(seen)}", seen)):
            best = {attack: (tuning.best_layer(method, attack, out),) for attack in attacks if tuning.unseen(attack, out)}
            choices.append(Choice(method, why, best))
    return choices


def _seen(readings: LensReadings) -> dict[str, frozenset[int]]:
    """The layers that each defence's loss reads."""
    study = readings.study
    return {name: layers_seen(study.experiment.plan(name).method, readings.study.blocks) for name in study.defences}


def layer_table(readings: LensReadings, choices: Sequence[Choice]) -> str:
    """Success of each choice; a star where a defence's differs from the attack on its own layers, Holm over the table."""
    study = readings.study
    tested = [
        (choice, attack)
        for choice in choices
        if choice.method in study.defences
        for attack, layers in choice.layers.items()
        if layers is not None
    ]
    differences = [
        readings.success(choice.method, attack, choice.layers[attack]) - readings.success(choice.method, attack)
        for choice, attack in tested
    ]
    adjusted = holm([p_value(difference) for difference in differences])
    starred = {(one.method, one.why, attack) for (one, attack), p in zip(tested, adjusted, strict=True) if p < LEVEL}
    rows = []
    for choice in choices:
        cells = []
        for attack in readings.attacks:
            if attack not in choice.layers:
                cells.append("")
                continue
            layers = choice.layers[attack]
            if choice.method == NEVER_LEARNED:
                told = f"{100 * readings.unlearned_rate(attack, layers):.0f}"
            else:
                told = percent(readings.success(choice.method, attack, layers))
            where = in_words(readings.reading(attack, layers).chosen(readings.study.blocks))
            cells.append(f"{where}: {told}" + (" *" if (choice.method, choice.why, attack) in starred else ""))
        rows.append([choice.method, choice.why, *cells])
    return f"{len(study.facts)} facts, found is {study.counts}.\n\n" + markdown(["", "layers", *readings.attacks], rows)


def in_words(layers: Sequence[int]) -> str:
    """`4-8` for layers without a gap, else all of them."""
    whole = len(layers) > 1 and all(later == earlier + 1 for earlier, later in pairwise(layers))
    return f"{layers[0]}-{layers[-1]}" if whole else ", ".join(map(str, layers))
