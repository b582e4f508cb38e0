"""What training would keep in memory, by part, and the largest batch that fits; nothing is loaded and nothing is computed.

    model = attach(skeleton("llava-1.5-7b-hf", dtype="bfloat16"), Scope(rank=16))
    plan = plan_training(model, method, forget=forget, retain=retain, options=options)
    plan.lines()

The network is built on the meta device from its config, and the training loop takes a few steps with it on the samples that are
largest; `memory_trace.py` notes every storage that comes and goes. So nothing about a model's blocks is assumed. What the plan
does not see: Python, the libraries and the CUDA context, what the allocator leaves unused between tensors, workspaces of
kernels. `MARGIN` of a given memory is left for these.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.errors import ConfigError, first_line, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.memory_trace import MemoryTrace, Part
    from unsee.methods.base import Method, Side
    from unsee.models.checkpoints import Dtype, Quantize
    from unsee.models.model import Model
    from unsee.models.prompts import Encoded
    from unsee.models.reference import Reference
    from unsee.sample import Sample
    from unsee.training_data import PlannedBatch
    from unsee.training_options import TrainOptions


MARGIN = 0.1
"""Share of a given memory that a plan leaves free."""
_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_UNITS |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_MOST_TRIES = 8
_EXACT_TO = 20
_LONGEST_READ = 2048
_BLOCK_8BIT, _BLOCK_4BIT, _SMALLEST_8BIT = 256, 64, 4096


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes at the fullest moment of training.

    Attributes:
        parts: what they are for; activations are all that is nothing else.
        batch_size: questions of each side in memory at once.
        tokens: longest conversation planned with.
        saved: share of the tokens of a row per question that packed rows leave out of the first pass; None where rows are not
            packed.
    """

    parts: Mapping[Part, int]
    batch_size: int
    tokens: int
    saved: float | None = None

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    def lines(self) -> list[str]:
        """The plan as text, one part a line."""
        what = f"batch size {self.batch_size}, conversations of up to {self.tokens:,} tokens"
        parts = [f"  {part:<13}{size_text(size):>10}" for part, size in self.parts.items() if size]
        rows = (
            "a row per question"
            if self.saved is None
            else f"packed rows, {self.saved:.0%} fewer tokens than a row per question"
        )
        return [*parts, f"  {'together':<13}{size_text(self.total):>10}  ({what})", f"  {rows}"]


class LargestBatch(NamedTuple):
    """The largest batch whose plan fits, 0 where not even one question does, and its plan (that of one question then)."""

    size: int
    plan: MemoryPlan


def size_text(size: float) -> str:
    """Bytes in the unit that suits them, 1.50 GiB."""
    for unit in ("GiB", "MiB"):
        if size >= _UNITS[unit] or unit == "MiB":
            break
    return f"{size / _UNITS[unit]:,.2f} {unit}"


