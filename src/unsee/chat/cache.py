"""What a model said, kept by content in a file of lines that a kill cannot spoil."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from unsee.chat.client import Reply
from unsee.files import make_folder


class ReplyCache:
    """Replies by the hash of their request.

    Every reply is one line, appended in one write and flushed to disk; a line that a kill cut short is passed over when the
    file is read and asked again. Only replies that came are kept: a question nobody answered is asked again next time.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Args:
        path: the file, made when the first reply comes; None keeps replies in memory only.
        """
        self.path = path
        self._replies: dict[str, Reply] = {}
        self._stream: int | None = None
        if path is not None and path.is_file():
            for line in path.read_bytes().split(b"\n"):
                self._read(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        return self._replies.get(key)

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply; one without a text is not kept."""
        if reply.text is None:
            return
        self._replies[key] = reply
        if self.path is None:
            return
        if self._stream is None:
            make_folder(self.path.parent)
            self._stream = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(self._stream).st_size
            if size and os.pread(self._stream, 1, size - 1) != b"\n":
                os.write(self._stream, b"\n")  # ends the line that a kill cut short
        line = json.dumps({"key": key, "text": reply.text, "refused": reply.refused}) + "\n"
        os.write(self._stream, line.encode())
        os.fsync(self._stream)

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._replies[str(row["key"])] = Reply(str(row["text"]), bool(row["refused"]))
        except (ValueError, KeyError, TypeError):
            return
