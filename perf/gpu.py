"""Speed and memory of training and answering beside what the hardware allows: `python perf/gpu.py --page docs/scale.md`.

A LLaVA with random weights, in bf16 on a GPU and fp32 on a CPU, trains LoRA adapters on questions of `people` and answers some:
our way (packed rows, the reference from the adapter switched off or from a cache) and the published one (one question a row in
batches of four, a second model as reference, one question at a time with `generate`). By default the shape of LLaVA-1.5 7B on a
GPU, and that of the embedded model elsewhere.

Two lower bounds are on each time: operations, as torch counts them in the work itself, over the measured rate of a large matrix
product; and bytes, every weight once per pass (forward and backward), over the measured bandwidth. The roofline is the larger
of the two; what is left of 100 % goes to everything else. Attention on a CPU is not counted.

Tokens are those that pass the decoder, text and picture alike, padding and passes of a reference included. Shared rows make
them fewer, so ways are compared by questions. Planned is what `--dry-run` of training says; it leaves out the libraries, which
the peak of a CPU holds. Prints a table in Markdown; `--page` also writes it between `<!-- gpu -->` and `<!-- end gpu -->`.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from answering import ask_one_by_one
from random_llava import EMBEDDED, LLAVA_1_5_7B, Shape, build
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import flop_registry

from unsee import load_benchmark
from unsee.answering import answer
from unsee.files import fill
from unsee.memory_plan import plan_training
from unsee.methods import Scope, load_method
from unsee.methods.base import Method, Side
from unsee.methods.finetune import FineTune
from unsee.models.checkpoints import load_processor
from unsee.models.loading import weights_folder
from unsee.models.lora import attach
from unsee.models.model import Model
from unsee.provenance import hardware, peak_memory_gib, reset_peak_memory
from unsee.sample import Sample
from unsee.training import train
from unsee.training_options import TrainOptions
from unsee.unlearning import lent

SHAPES = {"7b": LLAVA_1_5_7B, "116m": Shape(), "embedded": EMBEDDED}
PUBLISHED = {"pack": False, "batch_size": 4}
PUBLISHED_REFERENCE = {**PUBLISHED, "reference": "second_model"}
RANK = 16
SIDES: tuple[Side, ...] = get_args(Side)
COLUMNS = ("questions/s", "tokens/s", "peak GiB", "planned GiB", "seconds", "roofline seconds", "of roofline")
MARKER = "gpu"


@dataclass(frozen=True)
class Way:
    """A way of training."""

    title: str
    method: str | None
    """None: learning."""
    options: dict[str, Any]


WAYS = (
    Way("learn, ours", None, {}),
    Way("learn, published", None, PUBLISHED),
    Way("GA, ours", "ga", {}),
    Way("GA, published", "ga", PUBLISHED),
    Way("KL, adapter off", "kl", {"reference": "adapter_off"}),
    Way("KL, cached", "kl", {"reference": "cache"}),
    Way("KL, published", "kl", PUBLISHED_REFERENCE),
    Way("NPO, adapter off", "npo", {"reference": "adapter_off"}),
    Way("NPO, cached", "npo", {"reference": "cache"}),
    Way("NPO, published", "npo", PUBLISHED_REFERENCE),
)


@dataclass(frozen=True)
class Limits:
    """What the hardware does, measured.

    Attributes:
        operations: floating-point operations per second of a large matrix product.
        bytes: that a large copy reads and writes per second.
    """

    operations: float
    bytes: float


def limits(device: torch.device, dtype: torch.dtype) -> Limits:
    """Rate of a square matrix product and bandwidth of a copy, medians of a second each."""
    large = device.type == "cuda"
    side, length = (8192, 2**29) if large else (2048, 2**26)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = Timer("left @ right", globals={"left": left, "right": right}, num_threads=torch.get_num_threads())
    there, here = torch.empty(length, device=device), torch.ones(length, device=device)
    copy = Timer("there.copy_(here)", globals={"there": there, "here": here}, num_threads=torch.get_num_threads())
    return Limits(
        2 * side**3 / product.blocked_autorange(min_run_time=1).median,
        2 * here.nbytes / copy.blocked_autorange(min_run_time=1).median,
    )


@dataclass
class Passed:
    """What passes through the decoder took: bytes of weights, backward passes included, and tokens of forward passes."""

    bytes: float = 0.0
    tokens: int = 0


@contextmanager
def counted_passes(model: Model) -> Iterator[Passed]:
    """Passes through the decoder inside, those of copies of the model included."""
    passed = Passed()
    size = sum(weight.nbytes for weight in model.network.parameters())

    def count(_: Any, __: Any, out: Any) -> None:
        passed.bytes += size * (2 if torch.is_grad_enabled() else 1)
        passed.tokens += out[0].shape[:2].numel()  # [batch, tokens, width]

    hook = model.base.get_decoder().register_forward_hook(count)
    try:
        yield passed
    finally:
        hook.remove()


class Operations(TorchDispatchMode):
    """Counts as torch's own counter does, which stumbles where work inside switches gradients off and on."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.count += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=made)
        return made


class Measured(NamedTuple):
    """What some work took."""

    seconds: float
    peak_gib: float
    operations: float
    bytes: float
    tokens: int


