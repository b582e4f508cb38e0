"""Random tokens: what a lens attack would find in a model that shows nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unsee.answering.lens import TOP
from unsee.attacks.base import RANDOM_DRAWN, Guesses, ReadToken, Record
from unsee.attacks.lens_attack import LensAttack, Row, judged
from unsee.sample import Sample


@dataclass(frozen=True)
class RandomTokens(LensAttack):
    """Candidates are tokens drawn uniformly from the vocabulary, each text once; of the records only the answer's ids are read.

    A control, made beside lens attacks and judged as they are; no attack by itself. The order in which tokens are drawn is
    drawn for every position of an answer, so that whole answers are judged, too.
    """

    name: ClassVar[str] = RANDOM_DRAWN

    vocabulary: int = 0
    """Number of tokens."""
    seed: int = 0
    """Of the draws, with the sample's id: every model is compared with the same tokens."""

    def candidates(self, sample: Sample, records: Sequence[Record], *, budget: int, read: ReadToken) -> Guesses:
        target = next(record["answer_ids"] for record in records if record["view"] == "lens")
        rng = random.Random(f"random tokens/{self.seed}/{sample.id}")
        ids: dict[str, int] = {}
        for token in rng.sample(range(self.vocabulary), min(self.vocabulary, 2 * TOP)):
            ids.setdefault(read(token), token)
        first = list(ids.values())[:TOP]
        place = next((rank for rank, token in enumerate(first, start=1) if read(token) == read(target[0])), None)
        later = [rng.randrange(self.vocabulary) + 1 for _ in target[1:]]
        return judged([Row(first, [place, *later])], target, budget=budget, read=read)
