"""The frozen model a loss compares with: the adapter switched off, cached likelihoods, or a second model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from unsee.errors import ConfigError
from unsee.models.batches import Batch, collate
from unsee.models.model import Model, per_conversation
from unsee.models.prompts import ROW_TOKENS

if TYPE_CHECKING:
    from unsee.methods.base import Method, Read, Side
    from unsee.models.prompts import Encoded, LossMask

_CACHED_AT_ONCE = 64


class Reference(Protocol):
    """What a frozen model says about a batch; never carries gradients."""

    def answer_logits(self, batch: Batch) -> Tensor:
        """Logits of every counted token up to a constant per token, [edges, vocabulary] in fp32."""
        ...

    def answer_logprobs(self, batch: Batch) -> Tensor:
        """Summed log-probability of each conversation's counted tokens, [size] in fp32."""
        ...


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


class AdapterOff:
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


class SecondModel:
    """Another model in memory, `memory_bytes` large."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def memory_bytes(self) -> int:
        return sum(weight.numel() * weight.element_size() for weight in self.model.network.parameters())

    def answer_logits(self, batch: Batch) -> Tensor:
        with evaluating(self.model):
            return self.model.answer_logits(batch)

    def answer_logprobs(self, batch: Batch) -> Tensor:
        with evaluating(self.model):
            return self.model.answer_logprobs(batch)


class CachedReference:
    """Likelihoods computed once, by sample id; the edges of a sample are in the order of its tokens.

    `what="logprobs"` keeps one number per counted token, `"distribution"` the log-probability of the whole vocabulary.
    """

    def __init__(self) -> None:
        self._logprobs: dict[str, Tensor] = {}
        self._distributions: dict[str, Tensor] = {}
        self._device = torch.device("cpu")

    @classmethod
    def build(cls, model: Model, batches: Iterable[Batch], *, what: Read = "logprobs") -> CachedReference:
        """Run the model over batches whose `keys` are sample ids."""
        made = cls()
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
            if what == "distribution":
                self._keep(self._distributions, batch, distribution)

    @property
    def memory_bytes(self) -> int:
        kept = (*self._logprobs.values(), *self._distributions.values())
        return sum(value.numel() * value.element_size() for value in kept)

    def answer_logits(self, batch: Batch) -> Tensor:
        return self._look_up(self._distributions, batch, "distribution")

    def answer_logprobs(self, batch: Batch) -> Tensor:
        return per_conversation(self._look_up(self._logprobs, batch, "logprobs"), batch)

    @staticmethod
    def _keep(cache: dict[str, Tensor], batch: Batch, values: Tensor) -> None:
        order, counts = _by_conversation(batch)
        for key, value in zip(batch.keys, values.cpu()[order].split(counts), strict=True):
            known = cache.setdefault(key, value.clone())
            if known.shape != value.shape or not torch.allclose(known, value, atol=1e-3):
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


def _by_conversation(batch: Batch) -> tuple[Tensor, list[int]]:
    """Edges sorted by conversation, keeping their order within each, and the number of edges of each."""
    owner = batch.owner.cpu()
    return torch.argsort(owner, stable=True), torch.bincount(owner, minlength=batch.size).tolist()


def adapter_is_silent(model: Model) -> bool:
    """Whether the network is a LoRA network whose adapter changes nothing yet."""
    from peft import PeftModel

    if not isinstance(model.network, PeftModel):
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
    max_row_tokens: int = ROW_TOKENS,
    reference_model: Model | None = None,
    kind: Literal["auto", "adapter_off", "cache", "second_model"] = "auto",
) -> Reference | None:
    """The reference a method asks for, or None.

    Args:
        model: the start of the run, before its first step.
        encoded: the conversations of both sides by sample id, as the loss will see them.
        reference_model: for methods whose reference was tuned on the retain set.
        kind: `auto` switches the adapter off under LoRA and caches otherwise.

    Raises:
        ConfigError: a retain-tuned reference is needed and not given.
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
    if kind == "auto":
        kind = "adapter_off" if source is model and adapter_is_silent(model) else "cache"
    if kind == "adapter_off":
        return AdapterOff(source)
    if kind == "second_model":
        from unsee.models.lora import copied

        return SecondModel(copied(source) if source is model else source)
    cache = CachedReference()
    for side, what in method.reads.items():
        keys, items = list(encoded[side]), list(encoded[side].values())
        batches = _chunks(source, items, keys, mask=mask, pack=pack, max_row_tokens=max_row_tokens)
        cache.add(source, batches, what=what)
    return cache


def _chunks(
    model: Model, items: Sequence[Encoded], keys: Sequence[str], *, mask: LossMask, pack: bool, max_row_tokens: int
) -> Iterator[Batch]:
    for first in range(0, len(items), _CACHED_AT_ONCE):
        part = slice(first, first + _CACHED_AT_ONCE)
        yield collate(items[part], prompter=model.prompter, mask=mask, pack=pack, max_tokens=max_row_tokens, keys=keys[part])