def measured(model: Model, work: Callable[[], Any]) -> Measured:
    """Do some work, and once more to count what it does."""
    settle(model)
    reset_peak_memory()
    began = time.perf_counter()
    work()
    settle(model)
    seconds, peak = time.perf_counter() - began, peak_memory_gib()
    with counted_passes(model) as passed, Operations() as operations:
        work()
    return Measured(seconds, peak, float(operations.count), passed.bytes, passed.tokens)


def settle(model: Model) -> None:
    """Wait for what the device still does."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
        torch.cuda.empty_cache()


def method_of(way: Way) -> Method:
    return FineTune() if way.method is None else load_method(way.method)


def given(way: Way, samples: Mapping[Side, Sequence[Sample]]) -> dict[Side, Sequence[Sample]]:
    """The samples that a way trains on."""
    return {side: samples[side] for side in SIDES if side in method_of(way).needs}


def trained(model: Model, way: Way, samples: Mapping[str, Sequence[Sample]], options: TrainOptions) -> None:
    """Train adapters and take them off again."""
    method = method_of(way)
    with lent(model) as base:
        pupil = attach(base, Scope(rank=RANK), in_place=True)
        train(pupil, method, **given(way, samples), options=replace(options, **way.options))


def planned_gib(model: Model, way: Way, samples: Mapping[str, Sequence[Sample]], options: TrainOptions) -> float:
    """What the memory plan says of a way of training."""
    method, device = method_of(way), model.device.type
    with lent(model) as base:
        pupil = attach(base, Scope(rank=RANK), in_place=True)
        options = replace(options, **way.options)
        return plan_training(pupil, method, **given(way, samples), options=options, device=device).total / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="7b" if torch.cuda.is_available() else "embedded")
    parser.add_argument("--people", type=int, default=20, help="subjects, of whom half are forgotten")
    parser.add_argument("--questions", type=int, default=128, help="that each way trains on, on each side")
    parser.add_argument("--asked", type=int, default=240, help="questions answered our way; an eighth of them one at a time")
    parser.add_argument("--batch-size", type=int, default=16, help="of training our way; the published one takes 4")
    parser.add_argument("--page", type=Path, help="Markdown page with markers, to write the table into")
    arguments = parser.parse_args()
    if arguments.page and f"<!-- {MARKER} -->" not in arguments.page.read_text():
        parser.error(
            f"{arguments.page} has no marker <!-- {MARKER} -->; add it and <!-- end {MARKER} --> where the table belongs"
        )
    warnings.filterwarnings("ignore", category=FutureWarning)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = build(SHAPES[arguments.shape], load_processor(weights_folder("tiny")).tokenizer, dtype=dtype, device=device)
    benchmark = load_benchmark("people", subjects=arguments.people)
    samples = {side: benchmark.training(set=side, ratio=0.5)[: arguments.questions] for side in SIDES}
    asked = benchmark.samples(set="test", ratio=0.5)[: arguments.asked]
    one_by_one = random.Random(0).sample(asked, max(1, len(asked) // 8))
    options = TrainOptions(batch_size=arguments.batch_size, precision="auto")

    machine, able = hardware(), limits(device, dtype)
    weights = sum(weight.numel() for weight in model.network.parameters())
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    lines: list[str] = []

    def show(*more: str) -> None:
        print(*more, sep="\n", flush=True)
        lines.extend(more)

    name = ", ".join(machine["accelerators"]) or machine["processor"]
    show(
        f"{name}, {date.today()}, {versions}, {dtype}, {weights:,} weights.",
        f"Matrix products {able.operations / 1e12:.2f} TFLOP/s, bandwidth {able.bytes / 1e9:.0f} GB/s.",
        "",
        f"| | {' | '.join(COLUMNS)} |",
        f"|---{'|---' * len(COLUMNS)}|",
    )
    for way in WAYS:
        planned = planned_gib(model, way, samples, options)
        trained(model, way, {side: few[:8] for side, few in samples.items()}, options)  # loads what is loaded late
        count = sum(map(len, given(way, samples).values()))
        show(row(way.title, count, measured(model, partial(trained, model, way, samples, options)), able, planned))
    with torch.inference_mode():
        ask_one_by_one(model, one_by_one[:1])
        show(row("answer, ours", len(asked), measured(model, partial(answer, model, asked, truth_ratio=False)), able))
        show(row("answer, published", len(one_by_one), measured(model, partial(ask_one_by_one, model, one_by_one)), able))
    if arguments.page:
        fill(arguments.page, {MARKER: "\n".join(lines)})


def row(title: str, questions: int, found: Measured, able: Limits, planned: float | None = None) -> str:
    """A line of the table."""
    bound = max(found.operations / able.operations, found.bytes / able.bytes)
    numbers = [
        f"{questions / found.seconds:.1f}",
        f"{found.tokens / found.seconds:,.0f}",
        f"{found.peak_gib:.2f}",
        "-" if planned is None else f"{planned:.2f}",
        f"{found.seconds:.2f}",
        f"{bound:.2f}",
        f"{100 * bound / found.seconds:.0f} %",
    ]
    return f"| {title} | {' | '.join(numbers)} |"


if __name__ == "__main__":
    main()
