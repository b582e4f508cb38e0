"""The commands of lmms-eval and lm-evaluation-harness for a checkpoint on disk. Neither is ever imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from unsee.errors import ConfigError, nearest


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a harness about one checkpoint.

    Attributes:
        weights: folder with all weights, below the adapter where there is one.
        adapter: folder of a peft adapter, for a harness that loads one.
        tasks: its task ids.
        output: folder for its results.
        family: `model_type` of the checkpoint's config.
        device: `cpu` or `cuda`.
        dtype: of the weights in memory, where the harness can choose.
        include: folder with task files of one's own.
        limit: questions per task; all where None.
        model: the harness's class for the model; the one that fits the family where None.
        model_args: further arguments of that class, which win.
    """

    weights: str
    adapter: str | None = None
    tasks: tuple[str, ...]
    output: str
    family: str = ""
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 1
    include: str | None = None
    limit: int | None = None
    model: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)


class ModelClass(NamedTuple):
    """A harness's class for models, and which of `dtype` and `device_map` it has to be told."""

    name: str
    told: tuple[str, ...] = ("device_map",)


@dataclass(frozen=True)
class Harness:
    """How one harness is called.

    Attributes:
        name: on the command line, and in the column `protocol`.
        package: its distribution on PyPI; `python -m module` runs it.
        model: its class for any image-text-to-text model of transformers.
        families: its own classes for some families, by `model_type`.
        loads_adapters: whether it takes a peft adapter; else the adapter is merged into the weights first.
        chat_flag: whether it uses the chat template only when told.
    """

    name: str
    package: str
    module: str
    model: ModelClass
    families: Mapping[str, ModelClass]
    loads_adapters: bool
    chat_flag: bool

    def command(self, asked: Request, *, python: str = sys.executable) -> list[str]:
        """The arguments of a process that measures a checkpoint.

        Raises:
            ConfigError: a path or argument that the harness would take apart.
        """
        chosen = self.families.get(asked.family, self.model)
        if asked.model is not None:
            known = (self.model, *self.families.values())
            chosen = next((one for one in known if one.name == asked.model), ModelClass(asked.model, ()))
        model_args = {"pretrained": asked.weights}
        if self.loads_adapters and asked.adapter is not None:
            model_args["peft"] = asked.adapter
        told = {"dtype": asked.dtype, "device_map": asked.device}
        model_args |= {key: told[key] for key in chosen.told}
        model_args |= asked.model_args
        for key, value in {**model_args, "output_path": asked.output}.items():
            if "," in value or "=" in value:
                raise ConfigError(f"{self.name} takes {key}={value} apart at commas and equals signs; rename the folder")
        command = [python, "-m", self.module, "--model", chosen.name]
        command += ["--model_args", ",".join(f"{key}={value}" for key, value in model_args.items())]
        command += ["--tasks", ",".join(asked.tasks), "--batch_size", str(asked.batch_size), "--device", asked.device]
        if self.chat_flag:
            command += ["--apply_chat_template"]
        if asked.include is not None:
            command += ["--include_path", asked.include]
        if asked.limit is not None:
            command += ["--limit", str(asked.limit)]
        return [*command, "--log_samples", "--output_path", asked.output]

    def version(self, python: str = sys.executable) -> str:
        """The installed version.

        Raises:
            ConfigError: it is not installed there, or there is no such interpreter.
        """
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        try:
            found = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"--python {python} cannot be run ({error}); give the interpreter that has {self.name}"
            ) from error
        if found.returncode:
            raise ConfigError(
                f"{self.name} is not installed for {python}; `pip install {self.package}` there, name another interpreter with "
                "--python, or print the command for another machine with --dry-run"
            )
        return found.stdout.strip()


_LLAVA = ModelClass("llava_hf", ("dtype", "device_map"))
_LMMS_FAMILIES = {
    "llava": _LLAVA,
    "llava_next": _LLAVA,
    "llava_onevision": _LLAVA,
    "idefics2": ModelClass("idefics2", ("dtype", "device_map")),
    "qwen2_vl": ModelClass("qwen2_vl"),
    "qwen2_5_vl": ModelClass("qwen2_5_vl"),
    "qwen3_vl": ModelClass("qwen3_vl"),
    "gemma3": ModelClass("gemma3"),
    "internvl": ModelClass("internvl_hf"),
}
HARNESSES: dict[str, Harness] = {
    one.name: one
    for one in (
        Harness("lmms-eval", "lmms_eval", "lmms_eval", ModelClass("huggingface"), _LMMS_FAMILIES, False, False),
        Harness("lm-eval", "lm_eval", "lm_eval", ModelClass("hf-multimodal", ("dtype",)), {}, True, True),
    )
}
"""Harness by name; lmms-eval has all four benchmarks, lm-evaluation-harness has MMMU."""


def harness_named(name: str) -> Harness:
    """Raises ConfigError for an unknown name."""
    if name not in HARNESSES:
        raise ConfigError(f"there is no harness {name!r}; {nearest(name, list(HARNESSES))}")
    return HARNESSES[name]


def model_arguments(given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` -> key and value.

    Raises:
        ConfigError: no equals sign.
    """
    found = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not key or not sign:
            raise ConfigError(f"--model-args {one!r} has no value; write KEY=VALUE, for example attn_implementation=sdpa")
        found[key] = value
    return found
