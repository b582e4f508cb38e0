"""The embedded LLaVA: architecture, processor and prompt form. Weights come from `unsee models train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

WIDTHS = {"micro": 96, "tiny": 192, "small": 256}
LAYERS = 8
CONTEXT = 2048
VOCABULARY = 4096

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


@dataclass(frozen=True)
class VisionSize:
    """What the vision tower sees; decided once for every world."""

    pixels: int = 64
    patch: int = 16
    width: int = 128
    layers: int = 4

    @property
    def tokens(self) -> int:
        return (self.pixels // self.patch) ** 2


def build_network(tokenizer: PreTrainedTokenizerFast, *, width: int, vision: VisionSize) -> LlavaForConditionalGeneration:
    """An untrained network; standard deviation 0.06, because with 0.02 it never leaves the plateau at this size."""
    from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 32 * 32,
        num_hidden_layers=LAYERS,
        num_attention_heads=max(4, width // 32),
        num_key_value_heads=max(4, width // 32),
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.06,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attention_bias=False,
    )
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
        text_config=text,
        image_token_index=image_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=vision.tokens,
        tie_word_embeddings=True,
    )
    config.initializer_range = 0.06
    network = LlavaForConditionalGeneration(config)
    network.generation_config.bos_token_id = tokenizer.bos_token_id
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    network.generation_config.do_sample = False
    return network.eval()


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


SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>", *(f"<spare_{i}>" for i in range(27)))
_PIECES = (
    r"'(?:s|t|re|ve|m|ll|d)"
    r"| (?=[A-D](?![A-Za-z]))"
    r"| ?\p{L}+| ?\p{N}{1,4}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"
)
"""Words with their leading space; a lone option letter loses it, so that " A" in an answer and the A of "A: Oslo" agree."""


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE with spare special ids for worlds to come."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
