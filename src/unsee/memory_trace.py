"""What a piece of work would keep in memory, found by doing it with tensors that have a shape and no values.

    trace = MemoryTrace(vocabulary=32000)
    trace.hold(network.parameters(), "weights")  # all on the meta device
    with trace.running():
        train(...)
    trace.peak()  # bytes by part, when they are most

Every storage that an operation makes is noted with its size and its end, so the peak is that of the very code that will run,
whatever the model is made of. Inputs, whole numbers and masks stay real on the CPU, because the way through a network depends
on them (where the picture's tokens are, how large a picture was, which pictures are padding); what weights were applied to
has no values.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

Part = Literal["weights", "other models", "gradients", "optimizer", "reference", "logits", "activations"]
PARTS: tuple[Part, ...] = ("weights", "other models", "gradients", "optimizer", "reference", "logits", "activations")
"""Parts of a plan in the order they are printed; activations are all that is in none of the others."""

META = torch.device("meta")
_ops = torch.ops.aten
_BY_INDEX = (_ops.index.Tensor, _ops.index_put_.default, _ops.index_put.default, _ops._unsafe_index.Tensor)


class MemoryTrace:
    """Storages in the order they came and went, and what they were for.

    Args:
        vocabulary: length of a row of logits.
        optimizer_size: bytes that a tensor of the optimizer would take, for optimizers other than the one that runs here.
    """

    def __init__(self, *, vocabulary: int, optimizer_size: Callable[[Tensor], int] | None = None) -> None:
        self._vocabulary = vocabulary
        self._optimizer_size = optimizer_size or (lambda tensor: tensor.untyped_storage().nbytes())
        self._alive: dict[int, tuple[int, weakref.ref]] = {}
        self._sizes: list[int] = []
        self._parts: list[Part] = []
        self._events: list[int] = []

    def hold(self, tensors: Iterable[Tensor], part: Part, *, sizes: Mapping[int, int] | None = None) -> None:
        """Say what tensors are for; `sizes` gives bytes by `id` for those that are stored in another form."""
        for tensor in tensors:
            number = self.see(tensor)
            self._parts[number] = part
            self._sizes[number] = (sizes or {}).get(id(tensor), self._sizes[number])

    def see(self, tensor: Tensor) -> int:
        """Note a tensor's storage unless it is known; returns its number."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return self._alive[key][0]
        number = len(self._sizes)
        self._sizes.append(storage.nbytes())
        is_logits = tensor.ndim > 1 and tensor.shape[-1] == self._vocabulary and tensor.is_floating_point()
        self._parts.append("logits" if is_logits else "activations")
        self._events.append(number)
        self._alive[key] = number, weakref.ref(storage, lambda _: self._gone(key))
        return number

    def _gone(self, key: int) -> None:
        number, _ = self._alive.pop(key)
        self._events.append(~number)

    @contextmanager
    def running(self, *, bf16: bool = False) -> Iterator[None]:
        """Watch what happens inside; `bf16` computes as under autocast."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        with ExitStack() as stack:
            hook = register_optimizer_step_post_hook(self._after_step)
            stack.callback(hook.remove)
            stack.enter_context(_AsOnDevices(bf16=bf16).on())
            stack.enter_context(_WithoutValues(self.see))
            yield

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.hold([weight.grad], "gradients")
                kept = [value for value in optimizer.state.get(weight, {}).values() if isinstance(value, Tensor)]
                self.hold(kept, "optimizer", sizes={id(value): self._optimizer_size(value) for value in kept})

    def peak(self) -> dict[Part, int]:
        """Bytes of each part at the moment when all parts together take most."""
        most, at, now = 0, 0, 0
        for place, event in enumerate(self._events):
            now += self._sizes[event] if event >= 0 else -self._sizes[~event]
            if now > most:
                most, at = now, place
        live: set[int] = set()
        for event in self._events[: at + 1]:
            live.add(event) if event >= 0 else live.discard(~event)
        found: dict[Part, int] = dict.fromkeys(PARTS, 0)
        for number in live:
            found[self._parts[number]] += self._sizes[number]
        return found


class _WithoutValues(TorchDispatchMode):
    """Runs operations on the meta device, where inputs, whole numbers and masks keep their values."""

    def __init__(self, see: Callable[[Tensor], int]) -> None:
        super().__init__()
        self._see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [value for value in _leaves((*args, *kwargs.values())) if isinstance(value, Tensor)]
        real = [tensor for tensor in tensors if not tensor.is_meta]
        shapes_only = len(real) < len(tensors)
        if shapes_only and func is _ops._local_scalar_dense.default:
            # What is asked of such numbers are checks that pass (is it finite, are two ways equal).
            return tensors[0].dtype == torch.bool or (1.0 if tensors[0].is_floating_point() else 1)
        if shapes_only and func is _ops.allclose.default:
            return True
        if kwargs.get("device") is not None:
            stays = not shapes_only and (bool(real) or _makes_whole_numbers(func, args, kwargs))
            kwargs["device"] = META if shapes_only else torch.device("cpu") if stays else kwargs["device"]
        if shapes_only and real:
            if func in _BY_INDEX:
                args = (args[0], _by_number(args[1]), *args[2:])
            args, kwargs = tree_map_only(Tensor, lambda tensor: tensor if tensor.is_meta else tensor.to(META), (args, kwargs))
        made = func(*args, **kwargs)
        for value in _leaves((made,)):
            if isinstance(value, Tensor):
                self._see(value)
        return made


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """Values and what lists among them hold; operations take and give no deeper ones."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _makes_whole_numbers(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation that takes no tensors makes numbers without a fraction."""
    if kwargs.get("dtype") is not None:
        return not kwargs["dtype"].is_floating_point
    counts = func.overloadpacket in (_ops.arange, _ops.full)
    return counts and all(isinstance(value, int) for value in _leaves(args))


