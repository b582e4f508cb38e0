"""Data sets of the Hugging Face Hub, downloaded into its own cache when a user asks for it and never otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unsee.errors import ConfigError, DataError

REPOSITORY = "MLLMMU/MLLMU-Bench"
OFFLINE = "HF_HUB_OFFLINE"
OFFLINE_UNLESS_ASKED = "on"
"""What our commands set OFFLINE to; a user's own wish to stay offline is written differently and stays in force."""


def official_files() -> Path:
    """Folder of MLLMU-Bench's parquet files in the hub's cache, downloaded where they are not there yet.

    Raises:
        ConfigError: huggingface-hub is not installed.
        DataError: the download failed.
    """
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError as error:
        raise ConfigError(
            "--hub (hub=True) needs the package huggingface-hub; run pip install 'unsee[hub]', or give a folder with --data DIR"
        ) from error
    from unsee.benchmarks.mllmu_bench.folder import CONFIGS

    patterns = [f"{config}/*.parquet" for config in CONFIGS]
    try:
        with _online(constants):
            return Path(snapshot_download(REPOSITORY, repo_type="dataset", allow_patterns=patterns))
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(
            f"{REPOSITORY} cannot be downloaded ({reason}); check the network, "
            "or download it elsewhere and pass its folder with --data DIR"
        ) from error


@contextmanager
def _online(constants: Any) -> Iterator[None]:
    """Lift our own switch for one download; it is read when the library is imported, which may be long ago."""
    if os.environ.get(OFFLINE) != OFFLINE_UNLESS_ASKED:
        yield
        return
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = True
