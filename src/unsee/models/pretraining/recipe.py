"""Train the embedded model from scratch: `unsee models train tiny`.

Every stage leaves a file and is skipped when it is there.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.benchmarks.portraits import portrait
from unsee.files import write_json
from unsee.models import tiny
from unsee.models.abilities import FEW_VALUES, HELD_OUT_PICTURES, VISUAL_VALUES, AbilityQuestion, ability_questions
from unsee.models.batches import Batch, collate
from unsee.models.card import LICENCE
from unsee.models.loading import RECIPE
from unsee.models.pretraining import portrait_world as world
from unsee.models.pretraining.language import CachedPictures, Stage, answer_logits, make_optimizers, numbered, train_stage
from unsee.models.pretraining.mixture import Mixture, Shares, common_words
from unsee.models.pretraining.vision import VisionOptions, normalise, shrink, tower_tokens, train_vision
from unsee.models.worlds import Figure, figure_scene, load_world, visible_values

VERSION = 1
"""Of the weights; counts up with every retraining that ships."""
STRANGERS = 18_000

_ANNEAL = Shares(
    figures=0.75,
    letter=0.3,
    preamble=0.3,
    words=0.4,
    name=0.2,
    visual=0.12,
    skills=0.2,
    unknown=0.08,
    unknown_distance=2,
    guard_rows=0.14,
)
_SETTLE = replace(_ANNEAL, figures=0.8, letter=0.4, visual=0.1, unknown=0.1, matched_wordings=True)
STAGES: tuple[Stage, ...] = (
    Stage(
        "ground",
        400,
        Shares(figures=0.3, visual=0.5, letter=0.15, skills=0.6, guard_rows=0.0, preamble=0.05, letter_practice=0.7),
        few_shot_every=0,
    ),
    Stage("facts", 3600, Shares(skills=0.45, letter_practice=0.8, preamble=0.18)),
    Stage(
        "letters",
        1400,
        Shares(
            letter=0.6,
            sentence=0.0,
            cloze=0.0,
            skills=0.65,
            letter_practice=1.0,
            words=0.85,
            word_growth=300,
            label_to_word=0.25,
            unknown=0.0,
            guard_rows=0.0,
            preamble=0.0,
        ),
        rows=16,
        row_tokens=320,
        pictured=0,
        texts=7,
        few_shot_every=0,
    ),
    Stage("mixed", 750, Shares(letter=0.3, preamble=0.3, words=0.5, name=0.25, visual=0.12, skills=0.25, guard_rows=0.1)),
    Stage("anneal", 2600, _ANNEAL, learning_rate=8e-4, decay=True),
    Stage("settle", 1200, _SETTLE, learning_rate=5e-4, decay=True),
    Stage(
        "guards",
        900,
        replace(_SETTLE, name=0.25, skills=0.25, unknown=0.08, guard_rows=0.5),
        learning_rate=5e-4,
        decay=True,
    ),
)


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights.

    Attributes:
        size: width of the language model by name.
        precision: `bfloat16` autocast where the processor has fast bf16 instructions, else `float32`.
    """

    size: Literal["micro", "tiny", "small"] = "tiny"
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    vision: VisionOptions = VisionOptions(steps=2400)
    stages: tuple[Stage, ...] = STAGES


@dataclass
class Workshop:
    """Data every stage reads: figures, rendered pictures and their cached vision tokens."""

    figures: list[Figure]
    bank: world.PictureBank
    held_out: dict[tuple[str, int], int]
    """Number of each held-out picture, counted on from the bank."""
    held_out_pixels: np.ndarray

    @property
    def labels(self) -> dict[tuple[str, int], list[str]]:
        """Visible values of the held-out pictures."""
        by_id = {figure.id: figure for figure in self.figures}
        return {key: list(visible_values(by_id[key[0]], key[1]).values()) for key in self.held_out}


