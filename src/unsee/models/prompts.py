"""Text a model is shown, made by its own chat template, and the token ids of that text.

A chat template is rendered once per shape of conversation with markers in place of the question and the answer, so that
thousands of questions cost string concatenation only. Token ids of a picture come from the processor, once per picture.

What templates leave out is put in as the family's own processor and training do: a BOS that only the tokenizer adds, the end of
sequence where nothing ends an answer. `self_check` compares the ids with those of the processor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from unsee.errors import CheckpointError, DataError
from unsee.models.special_cases import special_case

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from unsee.models.self_check import Feature
    from unsee.sample import ImageRef

LossMask = Literal["answer", "answer_and_question", "all", "answer_text"]

_SYSTEM, _QUESTION, _ANSWER = "\u241fsystem\u241f", "\u241fquestion\u241f", "\u241fanswer\u241f"
_CACHED_BYTES = 256 * 2**20
TOKEN_TYPES = ("token_type_ids", "mm_token_type_ids")
"""Inputs with one number per token, which say what kind of token it is."""
CROSS_ATTENTION_MASK = "cross_attention_mask"
"""Says which token sees which part of a picture, [rows, tokens, pictures, tiles], where the network looks at pictures so."""
_GRID = "image_grid_thw"
"""Patches of a picture in time, height and width, where the network places tokens by them."""
_NOT_OF_A_PICTURE = ("input_ids", "attention_mask", "labels", CROSS_ATTENTION_MASK, *TOKEN_TYPES)

ROW_TOKENS = 192
"""Tokens of a packed row: longer rows share more of a picture, shorter ones waste less attention on strangers."""


class PromptParts(NamedTuple):
    """The template's text around system prompt, question and answer."""

    before_system: str
    before_question: str
    before_answer: str
    after_answer: str


