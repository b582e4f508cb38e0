"""Make a model forget: attach what may move, train it by a method, hand back a new model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unsee.errors import ConfigError
from unsee.methods import Method, Scope, acts_while_answering, load_method
from unsee.training_options import TrainOptions

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.stopping import Probe, StopRule
    from unsee.training import TrainReport
    from unsee.training_state import Waypoints


class Unlearned(NamedTuple):
    """The new model and what was done to it."""

    model: Model
    report: TrainReport


def unlearn(
    model: Model,
    *,
    forget: Sequence[Sample],
    retain: Sequence[Sample] = (),
    method: Method | str = "npo",
    options: TrainOptions | None = None,
    scope: Scope | None = None,
    seed: int | None = None,
    probe: Probe | None = None,
    stop: StopRule | None = None,
    log: Path | None = None,
    reference_model: Model | None = None,
) -> Model:
    """A model that has unlearned the forget samples; the given model stays as it is.

    Where a method moves adapters alone, both models have the same weights in memory below them.

    Args:
        method: a name (`ga`, `graddiff`, `kl`, `npo`, `idk`, ...; defaults as published) or an instance.
        options: learning rate, steps and the like; what the method itself trains with by default.
        scope: which weights may move; LoRA of rank 16 on the language model by default.
        seed: of the order of samples and of the adapters; that of `options` by default.
        reference_model: for methods that compare with a model tuned on the retain set.

    Raises:
        ConfigError: an unknown method, or samples that the method needs are missing.
    """
    return unlearn_with_report(
        model,
        forget=forget,
        retain=retain,
        method=method,
        options=options,
        scope=scope,
        seed=seed,
        probe=probe,
        stop=stop,
        log=log,
        reference_model=reference_model,
    ).model


def unlearn_with_report(
    model: Model,
    *,
    forget: Sequence[Sample],
    retain: Sequence[Sample] = (),
    method: Method | str = "npo",
    options: TrainOptions | None = None,
    scope: Scope | None = None,
    seed: int | None = None,
    probe: Probe | None = None,
    probe_every: int | None = None,
    stop: StopRule | None = None,
    log: Path | None = None,
    resume: Path | None = None,
    checkpoint_every: int = 50,
    reference_model: Model | None = None,
    alpha: int | None = None,
    in_place: bool = False,
    waypoints: Waypoints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Unlearned:
    """As `unlearn`, with everything a run needs.

    Args:
        resume: folder for checkpoints; a run that finds its own there goes on from it.
        reference_model: for methods that compare with a model tuned on the retain set.
        alpha: of LoRA; its rank by default.
        in_place: save the memory of a copy; the given model is then no longer usable.
        waypoints: keeps the trainable weights of some steps on the way.
    """
    from unsee.models.lora import attach
    from unsee.training import check_inputs, train

    method = load_method(method) if isinstance(method, str) else method
    options = options or TrainOptions(**method.training)
    options = options if seed is None else replace(options, seed=seed)
    check_inputs(method, forget=forget, retain=retain, probe=probe, stop=stop)
    chosen = chosen_scope(method, scope)
    shared = trains_adapters_alone(method, chosen)
    changed = attach(model, chosen, seed=options.seed, alpha=alpha, in_place=in_place, shared=shared)
    report = train(
        changed,
        method,
        forget=forget,
        retain=retain,
        options=options,
        log=log,
        probe=probe,
        probe_every=probe_every,
        stop=stop,
        resume=resume,
        checkpoint_every=checkpoint_every,
        reference_model=reference_model,
        waypoints=waypoints,
        progress=progress,
    )
    changed.network.eval()
    if changed.method is model.method and acts_while_answering(method):
        changed.method = method
    return Unlearned(changed, report)


def check_fits(model: Model, method: Method, scope: Scope | None = None) -> None:
    """Refuse a method whose options the model cannot serve; no weight is changed, and of a `skeleton` none is needed.

    Args:
        scope: which weights may move, where the method does not say so.

    Raises:
        ConfigError: modules or layers that the model does not have, or hidden states that cannot be read; names the method.
    """
    from unsee.models.lens import check_lens
    from unsee.models.lora import check_scope

    try:
        check_scope(model, chosen_scope(method, scope))
    except ConfigError as error:
        raise ConfigError(f"method {method.name}: {error}") from error
    method.check(model)
    if "hidden_states" in method.needs:
        check_lens(model)


def trains_adapters_alone(method: Method, scope: Scope) -> bool:
    """Whether the weights below the adapters stay as they are, so that the start needs no copy."""
    hooks = (Method.apply, Method.after_step)
    return scope.rank is not None and (type(method).apply, type(method).after_step) == hooks


@contextmanager
def lent(model: Model) -> Iterator[Model]:
    """A model that may carry adapters inside the block; afterwards its network is as it was, without them."""
    from peft.tuners.lora import LoraLayer

    network = model.network
    trainable = [(weight, weight.requires_grad) for weight in network.parameters()]
    try:
        yield model
    finally:
        for path, layer in list(network.named_modules()):
            if isinstance(layer, LoraLayer):
                parent, _, name = path.rpartition(".")
                setattr(network.get_submodule(parent), name, layer.get_base_layer())
        vars(network).pop("peft_config", None)  # or peft takes the next adapter for a second one
        for weight, requires_grad in trainable:
            weight.requires_grad_(requires_grad)


def chosen_scope(method: Method, scope: Scope | None) -> Scope:
    """The method's scope if it has one, else the given one, else LoRA of rank 16 on the language model."""
    if method.scope is None:
        return scope or Scope()
    if scope is not None and scope != method.scope:
        warnings.warn(f"scope {scope} is ignored: method {method.name} trains {method.scope}", stacklevel=3)
    return method.scope
