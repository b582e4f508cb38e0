"""The files of a model folder, and what is wrong with one before anything large is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unsee.errors import CheckpointError

CONFIG, ADAPTER, BASE, METHOD = "config.json", "adapter_config.json", "base.json", "method.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def read_config(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder.

    Raises:
        CheckpointError: it cannot be read, or holds no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); save or copy the model again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object; save or copy the model again")
    return content


def check_folder(directory: Path) -> None:
    """Raises CheckpointError with what is wrong with a model folder, before anything large is read."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is no model folder: it is not there; check the path")
    if not (directory / CONFIG).is_file() and not (directory / ADAPTER).is_file():
        raise CheckpointError(
            f"{directory} holds neither {CONFIG} nor {ADAPTER}: it is no model folder or was cut off in writing; save it again"
        )
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickled = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
        if pickled:
            raise CheckpointError(
                f"{directory} holds pickled weights ({pickled[0]}), which can run code when read; convert them to safetensors"
            )
        raise CheckpointError(f"{directory} holds no *.safetensors weights; save the model again")
    for path in weights:
        _check_safetensors(path)
    for index in directory.glob("*.safetensors.index.json"):
        parts = read_config(index).get("weight_map")
        if not isinstance(parts, dict):
            raise CheckpointError(f"{index} names no weights (weight_map); copy the folder again")
        missing = sorted(part for part in map(str, parts.values()) if not (directory / part).is_file())
        if missing:
            raise CheckpointError(f"{directory} lacks {missing[0]}, which {index.name} names; copy the folder again")
    if not any((directory / part).is_file() for part in ("processor_config.json", "preprocessor_config.json")):
        raise CheckpointError(
            f"{directory} has no processor (processor_config.json); save it beside the weights with processor.save_pretrained"
        )
    if not any((directory / part).is_file() for part in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")):
        raise CheckpointError(
            f"{directory} has a processor without a tokenizer (tokenizer.json); save both with processor.save_pretrained"
        )


def _check_safetensors(path: Path) -> None:
    """The header says how long the file is, so a truncated one shows without reading it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or no safetensors file ({error}); copy or save it again") from error
