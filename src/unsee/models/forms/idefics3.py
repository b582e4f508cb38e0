"""The form of Idefics3 and SmolVLM: neighbouring patches are joined and enter the language model by one linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError
from unsee.models.tiny import SPREAD, VisionSize

if TYPE_CHECKING:
    from transformers import Idefics3ForConditionalGeneration, Idefics3Processor, PreTrainedTokenizerFast

SPECIAL_TOKENS = (
    "<pad>",
    "<|im_start|>",
    "<end_of_utterance>",
    "<unk>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
)
"""Pad, beginning, end of turn, unknown and picture, then what stands around a picture."""
_JOINED = 2
"""Patches on a side that become one token, as in the published models."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{%- for message in messages -%}"
    "{{ message.role | capitalize }}:"
    "{%- for part in message.content if part.type == 'image' -%}{{ '<image>' }}{%- endfor -%}"
    "{%- if message.content[0].type != 'image' -%}{{ ' ' }}{%- endif -%}"
    "{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}"
    "{{ '<end_of_utterance>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
"""`User:<image>{question}<end_of_utterance>\\nAssistant: {answer}<end_of_utterance>`, a system prompt as a turn before it."""


def build_network(
    tokenizer: PreTrainedTokenizerFast, *, text: Mapping[str, Any], vision: VisionSize
) -> Idefics3ForConditionalGeneration:
    """An untrained network."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    eye = Idefics3VisionConfig(
        hidden_size=vision.width,
        intermediate_size=vision.width * 4,
        num_hidden_layers=vision.layers,
        num_attention_heads=4,
        image_size=vision.pixels,
        patch_size=vision.patch,
    )
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(image_id, int)
    config = Idefics3Config(
        vision_config=eye,
        text_config=LlamaConfig(**text),
        scale_factor=_JOINED,
        image_token_id=image_id,
        tie_word_embeddings=True,
    )
    config.initializer_range = SPREAD
    return Idefics3ForConditionalGeneration(config)


def build_processor(tokenizer: PreTrainedTokenizerFast, *, vision: VisionSize) -> Idefics3Processor:
    """An `Idefics3Processor` that never splits a picture.

    Raises:
        ConfigError: an older transformers needs torchvision for it.
    """
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    side = {"longest_edge": vision.pixels}
    try:
        images: Any = Idefics3ImageProcessorPil(
            size=side, max_image_size=side, do_image_splitting=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
        )
    except ImportError as error:
        raise ConfigError("this transformers needs torchvision for pictures of Idefics3; install it or a newer one") from error
    return Idefics3Processor(
        image_processor=images, tokenizer=tokenizer, image_seq_len=vision.tokens // _JOINED**2, chat_template=CHAT_TEMPLATE
    )