def parse_memory(text: str) -> int:
    """Bytes of a size such as `24GiB`, `80 GB` or `512MiB`.

    Raises:
        ConfigError: no number, no unit, or a unit that is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None:
        raise ConfigError(f"memory {text!r} is no size; write a number and a unit, for example 24GiB")
    number, unit = found.groups()
    known = {name.lower(): size for name, size in _UNITS.items()}
    if unit.lower() not in known:
        problem = (
            f"has the unknown unit {unit!r}; {nearest(unit, list(_UNITS))}" if unit else "has no unit; write 24GiB or 24GB"
        )
        raise ConfigError(f"memory {text!r} {problem}")
    size = int(float(number) * known[unit.lower()])
    if size == 0:
        raise ConfigError(f"memory {text!r} is nothing; give what the machine has, for example 24GiB")
    return size


def skeleton(name_or_path: str | Path, *, dtype: Dtype = "float32", hub: bool = False) -> Model:
    """A model whose weights have a shape and no values, from its config and processor alone; no weights need to be there.

    Args:
        name_or_path: an embedded model, or a folder with `config.json` and the processor's files (of an adapter, those of its
            base), or, with `hub`, a model of the Hugging Face Hub.
        hub: allow names of the Hub and the download of config and processor.

    Raises:
        CheckpointError: the folder is not there, or config or processor cannot be read.
    """
    from unsee.models.checkpoints import load_processor, network_without_values
    from unsee.models.loading import found_folder, local_folder, version_of
    from unsee.models.model import Model
    from unsee.models.self_check import expected_shared_prefix

    folder = found_folder(name_or_path, hub=hub, weights=False)
    shown = version_of(folder) or local_folder(name_or_path).resolve().name
    network = network_without_values(folder, dtype=dtype)
    made = Model(network, load_processor(folder), name=shown)
    made.prompter.shared_prefix = expected_shared_prefix(made)
    return made


def without_values(model: Model) -> Model:
    """The same model, adapters and what is trainable included, with weights that have a shape and no values."""
    import torch
    from torch import nn

    from unsee.models.model import Model

    model.packs()  # found out while there are values
    memo: dict[int, Any] = {}
    for weight in model.network.parameters():
        shape = torch.empty_like(weight, device="meta")
        memo[id(weight)] = nn.Parameter(shape, requires_grad=weight.requires_grad)
    for buffer in model.network.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    made = Model(copy.deepcopy(model.network, memo), model.processor, name=model.name)
    made.prompter = model.prompter
    return made


def plan_training(
    model: Model,
    method: Method,
    *,
    forget: Sequence[Sample] = (),
    retain: Sequence[Sample] = (),
    options: TrainOptions,
    quantize: Quantize | None = None,
    other_models: int = 0,
    device: str | None = None,
) -> MemoryPlan:
    """Memory of training, at the fullest moment of a few steps on the largest batches of the first pass.

    Args:
        model: with what may move made trainable (`attach`); a `skeleton` or one with weights, which are not touched.
        forget, retain: the samples that will be trained on.
        quantize: plan for a base whose linear layers hold 8 or 4 bits a weight and are unpacked one at a time.
        other_models: copies of the whole model that stay in memory beside the one that is trained.
        device: where training would run, which decides what `precision = auto` means; a GPU if there is one when None.

    Raises:
        ConfigError: the network takes decisions by values that only real weights give, or quantized weights shall be trained.
    """
    import torch

    from unsee.memory_trace import MemoryTrace
    from unsee.models.checkpoints import default_device
    from unsee.precision import computes_in_bf16
    from unsee.training import train

    model = without_values(model)
    place = torch.device(device or default_device())
    given: dict[Side, Sequence[Sample]] = {"forget": forget, "retain": retain}
    passes = {side: _FirstPass.of(items, model, options, side) for side, items in given.items()}
    packs = options.pack and model.packs()
    laid_out = {side: one.tokens(model, options, pack=packs) for side, one in passes.items()}
    samples = {side: one.largest(laid_out[side], options) for side, one in passes.items()}
    few = replace(
        options,
        optimizer="adamw" if options.optimizer == "adamw_8bit" else options.optimizer,
        precision="fp32",
        epochs=1,
        steps=None,
        gradient_accumulation=_accumulated(options),
    )
    trace = MemoryTrace(
        vocabulary=model.base.get_output_embeddings().weight.shape[0],
        optimizer_size=_size_in_8bit if options.optimizer == "adamw_8bit" else None,
    )
    quantized = _quantized_sizes(model, quantize)
    trace.hold([*model.network.parameters(), *model.network.buffers()], "weights", sizes=quantized)
    try:
        with warnings.catch_warnings(), trace.running(bf16=computes_in_bf16(options, place)):
            warnings.simplefilter("ignore")
            reference = _reference(trace, model, method, samples, few)
            train(model, method, forget=samples["forget"], retain=samples["retain"], options=few, reference=reference)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise ConfigError(
            f"the memory of {type(model.base).__name__} cannot be planned without its weights ({first_line(error)})"
        ) from error
    parts = dict(trace.peak())
    parts["other models"] += other_models * sum(_bytes(weight, quantized) for weight in _weights(model))
    if quantize:
        parts["activations"] += 2 * max(model.network.get_parameter(name).numel() for name in _linear(model))
    if reference is not None:
        parts["reference"] += _still_to_cache(reference, method, {"forget": len(forget), "retain": len(retain)}, samples)
    longest = max((len(item.ids) for items in samples.values() for item in _encoded(items, model)), default=0)
    saved = None
    if packs:
        plain = sum(sum(one.tokens(model, options, pack=False)) for one in passes.values())
        saved = 1 - sum(map(sum, laid_out.values())) / max(1, plain)
    return MemoryPlan(parts, options.batch_size, longest, saved)


def largest_batch(plan_at: Callable[[int], MemoryPlan], memory: int, *, most: int) -> LargestBatch:
    """The largest batch size whose plan leaves `MARGIN` of `memory` free, exact up to 20 and to 5 % above.

    Plans grow nearly linearly with the batch, so sizes are tried where the line through the nearest two says.

    Args:
        plan_at: the plan for a batch size.
        memory: bytes.
        most: samples there are; no larger batch makes sense.
    """
    room = (1 - MARGIN) * memory
    best = plan_at(1)
    if best.total > room or most <= 1:
        return LargestBatch(int(best.total <= room), best)
    fits, too_large = 1, most + 1
    known = {1: best.total}
    size = min(2, most)
    for _ in range(_MOST_TRIES):
        plan = plan_at(size)
        known[size] = plan.total
        if plan.total <= room:
            fits, best = size, plan
        else:
            too_large = size
        if too_large - fits <= max(1, fits // _EXACT_TO):
            break
        (one, less), (other, more) = sorted(known.items(), key=lambda item: abs(item[1] - room))[:2]
        slope = (more - less) / (other - one)
        guess = one + (room - less) / slope if slope > 0 else 2 * size
        size = int(min(max(guess, fits + 1), too_large - 1))
    return LargestBatch(fits, best)


@dataclass(frozen=True)
class _FirstPass:
    """One side's samples, of many the longest, in the batches of the first pass."""

    samples: Sequence[Sample]
    encoded: Sequence[Encoded]
    batches: Sequence[PlannedBatch]

    @classmethod
    def of(cls, samples: Sequence[Sample], model: Model, options: TrainOptions, side: Side) -> _FirstPass:
        from unsee.training_data import planned_batches

        if len(samples) > _LONGEST_READ:
            samples = sorted(samples, key=lambda sample: -len(sample.question) - len(sample.answer))[:_LONGEST_READ]
        batches = planned_batches(
            samples,
            batch_size=options.batch_size,
            accumulation=options.gradient_accumulation,
            seed=options.seed,
            epoch=0,
            side=side,
            per_picture=options.questions_per_picture,
        )
        return cls(samples, _encoded(samples, model), batches)

    def tokens(self, model: Model, options: TrainOptions, *, pack: bool) -> list[int]:
        """Tokens in memory, batch by batch."""
        from unsee.models.batches import tokens_in_rows

        return [
            tokens_in_rows(
                [self.encoded[index] for index in batch.items],
                prompter=model.prompter,
                pack=pack,
                max_tokens=options.max_row_tokens,
            )
            for batch in self.batches
        ]

    def largest(self, tokens: Sequence[int], options: TrainOptions) -> list[Sample]:
        """The samples of the batches with most tokens, enough for two optimizer steps."""
        order = sorted(range(len(tokens)), key=lambda number: -tokens[number])[: 2 * _accumulated(options)]
        return [self.samples[index] for number in order for index in self.batches[number].items]


