"""Lens attacks: which layers are read, in which order tokens are tried, and where answers stand, all on records by hand."""

from __future__ import annotations

import warnings
from dataclasses import fields
from itertools import product
from math import prod
from typing import Any

import pytest
import torch

from unsee.answering.lens import TOP, read_lens
from unsee.attacks import load_attack
from unsee.attacks.lens_attack import LensAttack, by_depth, distinct, earliest, in_turn, sequence_rank
from unsee.errors import ConfigError
from unsee.sample import Sample

D = torch.tensor(
    [
        [0.24, 0.19, 0.20, 0.21, 0.16],
        [0.50, 0.10, 0.12, 0.20, 0.08],
        [0.40, 0.30, 0.10, 0.13, 0.07],
        [0.15, 0.20, 0.45, 0.09, 0.11],
    ]
)
"""Four layers of five tokens; no two of a layer, and no two changes, are alike."""


def sample(answer: str = "two") -> Sample:
    return Sample(
        id="s", benchmark="b", subject="s", set="forget", task="generation", modality="text", question="Which?", answer=answer
    )


def record(distributions: torch.Tensor, target: list[int], side: Any = "top") -> dict[str, Any]:
    """A lens record of distributions [layers, answer tokens, vocabulary]."""
    seen = read_lens(distributions.log(), torch.tensor(target), side)
    view = "lens" if side == "top" else "lens_bottom"
    return {"view": view, "answer_ids": target} | {f"layer_{name}": rows for name, rows in seen._asdict().items()}


def attacked(name: str, target: int, *, budget: int = 5, **options: Any) -> Any:
    attack = load_attack(name, **options)
    records = [record(D[:, None], [target], side) for side in ("top", "bottom")]
    return attack.candidates(sample(), records, budget=budget, read=str)


def test_head_projection_by_hand() -> None:
    """Layers 1, 2, 3 best first: 0 3 2 1 4; 0 1 3 2 4; 2 1 0 4 3. Deepest first, rank by rank."""
    found = attacked("lens_head_projection", 3, layers=[1, 2, 3])
    assert found.candidates == ("2", "0", "1", "3", "4")
    assert (found.hit, found.hit_all, found.hit_sequence) == (4, 4, 4)
    assert (found.prompts, found.layers, found.k) == (1, 3, 4)
    assert (found.samples, found.tokens) == (None, None)


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_the_union_is_cut_to_exactly_the_budget(budget: int) -> None:
    """N6: duplicates of several layers count once, and a smaller budget tries a beginning of what a larger one tries."""
    found = attacked("lens_head_projection", 3, layers=[1, 2, 3], budget=budget)
    assert found.candidates == ("2", "0", "1", "3")[:budget]
    assert found.hit == (4 if budget >= 4 else None)


def test_as_published_a_layer_gives_no_more_than_k_tokens() -> None:
    found = attacked("lens_head_projection", 3, layers=[1, 2, 3], k=1, fill=False)
    assert found.candidates == ("2", "0") and found.hit is None and found.k == 1
    assert attacked("lens_head_projection", 3, layers=[1, 2, 3], k=2, fill=False).candidates == ("2", "0", "1", "3")


def test_probability_delta_by_hand() -> None:
    """D_2 - D_1 = -.10 .20 -.02 -.07 -.01 and D_3 - D_2 = -.25 -.10 .35 -.04 .04."""
    found = attacked("lens_prob_delta", 4, layers=[1, 2])
    assert found.candidates == ("2", "1", "4", "3", "0") and found.hit == 3
    lowest = attacked("lens_prob_delta", 4, layers=[2], bottom=True)
    assert lowest.candidates == ("2", "0", "4", "1", "3") and lowest.layers == 2


def test_selecting_before_differencing_would_find_another_token() -> None:
    """N3: D_3 - D_1 ranks token 1 second; no difference of adjacent layers from 2 on does."""
    gap = (D[3] - D[1]).topk(2).indices.tolist()
    found = attacked("lens_prob_delta", 1, layers=[2], budget=2)
    assert gap == [2, 1] and found.candidates == ("2", "4") and found.hit is None


def test_probability_delta_squared_by_hand() -> None:
    """D_2 - 2 D_1 + D_0 = -.36 .29 .06 -.06 .07 and D_3 - 2 D_2 + D_1 = -.15 -.30 .37 .03 .05."""
    assert attacked("lens_prob_delta2", 3, layers=[1]).candidates == ("1", "4", "2", "3", "0")
    assert attacked("lens_prob_delta2", 3, layers=[2]).candidates == ("2", "4", "3", "0", "1")
    both = attacked("lens_prob_delta2", 3, layers=[1, 2])
    assert both.candidates == ("2", "1", "4", "3", "0") and both.hit == 4