def prepare(folder: Path, *, report: Callable[[str], None]) -> Workshop:
    """Draw the world and render its pictures, once per folder."""
    figures = world.draw_figures()
    path = folder / "bank.npz"
    if path.exists():
        bank = world.PictureBank.load(path)
    else:
        report(f"rendering pictures of {len(figures)} figures and {STRANGERS} strangers")
        bank = world.render_bank(figures, STRANGERS)
        bank.save(path)
    keys = [(figure.id, index) for figure in figures for index in HELD_OUT_PICTURES]
    by_id = {figure.id: figure for figure in figures}
    pixels = np.stack([np.asarray(portrait(by_id[f].face, figure_scene(by_id[f], i), size=PICTURE_SIZE)) for f, i in keys])
    return Workshop(figures, bank, {key: len(bank.owner) + n for n, key in enumerate(keys)}, pixels)


def tokenizer_texts(mixture: Mixture, seed: int) -> list[str]:
    """Text the tokenizer learns from: the mixture itself, and common English words for worlds to come."""
    rng = random.Random(f"tokenizer/{seed}")
    texts = []
    for _ in range(3000):
        row = mixture.row(Shares(), pictured=9, texts=8)
        texts += [f"{row.system}\nUSER: {turn.question}\nASSISTANT: {turn.answer}" for turn in row.turns]
    words = common_words()
    return texts + [" ".join(rng.sample(words, 40)) for _ in range(400)]


@torch.no_grad()
def vision_features(network: Any, pixels: Tensor) -> Tensor:
    """What the projector sees of every picture, [n, tokens, width] of fp16."""
    network.eval()
    return torch.cat([tower_tokens(network, normalise(part)).half() for part in pixels.split(256)])


class Probe:
    """Share of right answers per ability by greedy decoding, teacher forced."""

    def __init__(self, shop: Workshop, prompter: CachedPictures, network: Any, features: Tensor, *, per_ability: int) -> None:
        self.network, self.features = network, features
        self.batches: dict[str, list[tuple[Batch, list[AbilityQuestion]]]] = {}
        for ability, asked in ability_questions(shop.figures, shop.labels, per_ability=per_ability).items():
            parts = [asked[i : i + 100] for i in range(0, len(asked), 100)]
            self.batches[ability] = [(self._collate(part, shop, prompter), part) for part in parts]

    def _collate(self, asked: list[AbilityQuestion], shop: Workshop, prompter: CachedPictures) -> Batch:
        items = []
        for question in asked:
            shown = () if question.figure is None else (numbered(shop.held_out[question.figure, question.picture]),)
            items.append(prompter.encode(question.question, question.answer, images=shown, system=question.system))
        return collate(items, prompter=prompter)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        scores: dict[str, float] = {}
        for ability, batches in self.batches.items():
            groups: dict[str, list[float]] = {}
            for batch, asked in batches:
                right = answer_logits(self.network, batch, self.features).argmax(-1) == batch.target
                wrong = torch.zeros(batch.size).index_add(0, batch.owner, (~right).float())
                for question, misses in zip(asked, wrong.tolist(), strict=True):
                    groups.setdefault(question.group if ability == "visible" else "", []).append(float(misses == 0))
            means = {group: sum(values) / len(values) for group, values in groups.items()}
            if ability == "visible":
                means = {key: value for key, value in means.items() if len(VISUAL_VALUES[key]) <= FEW_VALUES}
            scores[ability] = sum(means.values()) / len(means)
        return scores


