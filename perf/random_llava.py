"""A LLaVA of any size with random weights, for measurements of time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from unsee.models.model import Model


@dataclass(frozen=True)
class Shape:
    """What decides time and memory of a LLaVA; the default is one of 116 million weights."""

    width: int = 768
    layers: int = 8
    heads: int = 12
    inner: int = 2048
    vocabulary: int = 32000
    context: int = 2048
    pixels: int = 112
    patch: int = 14
    eye_width: int = 384
    eye_layers: int = 4
    eye_heads: int = 6


SMALL = Shape(width=64, layers=2, heads=1, inner=160, vocabulary=4096, eye_width=32, eye_layers=4, eye_heads=1)
EMBEDDED = Shape(width=192, heads=6, inner=512, vocabulary=4096, pixels=64, patch=16, eye_width=128, eye_heads=4)
"""As large as the embedded model."""
LLAVA_1_5_7B = Shape(
    width=4096,
    layers=32,
    heads=32,
    inner=11008,
    vocabulary=32064,
    context=4096,
    pixels=336,
    eye_width=1024,
    eye_layers=24,
    eye_heads=16,
)
"""Published config of LLaVA-1.5 7B: Llama 7B and CLIP ViT-L/14 at 336 pixels, 576 tokens a picture."""


def build(shape: Shape, tokenizer: Any, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Model:
    """A LLaVA with random weights, made where it will live.

    Args:
        tokenizer: with the token `<image>`; it may have fewer tokens than the vocabulary.
    """
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    from unsee.models.model import Model
    from unsee.models.tiny import VisionSize, build_processor

    eye = VisionSize(pixels=shape.pixels, patch=shape.patch, width=shape.eye_width, layers=shape.eye_layers)
    text = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=shape.eye_width,
        intermediate_size=shape.eye_width * 4,
        num_hidden_layers=shape.eye_layers,
        num_attention_heads=shape.eye_heads,
        image_size=shape.pixels,
        patch_size=shape.patch,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=eye.tokens,
    )
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            network = LlavaForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(usual)
    return Model(network, build_processor(tokenizer, vision=eye), name=f"random-{shape.width}")
