"""QLoRA on a tiny LLaVA: linear layers in 4 or 8 bits stay as they are, the adapter above them learns, is saved and loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import builders
import unsee
from run_fixtures import write_people
from unsee.cli import main
from unsee.errors import ConfigError
from unsee.experiment import parse_experiment
from unsee.learning import LearnOptions, training_accuracy
from unsee.methods import Scope
from unsee.models import quantized
from unsee.models.batches import collate
from unsee.models.checkpoints import load_checkpoint, weights_digest
from unsee.models.lora import attach, copied
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.run_folder import RunFolder
from unsee.sample import Sample
from unsee.training_options import TrainOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.build("llava").save(tmp_path_factory.mktemp("quantized") / "model")


@torch.no_grad()
def logprobs(model: Model, samples: list[Sample]) -> torch.Tensor:
    return model.answer_logprobs(collate(encode_samples(samples[:6], model.prompter), prompter=model.prompter))


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_an_adapter_above_quantized_weights(folder: Path, shown: list[Sample], tmp_path: Path, bits: str) -> None:
    pytest.importorskip("bitsandbytes")
    model = unsee.load_model(folder, quantize=bits)
    assert not model.features.missing()
    down = model.base.get_submodule("model.language_model.layers.0.mlp.down_proj")
    assert down.weight.dtype == (torch.uint8 if bits == "4bit" else torch.int8)
    plain = unsee.load_model(folder)
    gap = (logprobs(model, shown) - logprobs(plain, shown)).abs().max()
    assert 0 < gap < 3, "fewer bits change values a little"

    before = weights_digest(model)
    options = TrainOptions(steps=3, batch_size=4, learning_rate=1e-2)
    made = unsee.unlearn(model, forget=shown[:4], method="finetune", retain=shown[:4], options=options, scope=Scope(rank=4))
    assert weights_digest(model) == before
    assert logprobs(made, shown[:4]).sum() > logprobs(model, shown[:4]).sum()
    training_accuracy(made, shown[:4])

    made.save(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "base").exists(), "the base stays where it is"
    again = unsee.load_model(tmp_path / "adapter", quantize=bits)
    assert torch.equal(logprobs(again, shown), logprobs(made, shown))


@pytest.mark.slow
def test_answering_first_changes_no_gradient(folder: Path, shown: list[Sample]) -> None:
    """On some CPUs bitsandbytes repacks weights for inference, and gradients would stop there."""
    pytest.importorskip("bitsandbytes")
    options = TrainOptions(steps=2, batch_size=4, learning_rate=1e-2)
    fresh, asked = (load_checkpoint(folder, quantize="4bit") for _ in range(2))
    logprobs(asked, shown)
    one, other = (unsee.unlearn(m, forget=shown[:4], method="ga", options=options, scope=Scope(rank=2)) for m in (fresh, asked))
    for (name, a), b in zip(one.network.named_parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.slow
def test_what_quantized_weights_do_not_allow(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model = unsee.load_model(folder, quantize="4bit")
    with pytest.raises(ConfigError, match=r"training the weights themselves would change the quantized weights.*use LoRA"):
        attach(model, Scope(rank=None))
    with pytest.raises(ConfigError, match="merging an adapter would change"):
        copied(attach(model, Scope(rank=2)))
    with pytest.raises(ConfigError, match="training the weights themselves would change"):
        unsee.learn(model, unsee.load_benchmark(write_people(tmp_path / "people")))
    with pytest.raises(ConfigError, match="save an adapter"):
        model.save(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


@pytest.mark.slow
def test_what_is_learned_above_quantized_weights_is_merged_into_plain_ones(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    people = unsee.load_benchmark(write_people(tmp_path / "people"))
    options = LearnOptions(lora=4, epochs=2, replay=0.0, batch_size=8, learning_rate=1e-2)
    start, plain = (unsee.load_model(folder, quantize=bits) for bits in ("4bit", None))
    pupil = unsee.learn(start, people, options=options, merge=False)
    made = unsee.learn(start, people, options=options)
    assert made.network.dtype == torch.float32 and not made.has_adapter and not quantized.is_quantized(made)
    was = dict(plain.network.named_parameters())
    moved = {name: now - was[name] for name, now in made.network.named_parameters() if not torch.equal(now, was[name])}
    adapter = {name: weight for name, weight in pupil.network.named_parameters() if ".lora_" in name}
    down = "model.language_model.layers.0.mlp.down_proj"
    a, b = (next(weight for name, weight in adapter.items() if f"{down}.lora_{half}." in name) for half in "AB")
    torch.testing.assert_close(moved[f"{down}.weight"], b @ a, rtol=1e-3, atol=1e-5)
    assert len(moved) == len(adapter) // 2
    shown = people.training()
    learned, told = logprobs(made, shown).sum(), logprobs(plain, shown).sum()
    assert learned > told + 0.5 * (logprobs(pupil, shown).sum() - logprobs(start, shown).sum())

    assert (
        main(["learn", str(tmp_path / "people"), "--model", str(folder), "--quantize", "4bit", "--out", str(tmp_path / "no")])
        == 2
    )
    command = ["--lora", "4", "--epochs", "1", "--replay", "0", "--out", str(tmp_path / "learned")]
    assert main(["learn", str(tmp_path / "people"), "--model", str(folder), "--quantize", "4bit", *command]) == 0
    assert not unsee.load_model(tmp_path / "learned").has_adapter


@pytest.mark.slow
@pytest.mark.parametrize("rank", [2, "none"])
def test_an_experiment_above_quantized_weights(folder: Path, tmp_path: Path, rank: int | str) -> None:
    """Vanilla is taught above 4 bits or in full precision, read in 4 bits, and unlearned by an adapter saved beside it."""
    pytest.importorskip("bitsandbytes")
    tables = {
        "model": str(folder),
        "quantize": "4bit",
        "benchmark": {"path": str(write_people(tmp_path / "people"))},
        "learn": {"epochs": 2, "replay": 0.0, "batch_size": 8, "golds": 1, "lora": rank},
        "unlearn": {"methods": ["ga"], "controls": [], "forget_ratios": [0.25], "modalities": ["image_text"], "lora": 2},
        "method": {"ga": {"epochs": 1}},
    }
    experiment = parse_experiment(tables)
    done = unsee.run(experiment, out=tmp_path / "run")
    assert not done.failures
    found = RunFolder(done.folder)
    (cell,) = (cell for cell in experiment.cells if cell.method == "ga")
    assert experiment.cells[0].id != parse_experiment({**tables, "quantize": "none"}).cells[0].id
    adapter = json.loads((found.cell(cell) / "adapter" / "adapter_config.json").read_text())
    assert adapter["r"] == 2
    assert found.results().filter(cell=cell.id).height > 0


def test_without_bitsandbytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs bitsandbytes.*pip install 'unsee\[quant\]'"):
        unsee.load_model(folder, quantize="4bit")
    with pytest.raises(ConfigError, match="no quantize '3bit'; did you mean"):
        unsee.load_model(folder, quantize="3bit")