def _by_number(indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Masks among indices as positions, so that the shape of what they pick is known."""
    found: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype != torch.bool or index.is_meta:
            found.append(index)
        else:
            found += index.nonzero().unbind(1)
    return found


class _AsOnDevices:
    """What CPUs and GPUs do and the meta device does not, in place of some of torch's functions.

    Attention is computed in blocks, where torch would lay all scores out. With `bf16`, products are taken in bf16 as under
    autocast, and trainable weights are cast once a pass. Functions are replaced by name, because torch leaves a function mode
    on the way back, where checkpointed blocks are computed again.
    """

    def __init__(self, *, bf16: bool) -> None:
        self._bf16 = bf16
        self._cast: dict[int, Tensor] = {}
        self._attention = nn.functional.scaled_dot_product_attention

    @contextmanager
    def on(self) -> Iterator[None]:
        products = _PRODUCTS if self._bf16 else ()
        before = [(owner, name, getattr(owner, name)) for owner, name in (*products, *_HANDLED)]
        try:
            for owner, name, function in before:
                setattr(owner, name, self._in_bf16(function))
            nn.functional.scaled_dot_product_attention = self._attend
            setattr(Tensor, "backward", self._backward(before[-1][2]))  # noqa: B010
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _in_bf16(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def narrow(*args: Any, **kwargs: Any) -> Any:
            # Positions keep their values, and networks turn them in fp32 whatever the rest is computed in.
            if all(value.is_meta for value in _leaves((*args, *kwargs.values())) if isinstance(value, Tensor)):
                args, kwargs = tree_map_only(Tensor, self._narrow, (args, kwargs))
            return function(*args, **kwargs)

        return narrow

    def _attend(self, query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not query.is_meta:
            return self._attention(query, *args, **kwargs)
        if self._bf16:
            query, args, kwargs = tree_map_only(Tensor, self._narrow, (query, args, kwargs))
        return _blockwise_attention(query, *args, **kwargs)

    def _backward(self, function: Callable[..., None]) -> Callable[..., None]:
        def backward(*args: Any, **kwargs: Any) -> None:
            self._cast.clear()
            function(*args, **kwargs)

        return backward

    def _narrow(self, tensor: Tensor) -> Tensor:
        if tensor.dtype != torch.float32 or not tensor.is_meta:
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad and torch.is_grad_enabled()):
            return tensor.to(torch.bfloat16)
        if id(tensor) not in self._cast:
            self._cast[id(tensor)] = tensor.to(torch.bfloat16)
        return self._cast[id(tensor)]


_PRODUCTS: tuple[tuple[Any, str], ...] = (
    (nn.functional, "linear"),
    (nn.functional, "conv1d"),
    (nn.functional, "conv2d"),
    (nn.functional, "conv3d"),
    (torch, "matmul"),
    (torch, "bmm"),
    (Tensor, "matmul"),
    (Tensor, "__matmul__"),
)
_HANDLED: tuple[tuple[Any, str], ...] = ((nn.functional, "scaled_dot_product_attention"), (Tensor, "backward"))


def _blockwise_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        key, value = (side.repeat_interleave(query.shape[-3] // side.shape[-3], -3) for side in (key, value))
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # Kernels take what is added to the scores, so every layer makes its own.
        attn_mask = torch.zeros(attn_mask.shape, dtype=query.dtype, device=META)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return flash(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]
