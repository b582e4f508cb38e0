"""Protocol `lens`: what every layer would answer, kept as ranks, scores and the best tokens, so that no attack runs the model.

With D_l the distribution that the lens reads after block l, a lens view keeps D itself, its first differences D_{l+1} - D_l and
its second differences, always of adjacent layers: who wants some layers only selects among them afterwards. Everything is
computed in fp32, because in half precision most of a vocabulary has probability 0 and ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from unsee.answering.views import Protocol, Setting, View
from unsee.models.questions import generation_question

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.sample import Sample

TOP = 50
"""Best tokens that are kept of every row, which bounds the budget of an attack that reads them."""

Quantity = Literal["layers", "first", "second"]
"""D, its first or its second differences."""
LensSide = Literal["top", "bottom"]
"""Whether the best tokens are those of the highest scores, or of the lowest (every score with its sign turned)."""


class LensRows(NamedTuple):
    """What a lens view keeps; the outer lists are over rows, see `row_of`.

    Attributes:
        ranks, scores: of each answer token; None where the model gives no number. Among the lowest scores also no rank where
            another token has the same score: most of a vocabulary ties at differences of 0, which tells nothing.
        top_ids, top_scores: best tokens at the last prompt token, best first, of equals the lower id first.
    """

    ranks: list[list[int | None]]
    scores: list[list[float | None]]
    top_ids: list[list[int]]
    top_scores: list[list[float]]


def indices(quantity: Quantity, layers: int) -> range:
    """Indices of a quantity in a model of so many blocks: a first difference has its lower layer's, a second its middle's."""
    return {"layers": range(layers + 1), "first": range(layers), "second": range(1, layers)}[quantity]


def row_of(quantity: Quantity, index: int, layers: int) -> int:
    """Where a record keeps a quantity: its row in the columns `layer_*`.

    Args:
        index: layer l of D_l, l of D_{l+1} - D_l, m of D_{m+1} - 2 D_m + D_{m-1}.
        layers: number of blocks N.
    """
    assert index in indices(quantity, layers)
    return {"layers": 0, "first": layers + 1, "second": 2 * layers}[quantity] + index


def block_count(rows: int) -> int:
    """Number of blocks N of the model behind so many rows; there are (N + 1) + N + (N - 1)."""
    assert rows % 3 == 0
    return rows // 3


def quantities(distributions: Tensor) -> Tensor:
    """D, its first and its second differences, [N + 1, ...] -> [3 N, ...]; adjacent layers are differenced, then stacked."""
    import torch

    first = distributions[1:] - distributions[:-1]
    return torch.cat([distributions, first, first[1:] - first[:-1]])


def strict_ranks(scores: Tensor, target: Tensor) -> Tensor:
    """1 + number of tokens that score strictly higher than the target.

    Args:
        scores: [..., edges, vocabulary].
        target: [edges], token ids.

    Returns:
        [..., edges]; 0 where the target's score is no number.
    """
    own = scores.gather(-1, target.expand(scores.shape[:-1])[..., None])
    ranks = 1 + (scores > own).sum(-1)
    return ranks.masked_fill(own[..., 0].isnan(), 0)


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(ids, scores) of the highest scores of each row, [rows, vocabulary] -> [rows, count]; of equals the lower id first."""
    import torch

    count = min(count, scores.shape[-1])
    more = scores.topk(min(count + 1, scores.shape[-1]), dim=-1).values
    # Which of several equals `topk` takes is left open, so rows with some are sorted whole.
    tied = (more[:, 1:] == more[:, :-1]).any(-1)
    values, ids = scores.topk(count, dim=-1)
    if tied.any():
        ordered = scores[tied].sort(dim=-1, descending=True, stable=True)
        values[tied], ids[tied] = ordered.values[:, :count], ordered.indices[:, :count]
    assert values.dtype in (torch.float32, torch.float64)
    return ids, values


def read_lens(logits: Tensor, target: Tensor, side: LensSide) -> LensRows:
    """What is kept of one answer.

    Args:
        logits: of the lens, [N + 1, answer tokens, vocabulary] in fp32 at least, at the positions that predict its tokens.
        target: [answer tokens], ids of the answer.
    """
    scores = quantities(logits.softmax(-1))
    if side == "bottom":
        scores = -scores
    ranks = strict_ranks(scores, target)
    own = scores.gather(-1, target.expand(scores.shape[:-1])[..., None])[..., 0]
    if side == "bottom":
        ranks = ranks.masked_fill((scores == own[..., None]).sum(-1) > 1, 0)
    ids, values = best(scores[:, 0].nan_to_num(nan=-float("inf")), TOP)
    broken = scores[:, 0].isnan().any(-1).tolist()
    return LensRows(
        ranks=[[rank or None for rank in row] for row in ranks.tolist()],
        scores=[[None if score != score else score for score in row] for row in own.tolist()],
        top_ids=[[] if lost else row for row, lost in zip(ids.tolist(), broken, strict=True)],
        top_scores=[[] if lost else row for row, lost in zip(values.tolist(), broken, strict=True)],
    )


def lens_view(sample: Sample, setting: Setting, side: LensSide = "top") -> View:
    """The sample's question, and what the layers would say to it; nothing of the answer stands in the prompt."""
    return View(
        name="lens" if side == "top" else "lens_bottom",
        prompt=setting.ask(sample, generation_question(sample)),
        images=sample.images,
        answer=sample.fact,
        respond=False,
        lens=side,
        parse=lambda outcome: None,
    )


LENS = Protocol("lens", lambda sample, setting: [lens_view(sample, setting)])
