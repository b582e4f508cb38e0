"""Unlearning methods and controls by name. A new one is a file here and a line below, or an entry point elsewhere.

Packages add methods by the entry point group `unsee.methods`; each entry names a `Method` subclass:

    [project.entry-points."unsee.methods"]
    my_method = "my_package.my_module:MyMethod"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from inspect import get_annotations
from typing import Any, get_type_hints

from unsee.errors import ConfigError, nearest
from unsee.methods.base import Method
from unsee.methods.correction import Correction
from unsee.methods.do_nothing import DoNothing
from unsee.methods.empty_response import EmptyResponse, EmptyResponseOfficial
from unsee.methods.error_injection import ErrorInjection, ErrorInjectionOfficial
from unsee.methods.fact_erasure import FactErasure
from unsee.methods.finetune import FineTune
from unsee.methods.ga import GradientAscent, GradientAscentOfficial
from unsee.methods.graddiff import GradientDifference, GradientDifferenceOfficial
from unsee.methods.head_projection import HeadProjection, HeadProjectionOfficial
from unsee.methods.idk import IDK
from unsee.methods.input_rephrasing import InputRephrasing, InputRephrasingOfficial
from unsee.methods.kl import KLMinimisation, KLMinimisationOfficial
from unsee.methods.llmu import LLMU
from unsee.methods.max_entropy import MaxEntropy, MaxEntropyOfficial
from unsee.methods.npo import NPO, NPOOfficial
from unsee.methods.prompt_guard import PromptGuard
from unsee.methods.scope import Scope
from unsee.plugins import entries, subclass_of
from unsee.settings import convert

__all__ = ["Method", "Scope", "acts_while_answering", "described", "from_description", "load_method", "method_class"]
__all__ += ["method_names"]

GROUP = "unsee.methods"
BUILT_IN: tuple[type[Method], ...] = (
    GradientAscent,
    GradientAscentOfficial,
    GradientDifference,
    GradientDifferenceOfficial,
    KLMinimisation,
    KLMinimisationOfficial,
    NPO,
    NPOOfficial,
    IDK,
    LLMU,
    Correction,
    FineTune,
    DoNothing,
    PromptGuard,
    FactErasure,
    EmptyResponse,
    EmptyResponseOfficial,
    ErrorInjection,
    ErrorInjectionOfficial,
    HeadProjection,
    HeadProjectionOfficial,
    MaxEntropy,
    MaxEntropyOfficial,
    InputRephrasing,
    InputRephrasingOfficial,
)


def method_names() -> tuple[str, ...]:
    """Names of all methods, built-in ones first; packages are not imported for it."""
    return tuple(dict.fromkeys([*(made.name for made in BUILT_IN), *(entry.name for entry in entries(GROUP))]))


def method_class(name: str, *, variant: str = "corrected") -> type[Method]:
    """The class behind a name.

    Raises:
        ConfigError: no such method or variant (the nearest name is offered), or its package cannot be imported.
    """
    wanted = name.replace("-", "_")
    if wanted not in method_names():
        raise ConfigError(f"there is no method {name!r}; {nearest(wanted, method_names())}")
    found = [made for made in BUILT_IN if made.name == wanted]
    found += [subclass_of(Method, entry) for entry in entries(GROUP) if entry.name == wanted]
    for made in found:
        if made.variant == variant:
            return made
    raise ConfigError(f"method {wanted} has no variant {variant!r}; {nearest(variant, [made.variant for made in found])}")


def load_method(name: str, variant: str = "corrected", **options: Any) -> Method:
    """A method by name, `-` and `_` alike, with its hyper-parameters.

    Raises:
        ConfigError: unknown name, variant or option (the nearest is offered), or a value of the wrong type.
    """
    made = method_class(name, variant=variant)
    known = [field.name for field in fields(made) if field.init]
    checked = {}
    for key, value in options.items():
        if key not in known:
            raise ConfigError(
                f"method {made.name} has no option {key!r}; {nearest(key, known) if known else 'it takes no options'}"
            )
        checked[key] = convert(_annotation(made, key), value, f"{made.name}.{key}")
    return made(**checked)


def acts_while_answering(method: Method) -> bool:
    """Whether the method changes how the model answers, so that weights alone do not carry it."""
    return type(method).answering is not Method.answering


def described(method: Method) -> dict[str, Any]:
    """What `method.json` holds: name, variant and options."""
    return {"method": method.name, "variant": method.variant, "options": asdict(method)}


def from_description(description: Mapping[str, Any]) -> Method:
    """The method that `described` wrote down."""
    missing = [key for key in ("method", "variant", "options") if key not in description]
    if missing:
        raise ConfigError(f"method.json lacks {', '.join(missing)}; save the model again")
    name, variant, options = (description[key] for key in ("method", "variant", "options"))
    if not (isinstance(name, str) and isinstance(variant, str) and isinstance(options, Mapping)):
        raise ConfigError("method.json must hold method and variant as text and options as an object; save the model again")
    return load_method(name, variant, **options)


def _annotation(made: type[Method], key: str) -> Any:
    """The evaluated type of one field; others may name types that exist for type checkers only."""
    owner = next(parent for parent in made.__mro__ if key in get_annotations(parent))
    alone = type("Alone", (), {"__annotations__": {key: get_annotations(owner)[key]}, "__module__": owner.__module__})
    return get_type_hints(alone)[key]
