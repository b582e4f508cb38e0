"""Published levels of generated pictures, and the folders that hold them.

The published code numbers its folders differently from its paper: the folder and command-line level `hard` of rephrased
pictures holds what the paper calls medium (an object edited out), and `medium` what the paper calls hard (drawn anew). For
neighbour pictures `medium` is the paper's hard. Levels here are the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Level = Literal["easy", "medium", "hard"]
Axis = Literal["question", "image", "both"]
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")
NEIGHBOUR_LEVELS: tuple[Level, ...] = ("easy", "hard")

REPHRASED: Mapping[Level, tuple[str, ...]] = {
    "easy": ("parap_images/okvqa", "parap_images", "rephrase_images/easy"),
    "medium": ("paraphrase_images_hard/okvqa_yolo_dino_bert/processed_images", "rephrase_images/medium"),
    "hard": ("parap_images_medium/okvqa", "parap_images_medium", "rephrase_images/hard"),
}
"""Level -> folders of `<row id>.jpg`, the published one first; those with a plain level in their name are ours."""
NEIGHBOURS: Mapping[Level, tuple[str, ...]] = {
    "easy": ("neigh_images_easy/okvqa", "neigh_images_easy", "okvqa_new/neigh_easy", "neighbour_images/easy"),
    "hard": ("neigh_images_medium/okvqa", "neigh_images_medium", "okvqa_new/neigh_med", "neighbour_images/hard"),
}
"""Level -> folders of `<row id>_<entry of alt_ans>.jpg`. The published third generator was dropped from the benchmark."""
ORIGINALS = ("train2017", "val2017", "images", "")
"""Folders of original pictures, which have 12-digit COCO names; "" is the folder itself."""
SUFFIXES = (".jpg", ".jpeg", ".png")
EXTENSION = SUFFIXES[0]
"""What the published code appends to every name, whatever the picture's format."""


def original_name(image_id: int) -> str:
    return f"{image_id:012d}"


def neighbour_name(id_: int, entry: int) -> str:
    return f"{id_}_{entry}"