def _accumulated(options: TrainOptions) -> int:
    """From the second batch of a step on there are gradients beside the activations; a third adds nothing."""
    return min(2, options.gradient_accumulation)


def _encoded(samples: Iterable[Sample], model: Model) -> list[Encoded]:
    from unsee.models.questions import encode_samples

    return encode_samples(samples, model.prompter)


def _reference(
    trace: MemoryTrace, model: Model, method: Method, samples: Mapping[Side, Sequence[Sample]], options: TrainOptions
) -> Reference | None:
    """The reference as the loop makes it, with what it holds noted."""
    from unsee.models.reference import AdapterOff
    from unsee.training import resolved_mask
    from unsee.training_data import TrainingData

    if method.reference == "none":
        return None
    other = without_values(model) if method.reference == "retain_tuned" else None
    if other is not None:
        trace.hold([*other.network.parameters(), *other.network.buffers()], "reference")
    elif options.reference in ("auto", "adapter_off") and model.has_adapter:
        return AdapterOff(model)  # whether the adapter is silent cannot be seen without values
    shown: dict[Side, Sequence[Sample]] = {
        "forget": method.compose(samples["forget"], samples["retain"]),
        "retain": samples["retain"],
    }
    made = TrainingData(model, shown, options, resolved_mask(method, options)).reference(method, other)
    if made is not None:
        trace.hold(made.held(), "reference")
    return made


def _still_to_cache(
    reference: Reference, method: Method, counts: Mapping[Side, int], traced: Mapping[Side, Sequence[Sample]]
) -> int:
    """Bytes of cached values of the samples that were not traced, taken to be as long as those that were."""
    from unsee.models.reference import CachedReference

    if not isinstance(reference, CachedReference):
        return 0
    share = sum(counts[side] for side in method.reads) / max(1, sum(len(traced[side]) for side in method.reads))
    return int(reference.memory_bytes * max(0.0, share - 1))


def _weights(model: Model) -> list[Tensor]:
    return [*model.network.parameters(), *model.network.buffers()]


def _bytes(tensor: Tensor, sizes: Mapping[int, int]) -> int:
    return sizes.get(id(tensor), tensor.numel() * tensor.element_size())


def _linear(model: Model) -> list[str]:
    """Names of the weights that quantization packs: those of linear layers, adapters and unembedding aside."""
    from torch import nn

    head = model.base.get_output_embeddings()
    return [
        f"{name}.weight"
        for name, module in model.network.named_modules()
        if isinstance(module, nn.Linear) and module is not head and ".lora_" not in name
    ]


def _quantized_sizes(model: Model, quantize: Quantize | None) -> dict[int, int]:
    """Bytes of packed weights with their scales (bitsandbytes: one fp32 per row in 8 bits, per 64 weights in 4), by `id`."""
    if quantize is None:
        return {}
    found = {}
    for name in _linear(model):
        weight = model.network.get_parameter(name)
        if weight.requires_grad:
            raise ConfigError(f"weights of {quantize} cannot be trained ({name}); train a LoRA adapter on them")
        scales = weight.shape[0] if quantize == "8bit" else -(-weight.numel() // _BLOCK_4BIT)
        found[id(weight)] = weight.numel() // (1 if quantize == "8bit" else 2) + 4 * scales
    return found


def _size_in_8bit(kept: Tensor) -> int:
    """Bytes of a moment of AdamW in 8 bits with an fp32 scale per block; small ones stay as they are."""
    if kept.numel() < _SMALLEST_8BIT:
        return kept.numel() * kept.element_size()
    return kept.numel() + 4 * -(-kept.numel() // _BLOCK_8BIT)
