"""Inputs of networks that look at pictures by cross-attention, as Llama 3.2 Vision does.

A picture is one token there. Its pixels belong to a row rather than to a list of all pictures, and a mask says which tokens of
the row see which tiles. A row without pictures skips the layers that look, which a row beside it that has pictures does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unsee.models.prompts import CROSS_ATTENTION_MASK as MASK

_TILES = "aspect_ratio_mask"


def pictures_of_rows(rows: Sequence[Sequence[dict[str, Tensor]]], ids: Tensor, image_token: int) -> dict[str, Tensor]:
    """Pictures as such networks want them: every row has as many as the fullest, and what is missing is masked.

    Args:
        rows: of every row, what the processor made of each picture alone, [1, 1, ...].
        ids: [rows, tokens].
        image_token: id of the token that stands for a picture.
    """
    some = next((picture for row in rows for picture in row), None)
    if some is None:
        return {}
    most = max(len(row) for row in rows)
    made = {name: torch.cat([_row([picture[name] for picture in row], some[name], most) for row in rows]) for name in some}
    tiles = made[_TILES].clone()
    # A picture that is not there counts as one tile, which keeps the vision tower from averaging over nothing.
    for row, pictures in enumerate(rows):
        made[_TILES][row, len(pictures) :, 0] = 1
    return made | {MASK: _seen(ids, image_token, tiles)}


def rows_apart(inputs: dict[str, Any]) -> list[Tensor]:
    """Numbers of the rows that go through the network together, [rows] each."""
    mask = inputs.get(MASK)
    if mask is None:
        return []
    looks = mask.flatten(1).any(1)
    return [rows.nonzero()[:, 0] for rows in (looks, ~looks) if rows.any()]


def rows_of(inputs: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """Inputs of some rows, all of which have pictures or none has."""
    if inputs[MASK][rows].any():
        return {name: value[rows] for name, value in inputs.items()}
    tokens = inputs["input_ids"].shape
    return {name: value[rows] for name, value in inputs.items() if name != MASK and value.shape[:2] == tokens}


def _row(pictures: Sequence[Tensor], like: Tensor, most: int) -> Tensor:
    """Pictures of one row, [1, most, ...]; missing ones are zeros."""
    missing = like.new_zeros(1, most - len(pictures), *like.shape[2:])
    return torch.cat([*pictures, missing], dim=1)


def _seen(ids: Tensor, image_token: int, tiles: Tensor) -> Tensor:
    """Tokens see the tiles of the last picture before them, or of several where these follow each other directly."""
    count = tiles.shape[1]
    made = torch.zeros(*ids.shape, count, dtype=torch.bool)
    for row, tokens in enumerate(ids):
        places = (tokens == image_token).nonzero()[:, 0].tolist()[:count]
        end = len(tokens)
        for number in range(len(places) - 1, -1, -1):
            later = places[number + 1] if number + 1 < len(places) else len(tokens)
            end = end if later == places[number] + 1 else later
            made[row, places[number] : end, number] = True
    return (made[..., None] & tiles[:, None].bool()).long()
