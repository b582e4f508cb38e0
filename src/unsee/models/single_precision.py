"""Exact results of a network whose weights are kept in half precision, without a second copy of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_HALF = (torch.bfloat16, torch.float16)
# Upcasting its table would take as much memory as the whole vocabulary in fp32.
_LOOK_UPS = (torch.ops.aten.embedding.default,)
_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)


@contextmanager
def single_precision(network: nn.Module) -> Iterator[None]:
    """Inside, every operation of the network computes in fp32 on the values that tensors in half precision have.

    A weight is upcast where an operation reads it and let go afterwards, so memory grows by the largest weight and not by the
    network. Meant for forward passes without gradients.
    """
    if all(weight.is_floating_point() and weight.dtype not in _HALF for weight in network.parameters()):
        yield  # looking at every operation takes longer than the operations of small networks
        return
    with _Convolutions(), _Operations():
        yield


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        writes_half = func._schema.is_mutable and isinstance(args[0], Tensor) and args[0].dtype in _HALF
        if func not in _LOOK_UPS and not writes_half:
            args, kwargs = tree_map(_single, (tuple(args), dict(kwargs)))
        made = func(*args, **kwargs)
        return made if writes_half else tree_map(_single, made)


class _Convolutions(TorchFunctionMode):
    """They compare the types of what they are given before any operation is dispatched."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CONVOLUTIONS:
            args, kwargs = tree_map(_single, (tuple(args), dict(kwargs)))
        return func(*args, **kwargs)


def _single(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    return torch.float32 if isinstance(value, torch.dtype) and value in _HALF else value
