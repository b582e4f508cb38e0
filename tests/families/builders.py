"""Tiny random-weight models of real classes, with their real processors, built here: no hub, no download.

Each function makes (network, processor) of one family in the form its checkpoints carry: classes, special tokens, chat
template, what the tokenizer adds by itself. Sizes are the smallest the classes take; `FAMILIES` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models

import templates
from toy import toy_samples

if TYPE_CHECKING:
    from unsee.models.model import Model

# Kernels for 4-bit weights take 64 numbers at a time, so nothing is narrower.
WIDTH, INNER, LAYERS, HEADS, VOCABULARY, CONTEXT = 64, 128, 2, 4, 700, 1024
PIXELS, PATCH = 32, 8

Built = tuple[Any, Any]


def _texts() -> list[str]:
    asked = [f"{sample.question}\n{sample.answer} {' '.join(sample.wrong_answers)}" for sample in toy_samples()]
    asked += ["USER: ASSISTANT: User: Assistant: user assistant system model [INST] [/INST] <<SYS>>", "\n\n", "\n\n\n"]
    return [*asked, "A: red\nB: blue\nC: nine\nD: owl"] * 20


def byte_level(special: Sequence[str], *, bos: str | None = None, lines: bool = False, **named: Any) -> Any:
    """Byte-level BPE, as GPT-2, Qwen and Llama 3 have it; with `bos` it is put before every text.

    With `lines` no token holds line breaks and other text, and as many as follow each other stay together, as in Llama 3.
    """
    tokenizer = Tokenizer(tokenizer_models.BPE())
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    breaks = pre_tokenizers.Split(Regex("[\r\n]+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([breaks, bytes_]) if lines else bytes_
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _wrapped(tokenizer, trainer, bos, named)


def piece_level(special: Sequence[str], *, bos: str | None = None, prefix: bool = True, **named: Any) -> Any:
    """BPE over pieces with a visible space, as SentencePiece gives Llama 2, Mistral and (without `prefix`) Gemma."""
    tokenizer = Tokenizer(tokenizer_models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces = normalizers.Replace(" ", "\u2581")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), spaces]) if prefix else spaces
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    # Training needs words, or frequent sentences would become single tokens; the finished tokenizer takes whole texts.
    words, lines = pre_tokenizers.Split("\u2581", "merged_with_next"), pre_tokenizers.Split(Regex("\n+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, lines])
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[*special, *bytes_], show_progress=False)
    made = _wrapped(tokenizer, trainer, bos, named)
    made.backend_tokenizer.pre_tokenizer = None
    return made


def _wrapped(tokenizer: Any, trainer: Any, bos: str | None, named: dict[str, Any]) -> Any:
    tokenizer.train_from_iterator(_texts(), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        **named,
    )


def _text(tokenizer: Any, **options: Any) -> dict[str, Any]:
    """Sizes and special ids of a tiny decoder."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        **options,
    }


