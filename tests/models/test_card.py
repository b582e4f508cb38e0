"""The model card says where the weights come from, and refuses worlds they were not trained on."""

from __future__ import annotations

import pytest

from unsee.errors import CheckpointError
from unsee.models.card import Ability, check_worlds, render

RECIPE = {
    "version": "tiny-1",
    "recipe": "vision 2400 steps, then 11,000 of text",
    "seed": 3,
    "minutes": 88,
    "worlds": {"portraits": "ab" * 32},
    "licence": "Apache-2.0",
}


def test_a_card_holds_recipe_and_abilities() -> None:
    abilities = {
        "figure_by_name": Ability("figure_by_name", 0.97, 400, {}),
        "figure_by_picture": Ability("figure_by_picture", 0.895, 400, {}),
        "visible": Ability("visible", 0.9, 300, {"hair": 0.95, "beard": 0.85}),
        "sentence_by_name": Ability("sentence_by_name", 0.5, 200, {}),
        "unguarded_refused_by_name": Ability("unguarded_refused_by_name", 0.05, 200, {}),
    }
    card = render("tiny-1", abilities, recipe=RECIPE, seed=0)
    assert card.startswith("# Model card: tiny-1\n")
    for line in (
        "- licence of the weights: Apache-2.0",
        "- recipe: vision 2400 steps, then 11,000 of text",
        "- seed: 3",
        "- minutes: 88",
        f"- world `portraits`: SHA-256 {'ab' * 32}",
        "- abilities measured by `unsee models card tiny --seed 0`",
        "| figure_by_name | 0.970 | 400 | at least 0.95 | yes |",
        "| figure_by_picture | 0.895 | 400 | at least 0.90 | **no** |",
        "| unguarded_refused_by_name | 0.050 | 200 | at most 0.05 | yes |",
        "| sentence_by_name | 0.500 | 200 | reported |  |",
        "Visible attributes: hair 0.95, beard 0.85.",
    ):
        assert line in card.splitlines()


def test_weights_of_another_world_are_refused() -> None:
    check_worlds(RECIPE, {"portraits": "ab" * 32, "creatures": "cd" * 32})
    check_worlds({}, {"portraits": "ab" * 32})
    with pytest.raises(CheckpointError, match="trained on a world 'portraits' of SHA-256 abababababab"):
        check_worlds(RECIPE, {"portraits": "cd" * 32})
