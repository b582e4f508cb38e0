"""LLaVA-1.5's form: two linear layers between a vision tower and the language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unsee.models.tiny import SPREAD, VisionSize

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
"""Pad, beginning, end of turn, unknown and picture."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}"
    "{%- for part in message.content -%}{{ part.text }}{%- endfor -%}{{ '\\n' }}"
    "{%- elif message.role == 'user' -%}"
    "{{ 'USER: ' }}"
    "{%- for part in message.content if part.type == 'image' -%}{{ '<image>\\n' }}{%- endfor -%}"
    "{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}"
    "{{ '\\nASSISTANT:' }}"
    "{%- else -%}"
    "{%- for part in message.content -%}{{ ' ' + part.text }}{%- endfor -%}{{ eos_token }}"
    "{%- endif -%}"
    "{%- endfor -%}"
)
"""LLaVA-1.5's form: `USER: <image>\\n{question}\\nASSISTANT: {answer}</s>`, a system prompt on a line of its own before it."""


def build_network(
    tokenizer: PreTrainedTokenizerFast, *, text: Mapping[str, Any], vision: VisionSize
) -> LlavaForConditionalGeneration:
    """An untrained network."""
    from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

    eye = SiglipVisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.width * 4,
        num_hidden_layers=vision.layers,
        num_attention_heads=4,
        image_size=vision.pixels,
        patch_size=vision.patch,
        vision_use_head=False,
    )
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(image_id, int)
    config = LlavaConfig(
        vision_config=eye,
        text_config=LlamaConfig(**text),
        image_token_index=image_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=vision.tokens,
        tie_word_embeddings=True,
    )
    config.initializer_range = SPREAD
    return LlavaForConditionalGeneration(config)


def build_processor(tokenizer: PreTrainedTokenizerFast, *, vision: VisionSize) -> LlavaProcessor:
    """A `LlavaProcessor` that needs Pillow only."""
    from transformers import LlavaProcessor, SiglipImageProcessorPil

    side = {"height": vision.pixels, "width": vision.pixels}
    images: Any = SiglipImageProcessorPil(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=vision.patch,
        num_additional_image_tokens=0,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token="<image>",
    )
