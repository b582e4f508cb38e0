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
from unsee.memory_options import checkpointing, make_optimizer
from unsee.precision import at_least_single, autocast
from unsee.training_data import Planned, TrainingData
from unsee.training_options import TrainOptions

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.methods.base import Method, Side
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.prompts import LossMask
    from unsee.models.reference import Reference
    from unsee.sample import Sample
    from unsee.sharing import Copies
    from unsee.stopping import Probe, StopRule
    from unsee.training_state import Place, Waypoints

EndReason = Literal["finished", "training_free", "no_steps", "target", "utility_floor", "loss_below"]

_PROBES, _PROBED_EVERY = 10, 5


@dataclass(frozen=True)
class TrainReport:
    """What a training run did.

    Attributes:
        steps: optimizer steps in all, earlier parts of a resumed run included.
        reason: `finished`, `target`, `utility_floor` or `loss_below` (stop rule), `training_free`, or `no_steps`.
        effective_batch: samples of one side per optimizer step.
        seconds: time in steps, probes aside.
        tokens: trained on, those of both sides, prompts included.
        loss, terms: of the last step, or of the one that was not taken because of them (`loss_below`).
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
        stop: looked at after every probe, its `loss_below` before every step is taken.
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
    from unsee.sharing import spread
    from unsee.training_state import Checkpoints, Place, StepLog, fingerprint

    options = options or TrainOptions(**method.training)
    check_inputs(method, forget=forget, retain=retain, probe=probe, stop=stop)
    method.check(model)
    mask = resolved_mask(method, options)
    samples: dict[Side, Sequence[Sample]] = {"forget": method.compose(forget, retain), "retain": retain}
    processes.connect()
    accelerator = Accelerator(device_placement=False)
    trained = [weight for weight in model.network.parameters() if weight.requires_grad]
    settings = {"lr": options.learning_rate, "betas": options.betas, "weight_decay": options.weight_decay}
    optimizer = make_optimizer(trained, options, **settings)
    traced = samples if data is None else {}
    with (
        explained(model, method, traced, options, kept=resume),
        _seeded(options.seed),
        _training_mode(model),
        spread(accelerator, model, method, optimizer, max_grad_norm=options.max_grad_norm) as lay,
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

        # What decides a run is how many batches a step has, not how many processes share them.
        marks = fingerprint(model, method, replace(options, gradient_accumulation=per_step), data.encoded)
        checkpoints = Checkpoints(resume, lay=lay, marks=marks, writes=accelerator.is_main_process)
        place = checkpoints.load() or place
        probe_every = probe_every or (_PROBED_EVERY if stop and stop.probed else max(_PROBED_EVERY, math.ceil(total / _PROBES)))
        first = place.step
        if waypoints and first:  # an interruption may have fallen between step and waypoint
            waypoints.keep(lay.weights, first, total, writes=accelerator.is_main_process)
        steps_log = StepLog(log if accelerator.is_main_process else None, keep_bytes=place.log_bytes)
        stopped = stop.reached(place.last_probe, place.start_probe) if stop else None
        ending: Mapping[str, float] = {}
        try:
            for step in data.steps_from(method, place.step, length=length, per_step=per_step):
                if stopped or place.step == total:
                    break
                began = time.perf_counter()
                checkpoints.begin_step()
                rate = options.rate(place.step, total)
                for parameters in optimizer.param_groups:
                    parameters["lr"] = rate
                lay.optimizer.zero_grad(set_to_none=True)
                terms = _backward(lay, model, method, reference, data, step)
                for name, value in terms.items():
                    _check_finite(f"term {name}", value, place.step + 1, options.learning_rate)
                if stop and terms and (stopped := stop.loss_reached(sum(terms.values()))):
                    ending = terms
                    break
                lay.add_up()
                norm = lay.clip(options.max_grad_norm)
                _check_finite("the gradient", norm, place.step + 1, rate)
                method.after_backward(model)
                checkpoints.begin_change()
                lay.step()
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
                    waypoints.keep(lay.weights, place.step, total, writes=accelerator.is_main_process)
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
            optimizer.zero_grad(set_to_none=True)
        checkpoints.save(place)
    report = _report(model, options, place, processes=accelerator.num_processes, reason=stopped or "finished", resumed_at=first)
    return replace(report, loss=sum(ending.values()), terms=ending) if ending else report


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
    check_stop(stop, probe)


def check_stop(stop: StopRule | None, probe: Probe | None) -> None:
    """Raises ConfigError where a stop rule lacks the probe that it looks at."""
    if stop and stop.probed and not probe:
        named = " and ".join(f"{key} = {value}" for key, value in stop.probed.items())
        raise ConfigError(
            f"stop rule {named} needs a probe to look at; give probe questions, or set loss_below or steps instead"
        )


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

    def losses(forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        with autocast(data.options, model.device):
            return method.loss(model, reference, forget, retain)

    def own() -> dict[str, float]:
        """This process's part of the averages."""
        averages: dict[str, float] = {}
        for (forget, retain), counted in lay.own_share(step):
            batches = data.batch("forget", forget), data.batch("retain", retain)
            counts = {"forget": counted[0] is not None, "retain": counted[1] is not None}
            terms = lay.losses(partial(losses, *batches))
            loss: Tensor | None = None
            for name, values in terms.items():
                side = side_of(method, name, values, *batches)
                term = at_least_single(values).sum() * (counts[side] / sizes[side])
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
