"""What cannot be read off a processor, by its class; everything else about a family is found and checked (`self_check`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SpecialCase:
    """How one class of processors departs from the rest.

    Attributes:
        chat_template: used where a checkpoint carries none.
        answer_type: `token_type_ids` of an answer's tokens, where prompts have 0.
    """

    chat_template: str | None = None
    answer_type: int = 0


_PALIGEMMA = (
    "{% for message in messages if message.role == 'user' %}"
    "{% for part in message.content if part.type == 'image' %}<image>{% endfor %}{% endfor %}"
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
    "{{ eos_token if message.role == 'assistant' else '\n' }}"
    "{% endfor %}"
)
"""Pictures, BOS, the text on a line of its own, the answer, EOS: what its processor makes of a text and a suffix."""

SPECIAL_CASES: dict[str, SpecialCase] = {"PaliGemmaProcessor": SpecialCase(chat_template=_PALIGEMMA, answer_type=1)}


def special_case(processor: Any) -> SpecialCase:
    """The entry of a processor's class; an empty one for most."""
    return SPECIAL_CASES.get(type(processor).__name__, SpecialCase())
