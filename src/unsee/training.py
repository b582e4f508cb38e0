"""The one loop: learning, unlearning and relearning differ only in the method they are given.

    report = train(model, load_method("npo"), forget=forget, retain=retain, options=TrainOptions(steps=40))

A step lays out its batches, asks the method for named terms with one value per sample, divides each term by the number of
its samples in the whole step (accumulation and processes included), adds the terms up and moves the trainable weights.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unsee.errors import ConfigError, TrainingError
from unsee.memory_options import MemoryOptions, checkpointing, make_optimizer
from unsee.models.prompts import ROW_TOKENS, LossMask
from unsee.precision import autocast
from unsee.training_data import Planned, TrainingData

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.methods.base import Method, Side
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.sample import Sample
    from unsee.sharing import Copies
    from unsee.stopping import Probe, StopRule
    from unsee.training_state import Place, Waypoints

EndReason = Literal["finished", "training_free", "no_steps", "target", "utility_floor"]

_PROBES, _PROBED_EVERY = 10, 5


@dataclass(frozen=True)
class TrainOptions(MemoryOptions):
    """How a model is trained, whatever the method."""

    learning_rate: float = 2e-5
    """Highest learning rate of AdamW."""
    epochs: int = 1
    """Passes over the forget samples (over the retain samples when learning); ignored where steps is set."""
    steps: int | None = None
    """Optimizer steps; passes are repeated until they are done."""
    batch_size: int = 4
    """Questions of each side that are in memory at once."""
    gradient_accumulation: int = 1
    """Batches per optimizer step and process."""
    max_grad_norm: float | None = 1.0
    """Gradients are scaled down to this norm; none leaves them as they are."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay of both moments."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """How the learning rate falls after warm-up."""
    loss_mask: LossMask = "answer"
    """Which tokens count: answer, answer_and_question or all; a method may fix it."""
    pack: bool = True
    """Share a picture's tokens between its questions; the loss stays the same."""
    max_row_tokens: int = ROW_TOKENS
    """Tokens of a packed row."""
    seed: int = 0
    """Order of the samples, and dropout where a model has some."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """bf16 computes under autocast, weights keep their type; auto does so where the hardware has bf16 instructions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("learning_rate", "batch_size", "gradient_accumulation", "max_row_tokens"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"{key} = {getattr(self, key)} must be above 0")
        for key in ("epochs", "steps", "weight_decay"):
            if (getattr(self, key) or 0) < 0:
                raise ConfigError(f"{key} = {getattr(self, key)} must not be negative")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup = {self.warmup} is a share of the steps; give a number from 0 to below 1")

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0, out of `total`."""
        warm = math.ceil(self.warmup * total)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        gone = (step - warm) / max(1, total - warm)
        shape = {"linear": 1 - gone, "constant": 1.0, "cosine": (1 + math.cos(math.pi * gone)) / 2}
        return self.learning_rate * shape[self.schedule]


@dataclass(frozen=True)
class TrainReport:
    """What a training run did.

    Attributes:
        steps: optimizer steps in all, earlier parts of a resumed run included.
        reason: `finished`, `target` or `utility_floor` (stop rule), `training_free`, or `no_steps`.
        effective_batch: samples of one side per optimizer step.
        seconds: time in steps, probes aside.
        tokens: trained on, those of both sides, prompts included.
        loss, terms: of the last step.
        start_probe, end_probe: what the probe said before and after.
        resumed_at: step the run was continued from.
    """

    steps: int
    reason: EndReason
    effective_batch: int
    trainable_weights: int
    seconds: float = 0.0
    tokens: int = 0
    loss: float | None = None
    terms: Mapping[str, float] | None = None
    start_probe: Mapping[str, float | None] | None = None
    end_probe: Mapping[str, float | None] | None = None
    resumed_at: int = 0


def train(
    model: Model,
    method: Method,
    *,
    forget: Sequence[Sample] = (),
    retain: Sequence[Sample] = (),
    options: TrainOptions | None = None,
    log: Path | None = None,
    probe: Probe | None = None,
    probe_every: int | None = None,
    stop: StopRule | None = None,
    resume: Path | None = None,
    checkpoint_every: int = 50,
    reference: Reference | None = None,
    reference_model: Model | None = None,
    waypoints: Waypoints | None = None,
    data: TrainingData | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainReport:
    """Train the weights of `model` that require gradients, in place.

    Args:
        model: the start of the run, also when it is resumed.
        log: JSON lines, one per step, with the keys TRAIN_LOG_KEYS; the norm is taken before clipping, seconds and tokens are
            those of the step (tokens of both sides, prompts included), probes are null where none was due.
        probe: called before the first step, every `probe_every` steps and after the last.
        probe_every: by default 5 where a stop rule looks, else a tenth of the run, though no less than 5.
        stop: looked at after every probe.
        resume: folder for checkpoints; a run that finds one of its own there goes on from it, to the same weights.
        reference: used instead of the one the method asks for.
        reference_model: for methods whose reference was tuned on the retain set.
        waypoints: keeps the trainable weights of some steps on the way.
        data: the samples as they are laid out in batches, where that is not done in the usual way.
        progress: called with (steps done, steps in all).

    Raises:
        ConfigError: inputs that cannot work together, found before the first step.
        TrainingError: loss or gradient is not finite, or memory ran out; names the step or the batch size, and the remedy.
    """
    from accelerate import Accelerator

    from unsee import processes
    from unsee.out_of_memory import explained, is_out_of_memory, release
    from unsee.sharing import spread, whole
    from unsee.training_state import Checkpoints, Place, StepLog, fingerprint

    options = options or TrainOptions(**method.training)
    check_inputs(method, forget=forget, retain=retain, probe=probe, stop=stop)
    mask = resolved_mask(method, options)
    samples: dict[Side, Sequence[Sample]] = {"forget": method.compose(forget, retain), "retain": retain}
    processes.connect()
    accelerator = Accelerator(device_placement=False)
    trained = [weight for weight in model.network.parameters() if weight.requires_grad]
    settings = {"lr": options.learning_rate, "betas": options.betas, "weight_decay": options.weight_decay}
    adamw = make_optimizer(trained, options, **settings)
    traced = samples if data is None else {}
    with (
        explained(model, method, traced, options, kept=resume),
        _seeded(options.seed),
        _training_mode(model),
        spread(accelerator, model, method, adamw) as lay,
        checkpointing(model.network, options),
    ):
        data = data or TrainingData(model, samples, options, mask)
        reference = reference or lay.run(lambda: data.reference(method, reference_model))
        place = Place()
        if probe:
            place.start_probe = place.last_probe = lay.agreed(lambda: dict(probe(model)))
        if method.apply(model, samples["forget"], samples["retain"]):
            place.last_probe = lay.agreed(lambda: dict(probe(model))) if probe else {}
            return _report(model, options, place, processes=accelerator.num_processes, reason="training_free")
        per_step = options.gradient_accumulation * accelerator.num_processes
        length = len(data.steps(method, epoch=0, per_step=per_step))
        total = options.epochs * length if options.steps is None else min(1, length) * options.steps
        if total and not trained:
            raise ConfigError("no weight of the model is trainable; attach an adapter or choose a scope first")
        if not total:
            StepLog(log if accelerator.is_main_process else None).close()
            return _report(model, options, place, processes=accelerator.num_processes, reason="no_steps")

        trained = lay.trained
        # What decides a run is how many batches a step has, not how many processes share them.
        marks = fingerprint(model, method, replace(options, gradient_accumulation=per_step), data.encoded)
        checkpoints = Checkpoints(resume, model=model, optimizer=adamw, marks=marks, writes=accelerator.is_main_process)
        place = checkpoints.load() or place
        probe_every = probe_every or (_PROBED_EVERY if stop else max(_PROBED_EVERY, math.ceil(total / _PROBES)))
        first = place.step
        if waypoints and first:  # an interruption may have fallen between step and waypoint
            waypoints.keep(model, first, total, writes=accelerator.is_main_process)
        steps_log = StepLog(log if accelerator.is_main_process else None, keep_bytes=place.log_bytes)
        stopped = stop.reached(place.last_probe, place.start_probe) if stop else None
        try:
            for step in data.steps_from(method, place.step, length=length, per_step=per_step):
                if stopped or place.step == total:
                    break
                began = time.perf_counter()
                checkpoints.begin_step()
                rate = options.rate(place.step, total)
                for parameters in adamw.param_groups:
                    parameters["lr"] = rate
                lay.optimizer.zero_grad(set_to_none=True)
                terms = _backward(lay, model, method, reference, data, step)
                for name, value in terms.items():
                    _check_finite(f"term {name}", value, place.step + 1, options.learning_rate)
                lay.add_up()
                norm = float(whole(accelerator.clip_grad_norm_(trained, options.max_grad_norm or math.inf)))
                _check_finite("the gradient", norm, place.step + 1, rate)
                method.after_backward(model)
                checkpoints.begin_change()
                lay.optimizer.step()
                method.after_step(model)
                place.step += 1
                seconds = time.perf_counter() - began
                seen: Mapping[str, float | None] = {}
                if probe and (place.step % probe_every == 0 or place.step == total):
                    seen = place.last_probe = lay.agreed(lambda: dict(probe(model)))
                place.last_row = {
                    "step": place.step,
                    "loss": sum(terms.values()),
                    "terms": terms,
                    "grad_norm": norm,
                    "lr": rate,
                    "probe_forget": seen.get("probe_forget"),
                    "probe_retain": seen.get("probe_retain"),
                    "seconds": seconds,
                    "tokens": data.tokens(step),
                }
                place.seconds += seconds
                place.tokens += place.last_row["tokens"]
                place.log_bytes = steps_log.write(place.last_row)
                checkpoints.end_change()
                if waypoints:
                    waypoints.keep(model, place.step, total, writes=accelerator.is_main_process)
                if seen and stop:
                    stopped = stop.reached(seen, place.start_probe)
                if progress and accelerator.is_main_process:
                    progress(place.step, total)
                if place.step % checkpoint_every == 0:
                    checkpoints.save(place)
        except KeyboardInterrupt:
            if not lay.alike:  # shards come together only where no process has left
                checkpoints.save_if_settled(place)
            raise
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                release(error)
                if not lay.alike:
                    checkpoints.save_if_settled(place)
            raise
        finally:
            steps_log.close()
            adamw.zero_grad(set_to_none=True)
        checkpoints.save(place)
    return _report(model, options, place, processes=accelerator.num_processes, reason=stopped or "finished", resumed_at=first)


def check_inputs(
    method: Method,
    *,
    forget: Sequence[Sample],
    retain: Sequence[Sample],
    probe: Probe | None = None,
    stop: StopRule | None = None,
) -> None:
    """Raises ConfigError where a method lacks the samples it needs, or a stop rule its probe."""
    given: dict[Side, Sequence[Sample]] = {"forget": forget, "retain": retain}
    for side, samples in given.items():
        if side in method.needs and not samples:
            raise ConfigError(
                f"method {method.name} needs {side} samples and none are given; give some or choose another method"
            )
    if stop and not probe:
        raise ConfigError("a stop rule needs a probe to look at; give probe questions or stop after a number of steps")


def resolved_mask(method: Method, options: TrainOptions) -> LossMask:
    """Which tokens count; a method that fixes it wins, with a warning where the user asked for something else."""
    if method.loss_mask is None:
        return options.loss_mask
    if options.loss_mask not in (method.loss_mask, TrainOptions.loss_mask):
        warnings.warn(
            f"loss_mask = {options.loss_mask} is ignored: method {method.name} ({method.variant}) uses {method.loss_mask}",
            stacklevel=3,
        )
    return method.loss_mask


def _backward(
    lay: Copies,
    model: Model,
    method: Method,
    reference: Reference | None,
    data: TrainingData,
    step: Sequence[Planned],
) -> dict[str, float]:
    """Gradients of one step's terms, each averaged over all its samples; returns those averages."""
    sizes = {
        "forget": sum(forget.size for forget, _ in step if forget),
        "retain": sum(retain.size for _, retain in step if retain),
    }

    def own() -> dict[str, float]:
        """This process's part of the averages."""
        averages: dict[str, float] = {}
        for (forget, retain), counted in lay.own_share(step):
            batches = data.batch("forget", forget), data.batch("retain", retain)
            counts = {"forget": counted[0] is not None, "retain": counted[1] is not None}
            with autocast(data.options, model.device):
                terms = lay.losses(partial(method.loss, model, reference, *batches))
            loss: Tensor | None = None
            for name, values in terms.items():
                side = side_of(method, name, values, *batches)
                term = values.float().sum() * (counts[side] / sizes[side])
                averages[name] = averages.get(name, 0.0) + term.item()
                loss = term if loss is None else loss + term
            if loss is not None:
                lay.backward(loss)
        return averages

    total: dict[str, float] = {}
    for part in lay.gathered(own):
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def side_of(method: Method, name: str, values: Tensor, forget: Batch | None, retain: Batch | None) -> Side:
    """Whose samples a term has one value for; where both batches are alike its name decides."""
    shape = tuple(values.shape)
    fits: list[Side] = []
    if forget is not None and shape == (forget.size,):
        fits.append("forget")
    if retain is not None and shape == (retain.size,):
        fits.append("retain")
    if not fits:
        raise ValueError(
            f"method {method.name}: term {name!r} has shape {list(shape)}; a loss returns one value per sample of its batch"
        )
    return "retain" if fits[-1] == "retain" and (len(fits) == 1 or "retain" in name) else "forget"


def _check_finite(what: str, value: float, step: int, rate: float) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"step {step}: {what} became {value}; lower learning_rate (now {rate:g}), set max_grad_norm, or take fewer steps"
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of the block come from the seed and leave the caller's alone."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _training_mode(model: Model) -> Iterator[None]:
    before = model.network.training
    model.network.train()
    try:
        yield
    finally:
        model.network.train(before)


def _report(
    model: Model, options: TrainOptions, place: Place, *, reason: EndReason, resumed_at: int = 0, processes: int = 1
) -> TrainReport:
    return TrainReport(
        steps=place.step,
        reason=reason,
        effective_batch=options.batch_size * options.gradient_accumulation * processes,
        trainable_weights=sum(weight.numel() for weight in model.network.parameters() if weight.requires_grad),
        seconds=place.seconds,
        tokens=place.tokens,
        loss=place.last_row.get("loss"),
        terms=place.last_row.get("terms"),
        start_probe=place.start_probe or None,
        end_probe=place.last_probe or None,
        resumed_at=resumed_at,
    )
