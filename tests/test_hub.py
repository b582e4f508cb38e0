"""Models of the Hugging Face Hub: asked for only with --hub, and then really; no test goes to the network."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from peft import LoraConfig, get_peft_model

from unsee.benchmarks.jsonl import write_jsonl
from unsee.cli import main
from unsee.errors import CheckpointError
from unsee.hub import cached_model
from unsee.models.folders import read_config
from unsee.models.loading import load_model
from unsee.models.model import Model
from unsee.sample import Sample

BEHIND_A_PROXY = "llava-hf/proxied"
NAME, COMMIT = "llava-hf/llava-tiny-hf", "0123456789abcdef0123456789abcdef01234567"


class ProxyError(Exception):
    """As HTTP libraries have it, no OSError."""


@pytest.fixture
def snapshot(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the Hub's cache, which is empty, would keep NAME."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub" / f"models--{NAME.replace('/', '--')}" / "snapshots" / COMMIT


@pytest.fixture
def downloads(model: Model, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Stands for the Hub: what was asked for, and whether the library was kept offline."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "on")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    there = model.save(tmp_path / "there")
    asked: list[tuple[str, bool]] = []
    from_cache = huggingface_hub.snapshot_download

    def download(name: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return from_cache(name, **options)
        asked.append((name, constants.HF_HUB_OFFLINE))
        if name not in (NAME, BEHIND_A_PROXY):
            raise ConnectionError("no route to host\nTraceback")
        if name == BEHIND_A_PROXY:
            raise ProxyError("407 Proxy Authentication Required")
        wanted = [path for pattern in options["allow_patterns"] for path in there.glob(pattern)]
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in wanted:
            shutil.copyfile(path, snapshot / path.name)
        (snapshot.parents[1] / "refs").mkdir(exist_ok=True)
        (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


@pytest.mark.parametrize(("environment", "offline"), [("on", False), ("1", True)])
def test_a_command_downloads_a_model(
    downloads: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: str,
    offline: bool,
) -> None:
    """Our own switch, which every command sets, is lifted for the download; a user's is not."""
    monkeypatch.setenv("HF_HUB_OFFLINE", environment)
    assert main(["models", "check", NAME, "--hub"]) in (0, 1)
    assert downloads == [(NAME, offline)]
    assert constants.HF_HUB_OFFLINE is True
    assert load_model(NAME, hub=True).name == "llava-tiny-hf"
    assert not capsys.readouterr().err


def test_nothing_is_fetched_unless_asked_for(downloads: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", NAME]) == 2
    assert "--hub" in capsys.readouterr().err
    assert not downloads
    with pytest.raises(CheckpointError, match=r"llava-hf/other cannot be downloaded \(no route to host\); check the name"):
        load_model("llava-hf/other", hub=True)
    assert main(["models", "check", BEHIND_A_PROXY, "--hub"]) == 2
    assert f"{BEHIND_A_PROXY} cannot be downloaded (407 Proxy Authentication Required); check" in capsys.readouterr().err


def test_a_memory_plan_needs_no_weights(
    downloads: list[tuple[str, bool]],
    snapshot: Path,
    samples: list[Sample],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever wonders whether a model fits does not wait for its gigabytes, which come when it is loaded."""
    write_jsonl([replace(sample, set="forget") for sample in samples[:2]], tmp_path / "forget.jsonl")
    words = ["unlearn", "--model", NAME, "--method", "ga", "--forget", str(tmp_path / "forget.jsonl"), "--dry-run"]
    assert main([*words, "--memory", "1GiB"]) == 2
    assert "--hub" in capsys.readouterr().err and not downloads
    assert main([*words, "--memory", "1GiB", "--hub"]) == 0
    assert "largest batch size that fits 1.00 GiB: 2" in capsys.readouterr().out
    assert downloads and (snapshot / "config.json").is_file() and not list(snapshot.glob("*.safetensors"))
    assert cached_model(NAME) is None
    assert load_model(NAME, hub=True).name == "llava-tiny-hf"
    assert cached_model(NAME) == snapshot


def adapted(model: Model, *, quantized: bool) -> Model:
    """A model with an adapter, whose weights seem to be in few bits."""
    if quantized:
        model.base.config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    config = LoraConfig(r=2, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
    return Model(get_peft_model(model.network, config), model.processor, name="taught")


@pytest.mark.parametrize("quantized", [False, True])
def test_an_adapter_finds_its_base_on_the_hub(downloads: list[tuple[str, bool]], tmp_path: Path, quantized: bool) -> None:
    """Where the cache lies elsewhere or nowhere, the name and commit that the folder notes are asked for."""
    start = load_model(NAME, hub=True)
    folder = adapted(start, quantized=quantized).save(tmp_path / "run" / "adapter")
    assert not (folder / "base").exists()
    plain = read_config(folder / "adapter_config.json")
    assert (plain["base_model_name_or_path"], plain["revision"]) == (NAME, COMMIT)
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere") / "deeper"
    moved.mkdir()
    (moved.parent / "adapter").rename(moved / "adapter")
    folder = moved / "adapter"
    assert load_model(folder).has_adapter

    shutil.rmtree(tmp_path / "hub")
    with pytest.raises(CheckpointError, match=f"adapter for {NAME}, which is neither .*hf download {NAME}.* or add --hub"):
        load_model(folder)
    assert main(["models", "check", str(folder), "--hub"]) in (0, 1)
    assert [name for name, _ in downloads] == [NAME, NAME]


def test_an_adapter_on_bits_that_no_folder_holds_is_saved(
    model: Model, downloads: list[tuple[str, bool]], tmp_path: Path
) -> None:
    """Hours of training are not lost because the weights below were read from a cache that is gone."""
    model.base.name_or_path = NAME
    folder = adapted(model, quantized=True).save(tmp_path / "adapter")
    assert read_config(folder / "adapter_config.json")["base_model_name_or_path"] == NAME
    assert load_model(folder, hub=True).has_adapter
    assert downloads == [(NAME, False)]
