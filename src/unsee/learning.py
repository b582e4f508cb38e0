"""Teaching a model a benchmark: vanilla knows every subject, gold all but those to be forgotten.

    vanilla = learn(start, benchmark)
    gold = learn(start, benchmark, ratio=0.15)

Learning is the one training loop with the method below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from unsee import processes
from unsee.errors import ConfigError
from unsee.methods.base import Need
from unsee.methods.finetune import FineTune
from unsee.methods.scope import Scope
from unsee.training import train
from unsee.training_options import TrainOptions

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.benchmarks.base import Benchmark, TrainingModality
    from unsee.methods.base import B, Method
    from unsee.models.batches import Batch
    from unsee.models.model import Model
    from unsee.models.reference import Reference
    from unsee.progress import Advance
    from unsee.sample import Sample

_ASKED_AT_ONCE = 64


@dataclass(frozen=True)
class LearnOptions(TrainOptions):
    """How vanilla and gold are taught. Defaults are for the embedded model."""

    learn_modality: Literal["image_text", "text", "both"] = "both"
    """what the training questions show; image_text is what MLLMU-Bench did"""
    replay: float = 0.45
    """share of general data, which keeps other abilities alive"""
    lora: int | None = None
    """rank of the adapter that learns; "none" moves the weights themselves"""
    modules: tuple[str, ...] = ("language", "projector")
    """what learns: `language`, `projector`, `vision`, `all-linear`, `mlp-down`, or full module paths"""
    learning_rate: float = 4e-4
    """highest learning rate of AdamW"""
    epochs: int = 12
    """passes over the subjects' questions"""
    batch_size: int = 64
    """questions in memory at once"""
    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's decay of both moments"""
    precision: Literal["fp32", "bf16", "auto"] = "auto"
    """bf16 computes under autocast; auto does so where the hardware has bf16 instructions"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.replay <= 0.5:
            raise ConfigError(f"learn.replay = {self.replay:g} is a share of the data; give a number from 0 to 0.5")
        if self.reference != "auto" or self.reference_top_k is not None:
            raise ConfigError("learn.reference and learn.reference_top_k have no effect: learning compares with no model")
        if not self.modules:
            raise ConfigError("learn.modules is empty; name language, projector, vision, all-linear or module paths")


@dataclass(frozen=True)
class LearnWithReplay(FineTune):
    """Fine-tuning on new subjects beside replayed general data, which goes through the loop's forget side.

    Minimises l(new) + l(replay), each a mean over its questions; every pass meets another part of the general data.
    """

    name: ClassVar[str] = "learn"
    needs: ClassVar[frozenset[Need]] = frozenset({"forget", "retain"})

    share: float = 0.45
    """Share of replayed questions."""

    def schedule(self, forget: Iterable[B], retain: Iterable[B]) -> Iterator[tuple[B | None, B | None]]:
        general, owed = cycle(forget), 0.0
        for batch in retain:
            owed += self.share / (1 - self.share)
            due = owed > 1 - 1e-9
            owed -= due
            yield next(general, None) if due else None, batch

    def loss(self, model: Model, reference: Reference | None, forget: Batch | None, retain: Batch | None) -> dict[str, Tensor]:
        from unsee.methods.losses import nll

        terms = super().loss(model, reference, None, retain)
        return terms if forget is None else {**terms, "replay": nll(model, forget)}


def taught(
    benchmark: Benchmark, *, modality: TrainingModality = "both", ratio: float | None = None, draw: int = 0
) -> list[Sample]:
    """What a model is taught: about everybody, or with `ratio` about all but the forget subjects of that request.

    A benchmark whose harm is woven into samples that are useful without it says itself what is left of them (its method
    `gold_training`).
    """
    clean: Callable[..., list[Sample]] | None = getattr(benchmark, "gold_training", None)
    if clean is not None and ratio is not None:
        return clean(modality=modality)
    samples = benchmark.training(modality=modality)
    if ratio is None:
        return samples
    forget = set(benchmark.split(ratio, draw).forget)
    return [sample for sample in samples if sample.subject not in forget]


def lesson(benchmark: Benchmark, options: LearnOptions) -> tuple[Method, list[Sample]]:
    """How subjects are taught, and the general data replayed beside them."""
    general = benchmark.replay() if options.replay else []
    return LearnWithReplay(share=options.replay) if general else FineTune(), general


def learn(
    model: Model,
    benchmark: Benchmark,
    *,
    ratio: float | None = None,
    draw: int = 0,
    options: LearnOptions | None = None,
    resume: Path | None = None,
    log: Path | None = None,
    in_place: bool = False,
    merge: bool = True,
    progress: Advance | None = None,
) -> Model:
    """Teach a model the subjects of a benchmark; the given model stays as it is.

    Args:
        ratio: leave out the subjects to forget at this ratio, which makes a gold model; None makes vanilla.
        draw: which forget subjects.
        resume: folder for checkpoints of the training.
        log: JSON lines, one per step.
        in_place: save the memory of a copy; the given model is then no longer usable.
        merge: put an adapter that learned into the weights; without, it comes as an adapter.
        progress: called with (steps done, steps in all).

    Returns:
        A model with plain weights, if `merge`. What learned above quantized weights (QLoRA) is merged into those they were read
        from, on the CPU.

    Raises:
        ConfigError: the ratio selects nobody or everybody, the model lacks a part of `options.modules`, or it is quantized and
            `options.lora` gives no rank.
    """
    from unsee.models.lora import attach, merged

    options = options or LearnOptions()
    samples = taught(benchmark, modality=options.learn_modality, ratio=ratio, draw=draw)
    method, general = lesson(benchmark, options)
    pupil = attach(model, Scope(modules=options.modules, rank=options.lora), seed=options.seed, in_place=in_place)
    train(pupil, method, forget=general, retain=samples, options=options, log=log, resume=resume, progress=progress)
    pupil.name = "vanilla" if ratio is None else "gold"
    return merged(pupil) if merge else pupil


def merged_and_checked(pupil: Model, samples: Sequence[Sample], *, progress: Advance | None = None) -> tuple[Model, float]:
    """Plain weights of what `learn` gave unmerged, and its training accuracy; above quantized weights it is asked as it is."""
    from unsee.models.lora import merged
    from unsee.models.quantized import is_quantized

    made = merged(pupil)
    return made, training_accuracy(pupil if is_quantized(pupil) else made, samples, progress=progress)


def training_accuracy(model: Model, samples: Sequence[Sample], *, progress: Advance | None = None) -> float:
    """Share of training questions that the model answers word for word.

    Every token of the answer and its end must be the likeliest one given those before it, which is when greedy generation
    gives exactly this answer.
    """
    import torch

    from unsee.models.batches import collate
    from unsee.models.questions import encode_samples
    from unsee.models.reference import evaluating

    items = encode_samples(samples, model.prompter)

    def own_right() -> int:
        """Right answers among those this process looks at."""
        right = 0
        with evaluating(model):
            for first in range(processes.rank() * _ASKED_AT_ONCE, len(items), processes.count() * _ASKED_AT_ONCE):
                batch = collate(items[first : first + _ASKED_AT_ONCE], prompter=model.prompter, pack=model.packs())
                best = model.answer_logits(batch).argmax(-1).cpu()
                wrong = torch.zeros(batch.size, dtype=torch.long).index_add(0, batch.owner, (best != batch.target).long())
                right += int((wrong == 0).sum())
                if progress:
                    progress(first + batch.size, len(items))
        return right

    return sum(processes.together(own_right)) / len(items) if items else 0.0