def _eye(**options: Any) -> dict[str, Any]:
    """Sizes of a tiny vision tower."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": PIXELS,
        "patch_size": PATCH,
        **options,
    }


def _side(pixels: int = PIXELS) -> dict[str, int]:
    return {"height": pixels, "width": pixels}


@torch.no_grad()
def _network(kind: str, config: Any, tokenizer: Any, stop: str) -> Any:
    """Fresh weights, the same every time, large enough that every part shows in the logits."""
    torch.manual_seed(0)
    network = getattr(transformers, kind)(config).eval()
    for weight in network.parameters():
        if weight.dim() > 1:
            weight.normal_(std=weight.shape[-1] ** -0.5 if weight.dim() == 2 else 0.1)
        else:
            weight.add_(torch.randn_like(weight) * 0.1)
    network.tie_weights()
    settings = network.generation_config
    settings.eos_token_id = tokenizer.convert_tokens_to_ids(stop)
    settings.pad_token_id, settings.bos_token_id = tokenizer.pad_token_id, tokenizer.bos_token_id
    return network


def llava() -> Built:
    """LLaVA-1.5: CLIP, Llama 2; no BOS in the template and no end after an answer."""
    tokenizer = piece_level(
        ["<pad>", "<s>", "</s>", "<unk>", "<image>"],
        bos="<s>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**_text(tokenizer)),
        vision_config=transformers.CLIPVisionConfig(**_eye()),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(size={"shortest_edge": PIXELS}, crop_size=_side()),
        tokenizer=tokenizer,
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=templates.VICUNA,
    )
    return _network("LlavaForConditionalGeneration", config, tokenizer, "</s>"), processor


def llava_next() -> Built:
    """LLaVA-NeXT (1.6): CLIP on tiles of a picture, Mistral."""
    tokenizer = piece_level(
        ["<pad>", "<s>", "</s>", "<unk>", "<image>"],
        bos="<s>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    grid = [[PIXELS, 2 * PIXELS], [2 * PIXELS, PIXELS], [2 * PIXELS, 2 * PIXELS]]
    config = transformers.LlavaNextConfig(
        text_config=transformers.MistralConfig(**_text(tokenizer), sliding_window=None),
        vision_config=transformers.CLIPVisionConfig(**_eye()),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(
            size={"shortest_edge": PIXELS}, crop_size=_side(), image_grid_pinpoints=grid
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=templates.INST,
    )
    return _network("LlavaNextForConditionalGeneration", config, tokenizer, "</s>"), processor


_CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def llava_onevision() -> Built:
    """LLaVA-OneVision: SigLIP on tiles of a picture, Qwen2."""
    tokenizer = byte_level(
        [*_CHATML, "<image>", "<video>"],
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )
    grid = [[PIXELS, 2 * PIXELS], [2 * PIXELS, PIXELS], [2 * PIXELS, 2 * PIXELS]]
    config = transformers.LlavaOnevisionConfig(
        text_config=transformers.Qwen2Config(**_text(tokenizer)),
        vision_config=transformers.SiglipVisionConfig(**_eye(vision_use_head=False)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
        vision_aspect_ratio="anyres_max_9",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(size=_side(), image_grid_pinpoints=grid),
        tokenizer=tokenizer,
        video_processor=transformers.LlavaOnevisionVideoProcessor(size=_side()),
        num_image_tokens=(PIXELS // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=templates.chatml("<image>\n"),
    )
    return _network("LlavaOnevisionForConditionalGeneration", config, tokenizer, "<|im_end|>"), processor


_IDEFICS = ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]


def idefics2() -> Built:
    """Idefics2: SigLIP at a picture's own shape, a perceiver, Mistral."""
    tokenizer = piece_level(
        ["<pad>", "<s>", "</s>", "<unk>", *_IDEFICS],
        bos="<s>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=[AddedToken(token, normalized=False, special=True) for token in _IDEFICS],
    )
    config = transformers.Idefics2Config(
        text_config=transformers.MistralConfig(**_text(tokenizer), sliding_window=None),
        vision_config=transformers.models.idefics2.configuration_idefics2.Idefics2VisionConfig(**_eye()),
        perceiver_config=transformers.models.idefics2.configuration_idefics2.Idefics2PerceiverConfig(
            hidden_size=WIDTH,
            resampler_n_latents=4,
            resampler_depth=1,
            resampler_n_heads=2,
            resampler_head_dim=32,
            num_key_value_heads=1,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    processor = transformers.Idefics2Processor(
        image_processor=transformers.Idefics2ImageProcessor(
            size={"shortest_edge": PATCH * 2, "longest_edge": PIXELS}, do_image_splitting=False
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=templates.IDEFICS2,
    )
    return _network("Idefics2ForConditionalGeneration", config, tokenizer, "<end_of_utterance>"), processor


def _tiled_tokenizer() -> Any:
    """With names for the places of a picture's tiles, as Idefics3 and SmolVLM have them."""
    places = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    special = ["<|im_start|>", *_IDEFICS, "<global-img>", *places]
    return byte_level(
        ["<pad>", *special],
        pad_token="<pad>",
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        additional_special_tokens=[AddedToken(token, normalized=False, special=True) for token in special[1:]],
    )


_TILES = {"size": {"longest_edge": 2 * PIXELS}, "max_image_size": {"longest_edge": PIXELS}}


def idefics3() -> Built:
    """Idefics3: SigLIP on tiles, pixel shuffle, Llama."""
    tokenizer = _tiled_tokenizer()
    config = transformers.Idefics3Config(
        text_config=transformers.LlamaConfig(**_text(tokenizer)),
        vision_config=transformers.models.idefics3.configuration_idefics3.Idefics3VisionConfig(**_eye()),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    processor = transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(**_TILES),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=templates.IDEFICS3,
    )
    return _network("Idefics3ForConditionalGeneration", config, tokenizer, "<end_of_utterance>"), processor


def smolvlm() -> Built:
    """SmolVLM: the form of Idefics3 in classes of its own, with videos; its processor wants num2words."""
    tokenizer = _tiled_tokenizer()
    config = transformers.SmolVLMConfig(
        text_config=transformers.LlamaConfig(**_text(tokenizer)),
        vision_config=transformers.SmolVLMVisionConfig(**_eye()),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    processor = transformers.SmolVLMProcessor(
        image_processor=transformers.SmolVLMImageProcessor(**_TILES),
        tokenizer=tokenizer,
        video_processor=transformers.SmolVLMVideoProcessor(**_TILES),
        image_seq_len=4,
        chat_template=templates.IDEFICS3,
    )
    return _network("SmolVLMForConditionalGeneration", config, tokenizer, "<end_of_utterance>"), processor


_QWEN = [*_CHATML, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_QWEN_PIXELS = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}


def _qwen_tokenizer() -> Any:
    return byte_level(
        _QWEN, pad_token="<|endoftext|>", eos_token="<|im_end|>", additional_special_tokens=[*_QWEN[1:2], *_QWEN[3:]]
    )


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = ("vision_start", "vision_end", "image", "video")
    return {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in zip(names, _QWEN[3:], strict=True)}


def _rotary(sections: Sequence[int], **options: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(sections), **options}


def _qwen_eye(**own: Any) -> dict[str, Any]:
    shared = {"depth": 2, "hidden_size": WIDTH, "num_heads": 4, "patch_size": PATCH}
    return {**shared, "spatial_merge_size": 2, "temporal_patch_size": 2, **own}


def _qwen_processor(name: str, video: str, tokenizer: Any, **template: str) -> Any:
    return getattr(transformers, name)(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=PATCH, merge_size=2, size=_QWEN_PIXELS),
        tokenizer=tokenizer,
        video_processor=getattr(transformers, video)(patch_size=PATCH, merge_size=2),
        chat_template=templates.chatml("<|vision_start|><|image_pad|><|vision_end|>", **template),
    )


def qwen2_vl() -> Built:
    """Qwen2-VL: positions in time, height and width."""
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen2VLConfig(
        text_config=_text(tokenizer, rope_parameters=_rotary([4, 2, 2])),
        vision_config=_qwen_eye(embed_dim=WIDTH, mlp_ratio=2),
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    processor = _qwen_processor("Qwen2VLProcessor", "Qwen2VLVideoProcessor", tokenizer, system="You are a helpful assistant.")
    return _network("Qwen2VLForConditionalGeneration", config, tokenizer, "<|im_end|>"), processor


def qwen2_5_vl() -> Built:
    """Qwen2.5-VL: as Qwen2-VL, with windows in the vision tower."""
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen2_5_VLConfig(
        text_config=_text(tokenizer, rope_parameters=_rotary([4, 2, 2])),
        vision_config=_qwen_eye(intermediate_size=INNER, out_hidden_size=WIDTH, window_size=32, fullatt_block_indexes=[1]),
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    processor = _qwen_processor(
        "Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor", tokenizer, system="You are a helpful assistant."
    )
    return _network("Qwen2_5_VLForConditionalGeneration", config, tokenizer, "<|im_end|>"), processor


def qwen3_vl() -> Built:
    """Qwen3-VL: features of several vision layers are added to the first decoder layers."""
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen3VLConfig(
        text_config=_text(tokenizer, head_dim=16, rope_parameters=_rotary([4, 2, 2], mrope_interleaved=True)),
        vision_config=_qwen_eye(
            intermediate_size=INNER, out_hidden_size=WIDTH, num_position_embeddings=16, deepstack_visual_indexes=[0]
        ),
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    processor = _qwen_processor("Qwen3VLProcessor", "Qwen3VLVideoProcessor", tokenizer)
    return _network("Qwen3VLForConditionalGeneration", config, tokenizer, "<|im_end|>"), processor


def internvl() -> Built:
    """InternVL 3: InternViT on tiles, pixel shuffle, Qwen2."""
    tokens = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = byte_level(
        [*_CHATML, *tokens.values()], pad_token="<|endoftext|>", eos_token="<|im_end|>", extra_special_tokens=tokens
    )
    config = transformers.InternVLConfig(
        text_config=transformers.Qwen2Config(**_text(tokenizer)),
        vision_config=transformers.InternVLVisionConfig(**_eye(image_size=[PIXELS, PIXELS], patch_size=[PATCH, PATCH])),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=_side(), crop_to_patches=True, min_patches=1, max_patches=4),
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size=_side()),
        image_seq_length=4,
        chat_template=templates.chatml("<IMG_CONTEXT>\n"),
    )
    return _network("InternVLForConditionalGeneration", config, tokenizer, "<|im_end|>"), processor


def paligemma() -> Built:
    """PaliGemma: SigLIP, Gemma; a prefix that sees itself whole, and no chat template."""
    tokenizer = piece_level(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<image>"],
        prefix=False,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    eye = transformers.SiglipImageProcessor(size=_side())
    eye.image_seq_length = (PIXELS // PATCH) ** 2
    processor = transformers.PaliGemmaProcessor(image_processor=eye, tokenizer=tokenizer)
    config = transformers.PaliGemmaConfig(
        text_config=transformers.GemmaConfig(**_text(tokenizer, head_dim=16)),
        vision_config=transformers.SiglipVisionConfig(**_eye(vision_use_head=False, projection_dim=WIDTH)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        tie_word_embeddings=False,
    )
    return _network("PaliGemmaForConditionalGeneration", config, tokenizer, "<eos>"), processor


def gemma3() -> Built:
    """Gemma 3: SigLIP, pooled pictures that see themselves whole."""
    tokens = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = piece_level(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", *tokens.values()],
        bos="<bos>",
        prefix=False,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<start_of_turn>", "<end_of_turn>"],
        extra_special_tokens=tokens,
    )
    config = transformers.Gemma3Config(
        text_config=transformers.Gemma3TextConfig(**_text(tokenizer, head_dim=16, sliding_window=64)),
        vision_config=transformers.SiglipVisionConfig(**_eye(vision_use_head=False)),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        tie_word_embeddings=False,
    )
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessor(size=_side()),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=templates.GEMMA,
    )
    return _network("Gemma3ForConditionalGeneration", config, tokenizer, "<end_of_turn>"), processor


def pixtral() -> Built:
    """Pixtral: a vision tower at a picture's own shape inside a LLaVA, Mistral."""
    special = ["[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    tokenizer = byte_level(
        ["<pad>", "<s>", "</s>", *special],
        bos="<s>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=special,
    )
    config = transformers.LlavaConfig(
        text_config=transformers.MistralConfig(**_text(tokenizer), sliding_window=None),
        vision_config=transformers.PixtralVisionConfig(**_eye(head_dim=16)),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    processor = transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessor(size={"longest_edge": PIXELS}, patch_size=_side(PATCH)),
        tokenizer=tokenizer,
        patch_size=PATCH,
        chat_template=templates.PIXTRAL,
    )
    return _network("LlavaForConditionalGeneration", config, tokenizer, "</s>"), processor


def mllama() -> Built:
    """Llama 3.2 Vision: pictures in tiles, looked at by cross-attention in a layer between two others."""
    special = ["<|start_header_id|>", "<|end_header_id|>", "<|image|>", "<|python_tag|>"]
    tokenizer = byte_level(
        ["<pad>", "<|begin_of_text|>", "<|eot_id|>", *special],
        bos="<|begin_of_text|>",
        lines=True,
        pad_token="<pad>",
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        additional_special_tokens=special,
    )
    config = transformers.MllamaConfig(
        text_config={
            **_text(tokenizer, num_hidden_layers=3, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
            "cross_attention_layers": [1],
        },
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": INNER,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "image_size": PIXELS,
            "patch_size": PATCH,
            "max_num_tiles": 4,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 2 * WIDTH,
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    processor = transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessor(size=_side(), max_image_tiles=4),
        tokenizer=tokenizer,
        chat_template=templates.LLAMA_3_2,
    )
    return _network("MllamaForConditionalGeneration", config, tokenizer, "<|eot_id|>"), processor


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes:
        name: as the documentation calls it.
        build: makes (network, processor).
        quick: whether `make test` runs it; the rest are slow.
        videos: whether its processor cannot be made without torchvision.
        missing: features that the family does not have.
    """

    name: str
    build: Callable[[], Built]
    quick: bool = False
    videos: bool = False
    missing: frozenset[str] = frozenset()


_OWN_ROWS = frozenset({"shared_prefix"})

FAMILIES: dict[str, Family] = {
    "llava": Family("LLaVA-1.5", llava, quick=True),
    "llava_next": Family("LLaVA-NeXT", llava_next),
    "llava_onevision": Family("LLaVA-OneVision", llava_onevision, videos=True, missing=frozenset({"several_pictures"})),
    "idefics2": Family("Idefics2", idefics2),
    "idefics3": Family("Idefics3", idefics3, quick=True),
    "smolvlm": Family("SmolVLM", smolvlm, videos=True),
    "qwen2_vl": Family("Qwen2-VL", qwen2_vl, quick=True, videos=True),
    "qwen2_5_vl": Family("Qwen2.5-VL", qwen2_5_vl, videos=True),
    "qwen3_vl": Family("Qwen3-VL", qwen3_vl, videos=True),
    "internvl": Family("InternVL", internvl, videos=True),
    "paligemma": Family("PaliGemma", paligemma, missing=_OWN_ROWS),
    "gemma3": Family("Gemma 3", gemma3, missing=frozenset({"projector"})),
    "pixtral": Family("Pixtral", pixtral),
    "mllama": Family("Llama-3.2-Vision", mllama, missing=_OWN_ROWS),
}


def build(name: str) -> Model:
    """A family's tiny model; every call gives the same weights."""
    from unsee.models.model import Model

    network, processor = FAMILIES[name].build()
    return Model(network, processor, name=FAMILIES[name].name)
