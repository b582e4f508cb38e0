"""Weights in 4 or 8 bits below an adapter (QLoRA): memory for a large model on one GPU."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import nn

    from unsee.models.checkpoints import Dtype, Quantize
    from unsee.models.model import Model

WAYS: tuple[Quantize, ...] = ("4bit", "8bit")


def quantization(quantize: Quantize, dtype: Dtype) -> Any:
    """What transformers is told: NF4 with double quantization (https://arxiv.org/abs/2305.14314), or LLM.int8.

    Args:
        dtype: what is computed in.

    Raises:
        ConfigError: an unknown way, or bitsandbytes is not installed.
    """
    if quantize not in WAYS:
        raise ConfigError(f"there is no quantize {quantize!r}; {nearest(quantize, WAYS)}")
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"quantize = {quantize} needs bitsandbytes, which is not installed; run pip install 'unsee[quant]', "
            "or leave quantize out"
        )
    from transformers import BitsAndBytesConfig

    if quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def keep_differentiable(network: nn.Module) -> None:
    """Keep 4-bit layers in the layout that gradients pass through.

    On some CPUs bitsandbytes 0.50 repacks a layer when it first answers; later training passes through it without gradients.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in network.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def is_quantized(model: Model) -> bool:
    """Whether the network's linear layers hold less than 16 bits per weight."""
    return bool(model.base.config.to_dict().get("quantization_config"))


def merged_into_plain_weights(model: Model) -> Any:
    """The network that an adapter above quantized weights makes of the weights they were read from: plain ones, on the CPU.

    What the adapter learned to add to rounded weights is added to exact ones, as is usual after QLoRA, so answers differ a
    little.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    from unsee.models.checkpoints import load_network

    network, base = model.network, model.base
    dtype: Any = str(base.get_input_embeddings().weight.dtype).removeprefix("torch.")
    plain = get_peft_model(load_network(base.name_or_path, device="cpu", dtype=dtype), network.peft_config["default"])
    set_peft_model_state_dict(plain, get_peft_model_state_dict(network, save_embedding_layers=False))
    return plain.merge_and_unload()


def refuse_moving(model: Model, what: str) -> None:
    """Raises ConfigError where something would change quantized weights themselves."""
    if is_quantized(model):
        raise ConfigError(
            f"{what} would change the quantized weights of {model.name}, which cannot be done without loss; "
            "use LoRA (a rank), or load the model without quantize"
        )
