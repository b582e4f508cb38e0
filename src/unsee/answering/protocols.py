"""The protocols that are asked for by name."""

from __future__ import annotations

from unsee.answering.lens import LENS
from unsee.answering.official import OFFICIAL
from unsee.answering.strict import STRICT
from unsee.answering.views import Protocol
from unsee.errors import ConfigError, nearest

KNOWN = {protocol.name: protocol for protocol in (STRICT, OFFICIAL, LENS)}


def load_protocol(name: str | Protocol) -> Protocol:
    """A protocol by name, or itself.

    Raises:
        ConfigError: no such protocol.
    """
    if isinstance(name, Protocol):
        return name
    if name not in KNOWN:
        raise ConfigError(f"no protocol is called {name!r}; {nearest(name, list(KNOWN))}")
    return KNOWN[name]
