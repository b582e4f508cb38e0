"""What each decoder layer would say: the logit lens.

Hooks read the residual stream where a block writes it. The `hidden_states` that transformers returns would not do: their last
entry has been through the final norm already, and a lens that norms it again no longer shows what the model says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unsee.errors import ConfigError
from unsee.models.batches import Batch, collate
from unsee.models.lora import decoder_blocks
from unsee.precision import at_least_single

if TYPE_CHECKING:
    from unsee.models.model import Model

TOLERANCE = 1e-5
"""How far the last layer may lie from the model's own logits in single precision, absolute and relative."""


class Lens:
    """What each decoder layer would say: final norm and unembedding applied to the residual stream after a layer.

    The stream is read where the blocks write it, so an adapter, or a hook of the model's method, shows in it. Making a lens
    costs one short forward pass; it reads the network it was made for, so a copied network needs a lens of its own.

    Args:
        model: any model whose decoder is a list of blocks, a norm and an unembedding.

    Attributes:
        layers: number of blocks N. Layer 0 is the embeddings, layer l the stream after block l, layer N the model's own output.

    Raises:
        ConfigError: the blocks cannot be found, or the last layer does not give the model's own logits to 1e-5.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._blocks = _blocks(model)
        self.layers = len(self._blocks)
        self._norm: nn.Module = nn.Identity()
        self._find_norm()

    def check(self, layers: Sequence[int]) -> None:
        """Refuse layers that the model does not have.

        Raises:
            ConfigError: a layer below 0 or above N.
        """
        check_layers(layers, self.layers)

    def logits(self, batch: Batch, layers: Sequence[int]) -> Tensor:
        """Logits of the lens at the position that predicts each counted token.

        Args:
            batch: as for `Model.answer_logits`; only positions of its edges reach the unembedding.
            layers: which layers, in any order.

        Returns:
            [len(layers), edges, vocabulary] in fp32; it carries gradients where they are on.

        Raises:
            ConfigError: a layer that the model does not have.
        """
        return self.unembed(self.streams(batch, layers))

    def streams(self, batch: Batch, layers: Sequence[int]) -> Tensor:
        """The residual stream at the same positions, [len(layers), edges, width]; raises as `logits` does."""
        self.check(layers)
        return batch.to(self.model.device).in_passes(lambda part: self._pass(part, layers), dim=1)

    def _pass(self, batch: Batch, layers: Sequence[int]) -> Tensor:
        skips = self.model.prompter.cross_attends
        with self._reading(batch, range(self.layers + 1) if skips else layers) as streams:
            self.model.body(**batch.inputs)
        if skips:
            # After a layer that looks at pictures and was left out, the stream is what it was before.
            for layer in range(1, self.layers + 1):
                streams.setdefault(layer, streams[layer - 1])
        return torch.stack([streams[layer] for layer in layers])

    def unembed(self, streams: Tensor) -> Tensor:
        """Final norm and unembedding of any part of the stream, [..., width] -> [..., vocabulary] in fp32 at least."""
        return at_least_single(self.model.base.get_output_embeddings()(self._norm(streams)))

    @contextmanager
    def _reading(self, batch: Batch, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
        """Collect the residual stream at a batch's edges, [edges, width] by layer, while the network runs."""
        streams: dict[int, Tensor] = {}

        def keep(layer: int, stream: Tensor) -> None:
            streams[layer] = stream[batch.row, batch.position]

        with ExitStack() as hooks:
            for layer in set(layers):
                if layer == 0:
                    hook = self._blocks[0].register_forward_pre_hook(
                        lambda _, args, kwargs: keep(0, args[0] if args else kwargs["hidden_states"]), with_kwargs=True
                    )
                else:
                    hook = self._blocks[layer - 1].register_forward_hook(
                        lambda _, args, output, layer=layer: keep(layer, _stream(output))
                    )
                hooks.callback(hook.remove)
            yield streams

    @torch.no_grad()
    def _find_norm(self) -> None:
        """Find the module between the last block and the unembedding, proven on a short text."""
        model, base = self.model, self.model.base
        text = model.prompter.encode("What is it?", "It is.")
        batch = collate([text], prompter=model.prompter, pack=False).to(model.device)
        inputs: dict[nn.Module, Tensor] = {}

        def note(module: nn.Module, args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], Tensor):
                inputs[module] = args[0][batch.row, batch.position] if args[0].dim() == 3 else args[0]

        with ExitStack() as hooks, self._reading(batch, [self.layers]) as streams:
            for child in base.get_decoder().children():
                hooks.callback(child.register_forward_pre_hook(note).remove)
            own = base(**batch.inputs).logits[batch.row, batch.position]
        if self.layers not in streams:
            raise _unavailable(model, "its decoder does not run the blocks that were found")
        last = streams[self.layers]
        norms = [module for module, seen in inputs.items() if seen.shape == last.shape and _same(seen, last)]
        self._norm = norms[-1] if norms else nn.Identity()
        made = self.unembed(last)
        # Half precision cannot agree to more than its own rounding.
        tolerance = max(TOLERANCE, 2 * torch.finfo(own.dtype).eps)
        if made.shape != own.shape or not torch.allclose(
            made, at_least_single(own), atol=tolerance, rtol=tolerance, equal_nan=True
        ):
            raise _unavailable(model, "its logits are not its unembedding of the normed last block (they are scaled or capped)")


def check_lens(model: Model) -> None:
    """Refuse a model that cannot be read layer by layer; of one without values only the blocks are looked at.

    Raises:
        ConfigError: says why.
    """
    if model.base.get_input_embeddings().weight.is_meta:
        _blocks(model)
    else:
        Lens(model)


def check_layers(layers: Sequence[int], count: int) -> None:
    """Refuse layers that a model of `count` blocks does not have.

    Raises:
        ConfigError: a layer below 0 or above `count`.
    """
    wrong = [layer for layer in layers if not 0 <= layer <= count]
    if wrong:
        raise ConfigError(f"layer {wrong[0]} does not exist; the model has layers 0 (embeddings) to {count} (its output)")


def _blocks(model: Model) -> nn.ModuleList:
    """The decoder's blocks, of a model that has an unembedding."""
    blocks = decoder_blocks(model.base)
    if blocks is None:
        count = int(model.base.config.get_text_config().num_hidden_layers)
        raise _unavailable(model, f"its decoder holds no list of {count} blocks")
    if model.base.get_output_embeddings() is None:
        raise _unavailable(model, "it has no unembedding")
    return blocks


def _stream(output: Any) -> Tensor:
    """What a block writes into the residual stream; some blocks return more beside it."""
    stream: Tensor = output[0] if isinstance(output, tuple) else output
    return stream


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; broken weights give no numbers, which count as equal."""
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def _unavailable(model: Model, why: str) -> ConfigError:
    return ConfigError(
        f"{model.name} cannot be read layer by layer (the logit lens), because {why}; "
        "use attacks and defences that need no hidden states, such as rephrase_question and fact_erasure"
    )
