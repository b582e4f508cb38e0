"""Parts of an embedded network, whatever its form: pretraining trains them apart."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn


class Parts(NamedTuple):
    """Vision tower, projector and language model of a network."""

    tower: nn.Module
    projector: nn.Module
    language: nn.Module


_LLAVA = ("vision_tower", "multi_modal_projector", "language_model")
_IDEFICS3 = ("vision_model", "connector", "text_model")


def parts_of(network: Any) -> Parts:
    """The parts of a network."""
    return Parts(*(getattr(network.model, name) for name in (_IDEFICS3 if _is_idefics3(network) else _LLAVA)))


def tower_tokens(network: Any, pixels: Tensor) -> Tensor:
    """What the projector sees of normalised pictures, [pictures, tokens, width]."""
    seen: list[Tensor] = []
    hook = parts_of(network).projector.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        # Idefics3 counts pictures of a conversation in a dimension of their own.
        network.model.get_image_features(pixel_values=pixels[:, None] if _is_idefics3(network) else pixels)
    finally:
        hook.remove()
    return seen[0]


def _is_idefics3(network: Any) -> bool:
    return bool(network.config.model_type == "idefics3")
