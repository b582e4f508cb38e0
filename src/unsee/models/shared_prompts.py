"""Completion of prompts that begin alike: each beginning goes through the network once, its key-value cache serves them all.

Questions about one picture share the picture; few-shot prompts share their shots, which are nine tenths of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional

from unsee.models.batches import picture_inputs, position_ids, token_types

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import ImageRef

Choose = Callable[[torch.Tensor, int], torch.Tensor]
"""From logits [prompts, vocabulary] and the number of the new token, from 0, to that token of each prompt, [prompts]."""


def likeliest(logits: torch.Tensor, step: int) -> torch.Tensor:
    """Greedy decoding."""
    return logits.argmax(-1)


class Piece(NamedTuple):
    """Part of a prompt: its token ids, and the pictures whose placeholders are among them."""

    ids: tuple[int, ...] = ()
    pictures: tuple[ImageRef, ...] = ()

    @property
    def content(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """What tells two pieces apart, wherever their pictures lie."""
        return self.ids, tuple(image.sha256 for image in self.pictures)


class Prompt(NamedTuple):
    """A prompt in two pieces, both with at least one token."""

    beginning: Piece
    ending: Piece


class SharedPrompts:
    """A model that has read what prompts begin with, each beginning once; its cache lives as long as this object.

    `Model.prefix_cache` says whether a model takes prompts in pieces. The two pieces with the padding before each and the new
    tokens must fit the window that the network's layers look at, if there is one (`Prompter.window`).

    Attributes:
        beginnings: the beginnings that were read, by content, and their rows in the cache.
    """

    @torch.inference_mode()
    def __init__(self, model: Model, beginnings: Sequence[Piece]) -> None:
        self.model = model
        distinct = {piece.content: piece for piece in beginnings}
        self.beginnings = {content: row for row, content in enumerate(distinct)}
        pieces = list(distinct.values())
        ids, self._seen = self._padded(pieces)
        places = self._places([Prompt(Piece(), piece) for piece in pieces])
        self._cache = self._forward(ids, self._seen, places, [piece.pictures for piece in pieces]).past_key_values

    def holds(self, prompts: Sequence[Prompt]) -> bool:
        """Whether the beginnings of all prompts were read."""
        return all(prompt.beginning.content in self.beginnings for prompt in prompts)

    @torch.inference_mode()
    def next_logits(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Logits of the token after each prompt, [prompts, vocabulary] in fp32."""
        return self._go_on(prompts)[0]

    @torch.inference_mode()
    def complete(
        self, prompts: Sequence[Prompt], new_tokens: int, stops: Collection[int], choose: Choose = likeliest
    ) -> list[list[int]]:
        """New token ids after each prompt, up to `new_tokens`; what follows a token of `stops` means nothing."""
        logits, cache, seen, places = self._go_on(prompts)
        enders = torch.tensor(sorted(stops))
        made: list[torch.Tensor] = []
        ended = torch.zeros(len(prompts), dtype=torch.bool)
        while True:
            made.append(choose(logits, len(made)).cpu())
            ended |= torch.isin(made[-1], enders)
            if len(made) == new_tokens or ended.all():
                whole: list[list[int]] = torch.stack(made, dim=1).tolist()
                return whole
            seen = torch.cat([seen, torch.ones(len(prompts), 1, dtype=torch.long)], dim=1)
            places = places + 1
            logits = self._forward(made[-1][:, None], seen, places, [], cache).logits[:, -1].float()

    def _go_on(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, Any, torch.Tensor, torch.Tensor]:
        """(logits after each prompt, cache, tokens it sees, place of its last token on every axis), a row per prompt.

        Prompts that are asked several times, to draw several responses, are read once.
        """
        contents = [(prompt.beginning.content, prompt.ending.content) for prompt in prompts]
        distinct = dict(zip(contents, prompts, strict=True))
        endings = [prompt.ending for prompt in distinct.values()]
        begun = torch.tensor([self.beginnings[beginning] for beginning, _ in distinct])
        before = self._seen[begun]
        ids, own = self._padded(endings)
        seen = torch.cat([before, own], dim=1)
        places = self._places(list(distinct.values()))
        cache = copy.deepcopy(self._cache)
        cache.batch_select_indices(begun)
        logits = self._forward(ids, seen, places, [piece.pictures for piece in endings], cache).logits[:, -1].float()
        if len(distinct) == len(prompts):
            return logits, cache, seen, self._last(places)
        rows = {content: row for row, content in enumerate(distinct)}
        which = torch.tensor([rows[content] for content in contents])
        cache.batch_select_indices(which)
        return logits[which.to(logits.device)], cache, seen[which], self._last(places)[:, which]

    def _places(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Places of the tokens of each ending behind its beginning, padded on the left as they are, [axes, prompts, tokens]."""
        found = []
        for (begun, shown), (ids, pictures) in prompts:
            whole = self.model.prompter.positions((*begun, *ids), (*shown, *pictures))
            found.append(torch.from_numpy(whole)[:, len(begun) :])
        length = max(places.shape[1] for places in found)
        return torch.stack([functional.pad(places, (length - places.shape[1], 0)) for places in found], dim=1)

    @staticmethod
    def _last(places: torch.Tensor) -> torch.Tensor:
        """Where a prompt ends: text after a picture goes on behind all axes, [axes, prompts, 1]."""
        return places[..., -1:].amax(0, keepdim=True).expand(len(places), -1, -1)

    def _padded(self, pieces: Sequence[Piece]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and attention mask, padded on the left, [pieces, tokens] each."""
        length = max(len(piece.ids) for piece in pieces)
        pad = self.model.prompter.tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (length - len(piece.ids)) + list(piece.ids) for piece in pieces])
        return ids, torch.tensor([[0] * (length - len(piece.ids)) + [1] * len(piece.ids) for piece in pieces])

    def _forward(
        self,
        ids: torch.Tensor,
        seen: torch.Tensor,
        places: torch.Tensor,
        pictures: Sequence[Sequence[ImageRef]],
        cache: Any = None,
    ) -> Any:
        inputs = {"input_ids": ids, "attention_mask": seen, "position_ids": position_ids(places)}
        inputs |= token_types(ids, self.model.prompter) | picture_inputs(pictures, self.model.prompter, ids)
        inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        return self.model.base(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
