"""Model folders that plain transformers and peft load: safetensors, the processor beside them, nothing pickled.

A folder holds either all weights (`config.json`, `model.safetensors`) or an adapter (`adapter_config.json`,
`adapter_model.safetensors`) and `base.json`, which says where the weights below it are and what they hash to. A method that is
still at work while the model answers is named in `method.json`; plain transformers does not apply it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from unsee.errors import CheckpointError, ConfigError, nearest
from unsee.files import make_folder, storage_problem, write_json
from unsee.models.quantized import is_quantized
from unsee.provenance import files_digest

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.model import Model

Dtype = Literal["float32", "bfloat16", "float16"]
Quantize = Literal["4bit", "8bit"]
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")

CONFIG, ADAPTER, BASE, METHOD = "config.json", "adapter_config.json", "base.json", "method.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_T = TypeVar("_T")


def save_model(model: Model, directory: Path) -> Path:
    """Write weights in the dtype they have, the processor and what else the model needs; other files in the folder stay.

    An adapter is written as an adapter. Its base is noted if it lies unchanged in the folder it was loaded from, and written to
    `base/` otherwise. Everything is written aside and renamed; a folder without config file is one whose writing was cut off.

    Raises:
        StorageError: the disk is full or the folder may not be written to.
    """
    directory = Path(directory)
    aside = directory.parent / f".{directory.name}.saving.part"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(directory.parent)
        aside.mkdir()
        with _quiet():
            _fill(model, aside, directory)
        _move_into(aside, directory)
    except Exception as error:  # libraries raise types of their own for a full disk
        problem = storage_problem(error)
        raise (problem or error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return directory


def _fill(model: Model, folder: Path, final: Path) -> None:
    if model.has_adapter:
        model.network.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        base = _origin(model)
        if base is None:
            base = final / "base"
            _save_weights(model, folder / "base")
            model.processor.save_pretrained(folder / "base")
            sha256 = files_digest((folder / "base").glob("*.safetensors"))
        else:
            sha256 = files_digest(base.glob("*.safetensors"))
        # The relative path lets a run folder move, the absolute one serves plain peft on this machine.
        write_json(folder / BASE, {"path": _noted(base, final), "sha256": sha256})
        _edit(folder / ADAPTER, lambda config: config | {"base_model_name_or_path": str(base.resolve())})
    else:
        _save_weights(model, folder)
    model.processor.save_pretrained(folder)
    if model.method is not None:
        from unsee.methods import described

        write_json(folder / METHOD, described(model.method))


def _save_weights(model: Model, folder: Path) -> None:
    """All weights of the network itself, in the dtype they have: nothing is copied on a device that holds one model."""
    if is_quantized(model):
        raise ConfigError(
            f"{model.name} holds quantized weights, which are not what its folder holds; save an adapter, "
            "or load the model without quantize"
        )
    model.base.save_pretrained(folder, state_dict=dict(_own_state(model)))


def _own_state(model: Model) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of the network without peft's layers around them."""
    for name, tensor in model.base.state_dict().items():
        if ".lora_" not in name:
            yield name.replace(".base_layer.", "."), tensor


def _edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    write_json(path, change(read_config(path)))


def default_device() -> Literal["cpu", "cuda"]:
    """Where models go unless a device is named: a GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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


def _origin(model: Model) -> Path | None:
    """The folder the network was loaded from, if the weights there are still those of the network."""
    import torch
    from safetensors import safe_open

    noted = str(model.base.name_or_path)
    if not noted or not (Path(noted) / CONFIG).is_file():
        return None
    if is_quantized(model):
        return Path(noted)  # nothing moves quantized weights
    state = dict(_own_state(model))
    dtype = next((t.dtype for t in state.values() if t.is_floating_point()), torch.float32)
    # By content, because transformers renames weights on the way to the disk.
    there = set()
    for file in Path(noted).glob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - no mapping
                tensor = stored.get_tensor(name)
                there.add(tensor_digest(tensor.to(dtype) if tensor.is_floating_point() else tensor))
    return Path(noted) if all(tensor_digest(tensor) in there for tensor in state.values()) else None


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's type, shape and values."""
    import torch

    data = tensor.detach().cpu().contiguous()
    total = hashlib.sha256(f"{data.dtype}{tuple(data.shape)}".encode())
    total.update(data.reshape(-1).view(torch.uint8).numpy().data)
    return total.digest()


def weights_digest(model: Model) -> str:
    """SHA-256 over all weights in memory, adapter included."""
    total = hashlib.sha256()
    for name, tensor in model.network.state_dict().items():
        total.update(name.encode() + tensor_digest(tensor))
    return total.hexdigest()


def _noted(base: Path, final: Path) -> str:
    from unsee.models.loading import embedded_name

    return embedded_name(base) or os.path.relpath(base.resolve(), final.resolve())


