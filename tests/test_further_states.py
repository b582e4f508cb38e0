"""Further states of a model: waypoints, relearning and rounding; which facts are told and which are asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from toy import random_model
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.base import asked_both_ways
from unsee.cell_runner import CellRunner
from unsee.experiment import Experiment
from unsee.experiment_tables import StatesTable
from unsee.learning import LearnOptions
from unsee.models.checkpoints import weights_digest
from unsee.progress import Display
from unsee.run_folder import RunFolder
from unsee.runs import Run
from unsee.sample import Sample
from unsee.states import fact_of, further_states, relearned, rounded, told_again
from unsee.training_state import Waypoints


def fact(subject: str, attribute: str, modality: str = "text") -> Sample:
    return Sample(
        id=f"{subject}/{attribute}/{modality}",
        benchmark="toy",
        subject=subject,
        set="forget",
        task="generation",
        modality="text",
        question=f"What is the {attribute} of {subject}, told by {modality}?",
        answer="red",
        metadata={"attribute": attribute},
    )


FACTS = [fact(f"p{n}", attribute, way) for n in range(5) for attribute in ("job", "city") for way in ("face", "name")]


def test_rounding_to_two_and_four_bits_by_hand() -> None:
    model = random_model()
    layer = next(m for n, m in model.base.named_modules() if n.endswith("q_proj"))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, :4] = torch.tensor([0.7, -0.34, 0.36, 0.05])
    head = model.base.get_output_embeddings().weight.clone()
    four = dict(rounded(model, 4).base.named_modules())
    name = next(n for n, _ in model.base.named_modules() if n.endswith("q_proj"))
    # Scale 0.7 / 7 = 0.1: -3.4 -> -3, 3.6 -> 4, 0.5 -> 0 (to even), and rows of zeros stay.
    torch.testing.assert_close(four[name].weight[0, :4], torch.tensor([0.7, -0.3, 0.4, 0.0]))
    assert not four[name].weight[1:].any()
    two = dict(rounded(model, 2).base.named_modules())
    # Scale 0.7: only -1, 0 and 1 are left.
    torch.testing.assert_close(two[name].weight[0, :4], torch.tensor([0.7, 0.0, 0.7, 0.0]))
    assert torch.equal(rounded(model, 2).base.get_output_embeddings().weight, head)


def test_sixteen_bits_change_next_to_nothing_and_the_model_is_left_alone() -> None:
    model = random_model()
    before = weights_digest(model)
    made = rounded(model, 16)
    for (name, one), (_, other) in zip(model.base.named_parameters(), made.base.named_parameters(), strict=True):
        assert (one - other).abs().max() <= one.abs().max() / 2**15, name
    assert weights_digest(model) == before


def test_a_fact_is_told_again_in_every_way_or_not_at_all() -> None:
    told = told_again(FACTS, 0.3, seed=1)
    facts = {fact_of(sample) for sample in told}
    assert len(facts) == 3
    assert [s.id for s in told] == [s.id for s in FACTS if fact_of(s) in facts]
    assert told == told_again(FACTS[::-1], 0.3, seed=1)[::-1]
    assert {fact_of(s) for s in told_again(FACTS, 0.3, seed=2)} != facts
    assert len({fact_of(s) for s in told_again(FACTS, 0.001, seed=0)}) == 1
    assert told_again([], 0.5, seed=0) == []


def test_relearning_moves_a_copy_towards_what_is_told() -> None:
    model, told = random_model(), FACTS[:4]
    before = weights_digest(model)
    learn = LearnOptions(learning_rate=1e-2, precision="fp32")
    again = relearned(model, told, StatesTable(relearn=0.1, relearn_epochs=3, relearn_batch_size=4), learn=learn, seed=0)
    assert weights_digest(model) == before

    from unsee.stopping import LikelihoodProbe

    likely = LikelihoodProbe(model.prompter, told)
    start, end = likely(model)["probe_forget"], likely(again)["probe_forget"]
    assert start is not None and end is not None and end > 2 * start


RELEARN = StatesTable(relearn=0.1, relearn_epochs=3, relearn_batch_size=2)
TAUGHT = LearnOptions(learning_rate=1e-2, precision="fp32")


@pytest.mark.parametrize(
    ("option", "decides"),
    [
        ({"loss_mask": "all"}, True),
        ({"schedule": "constant"}, True),
        ({"warmup": 0.5}, True),
        ({"max_grad_norm": 1e-3}, True),
        ({"epochs": 1, "steps": 1}, False),
        ({"batch_size": 1, "gradient_accumulation": 4}, False),
        ({"seed": 5}, False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_relearning_is_as_learn_taught_but_for_passes_batches_and_seed(option: dict[str, Any], decides: bool) -> None:
    made = [
        weights_digest(relearned(random_model(layers=1), FACTS[:4], RELEARN, learn=learn, seed=0))
        for learn in (TAUGHT, replace(TAUGHT, **option))
    ]
    assert (made[0] != made[1]) == decides


@pytest.mark.parametrize("taught", ["image_text", "both"])
def test_facts_are_told_again_in_the_modality_that_learn_taught(
    taught: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Sample] = []
    monkeypatch.setattr("unsee.states.further_states", lambda *_, forget, **__: told.extend(forget) or ())
    asking = replace(experiment, learn=replace(experiment.learn, learn_modality=taught))
    cell = next(cell for cell in asking.cells if cell.method == "ga")
    CellRunner(asking, RunFolder(tmp_path), Display())._answer_states(cell, random_model(layers=1), tmp_path)
    assert {sample.modality for sample in told} == ({"image_text"} if taught == "image_text" else {"image_text", "text"})


def test_states_ask_only_what_was_not_told() -> None:
    model = random_model()
    table = StatesTable(relearn=0.3, relearn_epochs=1, bits=(8, 4))
    states = list(further_states(model, table, learn=LearnOptions(precision="fp32"), forget=FACTS, seed=0))
    assert [state.name for state in states] == ["relearned", "int8", "int4"]
    asked = {state.name: {fact_of(s) for s in FACTS if state.asks(s)} for state in states}
    assert len(asked["int8"]) == 10
    assert asked["relearned"] == asked["int8"] - {fact_of(s) for s in told_again(FACTS, 0.3, seed=0)}
    assert len(asked["relearned"]) == 7


def test_waypoints_hold_the_weights_of_their_steps(tmp_path: Path) -> None:
    model = random_model()
    weight = next(w for w in model.network.parameters() if w.requires_grad)
    waypoints = Waypoints(tmp_path / "way", points=3)
    for step in range(1, 9):
        with torch.no_grad():
            weight.fill_(float(step))
        waypoints.keep(lambda: dict(model.network.named_parameters()), step, total=8)
    end = weights_digest(model)
    assert [(step, float(weight.detach().flatten()[0])) for step in waypoints.visit(model)] == [(2, 2.0), (4, 4.0), (6, 6.0)]
    assert weights_digest(model) == end
    for step in waypoints.visit(model):
        assert step == 2
        break
    assert weights_digest(model) == end


def test_a_run_asks_every_state_and_scores_it_against_gold_in_that_state(finished: Run, experiment: Experiment) -> None:
    values = pl.read_parquet(finished.folder / "states.parquet")
    found = {
        (method, frozenset(names))
        for (method,), names in ((key, part["state"].unique().to_list()) for key, part in values.group_by("method"))
    }
    states = frozenset({"relearned", "int4"})
    assert found == {
        ("vanilla", states),
        ("gold", states),
        ("ga", states | {"step-00000002"}),
        ("npo", states | {"step-00000002"}),
    }
    gold = next(cell for cell in experiment.cells if cell.method == "gold" and not cell.is_noise_gold)
    distance = values.filter(
        (pl.col("cell") == gold.id) & (pl.col("metric") == "distance_to_gold") & pl.col("baseline").is_null()
    )
    assert distance["value"].drop_nulls().len() and (distance["value"].drop_nulls() == 0).all()
    steps = values.filter(pl.col("state").str.starts_with("step-"))
    assert set(steps["step"]) == {2} and values.filter(pl.col("state") == "int4")["step"].is_null().all()


def test_relearned_states_leave_out_what_was_told(finished: Run, experiment: Experiment) -> None:
    cell = next(cell for cell in experiment.cells if cell.method == "ga")
    home = finished.folder / "cells" / cell.id
    whole, again = (pl.read_parquet(path / "records.parquet") for path in (home, home / "states" / "relearned"))
    assert set(again["set"]) == {"forget", "test"} < set(whole["set"])
    assert whole.filter(pl.col("set").is_in(["forget", "test"])).join(again, on="sample_id", how="anti").height
    # The same prompts, although those whom they show are in a set that states are not asked about.
    prompts = again.join(whole, on=["sample_id", "protocol", "view"], suffix="_whole")
    assert prompts.height == again.height and (prompts["prompt_sha256"] == prompts["prompt_sha256_whole"]).all()
    assert "official" in set(again["protocol"])
    other = next(cell for cell in experiment.cells if cell.method == "gold")
    same = pl.read_parquet(finished.folder / "cells" / other.id / "states" / "relearned" / "records.parquet")
    assert set(same["sample_id"]) == set(again["sample_id"])


@pytest.mark.parametrize("modality", ["image_text", "text"])
def test_paired_questions_have_the_same_answers_either_way(modality: str) -> None:
    benchmark = load_benchmark("people", subjects=24)
    both = asked_both_ways(benchmark.training(set="forget", ratio=0.25))
    one = [sample for sample in both if sample.modality == modality]
    other = [sample for sample in both if sample.modality != modality]
    assert Counter((s.subject, s.metadata["attribute"], s.answer) for s in one) == Counter(
        (s.subject, s.metadata["attribute"], s.answer) for s in other
    )
    assert len(one) == 6 * 13
    assert "name" not in {s.metadata["attribute"] for s in one}
