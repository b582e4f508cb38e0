"""The Hugging Face Hub: asked when a user wants it and never otherwise; what comes from it lies in its own cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from unsee.errors import CheckpointError, first_line

OFFLINE = "HF_HUB_OFFLINE"
OFFLINE_UNLESS_ASKED = "on"
"""What our commands set OFFLINE to; a user's own wish to stay offline is written differently and stays in force."""

_SNAPSHOTS, _MODELS = "snapshots", "models--"
# The cache's names: https://huggingface.co/docs/huggingface_hub/guides/manage-cache; no repository has two dashes in its name.
_WEIGHTS = "*.safetensors"
_SETTINGS = ["*.json", "*.jinja", "*.txt", "*.model"]
_UNREAD = ["*/*", "consolidated*"]
"""Folders of a repository hold other forms of its weights, as does what original code reads."""


class HubModel(NamedTuple):
    """A model of the Hub at one commit."""

    name: str
    revision: str


@contextmanager
def online() -> Iterator[None]:
    """Lift our own switch for one download; it is read when the library is imported, which may be long ago."""
    from huggingface_hub import constants

    if os.environ.get(OFFLINE) != OFFLINE_UNLESS_ASKED:
        yield
        return
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = True


def download(name: str, **options: Any) -> Path:
    """Folder of a repository in the Hub's cache, downloaded where it is not there yet.

    Args:
        options: of `huggingface_hub.snapshot_download`.

    Raises:
        OSError: there is no such repository, or no way to it.
        ValueError: a name that cannot be one.
        ImportError: huggingface-hub is not installed.
    """
    from huggingface_hub import snapshot_download

    try:
        with online():
            return Path(snapshot_download(name, **options))
    except (OSError, ValueError):
        raise
    except Exception as error:  # of the HTTP library, which is another one in every major version
        raise OSError(first_line(error)) from error


def download_model(name: str, *, revision: str | None = None, weights: bool = True) -> Path:
    """Folder of a model in the Hub's cache, downloaded where it is not there yet.

    Args:
        weights: False for config and processor alone, a few megabytes.

    Raises:
        CheckpointError: there is no such model, or no way to it.
    """
    read = [_WEIGHTS, *_SETTINGS] if weights else _SETTINGS
    try:
        return download(name, revision=revision, allow_patterns=read, ignore_patterns=_UNREAD)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name} cannot be downloaded ({first_line(error)}); check the name and the network, or download it elsewhere "
            "(hf download NAME --local-dir DIR) and give its folder"
        ) from error


def cached_model(name: str, *, revision: str | None = None) -> Path | None:
    """Folder of a model in the Hub's cache; None where it or its weights are not there, or no model is called so."""
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None
    return found if any(found.glob(_WEIGHTS)) else None


def hub_model(folder: Path) -> HubModel | None:
    """What the Hub calls a folder of its cache; None for every other folder."""
    cached = folder.parent.parent.name
    if folder.parent.name != _SNAPSHOTS or not cached.startswith(_MODELS):
        return None
    return HubModel(cached.removeprefix(_MODELS).replace("--", "/"), folder.name)


def looks_like_hub(name: str) -> bool:
    """Whether a text that is no folder may be an `owner/name` of the Hub."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))
