"""Training that DeepSpeed splits: ZeRO-2 (gradients and optimizer) and ZeRO-3 (weights of the decoder's blocks as well).

DeepSpeed takes the optimizer over, clips while it steps, and keeps each process's part of weights and moments in flat rows;
whole ones are asked of it by name (`deepspeed.utils.safe_get_full_*`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unsee.errors import ConfigError
from unsee.sharing import Root, Shards

if TYPE_CHECKING:
    from accelerate import Accelerator

    from unsee.models.model import Model
    from unsee.training_data import Planned

_KINDS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of every weight, besides the number of its steps."""
_INSTEAD = "launch it with examples/accelerate/fsdp2.yaml"


class Stages(Shards):
    """Every process holds a part of gradients and moments, at stage 3 of the decoder's weights too.

    Raises:
        ConfigError: what is trained, or how, does not go with the stage.
    """

    def __init__(
        self, accelerator: Accelerator, model: Model, optimizer: torch.optim.Optimizer, max_grad_norm: float | None
    ) -> None:
        import deepspeed  # its messages go to standard output, which belongs to the command
        from deepspeed.utils.logging import logger
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        logger.setLevel("WARNING")
        unset_hf_deepspeed_config()  # else transformers splits every network that is built from here on
        self._gathered = deepspeed.zero.GatheredParameters
        if type(optimizer) not in (torch.optim.AdamW, torch.optim.SGD):
            raise ConfigError(f'DeepSpeed does not split {type(optimizer).__name__}; set optimizer = "adamw", or {_INSTEAD}')
        plugin = accelerator.state.deepspeed_plugin
        self._splits_weights = plugin.zero_stage == 3
        # The loop shares batches and adds gradients up itself.
        plugin.deepspeed_config.update(train_micro_batch_size_per_gpu=1, gradient_clipping=max_grad_norm or 0.0)
        self._is_last = True
        super().__init__(accelerator, model, optimizer)

    def _prepared(self, blocks: nn.ModuleList | None) -> tuple[Any, Any]:
        network = self.model.network.to(self.accelerator.device)
        if not self._splits_weights:
            root, optimizer = self.accelerator.prepare(Root(network, None), self._optimizer)
            return root, optimizer
        # Blocks run equally often everywhere. Vision layers do not: a batch without pictures leaves them out, and the others
        # would wait there, so what stands outside the blocks is kept whole and must not move.
        if blocks is None or self._outside:
            outside = f", such as {self._outside[0]}" if self._outside else ""
            raise ConfigError(
                f"ZeRO-3 splits the decoder's blocks and weights outside them are trained too{outside}; train modules = "
                f'["language"] with lora, launch it with examples/accelerate/zero2.yaml, or {_INSTEAD}'
            )
        root, optimizer = self.accelerator.prepare(Root(blocks, None), self._optimizer)
        return root, optimizer

    def _split_again(self) -> None:
        """DeepSpeed does."""

    def own_share(self, step: Sequence[Planned]) -> Iterator[tuple[Planned, Planned]]:
        rounds = list(super().own_share(step))
        for number, pair in enumerate(rounds, start=1):
            self._is_last = number == len(rounds)
            yield pair

    def backward(self, loss: Tensor) -> None:
        # As FSDP2, it averages over processes what is to be added up.
        self._root.set_gradient_accumulation_boundary(self._is_last)
        self._root.backward(loss * self.accelerator.num_processes, scale_wrt_gas=False)

    def clip(self, limit: float | None) -> float:
        """Takes the step, too: the limit is known since the beginning, and DeepSpeed clips as it steps."""
        self._root.step()
        return float(self._root.get_global_grad_norm())

    def step(self) -> None:
        """`clip` did so."""

    def whole(self, weight: Tensor) -> Tensor:
        with self._gathered([weight], enabled=hasattr(weight, "ds_id")):
            return weight.detach().clone()

    def moments(self) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        found: dict[str, Tensor] = {}
        steps = next((state["step"] for state in self._optimizer.state.values() if "step" in state), None)
        for name, weight in self.trained.items() if steps is not None else ():
            for kind in _KINDS:
                found[f"{name}::{kind}"] = safe_get_full_optimizer_state(weight, kind).reshape(_shape(weight)).clone()
            found[f"{name}::step"] = torch.as_tensor(steps).clone()
        return found

    def restore(self, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        self._take_empty_step()
        for name, weight in self.trained.items():
            value = weights[name].to(self.accelerator.device)
            with self._gathered([weight], modifier_rank=0, enabled=hasattr(weight, "ds_id")), torch.no_grad():
                weight.copy_(value)
            # DeepSpeed moves a copy of its own and writes the weight anew after each step.
            safe_set_full_fp32_param(weight, value.float())
            for kind in _KINDS:
                if f"{name}::{kind}" in moments:
                    safe_set_full_optimizer_state(weight, moments[f"{name}::{kind}"].to(value.device), kind)
        steps = next((value for key, value in moments.items() if key.endswith("::step")), None)
        if steps is not None:
            for state in self._optimizer.state.values():
                state["step"] = steps.clone().to(torch.as_tensor(state["step"]).device)

    def _take_empty_step(self) -> None:
        """DeepSpeed has no moments to be put back before it has taken a step: one of length 0."""
        rates = [group["lr"] for group in self._optimizer.param_groups]
        for group in self._optimizer.param_groups:
            group["lr"] = 0.0
        nothing = self._root(lambda: torch.stack([0.0 * weight.sum() for weight in self.trained.values()]).sum())
        self._is_last = True
        self.backward(nothing)
        self._root.step()
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def finish(self) -> None:
        super().finish()
        self._root.destroy()


def _shape(weight: Tensor) -> torch.Size:
    """Of the whole weight, of which a process may hold a part."""
    return getattr(weight, "ds_shape", weight.shape)
