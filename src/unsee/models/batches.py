"""Batches of conversations: packed rows that share prefixes, or one conversation a row.

A packed row is a forest of token tries. Conversations about one picture share the picture's tokens, and what else starts alike
(a system prompt, a question) is shared too; each token attends to its ancestors only and its position is its depth (on a grid
for pictures of networks that place them so), so every conversation sees exactly what it would see alone. What is trained or
scored is a list of edges (row, position, next token, conversation): the same for packed and plain rows, so no loss ever asks
how its batch was laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unsee.models.cross_attention import pictures_of_rows, rows_apart, rows_of
from unsee.models.prompts import ROW_TOKENS

if TYPE_CHECKING:
    from unsee.models.prompts import Encoded, LossMask, Prompter
    from unsee.sample import ImageRef

_FEWEST_TOKENS = 6
"""A row with less room is not offered to conversations that share nothing with it."""


@dataclass
class Batch:
    """Rows ready for the network, and which tokens count.

    Attributes:
        inputs: keyword arguments of the network, passed through untouched.
        row, position, target, owner: [edges]; the logits at (row, position) predict token `target` of
            conversation `owner`.
        size: number of conversations.
        keys: sample ids, one per conversation.
    """

    inputs: dict[str, Any]
    row: Tensor
    position: Tensor
    target: Tensor
    owner: Tensor
    size: int
    keys: tuple[str, ...] = ()

    @property
    def counts(self) -> Tensor:
        """Number of counted tokens per conversation, [size]."""
        return torch.bincount(self.owner, minlength=self.size)

    def in_passes(self, run: Callable[[Batch], Tensor], *, dim: int = 0) -> Tensor:
        """What `run` gives for every edge, from passes of what may go through the network together; one for most networks.

        Args:
            dim: of the edges in what `run` gives.
        """
        groups = rows_apart(self.inputs)
        if len(groups) < 2:
            return run(self)
        edges = [torch.isin(self.row, rows).nonzero()[:, 0] for rows in groups]
        found = [run(self._part(rows, own)) for rows, own in zip(groups, edges, strict=True)]
        return torch.cat(found, dim=dim).index_select(dim, torch.cat(edges).argsort())

    def _part(self, rows: Tensor, edges: Tensor) -> Batch:
        return replace(
            self,
            inputs=rows_of(self.inputs, rows),
            row=torch.searchsorted(rows, self.row[edges]),
            position=self.position[edges],
            target=self.target[edges],
            owner=self.owner[edges],
        )

    def to(self, device: torch.device | str) -> Batch:
        return Batch(
            inputs={k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.inputs.items()},
            row=self.row.to(device),
            position=self.position.to(device),
            target=self.target.to(device),
            owner=self.owner.to(device),
            size=self.size,
            keys=self.keys,
        )


@dataclass(frozen=True)
class _Path:
    """A conversation on its way into a row.

    Attributes:
        ids: its tokens, without the last where that predicts nothing.
        symbols: the same, with every picture's placeholders told apart by what the picture shows.
        prompt_length, question_start: as in `Encoded`.
        pictures: (index of its first placeholder, picture), in order.
        positions: places of its tokens, [axes, tokens].
    """

    ids: tuple[int, ...]
    symbols: tuple[int | str, ...]
    prompt_length: int
    question_start: int
    pictures: tuple[tuple[int, ImageRef], ...]
    positions: np.ndarray

    @classmethod
    def of(cls, item: Encoded, prompter: Prompter) -> _Path:
        # An item that is all prompt still needs its last token.
        ids = item.ids[:-1] if len(item.ids) > item.prompt_length else item.ids
        symbols: list[int | str] = list(ids)
        found = []
        for image, place in zip(item.pictures, prompter.picture_places(ids, item.pictures), strict=True):
            symbols[place.start : place.stop] = [image.sha256] * len(place)
            found.append((place.start, image))
        positions = prompter.positions(ids, item.pictures)
        return cls(ids, tuple(symbols), item.prompt_length, item.question_start, tuple(found), positions)


@dataclass(eq=False)
class _Row:
    """Tries under construction; a run is the unbranched stretch of tokens that one conversation added."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    children: dict[tuple[int, int | str], int] = field(default_factory=dict)
    prompts: dict[tuple[int | str, ...], int] = field(default_factory=dict)
    runs: list[tuple[int, int]] = field(default_factory=list)
    members: list[tuple[int, int]] = field(default_factory=list)
    pictures: list[ImageRef] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)

    def place(self, index: int, path: _Path, max_tokens: int) -> bool:
        """Add a conversation unless its tokens overfill the row; an empty row takes any length."""
        node, shared = self._reach(path)
        if self.tokens and len(self.tokens) + len(path.ids) - shared > max_tokens:
            return False
        self._add(index, path, node, shared)
        return True

    def _reach(self, path: _Path) -> tuple[int, int]:
        """(last shared token, number of shared tokens) of a conversation and this row."""
        prompt = path.symbols[: path.prompt_length]
        node = self.prompts.get(prompt, -1)
        shared = len(prompt) if node >= 0 else 0
        for symbol in path.symbols[shared:]:
            found = self.children.get((node, symbol))
            if found is None:
                break
            node = found
            shared += 1
        return node, shared

    def _add(self, index: int, path: _Path, node: int, shared: int) -> None:
        """Hang what is not shared below what is; the prompt is remembered so that the next answer starts there."""
        first = len(self.tokens)
        for depth in range(shared, len(path.ids)):
            self.children[(node, path.symbols[depth])] = found = len(self.tokens)
            self.tokens.append(path.ids[depth])
            self.parents.append(node)
            self.depths.append(depth)
            node = found
            if depth == path.prompt_length - 1:
                self.prompts[path.symbols[: path.prompt_length]] = node
        if len(self.tokens) > first:
            self.runs.append((first, len(self.tokens)))
            self.positions.append(path.positions[:, shared:])
        self.members.append((index, node))
        self.pictures += [image for start, image in path.pictures if start >= shared]

    def path(self, node: int, depth: int) -> list[int]:
        """Tokens from `depth` down to `node`."""
        path = []
        while node >= 0 and self.depths[node] >= depth:
            path.append(node)
            node = self.parents[node]
        return path[::-1]

    def ancestors(self, sees: np.ndarray, *, both_ways: Collection[int] = ()) -> None:
        """Fill `sees`, [length, length] of bool: which tokens each token sees; padding sees itself.

        Args:
            both_ways: tokens of which those that follow each other see each other, too.
        """
        np.fill_diagonal(sees, True)
        for first, end in self.runs:
            parent = self.parents[first]
            if parent >= 0:
                sees[first:end, : parent + 1] = sees[parent, : parent + 1]
            sees[first:end, first:end] = np.tri(end - first, dtype=bool)
            place = first
            for is_shown, block in groupby(self.tokens[first:end], key=both_ways.__contains__):
                after = place + len(list(block))
                if is_shown:
                    sees[place:after, place:after] = True
                place = after


