"""Text a model is shown, made by its own chat template, and the token ids of that text.

A chat template is rendered once per shape of conversation with markers in place of the question and the answer, so that
thousands of questions cost string concatenation only. Token ids of a picture come from the processor, once per picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.sample import ImageRef

LossMask = Literal["answer", "answer_and_question", "all", "answer_text"]

_SYSTEM, _QUESTION, _ANSWER = "\u241fsystem\u241f", "\u241fquestion\u241f", "\u241fanswer\u241f"
_CACHED_BYTES = 256 * 2**20

ROW_TOKENS = 192
"""Tokens of a packed row: longer rows share more of a picture, shorter ones waste less attention on strangers."""


class PromptParts(NamedTuple):
    """The template's text around system prompt, question and answer."""

    before_system: str
    before_question: str
    before_answer: str
    after_answer: str


@dataclass(frozen=True)
class Encoded:
    """Token ids of one conversation.

    Attributes:
        ids: prompt ids followed by answer ids.
        prompt_length: number of prompt ids; everything after is answer and end of turn.
        question_start: where the question's own tokens begin.
        pictures: pictures shown, in order.
        end_length: number of ids at the end that are the end of turn.
    """

    ids: tuple[int, ...]
    prompt_length: int
    question_start: int
    pictures: tuple[ImageRef, ...] = ()
    end_length: int = 0

    def counted(self, mask: LossMask) -> slice:
        """Which tokens' likelihoods count; `answer_text` is the answer without the end of turn."""
        first = {"answer_and_question": self.question_start, "all": 1}.get(mask, self.prompt_length)
        return slice(max(1, first), len(self.ids) - (self.end_length if mask == "answer_text" else 0))


class Prompter:
    """Turns questions into prompts and ids for one processor."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self._parts: dict[tuple[int, bool], PromptParts] = {}
        self._placeholders: dict[str, tuple[int, ...]] = {}
        self._pictures: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._picture_bytes = 0
        self._tokenize = lru_cache(maxsize=65536)(self._tokenize_uncached)

    @property
    def image_token(self) -> str:
        return str(self.processor.image_token)

    @cached_property
    def image_token_id(self) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(self.image_token))

    def parts(self, *, images: int, system: bool) -> PromptParts:
        """Split the rendered chat template at its variable places."""
        key = (images, system)
        if key not in self._parts:
            content: list[dict[str, str]] = [{"type": "image"} for _ in range(images)]
            turns: list[dict[str, Any]] = [
                {"role": "user", "content": [*content, {"type": "text", "text": _QUESTION}]},
                {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]},
            ]
            if system:
                turns.insert(0, {"role": "system", "content": [{"type": "text", "text": _SYSTEM}]})
            text: str = self.processor.apply_chat_template(turns, tokenize=False)
            prompt: str = self.processor.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
            before_system = ""
            if system:
                before_system, text = text.split(_SYSTEM)
                prompt = prompt.split(_SYSTEM)[1]
            before_question, rest = text.split(_QUESTION)
            before_answer, after_answer = rest.split(_ANSWER)
            # The space that some templates put before the answer belongs to the answer's first token.
            asked = prompt.split(_QUESTION)[1]
            if before_answer.startswith(asked):
                before_answer = asked
            self._parts[key] = PromptParts(before_system, before_question, before_answer, after_answer)
        return self._parts[key]

    def prompt(self, question: str, *, images: int = 0, system: str = "") -> str:
        """The text a model completes, with one image token per picture."""
        parts = self.parts(images=images, system=bool(system))
        return f"{parts.before_system}{system}{parts.before_question}{question}{parts.before_answer}"

    def picture(self, image: ImageRef) -> tuple[tuple[int, ...], dict[str, Tensor]]:
        """Placeholder ids and model inputs (`pixel_values`, ...) of one picture; recent ones are kept decoded."""
        key = image.sha256
        if key in self._pictures:
            self._pictures.move_to_end(key)
        else:
            made = self.processor(text=self.image_token, images=[image.open()], return_tensors="pt", add_special_tokens=False)
            self._placeholders[key] = tuple(made.pop("input_ids")[0].tolist())
            made.pop("attention_mask", None)
            self._pictures[key] = dict(made)
            self._picture_bytes += _size(self._pictures[key])
            while self._picture_bytes > _CACHED_BYTES and len(self._pictures) > 1:
                self._picture_bytes -= _size(self._pictures.popitem(last=False)[1])
        return self._placeholders[key], self._pictures[key]

    def placeholders(self, image: ImageRef) -> tuple[int, ...]:
        """Ids that stand for a picture in the prompt."""
        return self._placeholders[image.sha256] if image.sha256 in self._placeholders else self.picture(image)[0]

    def _tokenize_uncached(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def ids(self, text: str, images: Sequence[ImageRef] = (), *, special_tokens: bool = False) -> tuple[int, ...]:
        """Ids of a text in which each image token is replaced by the placeholders of the next picture.

        With `special_tokens` the tokenizer adds what it adds to any text (a BOS), as the processor does to a plain prompt.
        """
        pieces = text.split(self.image_token)
        if len(pieces) != len(images) + 1:
            raise ValueError(
                f"the prompt has {len(pieces) - 1} image places for {len(images)} pictures; "
                f"remove {self.image_token!r} from the question text"
            )
        if special_tokens:
            places = iter(images)
            return tuple(
                token
                for place in self.tokenizer(text)["input_ids"]
                for token in (self.placeholders(next(places)) if place == self.image_token_id else (place,))
            )
        ids = self._tokenize(pieces[0])
        for image, piece in zip(images, pieces[1:], strict=True):
            ids = ids + self.placeholders(image) + (self._tokenize(piece) if piece else ())
        return ids

    def encode(
        self, question: str, answer: str, *, images: Sequence[ImageRef] = (), system: str = "", end: bool = True
    ) -> Encoded:
        """Ids of question and answer; `end` appends the template's end of turn, which is trained.

        The prompt is tokenised on its own, so its ids are those seen when the model answers.
        """
        parts = self.parts(images=len(images), system=bool(system))
        lead = f"{parts.before_system}{system}{parts.before_question}"
        start = len(self.ids(lead, images))
        prompt = self.ids(f"{lead}{question}{parts.before_answer}", images)
        reply, turn_end = self.answer_ids(answer, end=end, after=parts.after_answer), self._tokenize(parts.after_answer)
        if not end:
            end_length = 0
        elif reply[len(reply) - len(turn_end) :] == turn_end:
            end_length = len(turn_end)
        else:
            end_length = len(reply) - len(self.answer_ids(answer, end=False))
        return Encoded(
            ids=prompt + reply,
            prompt_length=len(prompt),
            question_start=min(start, len(prompt)),
            pictures=tuple(images),
            end_length=max(0, end_length),
        )

    def answer_ids(self, answer: str, *, end: bool = True, after: str | None = None) -> tuple[int, ...]:
        """Ids of an answer as they follow the prompt."""
        if after is None:
            after = self.parts(images=0, system=False).after_answer
        separator = " " if self._spaced else ""
        return self._tokenize(f"{separator}{answer}{after if end else ''}")

    @cached_property
    def _spaced(self) -> bool:
        """Whether the template puts a space between the prompt and the answer."""
        turn = [{"role": "user", "content": [{"type": "text", "text": _QUESTION}]}]
        reply = [{"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]}]
        prompt: str = self.processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        whole: str = self.processor.apply_chat_template(turn + reply, tokenize=False)
        return whole.startswith(prompt + " ")


def _size(inputs: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in inputs.values())