def test_every_lens_reads_a_quantity_of_its_own() -> None:
    """E4: a test that is always true made published code treat one white-box attack as another.

    Layer 2 is .40 .30 .10 .13 .07, its difference -.25 -.10 .35 -.04 .04, its second difference -.15 -.30 .37 .03 .05.
    """
    assert attacked("lens_head_projection", 3, layers=[2]).candidates == ("0", "1", "3", "2", "4")
    assert attacked("lens_prob_delta", 3, layers=[2]).candidates == ("2", "4", "3", "1", "0")
    assert attacked("lens_prob_delta2", 3, layers=[2]).candidates == ("2", "4", "3", "0", "1")


ALTERED: dict[str, dict[str, Any]] = {
    "k": {"fill": False, "k": 1},
    "layers": {"layers": [1]},
    "fill": {"fill": False},
    "bottom": {"bottom": True},
}
"""Option -> settings that differ from `fill = False` for k, else from layer 2 and k = 2, in that option."""


@pytest.mark.parametrize("name", ["lens_head_projection", "lens_prob_delta", "lens_prob_delta2", "finetune_lens"])
def test_every_option_of_a_lens_changes_candidates(name: str) -> None:
    """E5: an option that changes nothing is refused by no test of its value. How finetune_lens trains: test_running.py."""
    trains = {"examples", "learning_rate", "epochs", "rank"}
    options = {item.name for item in fields(load_attack(name))} - trains  # type: ignore[arg-type]
    start: dict[str, Any] = {"layers": [2], "k": 2}
    if "lens" in options:
        start["lens"] = "lens_prob_delta"
        other = attacked(name, 3, **start | {"lens": "lens_head_projection"})
        assert other.candidates != attacked(name, 3, **start).candidates
    for option in options - {"lens"}:
        before = start | ({"fill": False} if option == "k" else {})
        assert attacked(name, 3, **before | ALTERED[option]).candidates != attacked(name, 3, **before).candidates, option


def test_a_k_without_effect_is_told() -> None:
    with pytest.warns(UserWarning, match="k = 2 has no effect while fill is on"):
        load_attack("lens_prob_delta", k=2).check(blocks=8, budget=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"k": 2, "fill": False}):
            load_attack("lens_prob_delta", **options).check(blocks=8, budget=20)


def test_bottom_is_off_by_default() -> None:
    for name in ("lens_prob_delta", "lens_prob_delta2"):
        assert load_attack(name).sides == ("top",)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"unknown key 'lens_head_projection.bottom'"):
        load_attack("lens_head_projection", bottom=True)


def test_tied_lowest_tokens_are_no_candidates() -> None:
    """N1: half precision made most of a vocabulary 0, so that everything was found among the lowest four."""
    assert distinct([3, 1, 2, 0], [0.0, 0.0, -0.1, -0.2]) == [2, 0]
    # The last of those that records keep may be as low as the first that they do not.
    assert distinct(range(TOP), [-0.1 * rank for rank in range(TOP)]) == list(range(TOP - 1))


def test_tied_lowest_tokens_find_no_whole_answer() -> None:
    """N1 again: token 7 alone falls and sixty rise, so that all that stay, such as token 3, tie for the next to lowest."""
    still, moved = torch.full((1000,), 0.001), torch.full((1000,), 0.001)
    moved[7], moved[100:160] = 0.0005, 0.001 + torch.arange(1, 61) * 1e-6
    layers = torch.stack([torch.stack([still, still]), torch.stack([moved, moved])])
    attack = load_attack("lens_prob_delta", layers=[0], bottom=True)
    found = attack.candidates(sample(), [record(layers, [7, 3], side) for side in ("top", "bottom")], budget=20, read=str)
    assert (found.hit, found.hit_all, found.hit_sequence) == (2, None, None)
    alone = attack.candidates(sample(), [record(layers, [7, 7], side) for side in ("top", "bottom")], budget=20, read=str)
    assert alone.hit_sequence == 2


def test_answers_of_several_tokens() -> None:
    """Ranks at layers 2 and 3 (deepest first): token 0 of the answer 2, 1; token 1 of it 1, 3."""
    second = torch.tensor([[0.2] * 5, [0.2] * 5, [0.10, 0.35, 0.30, 0.15, 0.10], [0.40, 0.20, 0.12, 0.18, 0.10]])
    distributions = torch.stack([D, second], dim=1)
    attack = load_attack("lens_head_projection", layers=[2, 3])
    found = attack.candidates(sample("one two"), [record(distributions, [1, 2])], budget=5, read=str)
    assert found.candidates[:3] == ("2", "0", "1")
    assert found.hit == 3
    # Position 1: rank 4 at layer 3 comes (4 - 1) * 2 + 1 = 7th, rank 2 at layer 2 comes (2 - 1) * 2 + 2 = 4th.
    assert found.hit_all == 4
    # Layer 2: ranks 2 and 2, product 4, the 8th of all pairs; layer 3: ranks 2 and 4.
    assert found.hit_sequence is None
    whole = attack.candidates(sample("one two"), [record(distributions, [1, 2])], budget=50, read=str)
    assert whole.hit_sequence == (8 - 1) * 2 + 2


