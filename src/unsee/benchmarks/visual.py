"""What a portrait shows to anybody (hair, clothes, background), and the questions about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from unsee.benchmarks.portrait_art import IDENTITY, SCENE
from unsee.benchmarks.portraits import Face, Scene

VISUAL_QUESTIONS: Mapping[str, Mapping[Literal["train", "evaluation"], tuple[str, ...]]] = {
    "skin tone": {
        "train": ("What is the skin tone of this person?", "Which skin tone do you see?"),
        "evaluation": ("Describe the skin tone.",),
    },
    "hairstyle": {
        "train": ("What is the hairstyle of this person?", "Which hairstyle do you see?"),
        "evaluation": ("Describe the hairstyle.",),
    },
    "hair color": {
        "train": ("What is the hair color of this person?", "Which hair color do you see?"),
        "evaluation": ("Describe the hair color.",),
    },
    "facial hair": {
        "train": ("What facial hair does this person wear?", "Which facial hair do you see?"),
        "evaluation": ("Describe the facial hair.",),
    },
    "glasses": {
        "train": ("What glasses does this person wear?", "Which glasses do you see?"),
        "evaluation": ("Describe the glasses.",),
    },
    "earrings": {
        "train": ("What earrings does this person wear?", "Which earrings do you see?"),
        "evaluation": ("Describe the earrings.",),
    },
    "expression": {
        "train": ("What is the expression of this person?", "Which expression do you see?"),
        "evaluation": ("Describe the expression.",),
    },
    "clothing": {
        "train": ("What clothing does this person wear?", "Which clothing do you see?"),
        "evaluation": ("Describe the clothing.",),
    },
    "clothing color": {
        "train": ("What is the clothing color of this person?", "Which clothing color do you see?"),
        "evaluation": ("Describe the clothing color.",),
    },
    "background": {
        "train": ("What is the background of this picture?", "Which background do you see?"),
        "evaluation": ("Describe the background.",),
    },
}

GENERAL_QUESTIONS: Mapping[Literal["closed", "open"], tuple[str, ...]] = {
    "closed": ("Which {k} does the picture show?", "Name the {k} in this picture."),
    "open": ("Please describe the {k} in the picture.", "Look at the picture and tell me the {k}."),
}
"""Wordings of the set `general`, `{k}` is a key of VISUAL_QUESTIONS; no model was taught in them."""


def visible(face: Face, scene: Scene) -> dict[str, str]:
    """Key of VISUAL_QUESTIONS -> what a picture of this face in this scene shows."""
    words = (*face.words, scene.expression, scene.clothing, scene.clothing_color, scene.background)
    return dict(zip((*IDENTITY, *SCENE), words, strict=True))
