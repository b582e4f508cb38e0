"""A method with everything its run needs: hyper-parameters, training options and stop rule, from one table of settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from unsee.errors import ConfigError, nearest
from unsee.memory_options import MemoryOptions
from unsee.methods import load_method, method_class, method_names
from unsee.methods.base import Method
from unsee.models.loading import recipe_name
from unsee.settings import build, plain
from unsee.stopping import StopRule
from unsee.training_options import TrainOptions

CONTROLS = ("vanilla", "gold", "do_nothing", "prompt_guard")
_OFFICIAL = "_official"
_SET_BY_RUN = ("seed", "loss_mask", *(item.name for item in fields(MemoryOptions)))
_TWINS = {"tiny-b": "tiny-a", "tiny-patients": "tiny"}
"""Models of one shape, and the one whose settings serve where none were searched for a model itself."""


@dataclass(frozen=True)
class MethodPlan:
    """A method, how it is trained and when it stops."""

    method: Method
    options: TrainOptions
    stop: StopRule

    def settings(self) -> dict[str, Any]:
        """All settings as one flat table of plain values."""
        own = {"variant": self.method.variant, **plain(self.method)}
        if self.method.name in CONTROLS:
            return own
        training = {key: value for key, value in plain(self.options).items() if key not in _SET_BY_RUN}
        return {**training, **plain(self.stop), **own}


def method_plan(entry: str, settings: Mapping[str, Any], *, model: str = "") -> MethodPlan:
    """A method from a flat table: its own fields, those of `TrainOptions` and `StopRule`, and `variant`.

    What the table does not say comes from the settings tuned for the model (see `tuned`), then from what the method itself
    trains with (`Method.training`), then from the dataclasses.

    Args:
        entry: the method's name; `<name>_official` is the published variant.
        model: name of the model to be changed, for tuned settings.

    Raises:
        ConfigError: an unknown method, key or value; names the nearest valid one.
    """
    name, variant = split_variant(entry)
    settings = dict(settings)
    variant = settings.pop("variant", variant)
    if not isinstance(variant, str):
        raise ConfigError(f"method.{entry}.variant = {variant!r} must be text; use corrected or official")
    made = method_class(name, variant=variant)
    own = [item.name for item in fields(made) if item.init]
    trained = name not in CONTROLS
    training = [item.name for item in fields(TrainOptions) if trained and item.name not in (*_SET_BY_RUN, *own)]
    stopping = [item.name for item in fields(StopRule) if trained and item.name not in own]
    for key in settings:
        if key in _SET_BY_RUN and key not in own:
            where = "seeds" if key == "seed" else f"unlearn.{key}"
            raise ConfigError(f"method.{entry}.{key} cannot be set for one method; use {where}")
        if key not in (*own, *training, *stopping):
            raise ConfigError(f"unknown key 'method.{entry}.{key}'; {nearest(key, ['variant', *own, *training, *stopping])}")
    settings = {**made.training, **(tuned(model, name) if variant == "corrected" else {}), **settings}

    def part(keys: list[str]) -> dict[str, Any]:
        return {key: value for key, value in settings.items() if key in keys}

    return MethodPlan(
        method=load_method(name, variant, **{key: None if value == "none" else value for key, value in part(own).items()}),
        options=build(TrainOptions, part(training), where=f"method.{entry}"),
        stop=build(StopRule, part(stopping), where=f"method.{entry}"),
    )


def split_variant(entry: str) -> tuple[str, str]:
    """`npo_official` -> ("npo", "official"), `npo` -> ("npo", "corrected")."""
    if entry.endswith(_OFFICIAL) and entry not in method_names():
        return entry.removesuffix(_OFFICIAL), "official"
    return entry, "corrected"


@cache
def _tuned_tables() -> dict[str, Any]:
    return tomllib.loads(files("unsee").joinpath("tuned.toml").read_text())


def tuned(model: str, method: str) -> Mapping[str, Any]:
    """Settings found for a model, or for one trained like it, by the recorded search; empty where none was made."""
    name, tables = recipe_name(model), _tuned_tables()
    searched = (tables.get(one, {}).get(method) for one in (name, _TWINS.get(name, name)))
    return next((found for found in searched if found is not None), {})
