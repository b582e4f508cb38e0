"""Random responses that do not depend on the batch they are drawn in: every response has random numbers of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

_FEW = 256
"""So many tokens hold most nuclei, and are found faster than a whole vocabulary is sorted."""


class Draw(NamedTuple):
    """How one response is drawn.

    Attributes:
        numbers: one from [0, 1) per new token.
        temperature: divides the logits.
        top_p: the likeliest tokens that reach this probability are drawn from.
    """

    numbers: NDArray[np.float64]
    temperature: float
    top_p: float


def random_numbers(count: int, *key: object) -> NDArray[np.float64]:
    """Numbers from [0, 1) that a key alone decides; a longer list begins with the shorter one."""
    seed = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(seed[:16], "big")).random(count)


def draw_tokens(logits: torch.Tensor, numbers: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """One token per row by the inverse of the distribution function, [rows].

    Args:
        logits: [rows, vocabulary].
        numbers, temperature, top_p: [rows].
    """
    # In fp64 and in the order of ids, so that rounding in the batch moves a token's bounds but never swaps two tokens.
    reach = _nucleus((logits.double() / temperature[:, None]).softmax(-1), top_p).cumsum(-1)
    return torch.searchsorted(reach, (numbers * reach[:, -1])[:, None], right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def _nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Probabilities of the likeliest tokens that together reach `top_p`, 0 for the others, [rows, vocabulary]."""
    if (top_p >= 1).all():
        return probabilities
    size = probabilities.shape[-1]
    for count in (min(_FEW, size), size):
        ordered, ids = probabilities.topk(count, dim=-1)
        total = ordered.cumsum(-1)
        if count == size or (total[:, -1] >= top_p).all():
            break
    return torch.zeros_like(probabilities).scatter(-1, ids, ordered.masked_fill(total - ordered >= top_p[:, None], 0.0))


class Draws:
    """Chooses the tokens of random responses.

    Args:
        draws: how each row of the batch is drawn.
    """

    def __init__(self, draws: Sequence[Draw]) -> None:
        self.numbers = torch.from_numpy(np.stack([draw.numbers for draw in draws]))
        self.temperature = torch.tensor([draw.temperature for draw in draws], dtype=torch.float64)
        self.top_p = torch.tensor([draw.top_p for draw in draws], dtype=torch.float64)

    def __call__(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """The new token number `step` of each row, from logits [rows, vocabulary]."""
        place = logits.device
        return draw_tokens(logits, self.numbers[:, step].to(place), self.temperature.to(place), self.top_p.to(place))


class SampledTokens(LogitsProcessor):
    """Makes greedy decoding say what was drawn: the drawn token alone keeps a finite score.

    Args:
        draws: how each row of the batch is drawn.
        start: length of the prompts.
    """

    def __init__(self, draws: Draws, *, start: int) -> None:
        self.draws = draws
        self.start = start

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        drawn = self.draws(scores, input_ids.shape[1] - self.start)
        scores[:] = -float("inf")
        scores[torch.arange(len(drawn), device=scores.device), drawn] = 0.0
        return scores
