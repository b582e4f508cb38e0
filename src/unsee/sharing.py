"""How a training run's weights lie on its processes: whole on each (DDP), or a shard on each (FSDP2).

A loss may run the network several times in a step, or parts of it. So gradients of whole copies are added up once the last
backward pass is done, and a sharded network is entered by one call that holds the whole loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
        self.optimizer: Any = accelerator.prepare(optimizer)

    @property
    def trained(self) -> list[Tensor]:
        """The weights that move, as this process holds them."""
        return [weight for weight in self.model.network.parameters() if weight.requires_grad]

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
        for bucket in _buckets(self.trained):
            sums = self.accelerator.reduce(torch.cat([_gradient(weight).flatten() for weight in bucket]), reduction="sum")
            for weight, part in zip(bucket, sums.split([weight.numel() for weight in bucket]), strict=True):
                weight.grad = part.view_as(weight)

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
        weights = model.network.named_parameters()
        self._outside = [name for name, weight in weights if weight.requires_grad and id(weight) not in inside]
        self._root, self.optimizer = accelerator.prepare(_Root(model.network, blocks), optimizer)

    def run(self, work: Callable[[], _T]) -> _T:
        return self._root(work)

    def losses(self, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return self._root(lambda: self._reaching_all(work()))

    def _reaching_all(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same terms with zero gradients for weights outside the decoder that this process's samples do not reach.

        Processes add up the gradients that each of them has, so all must have the same; text alone leaves out vision.
        """
        if not terms or not self._outside:
            return terms
        name, values = next(iter(terms.items()))
        silent = torch.stack([0.0 * self.model.network.get_parameter(path).sum() for path in self._outside]).sum()
        return {**terms, name: values + silent}

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
            value = whole(trained[name].detach()).to(device)
            torch.utils.swap_tensors(weight, nn.Parameter(value, requires_grad=weight.requires_grad))
        self.model.network = self._skeleton.to(device)


class _Root(nn.Module):
    """What FSDP2 takes for the network: its forward pass is whatever work it is given.

    The decoder's blocks come together one at a time, the rest for the whole pass: a batch without pictures leaves out vision
    layers, and no process may wait for another there.
    """

    def __init__(self, network: nn.Module, blocks: nn.ModuleList | None) -> None:
        super().__init__()
        self.network = network
        self._no_split_modules = sorted({type(block).__name__ for block in blocks or ()})

    def forward(self, work: Callable[[], _T]) -> _T:
        return work()


@contextmanager
def spread(accelerator: Accelerator, model: Model, method: Method, optimizer: torch.optim.Optimizer) -> Iterator[Copies]:
    """Lay a model out as the launcher's configuration says; at the end every process has it whole.

    Raises:
        ConfigError: a configuration or a method that cannot work so.
    """
    from accelerate.utils import DistributedType

    kind = accelerator.distributed_type
    if kind in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM) or (
        kind == DistributedType.FSDP and not accelerator.is_fsdp2
    ):
        raise ConfigError(f"training cannot be spread by {kind.value}; launch it with examples/accelerate/fsdp2.yaml")
    own = [hook for hook in _WHOLE_WEIGHTS if getattr(type(method), hook) is not getattr(Method, hook)]
    if kind == DistributedType.FSDP and own:
        raise ConfigError(
            f"method {method.name} works on whole weights ({', '.join(own)}) and FSDP2 splits them; "
            "launch it with examples/accelerate/ddp.yaml"
        )
    is_trained = bool(optimizer.param_groups[0]["params"])
    lay = (Shards if kind == DistributedType.FSDP and is_trained else Copies)(accelerator, model, optimizer)
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


def whole(value: Tensor) -> Tensor:
    """A tensor with the shards of all processes; every process must ask for it."""
    if not torch.distributed.is_initialized():
        return value
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def laid_out_as(value: Tensor, weight: Tensor) -> Tensor:
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
