"""Batches of conversations: packed rows that share prefixes, or one conversation a row.

A packed row is a token trie. Conversations about one picture share the picture's tokens, and questions that start alike
share those tokens too; each token attends to its ancestors only and its position is its depth, so every conversation sees
exactly what it would see alone. What is trained or scored is a list of edges (row, position, next token, conversation):
the same for packed and plain rows, so no loss ever asks how its batch was laid out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from unsee.models.prompts import Encoded, LossMask, Prompter


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


@dataclass
class _Row:
    """A trie under construction; a run is the unbranched stretch of tokens that one conversation added."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    children: dict[tuple[int, int], int] = field(default_factory=dict)
    prompts: dict[tuple[int, ...], int] = field(default_factory=dict)
    runs: list[tuple[int, int]] = field(default_factory=list)
    members: list[tuple[int, int]] = field(default_factory=list)

    def reach(self, ids: Sequence[int], prompt: tuple[int, ...]) -> tuple[int, int]:
        """(last shared token, number of shared tokens) of a conversation and this row."""
        node = self.prompts.get(prompt, -1)
        shared = len(prompt) if node >= 0 else 0
        for token in ids[shared:]:
            found = self.children.get((node, token))
            if found is None:
                break
            node = found
            shared += 1
        return node, shared

    def add(self, index: int, ids: Sequence[int], prompt: tuple[int, ...], reached: tuple[int, int]) -> None:
        """Hang what is not shared below what is; `prompt` is remembered so that the next answer starts there."""
        node, shared = reached
        first = len(self.tokens)
        for depth in range(shared, len(ids)):
            self.children[(node, ids[depth])] = found = len(self.tokens)
            self.tokens.append(ids[depth])
            self.parents.append(node)
            self.depths.append(depth)
            node = found
            if depth == len(prompt) - 1:
                self.prompts[prompt] = node
        if len(self.tokens) > first:
            self.runs.append((first, len(self.tokens)))
        self.members.append((index, node))

    def path(self, node: int, depth: int) -> list[int]:
        """Tokens from `depth` down to `node`."""
        path = []
        while node >= 0 and self.depths[node] >= depth:
            path.append(node)
            node = self.parents[node]
        return path[::-1]

    def ancestors(self, sees: np.ndarray) -> None:
        """Fill `sees`, [length, length] of bool: which tokens each token sees; padding sees itself."""
        np.fill_diagonal(sees, True)
        for first, end in self.runs:
            parent = self.parents[first]
            if parent >= 0:
                sees[first:end, : parent + 1] = sees[parent, : parent + 1]
            sees[first:end, first:end] = np.tri(end - first, dtype=bool)


def collate(
    items: Sequence[Encoded],
    *,
    prompter: Prompter,
    mask: LossMask = "answer",
    pack: bool = True,
    max_tokens: int = 256,
    keys: Sequence[str] = (),
) -> Batch:
    """Lay conversations out in rows.

    Args:
        items: conversations; with `pack`, those with the same pictures share rows of about `max_tokens` tokens, and
            text-only ones fill rows up.
        mask: which tokens count.

    Returns:
        A batch whose conversations are numbered as in `items`; its edges are in the order of conversations, then tokens.
        Packed rows leave out the last token of a conversation, which is predicted but predicts nothing.
    """
    rows = _packed_rows(items, max_tokens) if pack else _plain_rows(items)
    length = max(len(row.tokens) for row in rows)
    input_ids = np.full((len(rows), length), prompter.tokenizer.pad_token_id or 0, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    seats: list[tuple[int, int]] = [(0, -1)] * len(items)
    for r, row in enumerate(rows):
        input_ids[r, : len(row.tokens)] = row.tokens
        positions[r, : len(row.tokens)] = row.depths
        for index, node in row.members:
            seats[index] = (r, node)
    edges: list[tuple[int, int, int, int]] = []
    for index, (item, (r, node)) in enumerate(zip(items, seats, strict=True)):
        start = max(1, item.label_start(mask))
        for place, token in zip(rows[r].path(node, start - 1), item.ids[start:], strict=False):
            if token != prompter.image_token_id or start >= item.prompt_length:
                edges.append((r, place, token, index))
    at, position, target, owner = torch.tensor(edges, dtype=torch.long).reshape(-1, 4).unbind(1)
    inputs: dict[str, Any] = {"input_ids": torch.from_numpy(input_ids)}
    if pack:
        sees = np.zeros((len(rows), 1, length, length), dtype=bool)
        for r, row in enumerate(rows):
            row.ancestors(sees[r, 0])
        inputs |= {"position_ids": torch.from_numpy(positions), "attention_mask": torch.from_numpy(sees)}
    else:
        lengths = torch.tensor([len(row.tokens) for row in rows])
        inputs["attention_mask"] = (torch.arange(length)[None] < lengths[:, None]).long()
    inputs |= picture_inputs([items[row.members[0][0]].pictures for row in rows], prompter)
    return Batch(inputs, at, position, target, owner, size=len(items), keys=tuple(keys))


def picture_inputs(pictures: Sequence[Sequence[Any]], prompter: Prompter) -> dict[str, Tensor]:
    """`pixel_values` and the like of all rows' pictures, in row order."""
    made = [prompter.picture(image)[1] for row in pictures for image in row]
    if not made:
        return {}
    return {name: torch.cat([inputs[name] for inputs in made]) for name in made[0]}


def _plain_rows(items: Sequence[Encoded]) -> list[_Row]:
    rows = []
    for index, item in enumerate(items):
        length = len(item.ids)
        row = _Row(tokens=list(item.ids), parents=list(range(-1, length - 1)), depths=list(range(length)))
        row.members.append((index, length - 1))
        rows.append(row)
    return rows


def _packed_rows(items: Sequence[Encoded], max_tokens: int) -> list[_Row]:
    """First fit: conversations with pictures open rows of their own, text-only ones fill these up in order."""
    rows: list[_Row] = []
    newest: dict[tuple[object, ...], _Row] = {}
    texts = []
    for index, item in enumerate(items):
        if item.pictures:
            # A row holds each picture once, so what stands before the question must agree too.
            key = (item.ids[: item.question_start], *(image.sha256 for image in item.pictures))
            row = newest.get(key)
            if row is None or not _place(row, index, item, max_tokens):
                row = newest[key] = _Row()
                rows.append(row)
                _place(row, index, item, max_tokens)
        else:
            texts.append(index)
    fillable = deque(rows)
    for index in texts:
        while fillable and not _place(fillable[0], index, items[index], max_tokens):
            fillable.popleft()
        if not fillable:
            fillable.append(_Row())
            rows.append(fillable[0])
            _place(fillable[0], index, items[index], max_tokens)
    return rows


def _place(row: _Row, index: int, item: Encoded, max_tokens: int) -> bool:
    """Add a conversation unless its tokens overfill the row; an empty row takes any length."""
    # An item that is all prompt still needs its last token.
    ids = item.ids[:-1] if len(item.ids) > item.prompt_length else item.ids
    prompt = item.ids[: item.prompt_length]
    reached = row.reach(ids, prompt)
    if row.tokens and len(row.tokens) + len(ids) - reached[1] > max_tokens:
        return False
    row.add(index, ids, prompt, reached)
    return True
