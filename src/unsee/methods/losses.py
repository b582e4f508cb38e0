"""Pieces that several losses share; each returns one value per conversation of its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.batches import Batch
    from unsee.models.model import Model


def token_sum(values: Tensor, batch: Batch) -> Tensor:
    """Sum a value per counted token over each conversation, [edges] -> [size]."""
    return values.new_zeros(batch.size).index_add(0, batch.owner.to(values.device), values)


def token_mean(values: Tensor, batch: Batch) -> Tensor:
    """Average a value per counted token over each conversation, [edges] -> [size]."""
    return token_sum(values, batch) / batch.counts.to(values.device).clamp(min=1)


def pooled_mean(values: Tensor, batch: Batch) -> Tensor:
    """Shares of the mean over all tokens of the batch, [edges] -> [size]; their mean over conversations is that mean.

    Published code averages over the tokens of a batch, so that long answers weigh more; corrected losses use `token_mean`.
    """
    return token_sum(values, batch) * (batch.size / max(1, values.shape[0]))


def nll(model: Model, batch: Batch) -> Tensor:
    """Negative log-likelihood per token of each conversation, [size]."""
    return -token_mean(model.token_logprobs(batch), batch)


def pooled_nll(model: Model, batch: Batch) -> Tensor:
    """Shares of the batch's mean cross entropy per token, [size]."""
    return -pooled_mean(model.token_logprobs(batch), batch)


def token_kl(reference_logits: Tensor, logits: Tensor) -> Tensor:
    """KL(reference || model) at every counted token, [edges, vocabulary] twice -> [edges]."""
    from torch.nn.functional import kl_div

    return kl_div(logits.log_softmax(-1), reference_logits.log_softmax(-1), reduction="none", log_target=True).sum(-1)


def gathered(logits: Tensor, batch: Batch) -> Tensor:
    """Log-probability of every counted token from logits already computed, [edges, vocabulary] -> [edges]."""
    return logits.log_softmax(-1).gather(1, batch.target.to(logits.device)[:, None])[:, 0]


def preference(log_ratio: Tensor, beta: float) -> Tensor:
    """-(2 / beta) log sigmoid(-beta log_ratio); (2 / beta) ln 2 with slope 1 where the ratio is 1."""
    from torch.nn.functional import logsigmoid

    return -2 / beta * logsigmoid(-beta * log_ratio)
