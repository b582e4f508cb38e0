"""A model as the rest of the package sees it: the plain network, its processor, and likelihoods of answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unsee.models.prompts import Prompter
from unsee.precision import at_least_single

if TYPE_CHECKING:
    from unsee.methods.base import Method
    from unsee.models.batches import Batch
    from unsee.models.self_check import Feature, Features


class Model:
    """A network with its processor.

    Attributes:
        network: the plain transformers or PEFT module.
        processor: the plain transformers processor, saved beside the weights.
        name: how results call this model.
        system: system prompt put before every question while the model answers; "" for none.
        method: what made the model, when it is still at work while the model answers (`answering`); None otherwise.
        shares_weights: the weights below the adapter are another model's, too, so that no adapter is merged into them.
    """

    def __init__(self, network: nn.Module, processor: Any, *, name: str = "model") -> None:
        self.network: Any = network
        self.processor = processor
        self.name = name
        self.system = ""
        self.method: Method | None = None
        self.shares_weights = False
        self.prompter = Prompter(processor)
        self.prompter.window = _window(network)
        self._plain_head: bool | None = None

    @property
    def shared_prefix(self) -> Feature:
        """Whether packed rows are exact for this model; found out once, on a few short conversations."""
        from unsee.models.self_check import check_shared_prefix

        # Copies of a model, which place tokens as it does, share its prompter.
        if self.prompter.shared_prefix is None:
            self.prompter.shared_prefix = check_shared_prefix(self)
        return self.prompter.shared_prefix

    @property
    def prefix_cache(self) -> Feature:
        """Whether prompts go on from the key-value cache of their shared beginning exactly; found out once, as `shared_prefix`.

        A model that packs rows and cannot do this says so once; for others `packs` does.
        """
        from unsee.models.self_check import check_prefix_cache

        if self.prompter.prefix_cache is None:
            found = self.prompter.prefix_cache = check_prefix_cache(self)
            if not found.available and self.shared_prefix.available:
                warnings.warn(f"{self.name}: every prompt is read whole: {found.reason}", stacklevel=2)
        return self.prompter.prefix_cache

    @cached_property
    def features(self) -> Features:
        """What works with this model and why something does not, found out once by short passes."""
        from unsee.models.self_check import check

        return check(self)

    def packs(self, wanted: bool = True) -> bool:
        """Whether conversations may share rows. Where they cannot, plain rows are used, which is said once."""
        if not wanted:
            return False
        known = self.prompter.shared_prefix is not None
        if not self.shared_prefix.available and not known:
            warnings.warn(f"{self.name}: every question gets a row of its own: {self.shared_prefix.reason}", stacklevel=3)
        return self.shared_prefix.available

    @property
    def base(self) -> Any:
        """The transformers module, inside PEFT's wrapper where there is one."""
        return self.network.get_base_model() if self.has_adapter else self.network

    @property
    def body(self) -> Any:
        """What runs the layers: the transformers module without its unembedding, or with it where nothing else is left."""
        return getattr(self.base, "model", self.base)

    @property
    def has_adapter(self) -> bool:
        """Whether the model answers with an adapter of PEFT beside its weights."""
        from peft import PeftModel

        return isinstance(self.network, PeftModel)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def max_positions(self) -> int:
        """Longest sequence the decoder was made for, in tokens."""
        return int(self.base.config.get_text_config().max_position_embeddings)

    def answer_logits(self, batch: Batch) -> Tensor:
        """Logits of every counted token, [edges, vocabulary] in fp32 at least; other positions never reach the unembedding."""
        return batch.to(self.device).in_passes(self._pass_logits)

    def _pass_logits(self, batch: Batch) -> Tensor:
        if self._plain_head is False or self.body is self.base:
            return at_least_single(self.network(**batch.inputs, use_cache=False).logits[batch.row, batch.position])
        hidden = self.body(**batch.inputs, use_cache=False).last_hidden_state[batch.row, batch.position]
        if self._plain_head is None:
            self._plain_head = self._head_is_plain(batch, hidden)
            if not self._plain_head:
                return self._pass_logits(batch)
        return at_least_single(self.base.get_output_embeddings()(hidden))

    @torch.no_grad()
    def _head_is_plain(self, batch: Batch, hidden: Tensor) -> bool:
        """Whether logits are the unembedding of the last hidden state, without scaling or capping."""
        head = self.base.get_output_embeddings()
        whole = self.base(**batch.inputs, use_cache=False).logits[batch.row[:4], batch.position[:4]]
        return torch.allclose(head(hidden[:4]).float(), whole.float(), atol=1e-3, rtol=1e-3)

    def token_logprobs(self, batch: Batch) -> Tensor:
        """Log-probability of every counted token, [edges] in fp32 at least."""
        target = batch.target.to(self.device)
        return self.answer_logits(batch).log_softmax(-1).gather(1, target[:, None])[:, 0]

    def answer_logprobs(self, batch: Batch) -> Tensor:
        """Summed log-probability of each conversation's counted tokens, [size]."""
        return per_conversation(self.token_logprobs(batch), batch)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Switch on what the model's method does while it answers: a system prompt, activation hooks."""
        with nullcontext() if self.method is None else self.method.answering(self):
            yield

    @contextmanager
    def answering_with(self, system: str) -> Iterator[None]:
        """Answer under a system prompt inside the block."""
        before, self.system = self.system, system
        try:
            yield
        finally:
            self.system = before

    def save(self, directory: Path | str) -> Path:
        """Write weights (safetensors) and processor so that plain transformers or peft loads them."""
        from unsee.models.checkpoints import save_model

        return save_model(self, Path(directory))


def _window(network: Any) -> int | None:
    """How far back the decoder's layers look that do not look at everything, in tokens."""
    text = network.config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ["sliding_attention"]
    return getattr(text, "sliding_window", None) if "sliding_attention" in kinds else None


def per_conversation(values: Tensor, batch: Batch) -> Tensor:
    """Sum a value per counted token over each conversation, [edges] -> [size]."""
    zeros = torch.zeros(batch.size, dtype=values.dtype, device=values.device)
    return zeros.index_add(0, batch.owner.to(values.device), values)
