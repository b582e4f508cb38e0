"""Train a model by its recipe.

Every stage leaves a file and is skipped when it is there; a stage that was killed goes on from its last saved state and ends
with the weights of one that ran through.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unsee.errors import ConfigError
from unsee.files import only_writer, read_json, write_json
from unsee.models import tiny
from unsee.models.abilities import ability_questions
from unsee.models.checkpoints import load_network, load_processor
from unsee.models.creature_abilities import creature_questions
from unsee.models.loading import RECIPE
from unsee.models.patient_abilities import patient_questions
from unsee.models.pretraining.creature_part import CreatureRows
from unsee.models.pretraining.language import (
    SAVED_EVERY,
    CachedPictures,
    Rows,
    attention_in_float32,
    make_optimizers,
    train_stage,
)
from unsee.models.pretraining.mixture import Mixture, Shares, common_words
from unsee.models.pretraining.parts import parts_of, tower_tokens
from unsee.models.pretraining.patient_part import PatientRows
from unsee.models.pretraining.probe import Probe
from unsee.models.pretraining.recipe import Recipe, facts
from unsee.models.pretraining.vision import normalise, train_vision
from unsee.models.pretraining.workshop import Workshop, prepare

PLAN = "plan.json"
"""In a work folder: what is being trained there."""
_TOKENIZER_SEED, _TOKENIZER_ROWS = 0, 3000
_PROBED = 200
"""Questions per ability of a probe."""


def train(
    folder: Path,
    *,
    recipe: Recipe,
    report: Callable[[str], None],
    shop: Workshop | None = None,
    every: int = SAVED_EVERY,
    probed: int = _PROBED,
) -> Path:
    """Run every stage that has no result in `folder`; returns the folder of the finished model.

    Args:
        shop: pictures and what they show; drawn into `folder` by default.
        every: steps between two probes and saved states.
        probed: questions per ability of a probe.

    Raises:
        ConfigError: another recipe is at work in the folder.
        UserError: another process is.
    """
    with only_writer(folder):
        _claim(folder, recipe)
        vision = tiny.VisionSize()
        if shop is None:
            report("drawing the pictures that are not there yet")
            shop = prepare(folder, creatures=recipe.creatures is not None, patients=recipe.patients, side=vision.pixels)
        people = Mixture(shop.figures, shop.owners, shop.labels.tolist(), seed=recipe.seed)
        known = None if recipe.creatures is None else CreatureRows(recipe.creatures, shop.creatures, seed=recipe.seed)
        clinic = PatientRows(shop.patients, seed=recipe.seed) if recipe.patients else None
        network, processor = _begin(recipe, people, vision)
        seconds = {"vision": _see(network, shop, folder, recipe, report)}
        features = vision_features(network, shop.pixels)
        report(f"vision tokens: {tuple(features.shape)}, standard deviation {features.float().std():.2f}")

        prompter = CachedPictures(processor)
        asked = ability_questions(shop.figures, shop.visible, per_ability=probed)
        if recipe.creatures is not None:
            asked |= creature_questions(recipe.creatures, per_ability=probed)
        if recipe.patients:
            asked |= patient_questions(per_ability=probed)
        probe = Probe(asked, shown=shop.shown, prompter=prompter, network=network, features=features)
        rows = Rows(people, known, clinic)
        for stage in recipe.stages:
            done = folder / f"{recipe.size}-{stage.name}.safetensors"
            if done.exists():
                _load(network, load_file(done))
            else:
                state = _State(done.with_suffix(".part.pt"), network, rows)
                if state.step:
                    report(f"{stage.name}: going on from step {state.step}")
                with attention_in_float32(network):
                    train_stage(
                        network,
                        rows,
                        stage,
                        seed=recipe.seed,
                        prompter=prompter,
                        features=features,
                        optimizers=state.optimizers,
                        precision=_precision(recipe),
                        log=report,
                        probe=probe,
                        every=every,
                        start_step=state.step,
                        save=state.save,
                    )
                write_json(done.with_suffix(".json"), {"step": stage.steps, "seconds": round(state.seconds)})
                _save(_unshared(network), done)
                state.path.unlink()
            seconds[stage.name] = _seconds(done)
        made = export(network, processor, folder / recipe.size)
        write_json(made / RECIPE, facts(recipe, seconds))
        return made


def _claim(folder: Path, recipe: Recipe) -> None:
    """Stages of two recipes in one folder would make a model of neither."""
    path = folder / PLAN
    if not path.exists():
        write_json(path, recipe.identity)
    found = read_json(path, remedy="choose another folder with --out")
    ours = recipe.identity
    other = [f"{key} {found.get(key)}" for key in {**ours, **found} if found.get(key) != ours.get(key)]
    if other:
        raise ConfigError(f"{folder} holds stages of another recipe ({', '.join(other)}); choose another folder with --out")


def _begin(recipe: Recipe, people: Mixture, vision: tiny.VisionSize) -> tuple[Any, Any]:
    """Network and processor before the first step."""
    folder = recipe.start.folder if recipe.start else None
    tokenizer = load_processor(folder).tokenizer if folder else tiny.train_tokenizer(tokenizer_texts(people), form=recipe.form)
    torch.manual_seed(recipe.seed)
    network = tiny.build_network(tokenizer, width=tiny.WIDTHS[recipe.size], vision=vision, form=recipe.form)
    if folder:
        network.load_state_dict(load_network(folder, device="cpu", dtype="float32").state_dict())
        network.tie_weights()
    return network, tiny.build_processor(tokenizer, vision=vision, form=recipe.form)


def tokenizer_texts(people: Mixture) -> list[str]:
    """Text the tokenizer learns from: the mixture about people, and common English words for worlds to come.

    It is the same for every seed and half, so that all models of this recipe cut words alike.
    """
    people.rng.seed(_TOKENIZER_SEED)
    texts = []
    for _ in range(_TOKENIZER_ROWS):
        row = people.row(Shares(), pictured=9, texts=8)
        texts += [f"{row.system}\nUSER: {turn.question}\nASSISTANT: {turn.answer}" for turn in row.turns]
    rng, words = random.Random(f"tokenizer/{_TOKENIZER_SEED}"), common_words()
    return texts + [" ".join(rng.sample(words, 40)) for _ in range(400)]


def _see(network: Any, shop: Workshop, folder: Path, recipe: Recipe, report: Callable[[str], None]) -> int:
    """Train the vision tower, or read the trained one; returns the seconds it took."""
    tower = folder / "vision.safetensors"
    made_of = tower.with_suffix(".json")
    if not tower.exists():
        began = time.monotonic()
        parts = shop.vision_parts(keep_portraits=recipe.start is not None, keep_creatures=recipe.patients)
        train_vision(network, parts, options=recipe.vision, precision=_precision(recipe), report=report)
        write_json(made_of, {"seconds": round(time.monotonic() - began), "step": recipe.vision.steps, "tower": recipe.tower})
        _save(dict(parts_of(network).tower.state_dict()), tower)
    if read_json(made_of, remedy="remove the vision files").get("tower") != recipe.tower:
        raise ConfigError(f"{tower} was trained by another recipe; remove it and {made_of.name}, or choose another folder")
    parts_of(network).tower.load_state_dict(load_file(tower))
    return _seconds(tower)


@torch.no_grad()
def vision_features(network: Any, pixels: Tensor) -> Tensor:
    """What the projector sees of every picture, [n, tokens, width] of fp16."""
    network.eval()
    return torch.cat([tower_tokens(network, normalise(part)).half() for part in pixels.split(256)])


class _State:
    """Where a stage is: weights, optimisers and row counters, kept in a file from which a killed stage goes on."""

    def __init__(self, path: Path, network: Any, rows: Rows) -> None:
        self.path, self.network, self.rows = path, network, rows
        self.optimizers = make_optimizers(network)
        self.step, self._spent = 0, 0.0
        rows.people.copied = 0
        if path.exists():
            kept = torch.load(path, weights_only=True)
            _load(network, kept["network"])
            for optimizer, state in zip(self.optimizers, kept["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.step, self._spent, rows.people.copied = kept["step"], kept["seconds"], kept["copied"]
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time this stage took so far, interrupted work included up to its last saved state."""
        return self._spent + time.monotonic() - self._began

    def save(self, step: int) -> None:
        aside = self.path.with_suffix(".tmp")
        kept = {
            "step": step,
            "seconds": self.seconds,
            "copied": self.rows.people.copied,
            "network": _unshared(self.network),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        torch.save(kept, aside)
        aside.replace(self.path)


def _precision(recipe: Recipe) -> torch.dtype | None:
    return torch.bfloat16 if recipe.precision == "bfloat16" else None


def _unshared(network: Any) -> dict[str, Tensor]:
    """Weights without the tied copy of the embedding."""
    return {name: value.contiguous() for name, value in network.state_dict().items() if name != "lm_head.weight"}


def _load(network: Any, weights: Mapping[str, Tensor]) -> None:
    network.load_state_dict(weights, strict=False)
    network.tie_weights()


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    """The whole file or nothing."""
    aside = path.with_suffix(".tmp")
    save_file(dict(weights), aside)
    aside.replace(path)


def _seconds(stage: Path) -> int:
    """Time a finished stage took."""
    return int(read_json(stage.with_suffix(".json"), remedy=f"remove {stage.name} to train this stage again")["seconds"])


def export(network: Any, processor: Any, folder: Path) -> Path:
    """Write fp16 safetensors and the processor; plain transformers loads them."""
    network.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
