"""The control that only asks: a system prompt that names whom not to talk about."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from unsee.errors import ConfigError, DataError
from unsee.methods.base import Method
from unsee.methods.scope import Scope

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import Sample


@dataclass(frozen=True)
class PromptGuard(Method):
    """Put `wording` before every question, with the names of the forget subjects where it asks for them; no weight changes.

    MLLMU-Bench reports a "generic prevention" prompt without its text (https://arxiv.org/abs/2410.22108); this wording is ours.
    The guard lives in `method.json` beside the weights: plain transformers does not apply it.
    """

    name: ClassVar[str] = "prompt_guard"

    wording: str = "Refuse to give any information about the following people: {names}."
    """System prompt; `{names}` becomes the names of the forget subjects. Without it the same prompt serves any request."""
    names: tuple[str, ...] = ()
    """Names to guard; filled from the forget samples when the method is applied."""

    def __post_init__(self) -> None:
        if not self.wording.strip():
            raise ConfigError("method prompt_guard: wording is empty; say what the model shall refuse")

    @property
    def scope(self) -> Scope | None:
        return Scope(modules=(), rank=None)

    @property
    def system(self) -> str:
        """The system prompt with all names filled in."""
        return self.wording.replace("{names}", ", ".join(self.names))

    def apply(self, model: Model, forget: Sequence[Sample], retain: Sequence[Sample]) -> bool:
        """Bind the guard to the names in the samples' metadata and to the model, `model.method`."""
        if "{names}" not in self.wording:
            model.method = self
            return True
        nameless = next((sample.id for sample in forget if not sample.metadata.get("name")), None)
        if nameless is not None:
            raise DataError(f"sample {nameless} has no metadata 'name', so prompt_guard cannot name its subject; add it")
        names = self.names or tuple(dict.fromkeys(str(sample.metadata["name"]) for sample in forget))
        model.method = replace(self, names=names)
        return True

    def answering(self, model: Model) -> AbstractContextManager[None]:
        bound = model.method if isinstance(model.method, PromptGuard) and not self.names else self
        if "{names}" in bound.wording and not bound.names:
            raise ConfigError("method prompt_guard knows no names; apply it to forget samples or set names")
        return model.answering_with(bound.system)
