"""Chat templates in the forms that checkpoints of each family carry, written for the tests.

A template of a checkpoint is text beside the weights, so tests need the same form: where pictures, line breaks, spaces and ends
of turns go, and which special tokens the template leaves to the tokenizer.
"""

from __future__ import annotations

_IMAGES = "{% for part in message.content if part.type == 'image' %}"
_TEXT = "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"

VICUNA = (
    "{% for message in messages %}"
    "{% if message.role != 'system' %}{{ message.role | upper }}: {% endif %}"
    + _IMAGES
    + "<image>\n{% endfor %}"
    + _TEXT
    + "{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5: `USER: <image>\\n{question} ASSISTANT: {answer} `; BOS comes from the tokenizer, nothing ends an answer."""

INST = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ '<<SYS>>\n' }}" + _TEXT + "{{ '\n<</SYS>>\n\n' }}"
    "{% elif message.role == 'user' %}[INST] " + _IMAGES + "<image>\n{% endfor %}" + _TEXT + "{{ ' [/INST]' }}"
    "{% else %}{{ ' ' }}" + _TEXT + "</s> {% endif %}"
    "{% endfor %}"
)
"""LLaVA-NeXT with Mistral: `[INST] <image>\\n{question} [/INST] {answer}</s> `; BOS comes from the tokenizer."""

IDEFICS2 = (
    "{% for message in messages %}{{ message.role | capitalize }}"
    "{{ ':' if message.content[0].type == 'image' else ': ' }}"
    "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""Idefics2: `User:<image>{question}<end_of_utterance>\\nAssistant: {answer}<end_of_utterance>\\n`."""

IDEFICS3 = "<|im_start|>" + IDEFICS2
"""Idefics3 and SmolVLM: the same after `<|im_start|>`."""

GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0].role == 'system' %}"
    "{% set prefix = messages[0].content[0].text + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set prefix = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{% if loop.first %}{{ prefix }}{% endif %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text | trim }}{% endif %}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
"""Gemma 3: a system prompt stands at the start of the first turn."""

PIXTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'user' %}[INST]"
    "{% if loop.last or loop.nextitem.role == 'assistant' and loop.index0 < 2 %}"
    "{% if messages[0].role == 'system' %}{{ messages[0].content[0].text + '\n\n' }}{% endif %}{% endif %}"
    "{% for part in message.content %}{% if part.type == 'image' %}[IMG]{% else %}{{ part.text }}{% endif %}{% endfor %}[/INST]"
    "{% elif message.role == 'assistant' %}" + _TEXT + "</s>{% endif %}{% endfor %}"
)
"""Pixtral: `<s>[INST][IMG]{question}[/INST]{answer}</s>`; a system prompt stands inside the turn."""


def chatml(image: str, *, system: str = "") -> str:
    """Turns between `<|im_start|>` and `<|im_end|>`.

    Args:
        image: what stands for a picture.
        system: system prompt where a conversation brings none, as Qwen2-VL has it.
    """
    default = ""
    if system:
        default = "{% if messages[0].role != 'system' %}<|im_start|>system\n" + system + "{{ '<|im_end|>\n' }}{% endif %}"
    return (
        default + "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% for part in message.content %}{% if part.type == 'image' %}" + image.replace("\n", "{{ '\n' }}") + "{% else %}"
        "{{ part.text }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


LLAMA_3_2 = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'system' and messages[1].content[0].type == 'image' %}"
    "{{ raise_exception('pictures and a system message cannot stand together') }}{% endif %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image|>{% else %}{{ part.text | trim }}{% endif %}{% endfor %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
"""Llama 3.2 Vision: headers round every role; it refuses a system message before a picture."""
