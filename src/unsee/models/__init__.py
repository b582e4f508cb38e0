"""Networks with their processors: loading, prompts, packed batches, LoRA scopes, checkpoints and the embedded model.

Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsee.models.loading import load_model
    from unsee.models.model import Model

__all__ = ["Model", "load_model"]

_HOMES = {"Model": "unsee.models.model", "load_model": "unsee.models.loading"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