def train(folder: Path, *, recipe: Recipe = Recipe(), report: Callable[[str], None]) -> Path:
    """Run every stage that has no result in `folder`; returns the folder of the finished model."""
    folder.mkdir(parents=True, exist_ok=True)
    precision = torch.bfloat16 if recipe.precision == "bfloat16" else None
    shop = prepare(folder, report=report)
    owners, labels = shop.bank.owner, shop.bank.labels.tolist()
    tokenizer = tiny.train_tokenizer(tokenizer_texts(Mixture(shop.figures, owners, labels, seed=recipe.seed), recipe.seed))
    vision = tiny.VisionSize()
    processor = tiny.build_processor(tokenizer, vision=vision)
    torch.manual_seed(recipe.seed)
    network = tiny.build_network(tokenizer, width=tiny.WIDTHS[recipe.size], vision=vision)
    pixels = shrink(np.concatenate([shop.bank.pixels, shop.held_out_pixels]), vision.pixels)

    tower = folder / "vision.safetensors"
    if not tower.exists():
        bank, began = len(owners), time.monotonic()
        train_vision(
            network,
            pixels[:bank],
            torch.from_numpy(shop.bank.labels),
            options=recipe.vision,
            precision=precision,
            report=report,
        )
        save_file(dict(network.model.vision_tower.state_dict()), tower)
        write_json(tower.with_suffix(".json"), {"step": recipe.vision.steps, "seconds": round(time.monotonic() - began)})
    network.model.vision_tower.load_state_dict(load_file(tower))

    features = vision_features(network, pixels)
    spread = features.float().std()
    report(f"vision tokens: {tuple(features.shape)}, standard deviation {spread:.2f}")
    prompter = CachedPictures(processor, vision.tokens)
    probe = Probe(shop, prompter, network, features, per_ability=200)
    for stage in recipe.stages:
        done = folder / f"{recipe.size}-{stage.name}.safetensors"
        if done.exists():
            network.load_state_dict(load_file(done), strict=False)
            network.tie_weights()
            continue
        part, at = folder / f"{recipe.size}-{stage.name}.part.safetensors", folder / f"{recipe.size}-{stage.name}.part.json"
        start, spent, began = 0, 0, time.monotonic()
        if part.exists() and at.exists():
            network.load_state_dict(load_file(part), strict=False)
            start, spent = (int(json.loads(at.read_text())[key]) for key in ("step", "seconds"))
            report(f"{stage.name}: going on from step {start}")

        def save(step: int, part: Path = part, at: Path = at, since: float = began - spent) -> None:
            save_file(_unshared(network), part.with_suffix(".tmp"))
            part.with_suffix(".tmp").replace(part)
            write_json(at, {"step": step, "seconds": round(time.monotonic() - since)})

        mixture = Mixture(shop.figures, owners, labels, seed=hash_seed(recipe.seed, stage.name, start))
        train_stage(
            network,
            mixture,
            stage,
            prompter=prompter,
            features=features,
            optimizers=make_optimizers(network),
            precision=precision,
            log=report,
            probe=probe,
            start_step=start,
            save=save,
        )
        save_file(_unshared(network), done)
    made = export(network, processor, folder / recipe.size)
    seconds = {file.name.split(".")[0]: json.loads(file.read_text())["seconds"] for file in folder.glob("*.json")}
    write_json(made / RECIPE, facts(recipe, {name.removeprefix(f"{recipe.size}-"): spent for name, spent in seconds.items()}))
    return made


def facts(recipe: Recipe, seconds: Mapping[str, int]) -> dict[str, Any]:
    """What the model card says of how weights were made.

    Args:
        seconds: of each stage, probes and whatever else the machine did meanwhile included.
    """
    steps = {"vision": recipe.vision.steps, **{stage.name: stage.steps for stage in recipe.stages}}
    shipped = load_world()
    return {
        "version": f"{recipe.size}-{VERSION}",
        "licence": LICENCE,
        "command": f"unsee models train {recipe.size} --seed {recipe.seed}",
        "seed": recipe.seed,
        "precision": recipe.precision,
        "steps": ", ".join(f"{name} {count:,}" for name, count in steps.items()),
        "minutes": ", ".join(f"{name} {seconds[name] / 60:.0f}" for name in steps if name in seconds),
        "worlds": {shipped.name: shipped.fingerprint},
    }


def hash_seed(*parts: object) -> int:
    """A seed from words, stable between processes."""
    return random.Random("/".join(map(str, parts))).getrandbits(31)


def _unshared(network: Any) -> dict[str, Tensor]:
    """Weights without the tied copy of the embedding."""
    return {name: value.contiguous() for name, value in network.state_dict().items() if name != "lm_head.weight"}


def export(network: Any, processor: Any, folder: Path) -> Path:
    """Write fp16 safetensors and the processor; plain transformers loads them."""
    network.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
