"""The frozen model a loss compares with: the adapter switched off, cached likelihoods, or a second model.

A cached distribution may keep its k likeliest tokens and the sum of all others. The divergence is then that of distributions
over k + 1 outcomes, sum_k p log(p / q) + r_p log(r_p / r_q). Merging outcomes cannot raise a divergence (data processing
inequality), so it is never above the one over the whole vocabulary, equal to it for k = vocabulary, and too low by
r_p KL(p | rest || q | rest): how far both differ among the merged tokens, weighted by their probability under the reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unsee.errors import ConfigError
from unsee.models.batches import Batch, collate
from unsee.models.model import Model, per_conversation

if TYPE_CHECKING:
    from unsee.memory_options import ReferenceKind
    from unsee.methods.base import Method, Read, Side
    from unsee.models.prompts import Encoded, LossMask

_CACHED_AT_ONCE = 64
_LEAST_LOGPROB = -1e4


class Reference:
    """What a frozen model says about a batch; carries no gradients of its own."""

    def answer_logits(self, batch: Batch) -> Tensor:
        """Logits of every counted token up to a constant per token, [edges, vocabulary] in fp32."""
        raise NotImplementedError

    def answer_logprobs(self, batch: Batch) -> Tensor:
        """Summed log-probability of each conversation's counted tokens, [size] in fp32."""
        raise NotImplementedError

    def token_kl(self, batch: Batch, logits: Tensor) -> Tensor:
        """KL(reference || model) at every counted token, [edges], from the model's logits, [edges, vocabulary]."""
        from unsee.methods.losses import token_kl

        return token_kl(self.answer_logits(batch), logits)

    def held(self) -> Iterator[Tensor]:
        """Tensors that are in memory for this reference alone."""
        yield from ()


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Without gradients and dropout inside the block."""
    training = model.network.training
    model.network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.network.train(training)


class AdapterOff(Reference):
    """The model without its adapter: no memory, one more forward pass per batch."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def answer_logits(self, batch: Batch) -> Tensor:
        with self._off():
            return self.model.answer_logits(batch)

    def answer_logprobs(self, batch: Batch) -> Tensor:
        with self._off():
            return self.model.answer_logprobs(batch)

    @contextmanager
    def _off(self) -> Iterator[None]:
        # PEFT makes every active adapter trainable when it switches them on again, frozen ones included.
        trainable = [(weight, weight.requires_grad) for weight in self.model.network.parameters()]
        try:
            with self.model.network.disable_adapter(), evaluating(self.model):
                yield
        finally:
            for weight, requires_grad in trainable:
                weight.requires_grad_(requires_grad)


class SecondModel(Reference):
    """Another model in memory, `memory_bytes` large."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.held())

    def held(self) -> Iterator[Tensor]:
        yield from self.model.network.parameters()
        yield from self.model.network.buffers()

    def answer_logits(self, batch: Batch) -> Tensor:
        with evaluating(self.model):
            return self.model.answer_logits(batch)

    def answer_logprobs(self, batch: Batch) -> Tensor:
        with evaluating(self.model):
            return self.model.answer_logprobs(batch)


class CachedReference(Reference):
    """Likelihoods computed once, by sample id; the edges of a sample are in the order of its tokens.

    `what="logprobs"` keeps one number per counted token, `"distribution"` the log-probability of the whole vocabulary, or of
    the `top_k` likeliest tokens and of all others together (the module says what that costs).

    Args:
        top_k: likeliest tokens of a distribution to keep; None keeps all.
    """

    def __init__(self, *, top_k: int | None = None) -> None:
        self.top_k = top_k
        self._logprobs: dict[str, Tensor] = {}
        self._distributions: dict[str, Tensor] = {}
        self._tokens: dict[str, Tensor] = {}
        self._device = torch.device("cpu")

    @classmethod
    def build(
        cls, model: Model, batches: Iterable[Batch], *, what: Read = "logprobs", top_k: int | None = None
    ) -> CachedReference:
        """Run the model over batches whose `keys` are sample ids."""
        made = cls(top_k=top_k)
        made.add(model, batches, what=what)
        return made

    def add(self, model: Model, batches: Iterable[Batch], *, what: Read = "logprobs") -> None:
        """Cache more batches of the same model.

        Raises:
            ConfigError: two samples with different answers share an id.
        """
        self._device = model.device
        for batch in batches:
            assert len(batch.keys) == batch.size, "a cached reference needs the ids of its samples"
            with evaluating(model):
                distribution = model.answer_logits(batch).log_softmax(-1)
            target = batch.target.to(distribution.device)[:, None]
            self._keep(self._logprobs, batch, distribution.gather(1, target)[:, 0])
            if what == "logprobs":
                continue
            if self.top_k is None or self.top_k >= distribution.shape[-1]:
                self._keep(self._distributions, batch, distribution)
            else:
                likeliest, tokens = distribution.topk(self.top_k)
                rest = _of_the_others(distribution, tokens)
                self._keep(self._tokens, batch, tokens.to(torch.int32))
                self._keep(self._distributions, batch, torch.cat([likeliest, rest[:, None]], -1))

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.held())

    def held(self) -> Iterator[Tensor]:
        for cache in (self._logprobs, self._distributions, self._tokens):
            yield from cache.values()

    def answer_logits(self, batch: Batch) -> Tensor:
        if self._tokens:
            raise ConfigError(
                f"the reference keeps the {self.top_k} likeliest tokens only, from which no logits follow; "
                "leave reference_top_k out, or compare by reference.token_kl"
            )
        return self._look_up(self._distributions, batch, "distribution")

    def token_kl(self, batch: Batch, logits: Tensor) -> Tensor:
        if not self._tokens:
            return super().token_kl(batch, logits)
        from torch.nn.functional import kl_div

        kept = self._look_up(self._distributions, batch, "distribution")
        tokens = self._look_up(self._tokens, batch, "distribution").long()
        ours = logits.log_softmax(-1)
        merged = torch.cat([ours.gather(1, tokens), _of_the_others(ours, tokens)[:, None]], -1)
        return kl_div(merged, kept, reduction="none", log_target=True).sum(-1)

    def answer_logprobs(self, batch: Batch) -> Tensor:
        return per_conversation(self._look_up(self._logprobs, batch, "logprobs"), batch)

    @staticmethod
    def _keep(cache: dict[str, Tensor], batch: Batch, values: Tensor) -> None:
        order, counts = _by_conversation(batch)
        for key, value in zip(batch.keys, values.cpu()[order].split(counts), strict=True):
            known = cache.setdefault(key, value.clone())
            if known.shape != value.shape or not torch.allclose(known.float(), value.float(), atol=1e-3):
                raise ConfigError(f"two training samples share the id {key!r}; give every sample an id of its own")

    def _look_up(self, cache: Mapping[str, Tensor], batch: Batch, what: Read) -> Tensor:
        missing = [key for key in batch.keys if key not in cache]
        if missing or not batch.keys:
            raise ConfigError(
                f"the reference has no {what} of sample {missing[0] if missing else '(without id)'}; "
                "name what the loss reads in the method's `reads`"
            )
        order, counts = _by_conversation(batch)
        values = torch.cat([cache[key] for key in batch.keys])
        assert [len(cache[key]) for key in batch.keys] == counts, "cached under another loss mask"
        return torch.empty_like(values).index_copy_(0, order, values).to(self._device)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _of_the_others(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of all but the given tokens together, [edges, vocabulary] and [edges, k] -> [edges].

    Summed over the others themselves, since one minus nearly everything would round to nothing.
    """
    return logprobs.scatter(1, tokens, -torch.inf).logsumexp(-1).clamp(min=_LEAST_LOGPROB)


