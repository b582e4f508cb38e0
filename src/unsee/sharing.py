"""How a training run's weights lie on its processes: whole on each (DDP), or a shard on each (FSDP2, DeepSpeed).

A loss may run the network several times in a step, or parts of it. So gradients of whole copies are added up once the last
backward pass is done, and a sharded network is entered by one call that holds the whole loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from unsee.errors import ConfigError
from unsee.methods.base import Method
from unsee.models.lora import decoder_blocks
from unsee.processes import together

if TYPE_CHECKING:
    from accelerate import Accelerator

    from unsee.models.model import Model
    from unsee.training_data import Planned

_T = TypeVar("_T")
_BUCKET = 2**25
"""Gradients that are added up in one message hold at most so many numbers, unless one weight has more."""
_WHOLE_WEIGHTS = ("apply", "after_backward", "after_step")
"""Hooks of methods that may read or change weights and gradients."""


class Copies:
    """Every process holds the whole model; one process alone is the simplest case."""

    alike = False
    """Whether processes must run the network equally often."""

    def __init__(self, accelerator: Accelerator, model: Model, optimizer: torch.optim.Optimizer) -> None:
        self.accelerator, self.model = accelerator, model
        if accelerator.num_processes > 1:
            model.network.to(accelerator.device)
        self._optimizer, self.optimizer = optimizer, accelerator.prepare(optimizer)

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that move, by name, as this process holds them."""
        return {name: weight for name, weight in self.model.network.named_parameters() if weight.requires_grad}

    def run(self, work: Callable[[], _T]) -> _T:
        """Work that runs the network."""
        return work()

    def losses(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Terms that gradients are taken of."""
        return work()

    def gathered(self, work: Callable[[], _T]) -> list[_T]:
        """What each process's work gave; a failure of one is raised in all."""
        return together(work)

    def agreed(self, work: Callable[[], _T]) -> _T:
        """Work that runs the network, with the main process's result everywhere: processes that decide alike stay in step."""
        return self.gathered(lambda: self.run(work))[0]

    def own_share(self, step: Sequence[Planned]) -> Iterator[tuple[Planned, Planned]]:
        """This process's batches of a step; see `share`."""
        return share(step, rank=self.accelerator.process_index, count=self.accelerator.num_processes, alike=self.alike)

    def backward(self, loss: Tensor) -> None:
        """Gradients of one process's share of the loss."""
        self.accelerator.backward(loss)

    def add_up(self) -> None:
        """Gradients are sums over the samples of a step, so processes add theirs; nothing to do for one process."""
        if self.accelerator.num_processes == 1:
            return
        for bucket in _buckets(list(self.trained.values())):
            sums = self.accelerator.reduce(torch.cat([_gradient(weight).flatten() for weight in bucket]), reduction="sum")
            for weight, part in zip(bucket, sums.split([weight.numel() for weight in bucket]), strict=True):
                weight.grad = part.view_as(weight)

    def clip(self, limit: float | None) -> float:
        """Bring the gradient's norm down to the limit; returns what it was."""
        return float(_whole(self.accelerator.clip_grad_norm_([*self.trained.values()], limit or math.inf)))

    def step(self) -> None:
        """Move the weights."""
        self.optimizer.step()

    def weights(self) -> dict[str, Tensor]:
        """The weights that move, by name, whole; every process must ask for them."""
        return {name: self.whole(weight) for name, weight in self.trained.items()}

    def whole(self, weight: Tensor) -> Tensor:
        """A weight with the shards of all processes; every process must ask for it."""
        return _whole(weight.detach()).contiguous()

    def moments(self) -> dict[str, Tensor]:
        """What the optimizer keeps, by weight and kind, whole; plain numbers become tensors of whole numbers."""
        found: dict[str, Tensor] = {}
        places: set[int] = set()
        for name, weight in self.trained.items():
            for key, value in self._optimizer.state.get(weight, {}).items():
                kept = _whole(torch.as_tensor(value).detach()).contiguous()
                # Tables that several weights share must be written once for each.
                found[f"{name}::{key}"] = kept.clone() if kept.data_ptr() in places else kept
                places.add(kept.data_ptr())
        return found

    def restore(self, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        """Put back what `weights` and `moments` gave."""
        trained = self.trained
        with torch.no_grad():
            for name, weight in trained.items():
                weight.copy_(_laid_out_as(weights[name], weight))
        names = {id(weight): name for name, weight in trained.items()}
        by_name: dict[str, dict[str, Any]] = {}
        for key, value in moments.items():
            name, _, kind = key.rpartition("::")
            is_count = value.ndim == 0 and not value.is_floating_point()
            by_name.setdefault(name, {})[kind] = value.item() if is_count else _laid_out_as(value, trained[name])
        state = self._optimizer.state_dict()
        order = [names[id(weight)] for group in self._optimizer.param_groups for weight in group["params"]]
        state["state"] = {index: by_name[name] for index, name in enumerate(order) if name in by_name}
        self._optimizer.load_state_dict(state)

    def finish(self) -> None:
        """Leave the model as plain transformers and PEFT know it."""


class Shards(Copies):
    """Every process holds a part of each weight, by FSDP2; parts come together layer by layer while the network runs."""

    alike = True

    def __init__(self, accelerator: Accelerator, model: Model, optimizer: torch.optim.Optimizer) -> None:
        self.accelerator, self.model = accelerator, model
        self._skeleton = _without_weights(model.network)
        blocks = decoder_blocks(model.base)
        inside = {id(weight) for weight in blocks.parameters()} if blocks is not None else set()
        self._outside = [name for name, weight in self.trained.items() if id(weight) not in inside]
        self._optimizer = optimizer
        self._root, self.optimizer = self._prepared(blocks)

    def _prepared(self, blocks: nn.ModuleList | None) -> tuple[Any, Any]:
        """Network and optimizer, split."""
        root, optimizer = self.accelerator.prepare(Root(self.model.network, blocks), self._optimizer)
        return root, optimizer

    def run(self, work: Callable[[], _T]) -> _T:
        try:
            return self._root(work)
        finally:
            self._split_again()

    def _split_again(self) -> None:
        """FSDP2 leaves what stands outside the blocks whole after a forward pass, in tensors that no optimizer moves."""
        self._root.reshard()

    def losses(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return self._root(lambda: self._reaching_all(work))

    def _reaching_all(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The same terms with zero gradients for weights outside the decoder that this process's samples do not reach.

        Processes add up the gradients that each of them has, so all must have the same; text alone leaves out vision. What
        is computed first gets its gradient last, so that gradients come in the same order everywhere, too.
        """
        silent = [0.0 * self.model.network.get_parameter(path).sum() for path in self._outside]
        terms = work()
        if not terms or not silent:
            return terms
        name, values = next(iter(terms.items()))
        return {**terms, name: values + torch.stack(silent).sum()}

    def gathered(self, work: Callable[[], _T]) -> list[_T]:
        # Others may wait inside the network for one that failed there, so it must leave and be missed.
        mine = work()
        return together(lambda: mine)

    def backward(self, loss: Tensor) -> None:
        # FSDP2 averages over processes what is to be added up.
        self.accelerator.backward(loss * self.accelerator.num_processes)

    def add_up(self) -> None:
        """FSDP2 did so in the backward pass."""

    def finish(self) -> None:
        device, trained = self.accelerator.device, dict(self.model.network.named_parameters())
        for name, weight in self._skeleton.named_parameters():
            value = self.whole(trained[name]).to(device)
            torch.utils.swap_tensors(weight, nn.Parameter(value, requires_grad=weight.requires_grad))
        self.model.network = self._skeleton.to(device)


class Root(nn.Module):
    """What is split over processes: its forward pass is whatever work it is given.

    The decoder's blocks come together one at a time, the rest for the whole pass: a batch without pictures leaves out vision
    layers, and no process may wait for another there.
    """

    def __init__(self, part: nn.Module, blocks: nn.ModuleList | None) -> None:
        super().__init__()
        self.part = part
        self._no_split_modules = sorted({type(block).__name__ for block in blocks or ()})

    def forward(self, work: Callable[[], _T]) -> _T:
        return work()


@contextmanager
def spread(
    accelerator: Accelerator, model: Model, method: Method, optimizer: torch.optim.Optimizer, *, max_grad_norm: float | None
) -> Iterator[Copies]:
    """Lay a model out as the launcher's configuration says; at the end every process has it whole.

    Raises:
        ConfigError: a configuration or a method that cannot work so.
    """
    from accelerate.utils import DistributedType

    kind = accelerator.distributed_type
    is_zero = kind == DistributedType.DEEPSPEED
    if kind == DistributedType.MEGATRON_LM or (kind == DistributedType.FSDP and not accelerator.is_fsdp2):
        raise ConfigError(f"training cannot be spread by {kind.value}; launch it with examples/accelerate/fsdp2.yaml")
    own = [hook for hook in _WHOLE_WEIGHTS if getattr(type(method), hook) is not getattr(Method, hook)]
    if own and (is_zero or kind == DistributedType.FSDP):
        raise ConfigError(
            f"method {method.name} works on whole weights ({', '.join(own)}) and {'DeepSpeed' if is_zero else 'FSDP2'} splits "
            "them; launch it with examples/accelerate/ddp.yaml"
        )
    lay: Copies
    if not optimizer.param_groups[0]["params"]:
        lay = Copies(accelerator, model, optimizer)
    elif is_zero:
        from unsee.zero_stages import Stages

        lay = Stages(accelerator, model, optimizer, max_grad_norm)
    else:
        lay = (Shards if kind == DistributedType.FSDP else Copies)(accelerator, model, optimizer)
    yield lay
    lay.finish()


def share(step: Sequence[Planned], *, rank: int, count: int, alike: bool) -> Iterator[tuple[Planned, Planned]]:
    """One process's batches of a step, a pair per round, each as (pair that it runs, pair whose samples it counts).

    Args:
        alike: a process without a batch where another has one borrows it and counts none of its samples, because shards of
            weights only come together when every process runs the network.
    """
    for first in range(0, len(step), count):
        pairs = step[first : first + count]
        mine: Planned = pairs[rank] if rank < len(pairs) else (None, None)
        if alike:
            forget = mine[0] or next((batch for batch, _ in pairs if batch is not None), None)
            retain = mine[1] or next((batch for _, batch in pairs if batch is not None), None)
            yield (forget, retain), mine
        elif mine != (None, None):
            yield mine, mine


def _whole(value: Tensor) -> Tensor:
    """A tensor with the shards of all processes; every process must ask for it."""
    if not torch.distributed.is_initialized():
        return value
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def _laid_out_as(value: Tensor, weight: Tensor) -> Tensor:
    """A whole tensor split over processes the way a weight of its shape is."""
    if not torch.distributed.is_initialized() or value.shape != weight.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(weight, DTensor):
        return value
    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)


def _without_weights(network: nn.Module) -> nn.Module:
    """The same modules with weights that take no memory."""
    bare = {id(w): nn.Parameter(torch.empty_like(w, device="meta"), w.requires_grad) for w in network.parameters()}
    return deepcopy(network, bare)


def _gradient(weight: Tensor) -> Tensor:
    """The gradient of a weight; zeros where this process's samples did not reach it."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _buckets(weights: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbouring weights of one type that are sent together."""
    bucket: list[Tensor] = []
    for weight in weights:
        is_full = sum(other.numel() for other in bucket) + weight.numel() > _BUCKET
        if bucket and (is_full or weight.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(weight)
    if bucket:
        yield bucket
