"""The official files on the Hugging Face Hub, downloaded into its own cache when a user asks for it and never otherwise."""

from __future__ import annotations

from pathlib import Path

from unsee.errors import ConfigError, DataError, first_line
from unsee.hub import download

REPOSITORY = "MLLMMU/MLLMU-Bench"


def official_files() -> Path:
    """Folder of MLLMU-Bench's parquet files in the hub's cache, downloaded where they are not there yet.

    Raises:
        ConfigError: huggingface-hub is not installed.
        DataError: the download failed.
    """
    from unsee.benchmarks.mllmu_bench.folder import CONFIGS

    patterns = [f"{config}/*.parquet" for config in CONFIGS]
    try:
        return download(REPOSITORY, repo_type="dataset", allow_patterns=patterns)
    except ImportError as error:
        raise ConfigError(
            "--hub (hub=True) needs the package huggingface-hub; run pip install 'unsee[hub]', or give a folder with --data DIR"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{REPOSITORY} cannot be downloaded ({first_line(error)}); check the network, "
            "or download it elsewhere and pass its folder with --data DIR"
        ) from error
