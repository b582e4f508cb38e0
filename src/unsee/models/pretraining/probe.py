"""What a model in training can do so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unsee.models.abilities import AbilityQuestion, share_right
from unsee.models.batches import Batch, collate
from unsee.models.pretraining.language import CachedPictures, answer_logits, numbered


class Probe:
    """Share of right answers per ability by greedy decoding, teacher forced.

    Args:
        asked: questions by ability.
        shown: (figure or species, picture) -> number among the cached pictures.
        features: vision tokens of the cached pictures.
    """

    def __init__(
        self,
        asked: Mapping[str, Sequence[AbilityQuestion]],
        *,
        shown: Mapping[tuple[str, int], int],
        prompter: CachedPictures,
        network: Any,
        features: Tensor,
    ) -> None:
        self.network, self.features, self.shown = network, features, shown
        self.batches: dict[str, list[tuple[Batch, Sequence[AbilityQuestion]]]] = {}
        for ability, questions in asked.items():
            parts = [questions[i : i + 100] for i in range(0, len(questions), 100)]
            self.batches[ability] = [(self._collate(part, prompter), part) for part in parts]

    def _collate(self, asked: Sequence[AbilityQuestion], prompter: CachedPictures) -> Batch:
        items = []
        for question in asked:
            shown = () if question.figure is None else (numbered(self.shown[question.figure, question.picture]),)
            items.append(prompter.encode(question.question, question.answer, images=shown, system=question.system))
        return collate(items, prompter=prompter)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        scores: dict[str, float] = {}
        for ability, batches in self.batches.items():
            hits: list[tuple[str, float]] = []
            for batch, asked in batches:
                right = answer_logits(self.network, batch, self.features).argmax(-1) == batch.target
                wrong = torch.zeros(batch.size).index_add(0, batch.owner, (~right).float())
                hits += [(question.group, float(misses == 0)) for question, misses in zip(asked, wrong.tolist(), strict=True)]
            scores[ability] = share_right(ability, hits)[0]
        return scores