def _move_into(aside: Path, directory: Path) -> None:
    """Put finished files in place; the config file goes last and the old one first."""
    if not directory.exists():
        aside.replace(directory)
        return
    new = {path.name for path in aside.iterdir()}
    for name in (CONFIG, ADAPTER, BASE, METHOD):
        (directory / name).unlink(missing_ok=True)
    for old in [*directory.glob("*.safetensors"), *directory.glob("*.safetensors.index.json")]:
        if old.name not in new:
            old.unlink()
    if (directory / "base").is_dir():
        shutil.rmtree(directory / "base")
    for name in sorted(new, key=lambda name: name in (CONFIG, ADAPTER)):
        (aside / name).replace(directory / name)


def load_checkpoint(
    directory: Path | str,
    *,
    device: str | None = None,
    dtype: Dtype = "float32",
    base: Path | str | None = None,
    name: str | None = None,
    quantize: Quantize | None = None,
) -> Model:
    """Load a model folder; nothing in it is executed and nothing is fetched.

    Args:
        device: where to; a GPU if there is one when None.
        dtype: of the weights in memory.
        base: folder of the weights below an adapter, where it is not the one the adapter notes.
        name: how results call the model; the folder's name by default.
        quantize: keep linear layers in 4 or 8 bits; those of the base where the folder holds an adapter.

    Raises:
        CheckpointError: the folder is missing, incomplete, truncated or pickled, or an adapter's base is missing or changed.
        ConfigError: an unknown dtype or device, or a way to quantize that is not installed.
    """
    from unsee.models.model import Model

    directory = Path(directory)
    check_folder(directory)
    if (directory / ADAPTER).is_file():
        from peft import PeftModel

        below = load_checkpoint(base_folder(directory, base), device=device, dtype=dtype, quantize=quantize)
        network = _loaded(directory, lambda: PeftModel.from_pretrained(below.network, str(directory)))
    else:
        network = load_network(directory, device=device, dtype=dtype, quantize=quantize)
    model = Model(network.eval(), load_processor(directory), name=name or directory.resolve().name)
    if (directory / METHOD).is_file():
        from unsee.methods import from_description

        model.method = from_description(read_config(directory / METHOD))
    return model


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


def base_folder(directory: Path, given: Path | str | None) -> Path:
    """Where the weights below an adapter are."""
    from unsee.models.loading import EMBEDDED, weights_folder

    if given is not None:
        return Path(given)
    note: dict[str, Any] = {}
    if (directory / BASE).is_file():
        note = read_config(directory / BASE)
        path = note.get("path")
        if not isinstance(path, str) or not isinstance(note.get("sha256"), str):
            raise CheckpointError(f"{directory / BASE} names no base (path, sha256); save the adapter again")
        folder = weights_folder(path) if path in EMBEDDED else directory / path
    else:
        folder = Path(str(read_config(directory / ADAPTER).get("base_model_name_or_path")))
    if not folder.is_dir():
        raise CheckpointError(f"{directory} is an adapter for {folder}, which is not there; give its folder as base")
    if note and files_digest(folder.glob("*.safetensors")) != note["sha256"]:
        raise CheckpointError(
            f"{directory} is an adapter for other weights than {folder} now holds; give the folder it was made for as base"
        )
    return folder


def load_network(
    source: Path | str, *, device: str | None, dtype: Dtype, hub: bool = False, quantize: Quantize | None = None
) -> Any:
    """The plain transformers module of a folder, or of a Hub name with `hub`."""
    import torch
    from transformers import AutoModelForImageTextToText

    from unsee.models.quantized import keep_differentiable, quantization

    if dtype not in DTYPES:
        raise ConfigError(f"there is no dtype {dtype!r}; {nearest(dtype, list(DTYPES))}")
    try:
        place = torch.device(device or default_device())
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used ({str(error).splitlines()[0]}); give cpu or cuda") from error
    quantized: dict[str, Any] = {}
    if quantize is not None:
        quantized = {"quantization_config": quantization(quantize, dtype), "device_map": {"": place}}
    loaded: Any = _loaded(
        source,
        lambda: AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            local_files_only=not hub,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **quantized,
        ),
    )
    network, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers would fill these with random numbers.
        raise CheckpointError(f"{source} lacks {len(missing)} weights ({missing[0]}, ...); save or copy it again")
    if quantize is None:
        return network.to(place).eval()
    keep_differentiable(network)
    return network.eval()


def network_without_values(folder: Path, *, dtype: Dtype) -> Any:
    """The plain transformers module of a folder's config on the meta device, without its weights; of an adapter its base.

    Raises:
        CheckpointError: the folder is not there or its config cannot be read.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    if (folder / ADAPTER).is_file():
        folder = base_folder(folder, None)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} holds no {CONFIG}, which says how large the model is; check the path")

    def build() -> Any:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, dtype))

    return _loaded(folder, build)


def load_processor(source: Path | str, *, hub: bool = False) -> Any:
    from transformers import AutoProcessor

    return _loaded(source, lambda: AutoProcessor.from_pretrained(source, local_files_only=not hub, trust_remote_code=False))


def _loaded(source: Path | str, load: Callable[[], _T]) -> _T:
    """Run a library's loader; its many kinds of complaint become one."""
    from safetensors import SafetensorError

    try:
        with _quiet():
            return load()
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"{source} cannot be loaded ({reason[0]}); check that it is an image-text-to-text model"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and load reports; what matters of them is raised as an error."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
