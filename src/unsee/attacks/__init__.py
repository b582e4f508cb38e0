"""Attacks by name: ways to get a deleted answer out of a model. A new one is a file here and a line below, or an entry point.

Packages add attacks by the entry point group `unsee.attacks`; each entry names an `Attack` subclass:

    [project.entry-points."unsee.attacks"]
    my_attack = "my_package.my_module:MyAttack"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unsee.attacks.base import Attack, Guesses, ReadToken, Record
from unsee.attacks.finetune_lens import FinetuneLens
from unsee.attacks.lens_head_projection import LensHeadProjection
from unsee.attacks.lens_prob_delta import LensProbDelta
from unsee.attacks.lens_prob_delta2 import LensProbDelta2
from unsee.attacks.rephrase_image import RephraseImage
from unsee.attacks.rephrase_multimodal import RephraseMultimodal
from unsee.attacks.rephrase_question import RephraseQuestion
from unsee.errors import ConfigError, nearest
from unsee.plugins import entries, subclass_of
from unsee.settings import build

if TYPE_CHECKING:
    from unsee.attacks.running import Attacked, attack, attack_all, attack_rows

__all__ = ["Attack", "Attacked", "Guesses", "ReadToken", "Record", "attack", "attack_all", "attack_names", "attack_rows"]
__all__ += ["load_attack"]

GROUP = "unsee.attacks"
BUILT_IN: tuple[type[Attack], ...] = (
    LensHeadProjection,
    LensProbDelta,
    LensProbDelta2,
    FinetuneLens,
    RephraseQuestion,
    RephraseImage,
    RephraseMultimodal,
)


def attack_names() -> tuple[str, ...]:
    """Names of all attacks, built-in ones first; packages are not imported for it."""
    return tuple(dict.fromkeys([*(made.name for made in BUILT_IN), *(entry.name for entry in entries(GROUP))]))


def attack_name(entry: str) -> str:
    """`rephrase-question:easy` -> `rephrase_question`."""
    return entry.partition(":")[0].replace("-", "_")


def load_attack(name: str, **options: Any) -> Attack:
    """An attack by name, `-` and `_` alike, with its options; `rephrase_question:easy` is short for `level="easy"`.

    Raises:
        ConfigError: unknown name or option (the nearest is offered), or a value of the wrong type.
    """
    wanted, level = attack_name(name), name.partition(":")[2]
    if level:
        options = {"level": level, **options}
    for made in BUILT_IN:
        if made.name == wanted:
            return build(made, options, where=wanted)
    for entry in entries(GROUP):
        if entry.name == wanted:
            return build(subclass_of(Attack, entry), options, where=wanted)
    raise ConfigError(f"there is no attack {name!r}; {nearest(wanted, attack_names())}")


def __getattr__(name: str) -> Any:
    """What runs attacks is loaded when it is first used, because its name and its table are heavy (PEP 562)."""
    if name not in ("Attacked", "attack", "attack_all", "attack_rows"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unsee.attacks import running

    return getattr(running, name)
