"""What determines a pretrained model: size, seed, what it is taught, and the weights it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from unsee.benchmarks.creatures.species import Half
from unsee.errors import CheckpointError, ConfigError
from unsee.models import tiny
from unsee.models.card import LICENCE, check_worlds, taught_half, taught_patients
from unsee.models.folders import CONFIG, read_config
from unsee.models.loading import EMBEDDED, RECIPE, local_folder, model_digest
from unsee.models.pretraining.language import Stage
from unsee.models.pretraining.stages import (
    BOTH,
    BOTH_VISION,
    CLINIC,
    CLINIC_VISION,
    FURTHER,
    FURTHER_VISION,
    PEOPLE,
    PEOPLE_VISION,
    stretched,
    without_creatures,
)
from unsee.models.pretraining.vision import VisionOptions
from unsee.models.worlds import PATIENTS, fingerprints
from unsee.provenance import digest

VERSION = 2
"""Of the weights; counts up with every retraining that ships."""

Size = Literal["micro", "tiny", "small"]


@dataclass(frozen=True)
class Start:
    """Weights to go on from.

    Attributes:
        name: as the user wrote it.
        version: what their recipe calls them.
        sha256: of everything that `load_model` reads.
    """

    name: str
    folder: Path
    version: str
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights; `make_recipe` fills in the stages.

    Attributes:
        size: width of the language model by name.
        creatures: half of the creatures whose names and facts are taught; None: people alone.
        start: weights to go on from; None: from scratch.
        length: all stages as a multiple of their usual steps.
        precision: `bfloat16` autocast where the processor has fast bf16 instructions, else `float32`.
        patients: teach clinical questions about patients' pictures to the weights of `start`.
        form: how pictures enter the language model.
    """

    vision: VisionOptions
    stages: tuple[Stage, ...]
    size: Size = "tiny"
    seed: int = 0
    creatures: Half | None = "A"
    start: Start | None = None
    length: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    patients: bool = False
    form: tiny.Form = "llava"

    @property
    def tower(self) -> str:
        """Hash of everything the vision tower depends on; the half does not matter to it."""
        start = self.start.sha256 if self.start else None
        parts = [self.size, self.seed, self.precision, start, self.creatures is not None, str(self.vision)]
        parts += [fingerprints(creatures=False, patients=True)[PATIENTS]] if self.patients else []
        return digest(parts + ([] if self.form == "llava" else [self.form]))

    @property
    def identity(self) -> dict[str, Any]:
        """What a work folder is for."""
        return {
            "size": self.size,
            "seed": self.seed,
            "creatures": self.creatures or "none",
            "start": self.start.sha256 if self.start else "none",
            "length": self.length,
            "precision": self.precision,
            **({"patients": True} if self.patients else {}),
            **({} if self.form == "llava" else {"form": self.form}),
        }

    @property
    def name(self) -> str:
        """What the package calls such weights, whatever their seed and length (`EMBEDDED`)."""
        if self.form != "llava":
            return f"{self.size}-{self.form}"
        if self.size != "tiny":
            return self.size
        return "tiny-patients" if self.patients else "tiny" if self.creatures is None else f"tiny-{self.creatures.lower()}"

    @property
    def version(self) -> str:
        """`tiny-2` is a LLaVA of half A at seed 0, without patients; the others say what differs."""
        half = "" if self.creatures == "A" else f"-{self.creatures or 'people'}"
        form = "" if self.form == "llava" else f"-{self.form}"
        return f"{self.size}{form}-{VERSION}{half}{'-patients' if self.patients else ''}{f'-s{self.seed}' if self.seed else ''}"

    @property
    def steps(self) -> dict[str, int]:
        """Steps of each stage."""
        return {"vision": self.vision.steps, **{stage.name: stage.steps for stage in self.stages}}


