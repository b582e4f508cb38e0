"""What people decided about variants: one decision a line, in a file that a kill cannot spoil.

A line is `{"item", "annotator", "verdict", "reason", "seconds", "time", "extension"}`. A verdict of null withdraws an earlier
one. Lines are only ever added, and the latest of an annotator about a variant counts.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from unsee.benchmarks.extended.files import plain
from unsee.benchmarks.extended.variants import Extension
from unsee.errors import DataError
from unsee.printable import half_character
from unsee.provenance import digest

Verdict = Literal["keep", "reject", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

REASONS: Mapping[str, str] = {
    "other_answer": "the right answer is another one",
    "same_answer": "a neighbour with the answer that is to be deleted",
    "wrong_answer": "the neighbour's answer is wrong",
    "gives_away": "gives the answer away",
    "unclear": "cannot be understood or answered",
    "unnatural": "garbled, cut off or full of artefacts",
    "wrong_grade": "easier or harder than its grade",
    "duplicate": "too much like another variant",
}
"""Reasons that a key stands for; a reason in an annotator's own words may be anything else."""

LONGEST_NAME, LONGEST_REASON = 100, 2_000
_START = b'{"item":'


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one annotator says about one variant.

    Attributes:
        item: id of the variant.
        annotator: who decided.
        verdict: None withdraws an earlier one.
        reason: a key of `REASONS`, own words, or "".
        seconds: how long the variant was looked at.
        time: when, in ISO 8601 with a time zone.
        extension: `extension_digest` of what was reviewed.
        where: file and line it was read from, for messages.
    """

    item: str
    annotator: str
    verdict: Verdict | None
    reason: str = ""
    seconds: float = 0.0
    time: str
    extension: str
    where: str = field(default="", compare=False)

    @property
    def line(self) -> str:
        """The decision as a line of a file; ASCII, so that a cut never falls inside a letter."""
        return json.dumps({key: value for key, value in vars(self).items() if key != "where"}) + "\n"


_KEYS = tuple(item.name for item in fields(Decision) if item.name != "where")


def extension_digest(extension: Extension) -> str:
    """SHA-256 over facts and variants, pictures included: decisions about other ones do not fit."""
    return digest({"facts": list(map(plain, extension.facts)), "variants": list(map(plain, extension.variants))})


def decision_of(value: Any, *, where: str) -> Decision:
    """A decision from JSON.

    Raises:
        DataError: a key is missing, unknown or of the wrong kind; says where and which.
    """
    if not isinstance(value, dict) or set(value) != set(_KEYS):
        raise DataError(f"{where} is no decision; its keys must be {', '.join(_KEYS)}")
    longest = {"item": None, "annotator": LONGEST_NAME, "reason": LONGEST_REASON, "time": LONGEST_NAME, "extension": None}
    for key, most in longest.items():
        text = value[key]
        if not isinstance(text, str) or (key != "reason" and not text.strip()) or len(text) > (most or len(text)):
            raise DataError(f"{where}: {key} must be text{f' of at most {most:,} characters' if most else ''}")
        if half_character(text) is not None:
            raise DataError(f"{where}: {key} holds half a character (a lone surrogate); repair the text")
    if value["verdict"] not in (*VERDICTS, None):
        raise DataError(f"{where}: verdict {value['verdict']!r} is none of {', '.join(VERDICTS)} and null")
    seconds = value["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not (0 <= seconds < math.inf):
        raise DataError(f"{where}: seconds must be a number that is not negative")
    try:
        zone = datetime.fromisoformat(value["time"]).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise DataError(f"{where}: time {value['time']!r} is no ISO 8601 time with a time zone")
    return Decision(**value, where=where)


def read_decisions(path: Path | str) -> tuple[Decision, ...]:
    """Every line of a file, withdrawn and earlier ones included; a line that a kill cut short is passed over with a warning.

    Raises:
        DataError: the file cannot be read, or a line is no decision.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"decisions {path} cannot be read ({error.strerror}); check the path") from error
    found, cut = [], 0
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if line.startswith(_START) or _START.startswith(line):
                cut += 1
                continue
            raise DataError(f"{where} is no JSON; decisions are lines that `unsee data review` wrote") from error
        found.append(decision_of(value, where=where))
    if cut:
        warnings.warn(f"{path}: {cut} line{'s' * (cut > 1)} cut short passed over", stacklevel=2)
    return tuple(found)


def standing(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The verdicts that count: of each annotator and variant the latest, unless it withdraws.

    Of decisions of the same time the one that comes last counts.
    """
    latest: dict[tuple[str, str], Decision] = {}
    for decision in sorted(decisions, key=lambda one: datetime.fromisoformat(one.time)):
        latest[decision.annotator, decision.item] = decision
    return tuple(decision for decision in latest.values() if decision.verdict is not None)


class DecisionLog:
    """A file that decisions are added to, each flushed to disk before `add` returns.

    Several processes may add to one file. All that was added is remembered: if the file goes away, it is written anew as soon
    as there is a place for it.
    """

    def __init__(self, path: Path) -> None:
        """Raises:
        DataError: the file is there and holds something else, or cannot be written.
        """
        self.path = path
        self._kept: list[Decision] = []
        if path.exists():
            self._kept += read_decisions(path)
        try:
            self._write("")
        except OSError as error:
            raise DataError(
                f"decisions {path} cannot be written ({error.strerror}); name a file in a folder of yours"
            ) from error

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was in the file, and what was added."""
        return tuple(self._kept)

    def add(self, decision: Decision) -> None:
        """Add a line.

        Raises:
            OSError: it could not be written whole; the log is as it was before.
        """
        self._write(decision.line)
        self._kept.append(decision)

    def _write(self, line: str) -> None:
        lost = bool(self._kept) and not self.path.exists()
        text = "".join(one.line for one in self._kept) + line if lost else line
        stream = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            size = os.fstat(stream).st_size
            if size and os.pread(stream, 1, size - 1) != b"\n":
                text = "\n" + text  # ends the line that a kill cut short
            data = text.encode()
            try:
                written = os.write(stream, data)
                while written < len(data):
                    written += os.write(stream, data[written:])
                os.fsync(stream)
            except OSError:
                os.ftruncate(stream, size)
                raise
        finally:
            os.close(stream)
