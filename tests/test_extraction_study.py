"""Numerics behind docs/studies/extraction.md: shares, tests of the best defence, marks, other layers, sizes by checkpoint."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

STUDIES = Path(__file__).parent.parent / "studies"
sys.path.insert(0, str(STUDIES))

import extracted  # noqa: E402
import extraction  # noqa: E402
import lens_layers  # noqa: E402
import sizes  # noqa: E402
from trained_against import trained_against  # noqa: E402

from unsee.answering.lens import read_lens  # noqa: E402
from unsee.attacks import load_attack  # noqa: E402
from unsee.attacks.running import model_key  # noqa: E402
from unsee.methods import load_method  # noqa: E402
from unsee.sample import Sample  # noqa: E402
from unsee.schemas import RECORDS  # noqa: E402


class Made(extracted.Extraction):
    """Four facts, two attacks and their positions of the answer, in place of a run's files."""

    def __init__(self, positions: dict[str, list[float]], damage: float = 0.0) -> None:
        self.found, self.damage = extracted.FIRST_TOKEN, damage
        self.facts = ["a", "b", "c", "d"]
        self._weights = np.array([[1.0, 1, 1, 1], [4.0, 0, 0, 0]])
        ways = [extracted.Way("lens", None), extracted.Way("rephrase_question", "hard")]
        vars(self)["ways"] = [*ways, extracted.Way("rephrase_question", "easy")]
        vars(self)["_positions"] = {(method, way): np.array(row) for method, row in positions.items() for way in ways}
        self.defences = tuple(method for method in positions if method != "vanilla")

    def value(self, method: str, scored: extracted.Scored) -> tuple[float, float, float]:
        return self.damage, self.damage, self.damage


def test_shares_of_found_facts_and_of_those_found_before() -> None:
    study = Made({"vanilla": [1, 20, 21, np.inf], "erased": [3, np.inf, 2, np.nan]})
    lens = study.ways[0]
    np.testing.assert_allclose(study.success("vanilla", lens), [0.5, 1.0])
    # The fourth fact was never attacked after the edit.
    np.testing.assert_allclose(study.success("erased", lens), [2 / 3, 1.0])
    # Of a and b, which vanilla tells within 20, the edit leaves a.
    np.testing.assert_allclose(study.left(["erased"], lens), [0.5, 1.0])
    assert [way.level for way in extracted.main_ways(study)] == [None, "hard"]


def test_success_where_strengths_reach_equal_damage() -> None:
    """A quarter of the way from 3 of 4 facts at 2 % damage to 1 of 4 at 10 %."""
    weak = Made({"vanilla": [1, 1, 1, 1], "erased": [1, 1, 1, np.inf]}, damage=0.02)
    strong = Made({"vanilla": [1, 1, 1, 1], "erased": [1, np.inf, np.inf, np.inf]}, damage=0.10)
    found = extraction.at_equal([strong, weak], "erased", extracted.LOST, 0.04)
    np.testing.assert_allclose(found, [0.75 - 0.25 * 0.5, 1.0])
    assert extraction.at_equal([strong, weak], "erased", extracted.LOST, 0.2) is None


def test_the_worst_attack_is_chosen_in_every_draw() -> None:
    study = Made({"vanilla": [1] * 4, "erased": [1] * 4})
    lens, reworded, _ = study.ways
    vars(study)["_positions"]["erased", lens] = np.array([np.inf, 1, 1, 1])
    vars(study)["_positions"]["erased", reworded] = np.array([1, 1, np.inf, np.inf])
    # 3 of 4 by the lens and half by rewording; the second draw holds the first fact alone, which only rewording finds.
    np.testing.assert_allclose(study.worst("erased", [lens, reworded]), [0.75, 1.0])


def test_the_best_defence_is_tested_against_each_other_one() -> None:
    study = Made({"vanilla": [1] * 4, "erased": [1, 1, np.inf, np.inf], "hidden": [np.inf] * 4, "moved": [1] * 4})
    rows = [line.split(" | ") for line in extraction.best_table(study).splitlines() if line.startswith("| the first")]
    # The mean over four facts, and its one draw, which holds the first fact alone.
    assert [row[1:4] for row in rows] == [
        [by, "hidden 0 (0 to 0)", other]
        for by in ("mean of attacks", "worst attack")
        for other in ("erased 50 (100 to 100)", "moved 100 (100 to 100)")
    ]
    assert [row[4] for row in rows] == ["-50 (-100 to -100)", "-100 (-100 to -100)"] * 2


