"""Text inside the page, compressed: what a reader may never choose to look at costs little."""

from __future__ import annotations

import base64
import gzip


def pack(text: str) -> str:
    """Text for an attribute `data-packed`; `page.js` unpacks it. The same text always gives the same packet."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def unpack(packet: str) -> str:
    """What was packed."""
    return gzip.decompress(base64.b64decode(packet)).decode()
