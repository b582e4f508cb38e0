"""What attacks on hidden states share: which layers, in which order tokens are tried, and where an answer stands in it.

An attacker tries the best token of every chosen layer, from the deepest layer up, then every layer's second token, and so on;
a text that an earlier token gave already is not tried again. So the candidates of a small budget begin those of a larger one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor, prod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from unsee.answering.lens import TOP, LensSide, Quantity, block_count, indices, lens_view, row_of
from unsee.attacks.base import Attack, Guesses, ReadToken, Record
from unsee.errors import ConfigError

if TYPE_CHECKING:
    from unsee.answering import Setting, View
    from unsee.sample import Sample

PUBLISHED_BLOCKS = 32
"""Decoder layers of LLaVA-1.5-7B, for which the paper's layers are known."""


class Row(NamedTuple):
    """One chosen row of a lens record.

    Attributes:
        ids: best tokens, best first.
        ranks: of the answer's tokens; None where there is no number.
    """

    ids: list[int]
    ranks: list[int | None]


@dataclass(frozen=True)
class LensAttack(Attack):
    """Candidates are tokens that stand high in a quantity of some layers."""

    needs: ClassVar[Literal["lens", "prompts"]] = "lens"
    quantity: ClassVar[Quantity] = "layers"
    published: ClassVar[Mapping[int, tuple[int, ...]]] = {}
    """Number of decoder layers -> the paper's layers; scaled by depth to other numbers."""

    k: int = 4
    """Tokens taken of each layer."""
    layers: tuple[int, ...] | None = None
    """Which layers; none takes the published ones, by depth where the model has another number of layers."""
    fill: bool = True
    """Go on below rank k while the budget is not used up; without, a layer never gives more than k tokens, as published."""

    @property
    def sides(self) -> tuple[LensSide, ...]:
        """Whether the highest, or also the lowest values are taken."""
        return ("top",)

    def chosen(self, blocks: int) -> tuple[int, ...]:
        """The layers that are read in a model of so many decoder layers, ascending."""
        if self.layers is None:
            return by_depth(self.published, self.quantity, blocks)
        return tuple(sorted(set(self.layers)))

    def check(self, *, blocks: int, budget: int) -> None:
        allowed = indices(self.quantity, blocks)
        kept = f"records keep the {TOP} best tokens of a layer"
        if not 1 <= self.k <= TOP:
            raise ConfigError(f"{self.name}: k = {self.k} cannot be taken; {kept}, so give 1 to {TOP}")
        if budget > TOP:
            raise ConfigError(f"{self.name}: budget {budget} is above {TOP}; {kept}, so give at most {TOP}")
        if self.fill and self.k != type(self).k:
            warnings.warn(
                f"{self.name}: k = {self.k} has no effect while fill is on, as lower ranks fill the budget; set fill=false",
                stacklevel=3,
            )
        wrong = [layer for layer in self.layers or () if layer not in allowed]
        if wrong:
            raise ConfigError(
                f"{self.name}: layer {wrong[0]} does not exist; a model of {blocks} decoder layers has {_NAMES[self.quantity]} "
                f"{allowed[0]} to {allowed[-1]}"
            )
        if self.layers is not None and not self.layers:
            raise ConfigError(f"{self.name}: layers is empty; name some or leave it out for the published ones")

    def views(self, sample: Sample, setting: Setting, variants: Sequence[Sample]) -> list[View]:
        return [lens_view(sample, setting, side) for side in self.sides]

    def candidates(self, sample: Sample, records: Sequence[Record], *, budget: int, read: ReadToken) -> Guesses:
        rows, target = self.rows(records)
        return judged(rows, target, budget=budget, read=read, depth=TOP if self.fill else self.k)

    def rows(self, records: Sequence[Record]) -> tuple[list[Row], tuple[int, ...]]:
        """The chosen rows in the order they take turns, and the answer's token ids."""
        rows = []
        by_view = {record["view"]: record for record in records}
        for side in self.sides:
            record = by_view["lens" if side == "top" else "lens_bottom"]
            blocks = block_count(len(record["layer_ranks"]))
            for index in reversed(self.chosen(blocks)):
                at = row_of(self.quantity, index, blocks)
                ids = record["layer_top_ids"][at]
                if side == "bottom":
                    ids = distinct(ids, record["layer_top_scores"][at])
                rows.append(Row(ids, record["layer_ranks"][at]))
        return rows, tuple(by_view["lens"]["answer_ids"])


