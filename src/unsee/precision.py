"""In how many bits training computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from unsee.training_options import TrainOptions


def at_least_single(values: Tensor) -> Tensor:
    """Values in fp32, those in double precision as they are."""
    import torch

    return values.to(torch.promote_types(values.dtype, torch.float32))


def autocast(options: TrainOptions, device: torch.device) -> AbstractContextManager[Any]:
    """Inside, a device computes as the options say."""
    import torch

    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_in_bf16(options, device))


def computes_in_bf16(options: TrainOptions, device: torch.device) -> bool:
    """Whether these options mean autocast to bf16 on a device."""
    return _has_bf16(device) if options.precision == "auto" else options.precision == "bf16"


def _has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 numbers itself; emulation is slower than fp32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch cannot tell.
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
