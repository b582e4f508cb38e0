"""Model folders that plain transformers and peft load: safetensors, the processor beside them, nothing pickled.

A folder holds either all weights (`config.json`, `model.safetensors`) or an adapter (`adapter_config.json`,
`adapter_model.safetensors`) and `base.json`, which says where the weights below it are and what they hash to. A method that is
still at work while the model answers is named in `method.json`; plain transformers does not apply it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from unsee.errors import CheckpointError, ConfigError, first_line, nearest
from unsee.files import make_folder, storage_problem, write_json
from unsee.models.bases import base_folder, note_of, note_of_peft, origin, own_state, tensor_digest
from unsee.models.folders import ADAPTER, BASE, CONFIG, METHOD, check_folder, read_config
from unsee.models.quantized import is_quantized
from unsee.provenance import digest, files_digest

if TYPE_CHECKING:
    from unsee.models.model import Model

Dtype = Literal["float32", "bfloat16", "float16"]
Quantize = Literal["4bit", "8bit"]
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")

_T = TypeVar("_T")
_ADVICE = "check that it is an image-text-to-text model"


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
        _fill_base(model, folder, final)
    else:
        _save_weights(model, folder)
    model.processor.save_pretrained(folder)
    if model.method is not None:
        from unsee.methods import described

        write_json(folder / METHOD, described(model.method))


def _fill_base(model: Model, folder: Path, final: Path) -> None:
    base = origin(model)
    if base is None and is_quantized(model):
        # Bits are not written as weights; what they were read from is all there is to say, as peft says it.
        _edit(folder / ADAPTER, lambda config: config | {"base_model_name_or_path": str(model.base.name_or_path)})
        return
    if base is None:
        base = final / "base"
        _save_weights(model, folder / "base")
        model.processor.save_pretrained(folder / "base")
        sha256 = files_digest((folder / "base").glob("*.safetensors"))
    else:
        sha256 = files_digest(base.glob("*.safetensors"))
    write_json(folder / BASE, note_of(base, final, sha256=sha256))
    _edit(folder / ADAPTER, lambda config: config | note_of_peft(base))


def _save_weights(model: Model, folder: Path) -> None:
    """All weights of the network itself, in the dtype they have: nothing is copied on a device that holds one model."""
    if is_quantized(model):
        raise ConfigError(
            f"{model.name} holds quantized weights, which are not what its folder holds; save an adapter, "
            "or load the model without quantize"
        )
    model.base.save_pretrained(folder, state_dict=dict(own_state(model)))


def _edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    write_json(path, change(read_config(path)))


def default_device() -> Literal["cpu", "cuda"]:
    """Where models go unless a device is named: a GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def weights_digest(model: Model) -> str:
    """SHA-256 over all weights in memory, adapter included."""
    total = hashlib.sha256()
    for name, tensor in model.network.state_dict().items():
        total.update(name.encode() + tensor_digest(tensor))
    return total.hexdigest()


def processor_digest(processor: Any) -> str:
    """SHA-256 over all that turns texts and pictures into inputs, chat template aside."""
    tokenizer = processor.tokenizer
    # Padding and truncation are set by whoever called last.
    state = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else tokenizer.get_vocab()
    return digest([processor.to_dict(), {key: value for key, value in state.items() if key not in ("padding", "truncation")}])


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
    hub: bool = False,
) -> Model:
    """Load a model folder; nothing in it is executed, and nothing is fetched unless asked for.

    Args:
        device: where to; a GPU if there is one when None.
        dtype: of the weights in memory.
        base: folder of the weights below an adapter, where it is not the one the adapter notes.
        name: how results call the model; the folder's name by default.
        quantize: keep linear layers in 4 or 8 bits; those of the base where the folder holds an adapter.
        hub: download the weights below an adapter where they are a model of the Hub that is not on this machine.

    Raises:
        CheckpointError: the folder is missing, incomplete, truncated or pickled, or an adapter's base is missing or changed.
        ConfigError: an unknown dtype or device, or a way to quantize that is not installed.
    """
    from unsee.models.model import Model

    directory = Path(directory)
    check_folder(directory)
    if (directory / ADAPTER).is_file():
        from peft import PeftModel

        below = load_checkpoint(base_folder(directory, base, hub=hub), device=device, dtype=dtype, quantize=quantize)
        network = _loaded(directory, lambda: PeftModel.from_pretrained(below.network, str(directory)))
    else:
        network = load_network(directory, device=device, dtype=dtype, quantize=quantize)
    model = Model(network.eval(), load_processor(directory), name=name or directory.resolve().name)
    if (directory / METHOD).is_file():
        from unsee.methods import from_description

        model.method = from_description(read_config(directory / METHOD))
    return model


def load_network(source: Path | str, *, device: str | None, dtype: Dtype, quantize: Quantize | None = None) -> Any:
    """The plain transformers module of a folder, or of a model in the Hub's cache."""
    import torch
    from transformers import AutoModelForImageTextToText

    from unsee.models.quantized import keep_differentiable, quantization

    if dtype not in DTYPES:
        raise ConfigError(f"there is no dtype {dtype!r}; {nearest(dtype, list(DTYPES))}")
    try:
        place = torch.device(device or default_device())
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used ({first_line(error)}); give cpu or cuda") from error
    quantized: dict[str, Any] = {}
    if quantize is not None:
        quantized = {"quantization_config": quantization(quantize, dtype), "device_map": {"": place}}
    loaded: Any = _loaded(
        source,
        lambda: AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            local_files_only=True,
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


def load_processor(source: Path | str) -> Any:
    from transformers import AutoProcessor
    from transformers.utils.import_utils import is_torchvision_available

    advice = _ADVICE if is_torchvision_available() else f"{_ADVICE}, and whether it needs torchvision or a newer transformers"
    return _loaded(
        source,
        lambda: AutoProcessor.from_pretrained(source, local_files_only=True, trust_remote_code=False),
        advice=advice,
    )


def _loaded(source: Path | str, load: Callable[[], _T], *, advice: str = _ADVICE) -> _T:
    """Run a library's loader; its many kinds of complaint become one."""
    from safetensors import SafetensorError

    try:
        with _quiet():
            return load()
    except CheckpointError:
        raise
    except ImportError as error:
        raise CheckpointError(
            f"{source} cannot be loaded ({first_line(error)}); install the package that is missing "
            "(torchvision: from the index that torch came from)"
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{source} cannot be loaded ({first_line(error)}); {advice}") from error


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
