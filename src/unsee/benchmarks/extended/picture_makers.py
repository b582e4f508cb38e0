"""Programs of the user's that make pictures: a command line, or a Python function.

    maker = picture_maker("python draw.py --steps 30", role="image-generator")
    maker = picture_maker("my_module:draw", role="image-generator")

A command gets `--picture IN --instruction TEXT --seed N --out OUT` behind its own words and writes a picture to OUT. A function
takes (picture, instruction, seed) and returns a Pillow picture. What comes back is decoded, size-limited, and kept as PNG.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unsee.errors import ConfigError, UserError
from unsee.printable import printable
from unsee.sample import ImageError, ImageRef

if TYPE_CHECKING:
    from PIL import Image

Role = Literal["image-editor", "image-generator"]
PictureFunction = Callable[["Image.Image | None", str, int], "Image.Image"]

TIMEOUT = 600.0
"""Seconds that a command may take for one picture."""
RETRIES = 2
"""How often a failed picture is tried again, after waits that double."""
GIVE_UP = 3
"""So many pictures in a row that fail end the work."""
MAX_BYTES = 100_000_000
MAX_MADE_PIXELS = 16_000_000
_ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_FIRST_WAIT = 0.5
_SHOWN = 160


class MakerError(UserError):
    """A program that is not there, or that keeps failing."""


class _Failed(Exception):
    """Why one try gave no picture: in a few words that are the same every time, and in the program's own."""

    def __init__(self, kind: str, said: str = "") -> None:
        super().__init__(f"{kind}: {said}" if said else kind)
        self.kind = kind


class PictureMaker(ABC):
    """Makes pictures by the user's program.

    Attributes:
        name: what variants call it.
        role: the flag it was given by.
        problem: why the last failed picture failed, in a few words.
    """

    def __init__(self, name: str, *, role: Role, retries: int) -> None:
        self.name, self.role = name, role
        self._retries = retries
        self._failed_in_a_row = 0
        self.problem = ""

    def worked(self) -> None:
        """Note that a picture came, now or in an earlier session."""
        self._failed_in_a_row = 0

    def make(self, picture: ImageRef, instruction: str, seed: int) -> Image.Image | None:
        """A picture; None where every try failed, and `problem` says why.

        Raises:
            MakerError: several pictures in a row failed.
        """
        said = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))
            try:
                made = self._try(picture, instruction, seed)
            except _Failed as error:
                self.problem, said = error.kind, printable(str(error), _SHOWN)
            else:
                self.worked()
                return made
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= GIVE_UP:
            raise MakerError(
                f"--{self.role} {self.name} failed on {GIVE_UP} pictures in a row (last: {said}); what was made is "
                "kept, repair it and run the command again to go on"
            )
        return None

    @abstractmethod
    def _try(self, picture: ImageRef, instruction: str, seed: int) -> Image.Image:
        """Raises _Failed where no picture comes of it."""


class CommandMaker(PictureMaker):
    """A command line."""

    def __init__(self, command: str, *, role: Role, retries: int = RETRIES, timeout: float = TIMEOUT) -> None:
        """Nothing is run yet.

        Raises:
            ConfigError: the command cannot be read, or its program is not there.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--{role} {command!r} is no command line ({error}); check its quotes") from error
        if not self._words:
            raise ConfigError(f"--{role} is empty; give a command line or module:function")
        if shutil.which(self._words[0]) is None:
            raise ConfigError(f"--{role}: there is no program {self._words[0]}; give its path, or module:function")
        super().__init__(command, role=role, retries=retries)
        self._timeout = timeout

    def _try(self, picture: ImageRef, instruction: str, seed: int) -> Image.Image:
        with tempfile.TemporaryDirectory(prefix="unsee-picture-") as place:
            shown, out = Path(place) / "in.png", Path(place) / "out.png"
            picture.open().save(shown)
            given = ("--picture", str(shown), "--instruction", instruction, "--seed", str(seed), "--out", str(out))
            self._run([*self._words, *given])
            if not out.is_file():
                raise _Failed("wrote no picture")
            if out.stat().st_size > MAX_BYTES:
                raise _Failed("picture too large", f"{out.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
            try:
                return ImageRef.from_bytes(out.read_bytes()).open(max_pixels=MAX_MADE_PIXELS)
            except ImageError as error:
                raise _Failed("no usable picture", str(error)) from error

    def _run(self, words: list[str]) -> None:
        """Run to the end or to the time limit, with everything it started."""
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise _Failed("cannot be started", str(error.strerror)) from error
        try:
            _, said = process.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired as error:
            raise _Failed(f"took more than {self._timeout:g} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            raise _Failed(f"ended with code {process.returncode}", lines[-1] if lines else "")


class FunctionMaker(PictureMaker):
    """A Python function."""

    def __init__(self, entry_point: str, *, role: Role, retries: int = RETRIES) -> None:
        """Import it, also from the current folder.

        Raises:
            ConfigError: there is no such module or function.
        """
        super().__init__(entry_point, role=role, retries=retries)
        module, _, name = entry_point.partition(":")
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            self._function: PictureFunction = vars(importlib.import_module(module))[name]
        except KeyError as error:
            raise ConfigError(f"--{role}: module {module} has no function {name}; check the name") from error
        except Exception as error:  # whatever the user's module raises while it is imported
            raise ConfigError(f"--{role}: module {module} cannot be imported ({printable(str(error), _SHOWN)})") from error
        if not callable(self._function):
            raise ConfigError(f"--{role}: {entry_point} is no function; name one that takes (picture, instruction, seed)")

    def _try(self, picture: ImageRef, instruction: str, seed: int) -> Image.Image:
        from PIL import Image

        try:
            made = self._function(picture.open(), instruction, seed)
        except Exception as error:  # whatever the user's function raises
            raise _Failed(f"raised {type(error).__name__}", str(error)) from error
        if not isinstance(made, Image.Image):
            raise _Failed("no usable picture", f"it returned {type(made).__name__} instead of a Pillow picture")
        if made.width * made.height > MAX_MADE_PIXELS:
            raise _Failed("picture too large", f"{made.width}x{made.height} pixels, more than {MAX_MADE_PIXELS}")
        return made.convert("RGB")


def picture_maker(given: str, *, role: Role, retries: int = RETRIES, timeout: float = TIMEOUT) -> PictureMaker:
    """The program that a flag names: `module:function`, or a command line.

    Raises:
        ConfigError: it is not there.
    """
    if retries < 0 or not timeout > 0:
        raise ConfigError(f"retries {retries}, timeout {timeout:g} cannot be; give positive numbers")
    if _ENTRY_POINT.fullmatch(given):
        return FunctionMaker(given, role=role, retries=retries)
    return CommandMaker(given, role=role, retries=retries, timeout=timeout)
