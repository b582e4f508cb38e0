"""The embedded models: sizes, tokenizer, and the forms they come in. Weights come from `unsee models train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Form = Literal["llava", "idefics3"]
"""Of the network: how pictures enter the language model, the processor and the prompt."""
FORM_NAMES: Mapping[Form, str] = {"llava": "LLaVA", "idefics3": "Idefics3"}
WIDTHS = {"micro": 96, "tiny": 192, "small": 240}
"""Of the language model; small is as wide as fits into 15 MiB, so that it can ship."""
LAYERS = 8
CONTEXT = 2048
VOCABULARY = 4096
SPREAD = 0.06
"""Standard deviation of untrained weights; with 0.02 a network of this size never leaves the plateau."""


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


def build_network(tokenizer: PreTrainedTokenizerFast, *, width: int, vision: VisionSize, form: Form = "llava") -> Any:
    """An untrained network.

    Args:
        width: of the language model.
    """
    network = _module(form).build_network(tokenizer, text=text_settings(tokenizer, width=width), vision=vision)
    network.generation_config.bos_token_id = tokenizer.bos_token_id
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    network.generation_config.do_sample = False
    return network.eval()


def build_processor(tokenizer: PreTrainedTokenizerFast, *, vision: VisionSize, form: Form = "llava") -> Any:
    """The form's own processor, which needs Pillow only."""
    return _module(form).build_processor(tokenizer, vision=vision)


def _module(form: Form) -> Any:
    return import_module(f"unsee.models.forms.{form}")


def text_settings(tokenizer: PreTrainedTokenizerFast, *, width: int) -> dict[str, Any]:
    """Settings of the language model, a Llama in every form."""
    # A CPU trains few wide heads faster than many narrow ones; six divide the width of small.
    heads = min(max(4, width // 32), 6)
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "intermediate_size": width * 8 // 3 // 32 * 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "initializer_range": SPREAD,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "attention_bias": False,
    }


_SPECIAL = 32
"""Ids that stand before the words; those a form has no name for are spare, for worlds to come."""
_PIECES = (
    r"'(?:s|t|re|ve|m|ll|d)"
    r"| (?=[A-D](?![A-Za-z]))"
    r"| ?\p{L}+| ?\p{N}{1,4}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"
)
"""Words with their leading space; a lone option letter loses it, so that " A" in an answer and the A of "A: Oslo" agree."""


def train_tokenizer(texts: list[str], *, form: Form = "llava") -> PreTrainedTokenizerFast:
    """Byte-level BPE, which cuts words alike in every form."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    named = _module(form).SPECIAL_TOKENS
    pad, bos, eos, unknown, picture = named[:5]
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
        special_tokens=[*named, *(f"<spare_{i}>" for i in range(_SPECIAL - len(named)))],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=eos,
        unk_token=unknown,
        extra_special_tokens={"image_token": picture},
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