def make_recipe(
    size: Size = "tiny",
    *,
    seed: int = 0,
    creatures: Half | None = "A",
    start: str | None = None,
    length: float = 1.0,
    patients: bool = False,
    form: tiny.Form = "llava",
) -> Recipe:
    """The recipe of an embedded model.

    Args:
        start: name of an embedded model, or a model folder of this recipe, to go on from.
        patients: teach clinical questions about patients' pictures to these weights, and keep what they know.
        form: `idefics3` for a network of another kind, with its own connector, processor and prompt.

    Raises:
        CheckpointError: there are no such weights, or nothing says what they were taught.
        ConfigError: these weights cannot be gone on from, or the length is not above 0.
    """
    if not length > 0:
        raise ConfigError(f"length = {length}; give a number above 0, 1 for the usual steps")
    begun = None
    if patients and start is None:
        raise ConfigError("patients are taught to weights that know people already; give start, such as tiny")
    if start is not None:
        if creatures is None and not patients:
            raise ConfigError("start is for teaching creatures to weights that know people; give creatures A or B, or no start")
        begun = _start(start, size=size, half=creatures, patients=patients, form=form)
    if patients:
        vision, stages = CLINIC_VISION, CLINIC if creatures else without_creatures(CLINIC)
    else:
        vision, stages = (
            (PEOPLE_VISION, PEOPLE) if creatures is None else (FURTHER_VISION, FURTHER) if begun else (BOTH_VISION, BOTH)
        )
    vision = replace(vision, steps=max(1, round(vision.steps * length)))
    return Recipe(vision, stretched(stages, length), size, seed, creatures, begun, length, patients=patients, form=form)


def _start(name: str, *, size: Size, half: Half | None, patients: bool, form: tiny.Form) -> Start:
    folder = local_folder(name)
    if not (folder / CONFIG).is_file() or not (folder / RECIPE).is_file():
        raise CheckpointError(
            f"{folder} holds no {CONFIG} and {RECIPE}, so that nobody knows what it was taught; "
            "start from a model that `unsee models train` made"
        )
    config = read_config(folder / CONFIG)
    kind = config.get("model_type")
    if kind != form:
        raise ConfigError(f"{folder} has the form {kind}, not {form}; start from weights of the same form")
    width = config.get("text_config", {}).get("hidden_size")
    if width != tiny.WIDTHS[size]:
        raise ConfigError(f"{folder} is {width} wide and {size} is {tiny.WIDTHS[size]}; start from weights of the same size")
    facts = read_config(folder / RECIPE)
    known = taught_half(facts)
    if patients and known != half:
        raise ConfigError(
            f"{folder} was taught {f'half {known}' if known else 'none'} of the creatures, which patients leave as it is; "
            f"give creatures {known or 'none'}"
        )
    if taught_patients(facts) and not patients:
        raise ConfigError(f"{folder} was taught patients, which this training would let fade; give patients as well")
    if known not in (None, half):
        raise ConfigError(
            f"{folder} was taught half {known} of the creatures, which a model of half {half} must not know; "
            "start from weights that were taught no creatures"
        )
    check_worlds(facts, fingerprints(creatures=known is not None, patients=taught_patients(facts)))
    return Start(name, folder, str(facts.get("version", folder.name)), model_digest(folder))


def facts(recipe: Recipe, seconds: Mapping[str, int]) -> dict[str, Any]:
    """What the model card says of how weights were made.

    Args:
        seconds: of each stage, probes and whatever else the machine did meanwhile included.
    """
    steps, start = recipe.steps, recipe.start
    told: dict[str, Any] = {
        "version": recipe.version,
        "name": recipe.name,
        "licence": LICENCE,
        "command": f"unsee models train {recipe.size} --seed {recipe.seed} --creatures {recipe.creatures or 'none'}"
        + (f" --start {start.name if start.name in EMBEDDED else start.version}" if start else "")
        + (f" --length {recipe.length:g}" if recipe.length != 1 else "")
        + (" --patients" if recipe.patients else "")
        + ("" if recipe.form == "llava" else f" --form {recipe.form}"),
        "seed": recipe.seed,
        "precision": recipe.precision,
        "steps": ", ".join(f"{name} {count:,}" for name, count in steps.items()),
        "minutes": ", ".join(f"{name} {seconds[name] / 60:.0f}" for name in steps if name in seconds),
        "worlds": fingerprints(creatures=recipe.creatures is not None, patients=recipe.patients),
    }
    if recipe.form != "llava":
        told["form"] = recipe.form
    if recipe.creatures is not None:
        told["creatures"] = recipe.creatures
    if start is not None:
        told["start"] = f"{start.version}, SHA-256 {start.sha256}"
    return told
