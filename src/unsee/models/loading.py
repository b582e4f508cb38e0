"""`load_model`: an embedded model by name, a local folder, or (only when asked) a model of the Hub."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.errors import CheckpointError, nearest
from unsee.hub import download_model, looks_like_hub
from unsee.models.checkpoints import Dtype, Quantize, load_checkpoint
from unsee.models.folders import ADAPTER, BASE, CONFIG, METHOD, read_config
from unsee.provenance import digest, files_digest

if TYPE_CHECKING:
    from unsee.models.model import Model

EMBEDDED = {
    "tiny": "unsee models train tiny --creatures none",
    "tiny-a": "unsee models train tiny --creatures A --start tiny",
    "tiny-b": "unsee models train tiny --creatures B --start tiny",
    "tiny-patients": "unsee models train tiny --start tiny-a --patients --length 0.5",
    "tiny-idefics3": "unsee models train tiny --creatures none --form idefics3",
    "micro": "unsee models train micro --creatures A --length 0.5",
    "small": "unsee models train small --creatures A --length 0.5",
}
"""Embedded models and the commands that make them; `tiny-a` and `tiny-b` are `tiny` taught one half of the creatures each,
`tiny-patients` is `tiny-a` taught clinical questions, `tiny-idefics3` knows what `tiny` knows in a network of another kind,
`micro` and `small` know the creatures of `tiny-a` at other sizes."""
WEIGHTS = Path(__file__).parent / "weights"
"""Where the package keeps the weights it ships."""
RECIPE = "recipe.json"
"""Beside embedded weights: their version, and how they were made."""

_DECIDING = (
    "*.safetensors",
    CONFIG,
    ADAPTER,
    BASE,
    METHOD,
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*",
    "chat_template*",
)


def load_model(
    name_or_path: str | Path,
    *,
    device: str | None = None,
    dtype: Dtype = "float32",
    hub: bool = False,
    quantize: Quantize | None = None,
) -> Model:
    """A network with its processor, ready to answer.

    A model that does not come with this package is checked by a few short passes (`Model.features`); what does not work with it
    is said in one line each, and everything else works.

    Args:
        name_or_path: an embedded model (`tiny`), a folder that plain transformers or peft loads (`./tiny` for one that is
            called like an embedded model), or, with `hub`, a model of the Hugging Face Hub.
        device: `cpu`, `cuda`, ...; a GPU if there is one when None.
        dtype: of the weights in memory.
        hub: allow names of the Hub, also of weights below an adapter, and the download; nothing is fetched otherwise.
        quantize: `4bit` or `8bit` weights below an adapter (QLoRA), by bitsandbytes.

    Raises:
        CheckpointError: no such model, or a folder that is incomplete, truncated or unsafe.
        ConfigError: an unknown dtype or device, or bitsandbytes is needed and not installed.
    """
    name = str(name_or_path)
    if name in EMBEDDED:
        folder = weights_folder(name)
        return load_checkpoint(folder, device=device, dtype=dtype, name=version_of(folder) or name, quantize=quantize)
    folder = found_folder(name, hub=hub)
    shown = version_of(folder) if Path(name).is_dir() else name.rpartition("/")[2]
    return _checked(load_checkpoint(folder, device=device, dtype=dtype, name=shown, quantize=quantize, hub=hub))


def _checked(model: Model) -> Model:
    """Say what does not work with a model."""
    for feature, reason in model.features.missing().items():
        warnings.warn(f"{model.name} has no {feature}: {reason}", stacklevel=3)
    return model


def weights_folder(name: str) -> Path:
    """Where the package keeps an embedded model.

    Raises:
        CheckpointError: it does not ship with this package.
    """
    folder = WEIGHTS / name
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"the embedded model {name!r} is not in this package; run `{EMBEDDED[name]}` to make it")
    return folder


def local_folder(name_or_path: str | Path) -> Path:
    """The folder of an embedded model by its name, else the path itself.

    Raises:
        CheckpointError: an embedded model that does not ship with this package.
    """
    name = str(name_or_path)
    return weights_folder(name) if name in EMBEDDED else Path(name_or_path)


def found_folder(name_or_path: str | Path, *, hub: bool = False, weights: bool = True) -> Path:
    """The folder of a model on this machine, or, with `hub`, of one that is downloaded.

    Args:
        weights: False where config and processor are enough.

    Raises:
        CheckpointError: there is no such model.
    """
    folder = local_folder(name_or_path)
    if folder.is_dir():
        return folder
    if not hub:
        raise CheckpointError(_no_such_model(str(name_or_path)))
    return download_model(str(name_or_path), weights=weights)


def embedded_name(folder: Path) -> str | None:
    """Name of the embedded model a folder is, if it is one."""
    folder = folder.resolve()
    return folder.name if folder.parent == WEIGHTS.resolve() and folder.name in EMBEDDED else None


def recipe_name(name_or_path: str | Path) -> str:
    """The embedded model that a model is or was trained like, so that settings found for one serve the other; else its name."""
    name, recipe = str(name_or_path), Path(name_or_path) / RECIPE
    if name in EMBEDDED or not recipe.is_file():
        return name
    return str(read_config(recipe).get("name", name))


def model_digest(name_or_path: str | Path) -> str:
    """SHA-256 of what `load_model` would read from this machine; of the name itself for a model of the Hub.

    Raises:
        CheckpointError: an embedded model that is not there.
    """
    folder = local_folder(name_or_path)
    if not folder.is_dir():
        return digest(["hub", str(name_or_path)])
    return files_digest({path for pattern in _DECIDING for path in folder.glob(pattern) if path.is_file()})


def version_of(folder: Path) -> str | None:
    """What the recipe beside embedded weights calls them, `tiny-1`; None for other folders."""
    version = read_config(folder / RECIPE).get("version") if (folder / RECIPE).is_file() else None
    return str(version) if version else None


def _no_such_model(name: str) -> str:
    download = f"give its folder (hf download {name} --local-dir DIR), or --hub (hub=True) to a command on one model"
    remedy = download if looks_like_hub(name) else nearest(name, list(EMBEDDED))
    return f"there is no model folder {name} and no embedded model of that name; {remedy}"
