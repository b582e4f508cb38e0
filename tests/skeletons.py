"""Folders of models as large as people use them, without weights: the real class's config and a processor of its real class.

Tokenizers are small ones of our own; the vocabulary's size in the config is the real one. Shapes are those of the models'
published configs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = "USER ASSISTANT What is the name of this person in picture nurse pilot Oslo tea".split()


def llava_1_5_7b(folder: Path) -> None:
    """CLIP ViT-L/14 at 336 pixels, of which the last layer but one is read, and Llama 7B."""
    from transformers import LlamaConfig

    text = LlamaConfig(vocab_size=32064, max_position_embeddings=4096)
    _llava(folder, text, "USER: ", " ASSISTANT:")


def llava_med(folder: Path) -> None:
    """LLaVA-Med 1.5 as a LLaVA folder of transformers: the same eye and Mistral 7B."""
    from transformers import MistralConfig

    _llava(folder, MistralConfig(vocab_size=32064, max_position_embeddings=32768), "[INST] ", " [/INST]")


def _llava(folder: Path, text: Any, before: str, after: str) -> None:
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = _tokenizer("<image>")
    eye = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    LlavaConfig(
        text_config=text,
        vision_config=eye,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        architectures=[LlavaForConditionalGeneration.__name__],
    ).save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        tokenizer=tokenizer,
        patch_size=14,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=_template("<image>\n", before, after),
    ).save_pretrained(folder)


def idefics2_8b(folder: Path) -> None:
    """SigLIP so400m at up to 980 pixels, a perceiver that reads 64 tokens a picture, and Mistral 7B."""
    from transformers import Idefics2Config, Idefics2ImageProcessorPil, Idefics2Processor, MistralConfig
    from transformers.models.idefics2.configuration_idefics2 import Idefics2PerceiverConfig, Idefics2VisionConfig

    tokenizer = _tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    Idefics2Config(
        text_config=MistralConfig(vocab_size=32003, max_position_embeddings=32768),
        vision_config=Idefics2VisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=27,
            num_attention_heads=16,
            image_size=980,
            patch_size=14,
        ),
        perceiver_config=Idefics2PerceiverConfig(
            resampler_n_latents=64, resampler_depth=3, resampler_n_heads=16, resampler_head_dim=96, num_key_value_heads=4
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        architectures=["Idefics2ForConditionalGeneration"],
    ).save_pretrained(folder)
    Idefics2Processor(
        image_processor=Idefics2ImageProcessorPil(do_image_splitting=False, size={"longest_edge": 980, "shortest_edge": 378}),
        tokenizer=tokenizer,
        image_seq_len=64,
        chat_template=_template("<image>", "User:", "<end_of_utterance>\nAssistant:"),
    ).save_pretrained(folder)


def qwen2_5_vl_3b(folder: Path) -> None:
    """A vision transformer of 32 layers with windowed attention and Qwen2.5 3B, whose embeddings are tied."""
    from transformers import Qwen2_5_VLConfig, Qwen2VLImageProcessorPil

    tokenizer = _tokenizer("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
    token = tokenizer.convert_tokens_to_ids
    Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128000,
            "tie_word_embeddings": True,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        architectures=["Qwen2_5_VLForConditionalGeneration"],
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=3136, max_pixels=512 * 28 * 28).save_pretrained(folder)


class QwenWithoutVideo:
    """Makes Qwen2.5-VL's processor for pictures alone; its video processor needs torchvision."""

    def __new__(cls, folder: Path) -> Any:
        from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil
        from transformers.processing_utils import ProcessorMixin

        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

        class Images(Qwen2_5_VLProcessor):
            def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any) -> None:
                self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
                self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
                self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
                ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        shown = "<|vision_start|><|image_pad|><|vision_end|>"
        template = _template(shown, "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
        return Images(Qwen2VLImageProcessorPil.from_pretrained(folder), tokenizer, template)


def _tokenizer(*special: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def _template(image: str, before: str, after: str) -> str:
    """A chat template: pictures and question between `before` and `after`, then the answer and the end of turn."""
    return (
        "{{ bos_token }}{%- for message in messages -%}{%- if message.role == 'user' -%}{{ '"
        + before.replace("\n", "\\n")
        + "' }}{%- for part in message.content if part.type == 'image' -%}{{ '"
        + image.replace("\n", "\\n")
        + "' }}{%- endfor -%}{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}{{ '"
        + after.replace("\n", "\\n")
        + "' }}{%- else -%}{%- for part in message.content -%}{{ ' ' + part.text }}{%- endfor -%}{{ eos_token }}"
        "{%- endif -%}{%- endfor -%}"
    )