def judged(rows: Sequence[Row], target: Sequence[int], *, budget: int, read: ReadToken, depth: int = TOP) -> Guesses:
    """Candidates from rows that take turns, and where an answer's tokens stand in them.

    Args:
        rows: ids of the first position, ranks of all.
        target: ids of the answer's tokens.
        depth: ranks below it do not count.
    """
    tried, deepest = in_turn([[read(token) for token in row.ids[:depth]] for row in rows], budget)
    hit = tried.index(read(target[0])) + 1 if read(target[0]) in tried else None
    ranks = [[rank if rank is not None and rank <= depth else None for rank in row.ranks] for row in rows]
    positions = [hit, *(earliest([row[t] for row in ranks]) for t in range(1, len(target)))]
    found = [position for position in positions if position is not None and position <= budget]
    whole = hit if len(target) == 1 else earliest([sequence_rank(row, budget) for row in ranks])
    return Guesses(
        candidates=tuple(tried),
        hit=hit,
        hit_all=max(found) if len(found) == len(target) else None,
        hit_sequence=whole if whole is not None and whole <= budget else None,
        prompts=1,
        layers=len(rows),
        k=deepest,
    )


@dataclass(frozen=True)
class DifferenceAttack(LensAttack):
    """One that reads differences of layers, where the lowest values tell something too."""

    bottom: bool = False
    """Also take the lowest values of each layer, where they are distinct; with an unchanged k this doubles the tokens."""

    @property
    def sides(self) -> tuple[LensSide, ...]:
        return ("top", "bottom") if self.bottom else ("top",)


_NAMES: Mapping[Quantity, str] = {
    "layers": "layers",
    "first": "differences of adjacent layers, named by the lower one,",
    "second": "second differences, named by the middle layer,",
}


def by_depth(published: Mapping[int, tuple[int, ...]], quantity: Quantity, blocks: int) -> tuple[int, ...]:
    """The published layers of a model of so many decoder layers, else those at the same relative depth.

    Where two fall on one layer, the lower one takes the next free layer below, so that as many are read where there are enough
    layers; a small model is then read from deeper down than its depth alone would say.
    """
    if blocks in published:
        return published[blocks]
    allowed, taken = indices(quantity, blocks), []
    for index in sorted(published[PUBLISHED_BLOCKS], reverse=True):
        place = min(floor(index * blocks / PUBLISHED_BLOCKS + 0.5), allowed[-1])
        while place in taken:
            place -= 1
        if place in allowed:
            taken.append(place)
    return tuple(sorted(taken))


def in_turn(lists: Sequence[Sequence[str]], budget: int) -> tuple[list[str], int]:
    """The first of every list, the second of every list, ..., each once, up to `budget`; and the deepest rank used."""
    found: dict[str, None] = {}
    deepest = 0
    for rank in range(max(map(len, lists), default=0)):
        for one in lists:
            if len(found) == budget:
                return list(found), deepest
            if rank < len(one):
                found.setdefault(one[rank])
                deepest = rank + 1
    return list(found), deepest


def earliest(ranks: Sequence[int | None]) -> int | None:
    """Position at which lists that take turns reach a rank in one of them; tokens that several give are counted every time."""
    at = [(rank - 1) * len(ranks) + number for number, rank in enumerate(ranks, start=1) if rank is not None]
    return min(at, default=None)


def sequence_rank(ranks: Sequence[int | None], budget: int) -> int | None:
    """Position of an answer among all of its length, in order of the product of their tokens' ranks; the last of equals.

    None where a rank is missing or the position is certainly above the budget.
    """
    whole = [rank for rank in ranks if rank is not None]
    if len(whole) < len(ranks) or prod(whole) > budget:
        return None
    return _count(len(whole), prod(whole))


@lru_cache(maxsize=65536)
def _count(tokens: int, product: int) -> int:
    """Number of rank tuples of that length whose product is at most `product`."""
    return 1 if tokens == 0 else sum(_count(tokens - 1, product // rank) for rank in range(1, product + 1))


def distinct(ids: Sequence[int], scores: Sequence[float]) -> list[int]:
    """Tokens whose score no other token shares: a tie tells nothing about who is lowest.

    The last of `TOP` may share its score with the first that is not kept, so it does not count.
    """
    alone = [token for token, score in zip(ids, scores, strict=True) if sum(score == other for other in scores) == 1]
    return [token for token in alone if len(ids) < TOP or token != ids[-1]]