def question(wording: str = "What does it eat?") -> Sample:
    return Sample(
        id="s", benchmark="b", subject="s", set="forget", task="generation", modality="text", question=wording, answer="two"
    )


@pytest.mark.parametrize(
    ("method", "attack", "blocks", "state"),
    [
        # At 32 layers the attack reads 25 and 29 to 32, and the loss 22 to 32; at 8 layers 4 to 8 and 6 to 8.
        ("head_projection", "lens_head_projection", 32, "same"),
        ("head_projection", "lens_head_projection", 8, "kind"),
        ("max_entropy", "lens_head_projection", 32, "same"),
        ("head_projection", "lens_prob_delta", 32, "kind"),
        ("max_entropy", "lens_prob_delta2", 32, "kind"),
        ("max_entropy", "finetune_lens", 32, "kind"),
        ("fact_erasure", "lens_head_projection", 32, "no"),
        ("head_projection", "rephrase_question:easy", 32, "no"),
        ("input_rephrasing", "rephrase_question:easy", 32, "same"),
        ("input_rephrasing", "rephrase_question:hard", 32, "kind"),
        ("input_rephrasing", "rephrase_multimodal:easy", 32, "kind"),
        ("input_rephrasing", "rephrase_image:easy", 32, "no"),
        ("input_rephrasing", "lens_prob_delta", 32, "no"),
        ("empty_response", "rephrase_question:easy", 32, "no"),
    ],
)
def test_marks_follow_what_loss_and_attack_read(method: str, attack: str, blocks: int, state: str) -> None:
    assert trained_against(load_method(method), load_attack(attack), question(), blocks=blocks) == state


def test_a_defence_of_chosen_layers_has_seen_an_attack_on_those() -> None:
    defence = load_method("head_projection", layers=(4, 5))
    assert trained_against(defence, load_attack("lens_head_projection", layers=(4,)), question(), blocks=8) == "same"
    assert trained_against(defence, load_attack("lens_head_projection", layers=(3, 4)), question(), blocks=8) == "kind"


D = torch.tensor(
    [
        [0.24, 0.19, 0.20, 0.21, 0.16],
        [0.50, 0.10, 0.12, 0.20, 0.08],
        [0.40, 0.30, 0.10, 0.13, 0.07],
        [0.15, 0.20, 0.45, 0.09, 0.11],
    ]
)
"""Embeddings and three layers over five tokens."""


def readings(targets: dict[str, int], monkeypatch: pytest.MonkeyPatch, **tuned: torch.Tensor) -> lens_layers.LensReadings:
    """A run of two facts whose lens records hold D; those of the tuned model hold `tuned`, else the same."""
    monkeypatch.setattr(lens_layers, "BUDGET", 1)
    attacks = [load_attack("lens_head_projection", layers=(2, 3)), load_attack("lens_prob_delta", layers=(2,))]
    attacks.append(load_attack("finetune_lens", layers=(3,)))
    samples = [replace(question(), id=fact, subject=fact) for fact in targets]
    records = []
    for protocol, seen in {"lens": D, model_key(attacks[-1]): tuned.get("tuned", D)}.items():
        for fact, target in targets.items():
            rows = read_lens(seen[:, None].log(), torch.tensor([target]), "top")
            row = {"sample_id": fact, "subject": fact, "protocol": protocol, "view": "lens", "answer_ids": [target]}
            records.append(row | {f"layer_{name}": value for name, value in rows._asdict().items()})
    table = pl.DataFrame(records, schema_overrides={name: RECORDS[name] for name in records[0]})
    table = table.with_columns(pl.lit(None, dtype=pl.String).alias("edit_id"))
    study: Any = Made.__new__(Made)
    study.found, study.facts, study.defences = extracted.FIRST_TOKEN, list(targets), ("head_projection", "fact_erasure")
    study._weights = np.ones((2, len(targets)))
    plans = {"head_projection": load_method("head_projection", layers=(2, 3)), "fact_erasure": load_method("fact_erasure")}
    study.experiment = SimpleNamespace(attacks=attacks, plan=lambda name: SimpleNamespace(method=plans[name]))
    study.folder = SimpleNamespace(records=lambda cell: table, attacks=lambda cell: None)
    vars(study).update(blocks=3, controls=["vanilla"])
    monkeypatch.setattr(Made, "attacked", lambda self, method="vanilla": samples, raising=False)
    monkeypatch.setattr(Made, "cell", lambda self, method: method, raising=False)
    return lens_layers.LensReadings(study, str)


