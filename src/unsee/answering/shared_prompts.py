"""Greedy completion of prompts that begin alike: what they share goes through the network once.

Five shots with pictures are nine tenths of a few-shot prompt, and the same for every question of a set.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from unsee.models.batches import picture_inputs, token_types

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import ImageRef


class Piece(NamedTuple):
    """Part of a prompt: its token ids, and the pictures whose placeholders are among them."""

    ids: tuple[int, ...] = ()
    pictures: tuple[ImageRef, ...] = ()


class SharedPrompt:
    """A model that has read the beginning of many prompts."""

    def __init__(self, model: Model, beginning: Piece) -> None:
        self.model = model
        self.beginning = beginning
        self.length = len(beginning.ids)
        ids = torch.tensor([beginning.ids])
        self._read = self._forward(ids, torch.ones_like(ids), torch.arange(self.length)[None], [beginning.pictures])

    def agrees(self, ending: Piece) -> bool:
        """Whether the model expects the same next token as after the whole prompt; not where it places tokens its own way."""
        ids = torch.tensor([self.beginning.ids + ending.ids])
        whole = self._forward(ids, torch.ones_like(ids), None, [self.beginning.pictures + ending.pictures]).logits[0, -1]
        parts = self._go_on([ending])[0].logits[0, -1]
        # Of the spread of logits: 1e-3 in single precision, a few per cent in half.
        rounding = 2 * torch.finfo(whole.dtype).eps ** 0.5
        return bool((parts - whole).abs().max() <= rounding * whole.std())

    def complete(self, endings: Sequence[Piece], new_tokens: int, stops: Collection[int]) -> list[list[int]]:
        """New token ids after each prompt, up to `new_tokens`; what follows a token of `stops` means nothing."""
        read, seen, places = self._go_on(endings)
        enders = torch.tensor(sorted(stops))
        made: list[torch.Tensor] = []
        ended = torch.zeros(len(endings), dtype=torch.bool)
        while True:
            made.append(read.logits[:, -1].float().argmax(-1).cpu())
            ended |= torch.isin(made[-1], enders)
            if len(made) == new_tokens or ended.all():
                whole: list[list[int]] = torch.stack(made, dim=1).tolist()
                return whole
            seen = torch.cat([seen, torch.ones(len(endings), 1, dtype=torch.long)], dim=1)
            places = places[:, -1:] + 1
            read = self._forward(made[-1][:, None], seen, places, [], read.past_key_values)

    def _go_on(self, endings: Sequence[Piece]) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """What the network makes of prompts of this beginning, the tokens it sees, and the places of the endings' tokens."""
        length = max(len(piece.ids) for piece in endings)
        pad = self.model.prompter.tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (length - len(piece.ids)) + list(piece.ids) for piece in endings])
        own = torch.tensor([[0] * (length - len(piece.ids)) + [1] * len(piece.ids) for piece in endings])
        seen = torch.cat([torch.ones(len(endings), self.length, dtype=torch.long), own], dim=1)
        places = self.length + (own.cumsum(1) - 1).clamp(min=0)
        cache = copy.deepcopy(self._read.past_key_values)
        cache.batch_repeat_interleave(len(endings))
        return self._forward(ids, seen, places, [piece.pictures for piece in endings], cache), seen, places

    @torch.inference_mode()
    def _forward(
        self,
        ids: torch.Tensor,
        seen: torch.Tensor,
        places: torch.Tensor | None,
        pictures: Sequence[Sequence[ImageRef]],
        cache: Any = None,
    ) -> Any:
        inputs = {"input_ids": ids, "attention_mask": seen} | ({} if places is None else {"position_ids": places})
        inputs |= token_types(ids, self.model.prompter) | picture_inputs(pictures, self.model.prompter, ids)
        inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        return self.model.base(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
