"""docs/models.md: what works with which family, found out by running it. `make models-page` writes the page.

Tests run the same and compare it with the page row by row, so that nobody edits a row by hand.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "models.md"
COLUMNS = ("learn", "full weights", "LoRA language", "LoRA projector", "LoRA vision", "LoRA all-linear", "4-bit base")
COLUMNS += ("shared prefix", "lens", "cached reference")

FORM = Path(__file__).parent / "models_page.md"
"""The page with a place for the rows."""


@dataclass(frozen=True)
class Row:
    """What works with one family; a cell is "yes", or why not."""

    name: str
    classes: str
    cells: dict[str, str]

    def line(self) -> str:
        shown = [cell if cell == "yes" else "no" for cell in (self.cells[column] for column in COLUMNS)]
        reasons = dict.fromkeys(f"{column}: {cell}" for column, cell in self.cells.items() if cell != "yes")
        return f"| {self.name} | {self.classes} | {' | '.join(shown)} | {'; '.join(reasons)} |"


def row(name: str, samples: list[Any], *, columns: tuple[str, ...] = COLUMNS) -> Row:
    """Run what the columns are about on a family's tiny model."""
    from builders import FAMILIES, build
    from unsee.errors import UserError

    model = build(name)
    tried: dict[str, Callable[[], str]] = {
        "learn": lambda: _learns(model, samples),
        "full weights": lambda: _moves(model, samples, "language", rank=None),
        "4-bit base": lambda: _quantized(model, samples),
        "shared prefix": lambda: model.features.shared_prefix.reason or "yes",
        "lens": lambda: model.features.lens.reason or "yes",
        "cached reference": lambda: _cached(model, samples),
    }
    for part in ("language", "projector", "vision", "all-linear"):
        tried[f"LoRA {part}"] = lambda part=part: _moves(model, samples, part, rank=2)
    cells = {}
    for column in columns:
        try:
            with warnings.catch_warnings(action="ignore"):
                cells[column] = tried[column]()
        except UserError as error:
            cells[column] = str(error)
    classes = f"`{type(model.network).__name__}`, `{type(model.processor).__name__}`"
    return Row(FAMILIES[name].name, classes, cells)


def _learns(model: Any, samples: list[Any]) -> str:
    from unsee.methods import Scope, load_method
    from unsee.models.lora import attach
    from unsee.training import train
    from unsee.training_options import TrainOptions

    pupil = attach(model, Scope(rank=None))
    options = TrainOptions(steps=1, batch_size=4, learning_rate=5e-3, epochs=1)
    reports = [train(pupil, load_method("finetune"), retain=samples[:4], options=options) for _ in range(3)]
    losses = [report.loss for report in reports if report.loss is not None]
    return "yes" if losses[-1] < losses[0] else f"the loss does not fall ({losses[0]:.2f}, {losses[-1]:.2f})"


def _moves(model: Any, samples: list[Any], part: Any, *, rank: int | None) -> str:
    import torch

    from unsee.methods import Scope
    from unsee.models.lora import attach, trainable_names
    from unsee.training_options import TrainOptions
    from unsee.unlearning import unlearn

    scope = Scope(modules=part, rank=rank)
    start = attach(model, scope)
    before, named = dict(start.network.named_parameters()), set(trainable_names(start))
    options = TrainOptions(steps=1, batch_size=2, learning_rate=1e-2)
    made = unlearn(model, forget=samples[:2], method="ga", options=options, scope=scope)
    moved = {name for name, weight in made.network.named_parameters() if not torch.equal(before[name], weight)}
    if not moved:
        return "one step moves nothing"
    return "yes" if moved <= named else f"{min(moved - named)} moves, too"


def _quantized(model: Any, samples: list[Any]) -> str:
    from unsee.models.checkpoints import load_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        small = load_checkpoint(Path(folder) / "model", quantize="4bit")
        missing = {"prompt", "answer_mask", "pictures"} & set(small.features.missing())
        return small.features.missing()[min(missing)] if missing else _moves(small, samples, "language", rank=2)


def _cached(model: Any, samples: list[Any]) -> str:
    import torch

    from unsee.models.batches import collate
    from unsee.models.questions import encode_samples
    from unsee.models.reference import CachedReference

    keys = tuple(sample.id for sample in samples[:4])
    items = encode_samples(samples[:4], model.prompter)
    one, other = (
        collate([items[i] for i in order], prompter=model.prompter, pack=model.packs(), keys=[keys[i] for i in order])
        for order in ((0, 1, 2, 3), (3, 1, 0, 2))
    )
    with torch.no_grad():
        cached = CachedReference.build(model, [one]).answer_logprobs(other)
        gap = float((cached - model.answer_logprobs(other)).abs().max())
    return "yes" if gap < 1e-4 else f"cached likelihoods differ by {gap:.2g}"


def written(rows: list[Row]) -> str:
    """The whole page."""
    columns = ["family", "classes", *COLUMNS, "why not"]
    table = [f"| {' | '.join(columns)} |", f"|{'|'.join(['---'] * len(columns))}|", *(one.line() for one in rows)]
    return FORM.read_text(encoding="utf-8").replace("{rows}", "\n".join(table))


def main() -> None:
    sys.path[:0] = [str(ROOT / "tests")]
    import test_only_torchvision

    if not test_only_torchvision.install() or find_spec("bitsandbytes") is None:
        sys.exit("the page needs torchvision (make test installs it for tests) and bitsandbytes: pip install 'unsee[quant]'")
    from builders import FAMILIES
    from family_samples import pictured
    from unsee.files import write_text

    write_text(PAGE, written([row(name, pictured()) for name in FAMILIES]))


if __name__ == "__main__":
    main()