@pytest.mark.parametrize("ranks", [(1,), (7,), (1, 1), (2, 3), (3, 2), (5, 1), (2, 2, 2), (1, 6, 2)])
def test_position_of_a_sequence(ranks: tuple[int, ...]) -> None:
    """Counted by brute force: all tuples whose product is not above."""
    expected = sum(prod(other) <= prod(ranks) for other in product(range(1, 51), repeat=len(ranks)))
    assert sequence_rank(ranks, 50) == expected
    assert sequence_rank(ranks, prod(ranks) - 1) is None
    assert sequence_rank((*ranks, None), 50) is None


def test_turns_by_hand() -> None:
    assert in_turn([["a", "b", "c"], ["b", "d"]], 10) == (["a", "b", "d", "c"], 3)
    assert in_turn([["a", "b", "c"], ["b", "d"]], 3) == (["a", "b", "d"], 2)
    assert in_turn([], 3) == ([], 0)
    assert earliest([3, 2, None]) == 5
    assert earliest([None]) is None


def test_tokens_that_read_alike_are_one_candidate() -> None:
    words = {0: "dog", 1: "dog", 2: "cat", 3: "owl", 4: "tea"}
    found = load_attack("lens_head_projection", layers=[2]).candidates(
        sample("dog"), [record(D[:, None], [1])], budget=5, read=words.__getitem__
    )
    assert found.candidates == ("dog", "owl", "cat", "tea") and found.hit == 1


def test_lost_numbers_are_a_miss() -> None:
    broken = D.clone()
    broken[3] = float("nan")
    found = load_attack("lens_head_projection", layers=[3]).candidates(
        sample(), [record(broken[:, None], [1])], budget=5, read=str
    )
    assert (found.candidates, found.hit, found.k) == ((), None, 0)


@pytest.mark.parametrize(
    ("name", "blocks", "layers"),
    [
        ("lens_head_projection", 32, (25, 29, 30, 31, 32)),
        ("lens_head_projection", 40, (36, 37, 38, 39, 40)),
        ("lens_head_projection", 28, (22, 25, 26, 27, 28)),
        ("lens_head_projection", 8, (4, 5, 6, 7, 8)),
        ("lens_head_projection", 3, (0, 1, 2, 3)),
        ("lens_prob_delta", 32, (27, 28, 29, 30, 31)),
        ("lens_prob_delta", 8, (3, 4, 5, 6, 7)),
        ("lens_prob_delta", 64, (54, 56, 58, 60, 62)),
        ("lens_prob_delta2", 32, (27, 28, 29, 30, 31)),
        ("lens_prob_delta2", 8, (3, 4, 5, 6, 7)),
        ("lens_prob_delta2", 2, (1,)),
    ],
)
def test_default_layers_by_depth(name: str, blocks: int, layers: tuple[int, ...]) -> None:
    attack = load_attack(name)
    assert isinstance(attack, LensAttack)
    assert attack.chosen(blocks) == layers == by_depth(attack.published, attack.quantity, blocks)
    attack.check(blocks=blocks, budget=50)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("lens_head_projection", {"layers": [3, 9]}, "layer 9 does not exist; a model of 8 decoder layers has layers 0 to 8"),
        ("lens_prob_delta", {"layers": [8]}, "layer 8 does not exist.*differences of adjacent layers.* 0 to 7"),
        ("lens_prob_delta2", {"layers": [0]}, "layer 0 does not exist.*second differences.* 1 to 7"),
        ("lens_prob_delta2", {"layers": []}, "layers is empty"),
        ("lens_head_projection", {"k": 0}, "k = 0 cannot be taken"),
        ("finetune_lens", {"layers": [9]}, "layer 9 does not exist"),
        ("finetune_lens", {"examples": 0}, "0 examples"),
    ],
)
def test_options_that_cannot_work(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_attack(name, **options).check(blocks=8, budget=20)


def test_a_budget_beyond_what_records_keep() -> None:
    with pytest.raises(ConfigError, match="budget 51 is above 50"):
        load_attack("lens_prob_delta").check(blocks=8, budget=51)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("lens_prob_delt", {}, "there is no attack 'lens_prob_delt'; did you mean 'lens_prob_delta'"),
        ("lens-prob-delta", {"kk": 1}, "unknown key 'lens_prob_delta.kk'; did you mean 'k'"),
        ("lens_prob_delta", {"k": "many"}, "lens_prob_delta.k = 'many' is text, expected a whole number"),
    ],
)
def test_names_and_options_that_do_not_exist(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_attack(name, **options)