def _by_conversation(batch: Batch) -> tuple[Tensor, list[int]]:
    """Edges sorted by conversation, keeping their order within each, and the number of edges of each."""
    owner = batch.owner.cpu()
    return torch.argsort(owner, stable=True), torch.bincount(owner, minlength=batch.size).tolist()


def adapter_is_silent(model: Model) -> bool:
    """Whether the network is a LoRA network whose adapter changes nothing yet."""
    if not model.has_adapter:
        return False
    ups = [weight for name, weight in model.network.named_parameters() if "lora_B" in name or "lora_embedding_B" in name]
    return bool(ups) and all(not weight.any() for weight in ups)


def make_reference(
    model: Model,
    method: Method,
    encoded: Mapping[Side, Mapping[str, Encoded]],
    *,
    mask: LossMask = "answer",
    pack: bool = True,
    max_row_tokens: int | None = None,
    reference_model: Model | None = None,
    kind: ReferenceKind = "auto",
    top_k: int | None = None,
    at_once: int = _CACHED_AT_ONCE,
) -> Reference | None:
    """The reference a method asks for, or None.

    Args:
        model: the start of the run, before its first step.
        encoded: the conversations of both sides by sample id, as the loss will see them.
        reference_model: for methods whose reference was tuned on the retain set.
        kind: `auto` switches the adapter off under LoRA and caches otherwise; a second model is named with its size.
        top_k: likeliest tokens that a cached distribution keeps; None keeps all.
        at_once: conversations in memory while values are cached.

    Raises:
        ConfigError: a retain-tuned reference is needed and not given, or there is no fresh adapter to switch off.
    """
    if method.reference == "none":
        return None
    if method.reference == "retain_tuned":
        if reference_model is None:
            raise ConfigError(
                f"method {method.name} ({method.variant}) compares with a model tuned on the retain set only; "
                "give it as reference_model (the gold model of a run is one)"
            )
        source = reference_model
    else:
        source = model
    can_switch_off = source is model and adapter_is_silent(model)
    if kind == "auto":
        kind = "adapter_off" if can_switch_off else "cache"
    if kind == "adapter_off":
        if not can_switch_off:
            raise ConfigError(
                "reference = adapter_off needs a fresh LoRA adapter whose base is the reference; use auto or cache"
            )
        return AdapterOff(source)
    if kind == "second_model":
        from unsee.models.lora import copied

        second = SecondModel(copied(source) if source is model else source)
        warnings.warn(
            f"the reference is a second model of {second.memory_bytes / 2**30:.2f} GiB in memory; "
            "reference = auto or cache needs less",
            stacklevel=2,
        )
        return second
    cache = CachedReference(top_k=top_k)
    for side, what in method.reads.items():
        keys, items = list(encoded[side]), list(encoded[side].values())
        batches = _chunks(source, items, keys, mask=mask, pack=pack, max_row_tokens=max_row_tokens, at_once=at_once)
        cache.add(source, batches, what=what)
    return cache


def _chunks(
    model: Model,
    items: Sequence[Encoded],
    keys: Sequence[str],
    *,
    mask: LossMask,
    pack: bool,
    max_row_tokens: int | None,
    at_once: int,
) -> Iterator[Batch]:
    for first in range(0, len(items), at_once):
        part = slice(first, first + at_once)
        yield collate(items[part], prompter=model.prompter, mask=mask, pack=pack, max_tokens=max_row_tokens, keys=keys[part])