def row_tokens(items: Sequence[Encoded]) -> int:
    """Most tokens of a packed row where nobody says: `ROW_TOKENS`, or one and a half of the longest conversation.

    A picture of a usual model takes 64 to 3,000 tokens, so a row has to grow with it before two questions share it. In a row
    of two conversations a second picture would find room and its further questions would not.
    """
    return max(ROW_TOKENS, 3 * max((len(item.ids) for item in items), default=0) // 2)


def collate(
    items: Sequence[Encoded],
    *,
    prompter: Prompter,
    mask: LossMask = "answer",
    pack: bool = True,
    max_tokens: int | None = None,
    keys: Sequence[str] = (),
) -> Batch:
    """Lay conversations out in rows.

    Args:
        items: conversations; with `pack`, those that start alike share rows of at most `max_tokens` tokens (more where one
            conversation is longer).
        mask: which tokens count.
        max_tokens: `row_tokens(items)` when None.

    Returns:
        A batch whose conversations are numbered as in `items`; its edges are in the order of conversations, then tokens.
        Packed rows leave out the last token of a conversation, which is predicted but predicts nothing. A conversation longer
        than the window of the network's layers is not packed, nor are those beside it.
    """
    pack = pack and _in_window(items, prompter)
    rows = _rows(items, prompter, pack=pack, max_tokens=max_tokens)
    length = max(len(row.tokens) for row in rows)
    input_ids = np.full((len(rows), length), prompter.tokenizer.pad_token_id or 0, dtype=np.int64)
    seats: list[tuple[int, int]] = [(0, -1)] * len(items)
    for r, row in enumerate(rows):
        input_ids[r, : len(row.tokens)] = row.tokens
        for index, node in row.members:
            seats[index] = (r, node)
    edges: list[tuple[int, int, int, int]] = []
    for index, (item, (r, node)) in enumerate(zip(items, seats, strict=True)):
        counted, shown = item.counted(mask), set[int]()
        if counted.start < item.prompt_length:
            shown = {i for place in prompter.picture_places(item.ids, item.pictures) for i in place}
        for i, place in enumerate(rows[r].path(node, counted.start - 1)[: counted.stop - counted.start], start=counted.start):
            if i not in shown:
                edges.append((r, place, item.ids[i], index))
    at, position, target, owner = torch.tensor(edges, dtype=torch.long).reshape(-1, 4).unbind(1)
    inputs: dict[str, Any] = {"input_ids": torch.from_numpy(input_ids)}
    if pack:
        both_ways = prompter.token_types["token_type_ids"] if prompter.pictures_both_ways else {}
        sees = np.zeros((len(rows), 1, length, length), dtype=bool)
        positions = np.zeros((len(rows[0].positions[0]), len(rows), length), dtype=np.int64)
        for r, row in enumerate(rows):
            row.ancestors(sees[r, 0], both_ways=both_ways)
            positions[:, r, : len(row.tokens)] = np.concatenate(row.positions, axis=1)
        inputs |= {"position_ids": position_ids(torch.from_numpy(positions)), "attention_mask": torch.from_numpy(sees)}
    else:
        lengths = torch.tensor([len(row.tokens) for row in rows])
        inputs["attention_mask"] = (torch.arange(length)[None] < lengths[:, None]).long()
        answers = torch.tensor([item.prompt_length for item in items])
        inputs |= token_types(inputs["input_ids"], prompter, answers_at=answers, lengths=lengths)
    if pack:
        inputs |= token_types(inputs["input_ids"], prompter)
    inputs |= picture_inputs([row.pictures for row in rows], prompter, inputs["input_ids"])
    return Batch(inputs, at, position, target, owner, size=len(items), keys=tuple(keys))


def position_ids(positions: Tensor) -> Tensor:
    """Places of tokens, [axes, rows, tokens], as networks take them: without the axes where there is one."""
    return positions[0] if len(positions) == 1 else positions


def tokens_in_rows(items: Sequence[Encoded], *, prompter: Prompter, pack: bool = True, max_tokens: int | None = None) -> int:
    """Tokens of the rows that `collate` would lay conversations out in, padding included."""
    rows = _rows(items, prompter, pack=pack and _in_window(items, prompter), max_tokens=max_tokens)
    return len(rows) * max(len(row.tokens) for row in rows)


def _in_window(items: Sequence[Encoded], prompter: Prompter) -> bool:
    """Whether every token of every conversation sees all those before it in every layer."""
    return prompter.window is None or max((len(item.ids) for item in items), default=0) <= prompter.window


def _rows(items: Sequence[Encoded], prompter: Prompter, *, pack: bool, max_tokens: int | None) -> list[_Row]:
    if not pack:
        return _plain_rows(items)
    most = row_tokens(items) if max_tokens is None else max_tokens
    return _packed_rows([_Path.of(item, prompter) for item in items], most)


def picture_inputs(pictures: Sequence[Sequence[ImageRef]], prompter: Prompter, ids: Tensor) -> dict[str, Tensor]:
    """`pixel_values` and the like of all rows' pictures, in row order; `ids` are the rows' tokens, [rows, tokens]."""
    made = [[prompter.picture(image)[1] for image in row] for row in pictures]
    if prompter.cross_attends:
        return pictures_of_rows(made, ids, prompter.image_token_id)
    every = [inputs for row in made for inputs in row]
    return {name: _stacked([inputs[name] for inputs in every]) for name in every[0]} if every else {}


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Pictures one after the other; smaller ones and those of fewer tiles are padded with zeros, as processors do."""
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    made = [
        tensor
        if list(tensor.shape[1:]) == shape
        else functional.pad(
            tensor, [n for size, full in zip(tensor.shape[:0:-1], shape[::-1], strict=True) for n in (0, full - size)]
        )
        for tensor in tensors
    ]
    return torch.cat(made)


def token_types(
    ids: Tensor, prompter: Prompter, *, answers_at: Tensor | None = None, lengths: Tensor | None = None
) -> dict[str, Tensor]:
    """`token_type_ids` and the like, for networks whose processor makes them.

    Args:
        ids: [rows, tokens].
        answers_at, lengths: [rows]; where answers begin and rows end, where there are answers.
    """
    made = {}
    for name, kinds in prompter.token_types.items():
        types = torch.zeros_like(ids)
        for token, kind in kinds.items():
            types[ids == token] = kind
        if name == "token_type_ids" and answers_at is not None and lengths is not None and prompter.special_case.answer_type:
            place = torch.arange(ids.shape[1])[None]
            types[(place >= answers_at[:, None]) & (place < lengths[:, None])] = prompter.special_case.answer_type
        made[name] = types
    return made


def _plain_rows(items: Sequence[Encoded]) -> list[_Row]:
    rows = []
    for index, item in enumerate(items):
        length = len(item.ids)
        row = _Row(tokens=list(item.ids), parents=list(range(-1, length - 1)), depths=list(range(length)))
        row.members.append((index, length - 1))
        row.pictures += item.pictures
        rows.append(row)
    return rows


def _packed_rows(paths: Sequence[_Path], max_tokens: int) -> list[_Row]:
    """First fit: into the newest row with the same system prompt and pictures, else into the first with room."""
    rows: list[_Row] = []
    roomy: list[_Row] = []
    newest: dict[tuple[int | str, ...], _Row] = {}
    for index, path in enumerate(paths):
        start = path.symbols[: path.question_start]
        candidates = [newest[start], *roomy] if start in newest else roomy
        chosen = next((row for row in candidates if row.place(index, path, max_tokens)), None)
        if chosen is None:
            chosen = _Row()
            rows.append(chosen)
            roomy.append(chosen)
            chosen.place(index, path, max_tokens)
        newest[start] = chosen
        if len(chosen.tokens) > max_tokens - _FEWEST_TOKENS and chosen in roomy:
            roomy.remove(chosen)
    return rows
