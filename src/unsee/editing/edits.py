"""Deleting facts one at a time: one edit per fact, each from the same start, each undone before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from unsee.errors import ConfigError, TrainingError
from unsee.methods import Method, Scope, acts_while_answering, load_method
from unsee.unlearning import check_fits, chosen_scope, trains_adapters_alone

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import Sample
    from unsee.stopping import StopRule
    from unsee.training import TrainReport
    from unsee.training_options import TrainOptions


class Edited(NamedTuple):
    """One edit.

    Attributes:
        fact: which fact was deleted.
        model: without the fact; valid until the next one is asked for.
        report: of its training.
    """

    fact: str
    model: Model
    report: TrainReport


def edit_each(
    model: Model,
    method: Method | str,
    forget: Mapping[str, Sequence[Sample]],
    *,
    retain: Sequence[Sample] = (),
    options: TrainOptions,
    scope: Scope | None = None,
    side_by_side: int = 1,
    stop: StopRule | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Edited]:
    """Delete every fact on its own, each from the same weights and with the same seed: order and grouping do not matter.

    The network is copied once. After each edit, also when the caller stops early, its weights are put back and compared with
    the start by SHA-256; at the end the whole network is.

    Args:
        forget: training samples by fact; edits come in this order.
        scope: which weights may move, where the method does not say so; LoRA of rank 16 on the language model by default.
        side_by_side: how many facts are trained in one batched pass. It changes time and memory only; facts of methods and
            models that do not allow it (`why_not_side_by_side`) are trained one after another.
        stop: a rule without a probe (`loss_below`), for each fact by its own loss.
        progress: called with (edits done, edits in all).

    Raises:
        ConfigError: an unknown method, samples that it needs are missing, the model lacks what its options name, or a stop rule
            that needs a probe; before the first edit.
        TrainingError: an edit diverged, or weights are not what they were before it; names the fact.
    """
    from unsee.training import check_inputs

    method = load_method(method) if isinstance(method, str) else method
    if side_by_side < 1:
        raise ConfigError(f"side_by_side = {side_by_side} must be at least 1, the number of facts trained in one pass")
    for fact, samples in forget.items():
        if not samples:
            raise ConfigError(f"fact {fact} has no samples to forget; give some or leave it out")
        check_inputs(method, forget=samples, retain=retain, stop=stop)
        method.compose(samples, retain)
    check_fits(model, method, scope)
    return _edits(
        model,
        method,
        forget,
        retain=retain,
        options=options,
        scope=chosen_scope(method, scope),
        size=side_by_side,
        stop=stop,
        progress=progress,
    )


def _edits(
    model: Model,
    method: Method,
    forget: Mapping[str, Sequence[Sample]],
    *,
    retain: Sequence[Sample],
    options: TrainOptions,
    scope: Scope,
    size: int,
    stop: StopRule | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Edited]:
    from unsee.editing.isolation import StartWeights
    from unsee.editing.side_by_side import SideBySide, why_not_side_by_side
    from unsee.models.lora import attach

    if not forget:
        return
    with _gradients():
        changed = attach(model, scope, seed=options.seed, shared=trains_adapters_alone(method, scope))
        changed.network.eval()
        start = StartWeights(changed)
        groups = None
        if size > 1 and not options.saves_memory and why_not_side_by_side(changed, method) is None:
            groups = SideBySide(changed, method, forget, retain=retain, options=options, size=size, stop=stop)
    fact = ""
    try:
        for number, fact in enumerate(forget, start=1):
            try:
                with _gradients():
                    report = groups.edit(fact) if groups else None
                    report = report or _edit_alone(changed, method, fact, forget[fact], retain, options, stop)
                if changed.network.training:
                    changed.network.eval()
                if changed.method is model.method and acts_while_answering(method):
                    changed.method = method
                if progress:
                    progress(number, len(forget))
                yield Edited(fact, changed, report)
            finally:
                changed.method, changed.system = model.method, model.system
                start.restore(fact)
    except GeneratorExit:  # the caller has seen enough
        start.check(fact)
        raise
    start.check(fact)


@contextmanager
def _gradients() -> Iterator[None]:
    """Gradients are on inside the block, also for callers that ask for edits where theirs are off."""
    import torch

    with torch.inference_mode(False), torch.enable_grad():
        yield


def _edit_alone(
    model: Model,
    method: Method,
    fact: str,
    forget: Sequence[Sample],
    retain: Sequence[Sample],
    options: TrainOptions,
    stop: StopRule | None,
) -> TrainReport:
    from unsee.training import train

    try:
        return train(model, method, forget=forget, retain=retain, options=options, stop=stop)
    except TrainingError as error:
        raise TrainingError(f"edit of fact {fact}: {error}") from error
