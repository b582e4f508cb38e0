"""A single-fact run small enough for tests: a random-weight model, and three facts of the hand-written official files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unlok_fixture import write_unlok
from unsee.experiment import Cell, Experiment

EXPERIMENT = """
name = "facts"
model = {model!r}
[benchmark]
name = "unlok-vqa"
path = {data!r}
facts = 3
[unlearn]
methods = ["fact_erasure", "error_injection"]
side_by_side = 2
sequence = [2]
[method.fact_erasure]
learning_rate = 0.1
epochs = 2
[method.error_injection]
learning_rate = 0.1
epochs = 2
[attack]
attacks = ["lens_head_projection", "finetune_lens", "rephrase_question:hard", "rephrase_image:easy"]
budgets = [1, 5]
[attack.options.lens_head_projection]
layers = [1, 2]
[attack.options.finetune_lens]
epochs = 1
layers = [1, 2]
[attack.options.rephrase_question]
prompts = 2
samples = 2
max_new_tokens = 3
[attack.options.rephrase_image]
samples = 1
max_new_tokens = 3
[answer]
retain_subjects = 2
"""


def write_fact_run(folder: Path, model: Any) -> Path:
    """Model, data and experiment; returns the experiment file."""
    model.save(folder / "model")
    write_unlok(folder / "unlok")
    file = folder / "facts.toml"
    file.write_text(EXPERIMENT.format(model=str(folder / "model"), data=str(folder / "unlok")))
    return file


def cell_of(experiment: Experiment, method: str) -> Cell:
    return next(cell for cell in experiment.cells if cell.method == method)