def test_attacks_on_other_layers_are_read_from_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one guess: layer 1 says token 0, as layer 2 does, layer 3 says token 2, which also rises most above layer 2."""
    found = readings({"a": 0, "b": 2}, monkeypatch, tuned=D[[0, 3, 2, 1]])
    for attack, layers, hit in (
        ("lens_head_projection", None, [False, True]),
        ("lens_head_projection", (1,), [True, False]),
        ("lens_prob_delta", None, [False, True]),
        ("lens_prob_delta", (0,), [True, False]),
        # The tuned model's layers 1 and 3 have changed places.
        ("finetune_lens", None, [True, False]),
        ("finetune_lens", (1,), [False, True]),
    ):
        positions = found.positions("vanilla", attack, layers)
        np.testing.assert_array_equal(positions == 1, hit)


def test_unseen_layers_share_no_distribution_with_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    found = readings({"a": 0, "b": 2}, monkeypatch)
    assert found.unseen("lens_head_projection", {3}) == (0, 1, 2)
    assert found.unseen("lens_prob_delta", {3}) == (0, 1)  # D_3 - D_2 is out
    # The attack reads two layers, so the two deepest are left.
    assert found.deepest_unseen("lens_head_projection", {3}) == (1, 2)
    told = {(one.method, one.why): one.layers["lens_head_projection"] for one in lens_layers.unseen_choices(found)}
    assert told["fact_erasure", "without 3"] == (1, 2) and told["fact_erasure", "without 2-3"] == (0, 1)
    assert ("head_projection", "without 3") not in told and told["head_projection", "its own"] is None


def test_an_adaptive_attacker_takes_the_best_layer_on_tuning_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = readings({"a": 0, "b": 0}, monkeypatch)
    # Layers 0 to 2 all say token 0; the deepest of equals is taken, and of those that no defence read.
    assert tuning.best_layer("vanilla", "lens_head_projection") == 2
    assert tuning.best_layer("vanilla", "lens_head_projection", {2, 3}) == 1
    choices = lens_layers.adaptive_choices(readings({"a": 2, "b": 0}, monkeypatch), tuning)
    assert choices[1].layers["lens_head_projection"] == (2,)
    table = lens_layers.layer_table(readings({"a": 2, "b": 0}, monkeypatch), choices)
    assert "| vanilla | best of all | 2: 50 (50 to 50) |" in table


def test_layers_in_words() -> None:
    assert [lens_layers.in_words(one) for one in ((4, 5, 6), (2,), (2, 4))] == ["4-6", "2", "2, 4"]


def test_levels_are_those_of_the_tuning_facts() -> None:
    """Medians over defences."""
    did = {"fact_erasure": (0.2, 30.0), "empty_response": (0.9, 10.0), "error_injection": (0.6, 20.0)}
    tuning = Made({method: [1] * 4 for method in did})
    tuning.value = lambda method, scored: (did[method][scored == extracted.LOST],) * 3  # type: ignore[method-assign]
    assert extraction.tuned_levels(tuning) == {extracted.REWRITE: 0.6, extracted.LOST: 20.0}


def test_rewrite_scores_are_compared_by_the_deleted_answer() -> None:
    """What a defence teaches instead has a score of its own, in the rows without a group."""
    study = Made({"taught": [1] * 4})
    keys = {"cell": "c", "metric": "rewrite_score", "set": "forget", "gated": True, "n_edits": 1, "ci_low": 0.0, "ci_high": 1.0}
    rows = [{**keys, "group": group, "value": value} for group, value in ((None, 0.9), ("of=answer", 0.4), ("axis=image", 0.1))]
    table = pl.DataFrame(rows).with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in ("level", "baseline"))
    vars(study)["folder"] = SimpleNamespace(results=lambda: table)
    vars(study)["cell"] = lambda method: SimpleNamespace(id="c")
    assert extracted.Extraction.value(study, "taught", extracted.REWRITE) == (0.4, 0.0, 1.0)


def test_defences_that_never_reach_a_level_are_named() -> None:
    def run(damage: dict[str, float]) -> Made:
        study = Made({"vanilla": [1] * 4, "head_projection": [1] * 4, "max_entropy": [1] * 4, "fact_erasure": [np.inf] * 4})
        study.value = lambda method, scored: (damage[method],) * 3  # type: ignore[method-assign]
        return study

    weak = run({"head_projection": 0.1, "max_entropy": 0.0, "fact_erasure": 0.1})
    tuned = run({"head_projection": 0.5, "max_entropy": 0.2, "fact_erasure": 0.5})
    table = extraction.comparison_table({extracted.LOST: 0.4}, {"tuned": tuned, "weak": weak})
    assert "| delta_accuracy = 0.400, 1 against 1 | max_entropy (0.000 to 0.200) | +100 (+100 to +100) |" in table


def shares(*values: float) -> list[np.ndarray]:
    return [np.array([value, value, value]) for value in values]


def test_checkpoints_are_the_replicates_of_a_size() -> None:
    """Means .1 and .5, variance .02 each: t = .4 / sqrt(.02) = 2.83 with two degrees of freedom, p = 1 - 2.83 / sqrt(10)."""
    found = sizes.difference(shares(0.0, 0.2), shares(0.4, 0.6))
    assert found.p == pytest.approx(1 - 2.8284271 / 10**0.5)
    assert found.told == "+40 (-21 to +101)"  # 4.303 standard errors of .1414 either way
    assert found.replicate == "checkpoint, 2 and 2"
    one = sizes.difference(shares(0.2), shares(0.4, 0.6))
    assert (one.told, one.p, one.replicate) == ("+30 (+30 to +30)", 2 / 3, "fact, 1 and 2 checkpoints")


def test_spread_over_checkpoints() -> None:
    assert sizes.spread([]) == "not reached"
    assert sizes.spread(shares(0.4)) == "40 (40 to 40), one checkpoint"
    assert sizes.spread(shares(0.2, 0.5, 0.8)) == "50, 3 checkpoints from 20 to 80"


def test_runs_are_joined_by_the_weights_they_began_with(tmp_path: Path) -> None:
    def run(name: str, model: str, weights: str | None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        inputs = {} if weights is None else {"model": weights}
        (folder / "provenance.json").write_text(json.dumps({"inputs": inputs}))
        (folder / "experiment.toml").write_text(f'name = "sizes"\nmodel = "{model}"\n[benchmark]\nname = "creatures"\n')
        return folder

    a, b, c, d = run("a", "tiny-a", "x"), run("b", "tiny-a", "x"), run("c", "tiny-a", "y"), run("d", "micro", "z")
    assert sizes.by_checkpoint([a, c, b, d]) == {"tiny-a (1)": [a, b], "tiny-a (2)": [c], "micro": [d]}
    with pytest.raises(ValueError, match="names no hash of its model"):
        sizes.by_checkpoint([run("e", "tiny-a", None)])


def test_lines_are_not_drawn_between_checkpoints() -> None:
    """One checkpoint reaches .9 half-way between its rates; another begins above it and never does."""

    def run(rewrite: float, left: float) -> Any:
        return SimpleNamespace(scores=lambda method: {extracted.REWRITE: rewrite}, mean_left=lambda method: np.array([left]))

    one, other = [run(0.8, 0.6), run(1.0, 0.2)], [run(0.95, 0.5), run(1.0, 0.4)]
    np.testing.assert_allclose(sizes.crossing(one, "fact_erasure", 0.9), [0.4])
    assert sizes.crossing(other, "fact_erasure", 0.9) is None
