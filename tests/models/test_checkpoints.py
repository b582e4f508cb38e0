"""Model folders load without this package, give the same logits, and anything doubtful is refused in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from unsee.errors import CheckpointError, ConfigError
from unsee.methods import load_method
from unsee.models import checkpoints, loading
from unsee.models.checkpoints import load_checkpoint, save_model, weights_digest
from unsee.models.loading import load_model, model_digest
from unsee.models.model import Model
from unsee.sample import Sample

PROMPT = "<s>USER: <image>\nWhat is fact 0 of this person?\nASSISTANT:"
PLAIN = """
import sys, torch
from PIL import Image
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor
picture, prompt, out, *folders = sys.argv[1:]
found = []
for folder, base in zip(folders[::2], folders[1::2]):
    network = AutoModelForImageTextToText.from_pretrained(base, dtype="float32")
    if base != folder:
        network = PeftModel.from_pretrained(network, folder)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(text=prompt, images=[Image.open(picture)], add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        found.append(network.eval()(**inputs).logits)
torch.save(found, out)
assert "unsee" not in sys.modules
"""


@torch.inference_mode()
def _logits(model: Model, sample: Sample) -> torch.Tensor:
    inputs = model.processor(text=PROMPT, images=[sample.images[0].open()], add_special_tokens=False, return_tensors="pt")
    return model.network.eval()(**inputs).logits


def _plain_logits(folders: list[tuple[Path, Path]], sample: Sample, scratch: Path) -> list[torch.Tensor]:
    """Logits of (folder, folder of its base) by transformers and peft in a process of their own."""
    picture, out = scratch / "picture.png", scratch / "logits.pt"
    picture.write_bytes(sample.images[0].read())
    paths = [str(path) for pair in folders for path in pair]
    subprocess.run([sys.executable, "-c", PLAIN, str(picture), PROMPT, str(out), *paths], check=True)
    return torch.load(out, weights_only=True)


def _adapted(model: Model, *, seed: int = 1) -> Model:
    """A copy with a LoRA adapter that changes what it says."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=4, target_modules=r".*language_model.*\.(q_proj|down_proj)", init_lora_weights=False)
    return Model(get_peft_model(deepcopy(model.network), config), model.processor)


def test_folders_reload_in_plain_transformers_and_peft(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    vanilla = model.save(tmp_path / "vanilla")
    adapted = _adapted(load_checkpoint(vanilla))
    noted = adapted.save(tmp_path / "cell" / "adapter")
    unsaved = _adapted(model, seed=2)
    whole = unsaved.save(tmp_path / "whole")
    plain = _plain_logits([(vanilla, vanilla), (noted, vanilla), (whole, whole / "base")], samples[0], tmp_path)
    expected = [_logits(made, samples[0]) for made in (model, adapted, unsaved)]
    assert all(torch.equal(one, two) for one, two in zip(plain, expected, strict=True))
    assert not any(torch.allclose(expected[0], other, atol=1e-3) for other in expected[1:])


def test_weights_come_back(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    folder = model.save(tmp_path / "vanilla")
    loaded = load_checkpoint(folder)
    assert loaded.name == "vanilla"
    assert torch.equal(_logits(loaded, samples[0]), _logits(model, samples[0]))
    assert weights_digest(loaded) == weights_digest(model)
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
    assert [path.name for path in tmp_path.iterdir()] == ["vanilla"]


def test_adapter_comes_back_on_its_base(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    base = model.save(tmp_path / "run" / "models" / "vanilla")
    adapted = _adapted(load_checkpoint(base))
    folder = adapted.save(tmp_path / "run" / "cells" / "npo" / "adapter")
    assert {path.suffix for path in folder.glob("*model*")} == {".safetensors"}
    assert not (folder / "base").exists()
    loaded = load_checkpoint(folder)
    assert isinstance(loaded.network, PeftModel)
    assert torch.equal(_logits(loaded, samples[0]), _logits(adapted, samples[0]))
    with loaded.network.disable_adapter():
        assert torch.equal(_logits(loaded, samples[0]), _logits(model, samples[0]))


def test_a_run_folder_may_move(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    base = model.save(tmp_path / "run" / "vanilla")
    adapted = _adapted(load_checkpoint(base))
    adapted.save(tmp_path / "run" / "adapter")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert torch.equal(_logits(load_checkpoint(tmp_path / "moved" / "adapter"), samples[0]), _logits(adapted, samples[0]))


@pytest.mark.parametrize("drifted", [False, True])
def test_an_adapter_on_weights_of_no_folder_takes_them_along(
    model: Model, samples: list[Sample], tmp_path: Path, drifted: bool
) -> None:
    """Weights that were never saved, or changed since, cannot be noted; they are written to `base/`."""
    start = model
    if drifted:
        start = load_checkpoint(model.save(tmp_path / "old"))
        with torch.no_grad():
            start.network.model.language_model.layers[0].mlp.up_proj.weight[0, 0] += 1
    adapted = _adapted(start)
    folder = adapted.save(tmp_path / "adapter")
    assert torch.equal(_logits(load_checkpoint(folder), samples[0]), _logits(adapted, samples[0]))
    assert (folder / "base" / "model.safetensors").is_file()


def test_an_adapter_on_an_embedded_model_notes_its_name(
    model: Model, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path / "weights")
    model.save(tmp_path / "weights" / "tiny")
    (tmp_path / "weights" / "tiny" / "recipe.json").write_text('{"version": "tiny-1"}')
    tiny = load_model("tiny")
    assert tiny.name == "tiny-1"
    adapted = _adapted(tiny)
    folder = adapted.save(tmp_path / "elsewhere" / "adapter")
    assert json.loads((folder / "base.json").read_text())["path"] == "tiny"
    assert torch.equal(_logits(load_model(folder), samples[0]), _logits(adapted, samples[0]))


def test_half_precision_is_saved_as_it_is(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    model.network.bfloat16()
    folder = model.save(tmp_path / "half")
    with safe_open(folder / "model.safetensors", framework="pt") as stored:
        assert {stored.get_tensor(name).dtype for name in stored.keys()} == {torch.bfloat16}  # noqa: SIM118
        assert not any("lm_head" in name for name in stored.keys())  # noqa: SIM118
    assert weights_digest(load_checkpoint(folder, dtype="bfloat16")) == weights_digest(model)
    # Unless asked otherwise it is computed with in fp32, on the same values.
    wide = load_checkpoint(folder)
    assert {weight.dtype for weight in wide.network.parameters()} == {torch.float32}
    wide.network.bfloat16()
    assert weights_digest(wide) == weights_digest(model)


def test_other_files_of_the_folder_stay(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / "train.jsonl").write_text("{}\n")
    model.save(folder)
    assert (folder / "model.safetensors").is_file()
    _adapted(model).save(folder)
    assert (folder / "train.jsonl").read_text() == "{}\n"
    assert not (folder / "model.safetensors").exists()
    assert not (folder / "config.json").exists()
    assert isinstance(load_checkpoint(folder).network, PeftModel)
    model.save(folder)
    assert not isinstance(load_checkpoint(folder).network, PeftModel)
    assert not (folder / "base").exists()


def test_an_interrupted_save_leaves_no_half_model(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model.save(tmp_path / "model")
    before = weights_digest(load_checkpoint(folder))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model.processor.__class__, "save_pretrained", full)
    with torch.no_grad():
        next(model.network.parameters()).mul_(2)
    with pytest.raises(ValueError, match="disk is full"):
        save_model(model, folder)
    assert weights_digest(load_checkpoint(folder)) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_method_at_answering_time_is_saved_beside_the_weights(model: Model, tmp_path: Path) -> None:
    model.method = load_method("prompt_guard", names=("Ann Lee",))
    loaded = load_checkpoint(model.save(tmp_path / "guarded"))
    assert loaded.method == model.method
    with loaded.answering():
        assert "Ann Lee" in loaded.system
    model.method = None
    assert load_checkpoint(model.save(tmp_path / "guarded")).method is None


def _pickled(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _truncated(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _without_processor(folder: Path) -> None:
    for path in [*folder.glob("*processor_config.json"), *folder.glob("tokenizer*"), *folder.glob("chat_template*")]:
        path.unlink()


def _lacking_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "projector" in name)]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _of_another_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "made_up", "auto_map": {"AutoConfig": "evil.Config"}}')


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (_pickled, "pickled weights .pytorch_model.bin."),
        (_truncated, "truncated"),
        (_without_processor, "no processor"),
        (
            lambda folder: (folder / "tokenizer.json").unlink() or (folder / "tokenizer_config.json").unlink(),
            "without a tokenizer",
        ),
        (lambda folder: (folder / "config.json").unlink(), "neither config.json nor adapter_config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no \\*.safetensors"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (_lacking_a_weight, "lacks 1 weights"),
        (_of_another_kind, "cannot be loaded"),
    ],
)
def test_a_broken_folder_is_refused(model: Model, tmp_path: Path, break_it: Callable[[Path], object], says: str) -> None:
    folder = model.save(tmp_path / "model")
    break_it(folder)
    with pytest.raises(CheckpointError, match=says) as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("there", [True, False])
def test_a_processor_that_may_need_torchvision(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr("transformers.utils.import_utils.is_torchvision_available", lambda: there)
    folder = model.save(tmp_path / "model")
    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", _complains_at_length)
    with pytest.raises(CheckpointError, match=r"\(one two three .* \.\.\.\); check that it is") as caught:
        load_checkpoint(folder)
    assert ("needs torchvision" in str(caught.value)) is not there


def _complains_at_length(*_: object, **__: object) -> None:
    raise ValueError("one two " + "three " * 500)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not there"):
        load_checkpoint(tmp_path / "nothing")


def test_an_adapter_needs_its_own_base(model: Model, samples: list[Sample], tmp_path: Path) -> None:
    base = model.save(tmp_path / "vanilla")
    adapted = _adapted(load_checkpoint(base))
    folder = adapted.save(tmp_path / "adapter")
    base.rename(tmp_path / "renamed")
    with pytest.raises(CheckpointError, match=f"adapter for .*{re.escape('vanilla')}, which is not there"):
        load_checkpoint(folder)
    assert torch.equal(_logits(load_checkpoint(folder, base=tmp_path / "renamed"), samples[0]), _logits(adapted, samples[0]))
    with torch.no_grad():
        next(model.network.parameters()).mul_(2)
    model.save(base)
    with pytest.raises(CheckpointError, match="other weights"):
        load_checkpoint(folder)


def test_a_pickled_adapter_is_refused(model: Model, tmp_path: Path) -> None:
    folder = _adapted(model).save(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="pickled"):
        load_checkpoint(folder)


def test_names_are_resolved(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    with pytest.raises(CheckpointError, match="unsee models train tiny"):
        load_model("tiny")
    with pytest.raises(CheckpointError, match="did you mean 'tiny'"):
        load_model("tinny")
    with pytest.raises(CheckpointError, match="--hub"):
        load_model("llava-hf/llava-1.5-7b-hf")
    folder = model.save(tmp_path / "saved")
    with pytest.raises(ConfigError, match="float32"):
        load_model(folder, dtype="float31")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'cpux'"):
        load_model(folder, device="cpux")


def test_digest_follows_the_content(model: Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "one")
    same, digest = model.save(tmp_path / "two"), model_digest(folder)
    assert model_digest(same) == digest
    (same / "notes.txt").write_text("not read")
    assert model_digest(same) == digest
    with torch.no_grad():
        next(model.network.parameters())[0] += 1
    assert model_digest(model.save(same)) != digest
    assert checkpoints.DTYPES[0] == "float32"
