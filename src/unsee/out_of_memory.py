"""What to change when training or answering ran out of memory, in one line."""

from __future__ import annotations

import gc
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from unsee.errors import AnsweringError, ConfigError, TrainingError
from unsee.memory_plan import largest_batch, plan_training, size_text

if TYPE_CHECKING:
    from unsee.answering.engine import Job
    from unsee.memory_plan import MemoryPlan
    from unsee.methods.base import Method, Side
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.training_options import TrainOptions

_WORDS = ("out of memory", "allocate memory", "not enough memory")
_HALF = "load the model in bf16 (dtype = bfloat16)"
_ASKED_FOR = re.compile(r"tried to allocate ([\d.]+ ?(?:[KMGT]i?B|bytes))", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, torch or a driver means that memory could not be had."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return type(error) is RuntimeError and any(word in str(error) for word in _WORDS)


@contextmanager
def explained(
    model: Model, method: Method, samples: Mapping[Side, Sequence[Sample]], options: TrainOptions, *, kept: Path | None
) -> Iterator[None]:
    """Turn a lack of memory inside into a line that says what to change.

    Args:
        samples: what is trained on, for the batch size that would fit; none where that cannot be said.
        kept: folder where checkpoints are, if any.

    Raises:
        TrainingError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        what = f"{_lack(error)} with batch_size {options.batch_size}"
        remedies = [*_smaller(model, method, samples, options), *_switches(model, options)]
        finished = f"; what is finished is kept in {kept}" if kept is not None and any(kept.glob("step-*")) else ""
        raise TrainingError(f"{what}; {_either(remedies)}{finished}") from None


def answering_error(error: BaseException, job: Job, model: Model) -> AnsweringError:
    """What to change when not even one prompt could be answered."""
    sample, pictures = job.sample, len(job.view.images)
    remedies = ["lower max_new_tokens"] if job.view.respond else []
    remedies.append("show fewer or smaller pictures" if pictures else "shorten the prompt")
    if next(model.network.parameters()).dtype == torch.float32:
        remedies.append(_HALF)
    shown = f" and {pictures} picture{'s' if pictures > 1 else ''}" if pictures else ""
    return AnsweringError(
        f"{_lack(error)} at sample {sample.id} of set {sample.set}, view {job.view.name}, asked alone, so no batch_size is "
        f"small enough: its prompt has {len(job.ids)} tokens{shown}; {_either(remedies)}"
    )


def _lack(error: BaseException) -> str:
    asked = _ASKED_FOR.search(str(error))
    return f"out of memory{f' (asked for {asked[1]})' if asked else ''}"


def _either(remedies: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(remedies[:-1]), remedies[-1])))


def release(error: BaseException) -> None:
    """Let go of what the failed work still holds."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__context__
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _smaller(model: Model, method: Method, samples: Mapping[Side, Sequence[Sample]], options: TrainOptions) -> list[str]:
    """The remedy of a smaller batch, with the size that the plan says fits."""
    if options.batch_size == 1:
        return []
    remedy = "lower batch_size (raise gradient_accumulation to keep the step"
    available = available_memory(model.device)
    if available is None or not any(samples.values()):
        return [f"{remedy})"]

    def plan_at(size: int) -> MemoryPlan:
        fewer = replace(options, batch_size=size)
        forget, retain = samples["forget"], samples["retain"]
        return plan_training(model, method, forget=forget, retain=retain, options=fewer, device=str(model.device))

    try:
        best = largest_batch(plan_at, available, most=options.batch_size)
    except (ConfigError, MemoryError, RuntimeError):
        return [f"{remedy})"]
    fits = f"{best.size} fits" if best.size else f"not even 1 fits, which takes {size_text(best.plan.total)}"
    return [f"{remedy}; by the memory plan {fits} in {size_text(available)})"]


def _switches(model: Model, options: TrainOptions) -> list[str]:
    """What else needs less memory and is not in use."""
    found = [] if options.gradient_checkpointing else ["set gradient_checkpointing = true"]
    if not model.has_adapter:
        found.append("train a LoRA adapter instead of the weights (lora = 16)")
        if options.optimizer == "adamw":
            found.append("set optimizer = adamw_8bit")
    if next(model.network.parameters()).dtype == torch.float32:
        found.append(_HALF)
    return found or ["shorten the samples"]


def available_memory(device: torch.device) -> int | None:
    """Bytes that a process may have on a device: for the CPU the least of its memory and the limits set on the process."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type != "cpu" or sys.platform == "win32":
        return None
    import os
    import resource

    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (text := group.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits)
