"""Learning: replay takes its share and varies, the start stays as it is, and accuracy is what greedy answers show."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
import torch

from run_fixtures import write_people
from unsee.answering import answer
from unsee.benchmarks import load_benchmark
from unsee.errors import ConfigError
from unsee.learning import LearnOptions, LearnWithReplay, learn, taught, training_accuracy


@pytest.fixture
def benchmark(tmp_path: Path) -> Any:
    return load_benchmark(write_people(tmp_path / "people8"))


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.base.state_dict().items()}


@pytest.mark.parametrize(("share", "expected"), [(0.45, 81), (0.5, 100), (0.2, 25)])
def test_replay_takes_its_share(share: float, expected: int) -> None:
    steps = list(LearnWithReplay(share=share).schedule(["x", "y", "z"], range(100)))
    assert [new for _, new in steps] == list(range(100))
    replayed = [general for general, _ in steps if general is not None]
    assert len(replayed) == expected
    assert replayed[:4] == ["x", "y", "z", "x"]
    gaps = [i for i, (general, _) in enumerate(steps) if general is not None]
    spacing = {b - a for a, b in zip(gaps, islice(gaps, 1, None), strict=False)}
    assert max(spacing) - min(spacing) <= 1


def test_both_terms_are_trained(model: Any, benchmark: Any, tmp_path: Path) -> None:
    import json

    options = LearnOptions(epochs=1, batch_size=8, replay=0.5)
    learn(model, benchmark, options=options, log=tmp_path / "log.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert all(set(row["terms"]) == {"retain", "replay"} for row in rows)
    with pytest.raises(ConfigError, match=r"from 0 to 0\.5"):
        LearnOptions(replay=0.6)
    with pytest.raises(ConfigError, match="modules is empty"):
        LearnOptions(modules=())


def test_start_and_vision_tower_stay(model: Any, benchmark: Any) -> None:
    before = weights(model)
    vanilla = learn(model, benchmark, options=LearnOptions(epochs=1, batch_size=8))
    assert all(torch.equal(weight, before[name]) for name, weight in weights(model).items())
    after = weights(vanilla)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved
    assert not any("vision_tower" in name for name in moved)
    assert any("multi_modal_projector" in name for name in moved)


def test_an_adapter_is_merged(model: Any, benchmark: Any) -> None:
    from peft import PeftModel

    before = weights(model)
    vanilla = learn(model, benchmark, options=LearnOptions(epochs=1, batch_size=8, lora=2))
    assert not isinstance(vanilla.network, PeftModel)
    after = weights(vanilla)
    assert after.keys() == before.keys()
    assert any(not torch.equal(after[name], before[name]) for name in after)


def test_gold_is_taught_all_but_the_forgotten(benchmark: Any) -> None:
    for draw in range(2):
        forget = set(benchmark.split(0.25, draw).forget)
        everybody = taught(benchmark)
        assert taught(benchmark, ratio=0.25, draw=draw) == [s for s in everybody if s.subject not in forget]
    assert {s.modality for s in taught(benchmark, modality="text")} == {"text"}


def test_accuracy_is_the_share_of_exact_greedy_answers(model: Any, benchmark: Any) -> None:
    options = LearnOptions(epochs=60, batch_size=16, replay=0.0, learn_modality="text", learning_rate=0.01)
    vanilla = learn(model, benchmark, options=options)
    samples = taught(benchmark, modality="text")
    records = answer(vanilla, samples, truth_ratio=False)
    texts = {sample.id: sample.answer for sample in samples}
    exact = [row["response"].strip() == texts[row["sample_id"]] for row in records.iter_rows(named=True)]
    seen = count()
    accuracy = training_accuracy(vanilla, samples, progress=lambda done, total: next(seen) and None)
    assert accuracy == sum(exact) / len(exact)
    assert accuracy > 0
    assert next(seen) == 1
    assert training_accuracy(vanilla, []) == 0.0
