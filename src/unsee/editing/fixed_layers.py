"""What an edit never changes is computed once: everything below the first layer that it moves.

The vision tower, the projector, the embeddings and the decoder's blocks below the cut give the same residual stream at every
step, so it is kept and fed to the block above. Of the last block's MLP only the tokens that count are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from unsee.errors import ConfigError
from unsee.methods.scope import Scope
from unsee.models.lora import decoder_blocks, linear_paths

if TYPE_CHECKING:
    from unsee.editing.stacked_adapters import AdapterStack
    from unsee.models.model import Model


class Cut(NamedTuple):
    """Below which layer nothing changes.

    Attributes:
        depth: number of the decoder's blocks that are left out, at least 1.
        edited: path of the one edited layer below the cut, whose update is added to the stream; None where there is none.
        short_end: whether the last MLP leaves out tokens that do not count.
    """

    depth: int
    edited: str | None
    short_end: bool


class Fixed(NamedTuple):
    """What the layers below a cut give.

    Attributes:
        stream: [rows, tokens, width], the residual stream at the cut, without adapters.
        source: [rows, tokens, in], what goes into the edited layer below the cut.
    """

    stream: Tensor
    source: Tensor | None


class BlockPaths(NamedTuple):
    """Where things are in a network.

    Attributes:
        blocks: the decoder's blocks, in order.
        mlp_ends: last linear layers of their MLPs, which write into the stream; none where MLPs hold no linear layers.
    """

    blocks: tuple[str, ...]
    mlp_ends: frozenset[str]

    @classmethod
    def of(cls, model: Model) -> BlockPaths:
        """Of a model whose decoder is a list of blocks, with adapters or without."""
        blocks = decoder_blocks(model.base)
        assert blocks is not None
        names = {id(module): name for name, module in model.base.named_modules()}
        try:
            ends = linear_paths(model, Scope(modules="mlp-down"))
        except ConfigError:
            ends = []
        return cls(tuple(names[id(block)] for block in blocks), frozenset(path.removesuffix(".base_layer") for path in ends))

    @property
    def last_mlp(self) -> str:
        """The part of the last block that holds its MLP, "" where none is known."""
        last = self.blocks[-1]
        found = {path.removeprefix(f"{last}.").partition(".")[0] for path in self.mlp_ends if path.startswith(f"{last}.")}
        return f"{last}.{found.pop()}" if len(found) == 1 else ""

    def block_of(self, path: str) -> int | None:
        """The block that a module belongs to."""
        return next((number for number, block in enumerate(self.blocks) if path.startswith(f"{block}.")), None)


def possible_cuts(paths: BlockPaths, edited: Sequence[str], lowest_read: int) -> list[Cut | None]:
    """Ways to leave layers out, the one that saves most first; None leaves out nothing.

    Args:
        edited: paths of the layers that have adapters.
        lowest_read: lowest layer whose stream a loss reads, counted as a lens does (0 is the embeddings).
    """
    blocks = [paths.block_of(path) for path in edited]
    lowest = min(block for block in blocks if block is not None)
    found: list[Cut | None] = []
    # Adapters tell rows apart, which a list of tokens does not.
    may_end_short = paths.last_mlp and not any(path.startswith(f"{paths.last_mlp}.") for path in edited)
    for short_end in (True, False) if may_end_short else (False,):
        first = edited[blocks.index(lowest)]
        if blocks.count(lowest) == 1 and first in paths.mlp_ends and lowest_read > lowest:
            found.append(Cut(lowest + 1, first, short_end))
        if 0 < lowest <= lowest_read:
            found.append(Cut(lowest, None, short_end))
    return [*found, None]


class FixedLayers:
    """Runs a network above a cut only, for passes whose rows say so (`Rows`); others run as they always do.

    Args:
        stack: adapters that are being trained.
        paths: of the network's blocks.
    """

    def __init__(self, stack: AdapterStack, paths: BlockPaths) -> None:
        self._stack, self._paths = stack, paths
        self._stream: Tensor | None = None
        self._in_tuples = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Blocks look at the rows of a pass inside the block."""
        base = self._stack.model.base
        patched: list[tuple[nn.Module, Any]] = []
        try:
            for number, path in enumerate(self._paths.blocks):
                block = base.get_submodule(path)
                patched.append((block, vars(block).get("forward")))
                block.forward = self._block(number, block.forward)
            if self._paths.last_mlp:
                mlp = base.get_submodule(self._paths.last_mlp)
                patched.append((mlp, vars(mlp).get("forward")))
                mlp.forward = self._counted_only(mlp.forward)
            yield
        finally:
            for module, forward in patched:
                if forward is None:
                    del module.forward
                else:
                    module.forward = forward

    @torch.no_grad()
    def compute(self, inputs: Mapping[str, Any], cut: Cut) -> Fixed:
        """Run what lies below a cut on whole inputs, whose rows must say `below_cut_only`."""
        self._stack.model.body(**inputs)
        assert self._stream is not None
        stream, self._stream = self._stream, None
        if cut.edited is None:
            return Fixed(stream, None)
        layer = self._stack.layers[cut.edited]
        source, layer.source = layer.source, None
        return Fixed(stream, source)

    def _block(self, number: int, forward: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            rows = self._stack.rows
            if rows is None or rows.cut is None:
                return self._noted(forward(*args, **kwargs))
            if rows.fixed is None:
                if number >= rows.cut.depth:
                    return self._as_output(_stream_in(args, kwargs))
                output = self._noted(forward(*args, **kwargs))
                if number == rows.cut.depth - 1:
                    self._stream = output[0] if self._in_tuples else output
                return output
            if number >= rows.cut.depth:
                return forward(*args, **kwargs)
            # Blocks pass on what they get; the last one below the cut gives the stream, whatever came before it.
            return self._as_output(self._at_cut() if number == rows.cut.depth - 1 else _stream_in(args, kwargs))

        return run

    def _at_cut(self) -> Tensor:
        rows = self._stack.rows
        assert rows is not None and rows.cut is not None and rows.fixed is not None
        stream, source = rows.fixed
        if rows.cut.edited is None or source is None:
            return stream
        return self._stack.layers[rows.cut.edited].added(stream, source, rows.facts)

    def _noted(self, output: Any) -> Any:
        self._in_tuples = isinstance(output, tuple)
        return output

    def _as_output(self, stream: Tensor) -> Any:
        return (stream,) if self._in_tuples else stream

    def _counted_only(self, forward: Any) -> Any:
        def run(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            rows = self._stack.rows
            if rows is None or rows.counted is None or rows.cut is None or not rows.cut.short_end or rows.fixed is None:
                return forward(x, *args, **kwargs)
            made = forward(x[rows.counted], *args, **kwargs)
            return made.new_zeros(*x.shape[:-1], made.shape[-1]).index_put(rows.counted, made)

        return run


def _stream_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    stream: Tensor = args[0] if args else kwargs["hidden_states"]
    return stream
