"""The weights below an adapter: which folder or model of the Hub they are, as a folder notes it and finds it again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import CheckpointError
from unsee.hub import cached_model, download_model, hub_model, looks_like_hub
from unsee.models.folders import ADAPTER, BASE, CONFIG, read_config
from unsee.models.quantized import is_quantized
from unsee.provenance import files_digest

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.model import Model


def note_of(base: Path, final: Path, *, sha256: str) -> dict[str, Any]:
    """What `base.json` in `final` says about the folder of its base: the relative path lets a run folder move."""
    from unsee.models.loading import embedded_name

    of_hub = hub_model(base)
    return {
        "path": embedded_name(base) or os.path.relpath(base.resolve(), final.resolve()),
        "sha256": sha256,
        **({} if of_hub is None else {"hub": of_hub.name, "revision": of_hub.revision}),
    }


def note_of_peft(base: Path) -> dict[str, Any]:
    """What plain peft is told: the Hub's name, or the absolute path, which serves on this machine."""
    of_hub = hub_model(base)
    if of_hub is None:
        return {"base_model_name_or_path": str(base.resolve())}
    return {"base_model_name_or_path": of_hub.name, "revision": of_hub.revision}


def origin(model: Model) -> Path | None:
    """The folder the network was loaded from, if the weights there are still those of the network."""
    import torch
    from safetensors import safe_open

    folder = _read_from(model.base)
    if folder is None or is_quantized(model):  # nothing moves quantized weights
        return folder
    state = dict(own_state(model))
    dtype = next((t.dtype for t in state.values() if t.is_floating_point()), torch.float32)
    # By content, because transformers renames weights on the way to the disk.
    there = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - no mapping
                tensor = stored.get_tensor(name)
                there.add(tensor_digest(tensor.to(dtype) if tensor.is_floating_point() else tensor))
    return folder if all(tensor_digest(tensor) in there for tensor in state.values()) else None


def _read_from(network: Any) -> Path | None:
    """The folder that transformers read a network from, in the Hub's cache where it was told a name."""
    noted = str(network.name_or_path)
    if noted and (Path(noted) / CONFIG).is_file():
        return Path(noted)
    return cached_model(noted)


def own_state(model: Model) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of the network without peft's layers around them."""
    for name, tensor in model.base.state_dict().items():
        if ".lora_" not in name:
            yield name.replace(".base_layer.", "."), tensor


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's type, shape and values."""
    import torch

    data = tensor.detach().cpu().contiguous()
    total = hashlib.sha256(f"{data.dtype}{tuple(data.shape)}".encode())
    total.update(data.reshape(-1).view(torch.uint8).numpy().data)
    return total.digest()


def base_folder(directory: Path, given: Path | str | None, *, hub: bool = False) -> Path:
    """Where the weights below an adapter are; with `hub` they may be downloaded.

    Raises:
        CheckpointError: they are not there, or others than the adapter was made for.
    """
    from unsee.models.loading import EMBEDDED, weights_folder

    if given is not None:
        return Path(given)
    note: dict[str, Any] = {}
    if (directory / BASE).is_file():
        note, key = read_config(directory / BASE), f"path in {directory / BASE}"
        path = note.get("path")
        if not isinstance(path, str) or not isinstance(note.get("sha256"), str):
            raise CheckpointError(f"{directory / BASE} names no base (path, sha256); save the adapter again")
        folder, name, revision = directory / path, note.get("hub"), note.get("revision")
        if path in EMBEDDED:
            folder = weights_folder(path)
    else:
        config, key = read_config(directory / ADAPTER), f"base_model_name_or_path in {directory / ADAPTER}"
        name, revision = str(config.get("base_model_name_or_path")), config.get("revision")
        folder = Path(name)
    if not folder.is_dir() and name is not None and looks_like_hub(name):
        folder = _of_hub(directory, name, revision, hub=hub)
    if not folder.is_dir():
        raise CheckpointError(f"{directory} is an adapter for {folder}, which is not there; put its folder there, or set {key}")
    if note and files_digest(folder.glob("*.safetensors")) != note["sha256"]:
        raise CheckpointError(
            f"{directory} is an adapter for other weights than {folder} now holds; put back those it was made for, or set {key}"
        )
    return folder


def _of_hub(directory: Path, name: str, revision: str | None, *, hub: bool) -> Path:
    folder = download_model(name, revision=revision) if hub else cached_model(name, revision=revision)
    if folder is None:
        raise CheckpointError(
            f"{directory} is an adapter for {name}, which is neither a folder nor in the Hub's cache; "
            f"download it (hf download {name}), or add --hub (hub=True) to a command on one model"
        )
    return folder