class Placeholder(NamedTuple):
    """What the processor puts in the place of a picture.

    Attributes:
        ids: from its first to its last special token.
        before, after: ordinary text around them, which is tokenised together with the prompt.
    """

    ids: tuple[int, ...]
    before: str = ""
    after: str = ""


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
    """Turns questions into prompts and ids for one processor.

    Attributes:
        shared_prefix: whether the network these prompts are for takes packed rows; None until a model found out.
        prefix_cache: whether it takes prompts in pieces; None until a model found out.
        pictures_both_ways: whether in packed rows the tokens of a picture see those of it that follow.
        window: how far back layers look, in tokens; None where all of them look at everything.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.special_case = special_case(processor)
        self.shared_prefix: Feature | None = None
        self.prefix_cache: Feature | None = None
        self.pictures_both_ways = False
        self.window: int | None = None
        self._parts: dict[tuple[int, bool], PromptParts] = {}
        self._placeholders: dict[str, Placeholder] = {}
        self._grids: dict[str, tuple[int, int, int]] = {}
        self._pictures: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._picture_bytes = 0
        self._tokenize = lru_cache(maxsize=65536)(self._tokenize_uncached)

    @property
    def image_token(self) -> str:
        """What stands for a picture in a prompt."""
        return str(self.processor.image_token)

    @cached_property
    def image_token_id(self) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(self.image_token))

    def parts(self, *, images: int, system: bool) -> PromptParts:
        """Split the rendered chat template at its variable places.

        A template without a place for a system prompt gets it on a line of its own before the question.

        Raises:
            CheckpointError: there is no chat template, or it does not show question and answer once each.
        """
        key = (images, system)
        if key not in self._parts:
            asked, whole = self._rendered(images, system=True) if system else ("", "")
            placed = whole.count(_SYSTEM) == 1
            if not placed:
                asked, whole = self._rendered(images, system=False)
            if whole.count(_QUESTION) != 1 or whole.count(_ANSWER) != 1 or asked.count(_QUESTION) != 1:
                raise CheckpointError(
                    f"the chat template of this {type(self.processor).__name__} does not show question and answer once each; "
                    "check chat_template.jinja beside the weights"
                )
            before_question, rest = whole.split(_QUESTION)
            before_answer, after_answer = rest.split(_ANSWER)
            # The space that some templates put before the answer belongs to the answer's first token.
            asked = asked.split(_QUESTION)[1]
            if before_answer.startswith(asked):
                before_answer = asked
            before_question = self._opened(before_question)
            if before_question.endswith(self.image_token) and self._spaces_pictures:
                before_question += " "
            before_system = ""
            if placed:
                before_system, before_question = before_question.split(_SYSTEM)
            elif system:
                before_system, before_question = before_question, "\n"
            self._parts[key] = PromptParts(before_system, before_question, before_answer, self._ended(after_answer))
        return self._parts[key]

    def _rendered(self, images: int, *, system: bool) -> tuple[str, str]:
        """(prompt, whole conversation) with markers; ("", "") where the template refuses a system prompt."""
        from jinja2 import TemplateError

        content: list[dict[str, str]] = [{"type": "image"} for _ in range(images)]
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": [*content, {"type": "text", "text": _QUESTION}]},
            {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]},
        ]
        if system:
            turns.insert(0, {"role": "system", "content": [{"type": "text", "text": _SYSTEM}]})
        template = None if self.processor.chat_template else self.special_case.chat_template
        if not self.processor.chat_template and template is None:
            raise CheckpointError(
                f"this {type(self.processor).__name__} has no chat template, so nobody knows how the model is asked; "
                "save one as chat_template.jinja beside the weights"
            )
        try:
            return (
                self.processor.apply_chat_template(turns[:-1], template, tokenize=False, add_generation_prompt=True),
                self.processor.apply_chat_template(turns, template, tokenize=False),
            )
        except TemplateError as error:
            if system:
                return "", ""
            raise CheckpointError(f"the chat template cannot be rendered ({error}); check chat_template.jinja") from error

    def _opened(self, text: str) -> str:
        """The start of a prompt with the BOS that the tokenizer adds to any text, unless the template writes it."""
        bos = self.tokenizer.bos_token
        adds = bos and self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        return f"{bos}{text}" if adds and bos not in text else text

    def _ended(self, text: str) -> str:
        """What ends an answer: the template up to its first special token, else the end of sequence."""
        found = {text.index(token) + len(token): token for token in self._special if token in text}
        return text[: min(found)] if found else str(self.tokenizer.eos_token or "")

    @cached_property
    def _special(self) -> dict[str, int]:
        """Tokens that no ordinary text gives, and their ids."""
        return dict(self.tokenizer.get_added_vocab())

    @cached_property
    def _spaces_pictures(self) -> bool:
        """Whether the processor puts a space between a picture and a word that follows it."""
        made = tuple(self._processed(f"{self.image_token}a", _blank())["input_ids"][0].tolist())
        spaced, bare = self._tokenize(f"{self.image_token} a"), self._tokenize(f"{self.image_token}a")
        return spaced != bare and made[-len(spaced) + 1 :] == spaced[1:] and made[-len(bare) :] != bare

    def prompt(self, question: str, *, images: int = 0, system: str = "") -> str:
        """The text a model completes, with one image token per picture."""
        parts = self.parts(images=images, system=bool(system))
        return f"{parts.before_system}{system}{parts.before_question}{question}{parts.before_answer}"

    def _processed(self, text: str, *images: Any) -> Mapping[str, Tensor]:
        made: Mapping[str, Tensor] = self.processor(text=text, images=[*images], return_tensors="pt", add_special_tokens=False)
        return made

    def picture(self, image: ImageRef) -> tuple[Placeholder, dict[str, Tensor]]:
        """Placeholder and model inputs (`pixel_values`, ...) of one picture; recent ones are kept decoded.

        Raises:
            CheckpointError: the processor puts nothing in the place of a picture.
        """
        key = image.sha256
        if key in self._pictures:
            self._pictures.move_to_end(key)
        else:
            made = self._processed(self.image_token, image.open())
            self._placeholders[key] = self._placeholder(made["input_ids"][0].tolist())
            if self.has_grids:
                self._grids[key] = tuple(made[_GRID][0].tolist())
            self._pictures[key] = {name: made[name] for name in made if name not in _NOT_OF_A_PICTURE}
            self._picture_bytes += _size(self._pictures[key])
            while self._picture_bytes > _CACHED_BYTES and len(self._pictures) > 1:
                self._picture_bytes -= _size(self._pictures.popitem(last=False)[1])
        return self._placeholders[key], self._pictures[key]

    def _placeholder(self, ids: list[int]) -> Placeholder:
        """Split what the processor made of an image token alone."""
        bos = self.tokenizer.bos_token_id
        if bos is not None and bos in ids[1:]:
            ids = ids[: ids.index(bos, 1)]  # it and what follows belong to the text
        ids = ids[1:] if ids[:1] == [bos] and self.image_token_id != bos else ids
        special = set(self._special.values())
        places = [place for place, token in enumerate(ids) if token in special]
        if not places:
            raise CheckpointError(
                f"this {type(self.processor).__name__} puts nothing in the place of a picture; "
                f"check that {self.image_token} is a special token of its tokenizer"
            )
        first, end = places[0], places[-1] + 1
        before, after = self.tokenizer.decode(ids[:first]), self.tokenizer.decode(ids[end:])
        return Placeholder(tuple(ids[first:end]), str(before), str(after))

    def placeholder(self, image: ImageRef) -> Placeholder:
        """What stands for a picture in the prompt."""
        return self._placeholders[image.sha256] if image.sha256 in self._placeholders else self.picture(image)[0]

    @cached_property
    def _of_blank(self) -> Mapping[str, list[int]]:
        """Inputs that the processor makes of a picture without content; only those with a value per token keep their values."""
        made = self._processed(self.image_token, _blank())
        return {name: made[name][0].tolist() if name in ("input_ids", *TOKEN_TYPES) else [] for name in made}

    @cached_property
    def blank_placeholder(self) -> Placeholder:
        """What stands for a picture without content."""
        return self._placeholder(self._of_blank["input_ids"])

    @cached_property
    def _shares_edges(self) -> bool:
        """Whether one special token ends a picture and begins the next where no text stands between them (Idefics2)."""
        ids = self.blank_placeholder.ids
        if len(ids) < 2 or ids[0] != ids[-1]:
            return False
        made = self._processed(2 * self.image_token, _blank(), _blank())["input_ids"][0].tolist()
        return bool(made.count(ids[0]) == 2 * ids.count(ids[0]) - 1)

    @cached_property
    def cross_attends(self) -> bool:
        """Whether pictures are looked at by cross-attention instead of being read as tokens."""
        return CROSS_ATTENTION_MASK in self._of_blank

    @cached_property
    def token_types(self) -> Mapping[str, Mapping[int, int]]:
        """By input the network wants: the kind of each special token that is not 0."""
        made = self._of_blank
        return {
            name: {token: kind for token, kind in zip(made["input_ids"], made[name], strict=True) if kind}
            for name in TOKEN_TYPES
            if name in made
        }

    @cached_property
    def has_grids(self) -> bool:
        """Whether the tokens of a picture lie on a grid instead of on the line of the text."""
        return _GRID in self._of_blank and "mm_token_type_ids" in self._of_blank

    def positions(self, ids: Sequence[int], images: Sequence[ImageRef]) -> NDArray[np.int64]:
        """Places of a prompt's tokens, [1, tokens], or [3, tokens] in time, height and width where pictures are placed so.

        Multimodal rotary positions (Qwen2-VL, https://arxiv.org/abs/2409.12191, section 2.1): text counts alike on all three
        axes, and goes on behind the longer side of a picture.
        """
        if not self.has_grids:
            return np.arange(len(ids))[None]
        merged = int(self.processor.image_processor.merge_size)
        made: list[NDArray[np.int64]] = []
        done = place = 0
        for where, image in zip(self.picture_places(ids, images), images, strict=True):
            first = next(i for i in where if ids[i] == self.image_token_id)
            frames, height, width = self._grids[image.sha256]
            grid = np.indices((frames, height // merged, width // merged)).reshape(3, -1)
            made += [np.tile(np.arange(place, place + first - done), (3, 1)), place + first - done + grid]
            place += first - done + max(height, width) // merged
            done = first + grid.shape[1]
        made.append(np.tile(np.arange(place, place + len(ids) - done), (3, 1)))
        return np.concatenate(made, axis=1)

    def _tokenize_uncached(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def ids(self, text: str, images: Sequence[ImageRef] = (), *, special_tokens: bool = False) -> tuple[int, ...]:
        """Ids of a text in which each image token is replaced by the placeholder of the next picture.

        With `special_tokens` the tokenizer adds what it adds to any text (a BOS), as the processor does to a plain prompt.

        Raises:
            DataError: there are more or fewer image tokens than pictures.
        """
        pieces = text.split(self.image_token)
        if len(pieces) != len(images) + 1:
            raise DataError(
                f"the prompt has {len(pieces) - 1} image places for {len(images)} pictures; "
                f"remove {self.image_token!r} from the question text"
            )
        places = [self.placeholder(image) for image in images]
        for number, place in enumerate(places):
            pieces[number] += place.before
            pieces[number + 1] = place.after + pieces[number + 1]
        text = self.image_token.join(pieces)
        # Together, because some tokenizers begin every text of its own with a space.
        ids = tuple(self.tokenizer(text)["input_ids"]) if special_tokens else self._tokenize(text)
        if not places:
            return ids
        following, made, shown = iter(places), list[int](), False
        for old in ids:
            edge = shown and old == self.image_token_id and self._shares_edges
            shown = old == self.image_token_id
            made += next(following).ids[int(edge) :] if shown else (old,)
        return tuple(made)

    def picture_places(self, ids: Sequence[int], images: Sequence[ImageRef]) -> list[range]:
        """Where the placeholders of pictures are among a prompt's ids, in order; two may share the token between them."""
        found: list[range] = []
        for image in images:
            place = self.placeholder(image).ids
            after = found[-1].stop - int(self._shares_edges) if found else 0
            start = next(i for i in range(after, len(ids)) if ids[i] == place[0] and tuple(ids[i : i + len(place)]) == place)
            found.append(range(start, start + len(place)))
        return found

    def encode(
        self, question: str, answer: str, *, images: Sequence[ImageRef] = (), system: str = "", end: bool = True
    ) -> Encoded:
        """Ids of question and answer; `end` appends the end of turn, which is trained.

        The prompt is tokenised on its own, so its ids are those seen when the model answers.
        """
        parts = self.parts(images=len(images), system=bool(system))
        lead = f"{parts.before_system}{system}{parts.before_question}"
        prompt = self.ids(f"{lead}{question}{parts.before_answer}", images)
        start = next((i for i, (a, b) in enumerate(zip(self.ids(lead, images), prompt, strict=False)) if a != b), None)
        start = len(self.ids(lead, images)) if start is None else start
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
        return self._following(f"{separator}{answer}{after if end else ''}")

    @cached_property
    def end_id(self) -> int | None:
        """The token that ends an answer; None where nothing does."""
        ids = self._tokenize(self.parts(images=0, system=False).after_answer)
        return ids[-1] if ids else None

    def _following(self, text: str) -> tuple[int, ...]:
        """Ids of a text that follows a prompt, which some tokenizers give another start than a text of its own."""
        anchor = self._anchor
        whole, known = self._tokenize(f"{anchor}{text}"), self._tokenize(anchor)
        return whole[len(known) :] if anchor and whole[: len(known)] == known else self._tokenize(text)

    @cached_property
    def _anchor(self) -> str:
        """What every answer follows, where its tokens depend on that; else ""."""
        anchor, start = self.parts(images=0, system=False).before_answer, " a" if self._spaced else "a"
        alone = self._tokenize(anchor) + self._tokenize(start)
        return "" if self._tokenize(f"{anchor}{start}") == alone else anchor

    @cached_property
    def _spaced(self) -> bool:
        """Whether the template puts a space between the prompt and the answer."""
        prompt, whole = self._rendered(0, system=False)
        return whole.startswith(prompt + " ")


def _blank() -> Any:
    """A picture without content, to see what the processor does around one."""
    from PIL import Image

    return Image.new("RGB", (64, 64))


def _size(inputs: dict[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in inputs.values())
