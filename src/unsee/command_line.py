"""How commands are called: help and flags from a function's signature, and every mistake as one line.

tyro reads signature, types and docstring of a command; its error boxes are turned into one line that names the nearest flag.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import tyro

from unsee import processes
from unsee.errors import UserError, WorkError, nearest
from unsee.files import storage_problem
from unsee.sample import ImageError

if TYPE_CHECKING:
    from rich.console import Console

Flag = tyro.conf.FlagCreatePairsOff[bool]
Many = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="PATTERN")]
Overrides = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="KEY=VALUE")]
Modality = Literal["image_text", "text", "mixed"]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
NameOrFolder = Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Folders = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR ...")]
FileOrFolder = Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")]
TestImage = Annotated[Literal["first", "random", "all"] | None, tyro.conf.arg(metavar="first|random|all")]
Count = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Bits = Annotated[Literal["4bit", "8bit"] | None, tyro.conf.arg(metavar="4bit|8bit")]
Memory = Annotated[str | None, tyro.conf.arg(metavar="SIZE")]
Share = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Command = Callable[..., int]
Commands = Mapping[str, "Command | Commands"]

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
_INTERRUPTED = "interrupted; finished work is kept, run the same command again to go on"


def given_memory(text: str | None, *, dry_run: bool) -> int | None:
    """Bytes of a flag --memory, None where it is not given.

    Raises:
        UserError: no size, or nothing is planned.
    """
    from unsee.memory_plan import parse_memory

    if text is None:
        return None
    if not dry_run:
        raise UserError("--memory says what a plan must fit into and has no effect on its own; add --dry-run")
    return parse_memory(text)


def run_command(
    commands: Commands, arguments: Sequence[str], *, program: str, version: str, about: str, shared: Sequence[str] = ()
) -> int:
    """Call the command that `arguments` name; returns the exit code.

    Wrong input, training that went wrong and interrupts give one line on stderr. Of several processes the main one shows what
    comes out, and the first that fails says why; each of them ends here.

    Args:
        shared: commands that several processes can share.
    """
    code = _outcome(commands, list(arguments), program, version, about, shared)
    processes.end(code)
    return code


def _outcome(commands: Commands, arguments: list[str], program: str, version: str, about: str, shared: Sequence[str]) -> int:
    try:
        quiet_libraries()
        with warnings.catch_warnings(), _silent_unless_main():
            warnings.showwarning = show_warning
            processes.connect()
            if processes.count() > 1 and arguments and arguments[0] in commands and arguments[0] not in shared:
                raise UserError(
                    f"`{program} {arguments[0]}` runs in one process and {processes.count()} were launched; "
                    f"those that share work are {', '.join(shared)}"
                )
            code = _dispatch(commands, arguments, program, version, about)
        processes.leave()
        return code
    except (UserError, ImageError) as error:
        complain(str(error))
        return WRONG_INPUT
    except WorkError as error:
        complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        complain(_INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not complain about it while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        problem = storage_problem(error)
        if problem is None:
            raise
        complain(str(problem))
        return WRONG_INPUT


def say(*lines: str) -> None:
    """Lines for whoever called the command."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(*lines: str) -> None:
    """What went wrong, one line each; one process says it."""
    for line in lines if processes.is_first_to_complain() else ():
        _line(sys.stderr, f"unsee: {line}")


@contextmanager
def _silent_unless_main() -> Iterator[None]:
    if processes.is_main():
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


def console() -> Console:
    """Where tables and progress go."""
    from rich.console import Console

    return Console(file=sys.stdout)


def _line(stream: TextIO, text: str) -> None:
    stream.write(" ".join(text.split()) + "\n")
    stream.flush()


def _dispatch(commands: Commands, arguments: list[str], program: str, version: str, about: str) -> int:
    if arguments[:1] == ["--version"] and program == "unsee":
        sys.stdout.write(f"unsee {version}\n")
        return DONE
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview(commands, program, about))
        return DONE
    name, *rest = arguments
    known = [*commands, *(["--version"] if program == "unsee" else []), "--help"]
    if name not in commands:
        kind = "option" if name.startswith("-") else "command"
        raise UserError(f"unknown {kind} {name!r} of `{program}`; {nearest(name, known)}")
    chosen = commands[name]
    if isinstance(chosen, Mapping):
        return _dispatch(chosen, rest, f"{program} {name}", version, f"{name}: commands")
    bound = parse(chosen, rest, program=f"{program} {name}")
    return DONE if bound is None else bound()


def _overview(commands: Commands, program: str, about: str) -> str:
    width = max(len(name) for name in commands) + 2
    lines = [f"usage: {program} COMMAND [OPTIONS]", "", about, "", "commands:"]
    for name, command in commands.items():
        text = " | ".join(command) if isinstance(command, Mapping) else (command.__doc__ or "").strip().split("\n")[0]
        lines.append(f"  {name:<{width}}{text}")
    return "\n".join([*lines, "", f"`{program} COMMAND --help` shows the options of a command.", ""])


def parse(command: Command, arguments: Sequence[str], *, program: str) -> Callable[[], int] | None:
    """The command with its arguments bound; None when help was asked for and shown.

    Raises:
        UserError: an unknown flag, a missing or a wrong value.
    """

    @wraps(command)
    def collect(*args: Any, **kwargs: Any) -> Callable[[], int]:
        return partial(command, *args, **kwargs)

    # tyro knows Python's None only.
    arguments = [re.sub(r"^(--[\w-]+=)?none$", r"\1None", argument) for argument in arguments]
    shown, complaint = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(shown), redirect_stderr(complaint):
            return tyro.cli(collect, args=arguments, prog=program)
    except SystemExit as error:
        if not error.code:
            sys.stdout.write(shown.getvalue())
            return None
    flags = _flags(command, program)
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in flags:
            raise UserError(f"unknown option {flag!r} of `{program}`; {nearest(flag, flags)}")
    text = _message(complaint.getvalue())
    if text.startswith("missing from"):
        absent = [flag for flag in flags if re.search(rf"{flag}(?![\w-])", text)]
        text = f"{' and '.join(absent) or 'an argument'} must be given"
    raise UserError(f"`{program}`: {text}; see `{program} --help`")


def _flags(command: Command, program: str) -> list[str]:
    shown = io.StringIO()
    try:
        with redirect_stdout(shown), redirect_stderr(io.StringIO()):
            tyro.cli(command, args=["--help"], prog=program)
    except SystemExit:
        pass
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", shown.getvalue())))


def _message(box: str) -> str:
    """The text of a tyro error without its frame and help."""
    lines = [line.strip(" \u2502\u256d\u256e\u2570\u256f") for line in box.splitlines()]
    lines = [line for line in lines if line]
    ruled = [i for i, line in enumerate(lines) if set(line) <= set("-\u2500")]
    first = ruled[0] + 1 if ruled else 0
    last = ruled[1] if len(ruled) > 1 else len(lines)
    text = " ".join(" ".join(lines[first:last]).split()).partition(" Got errors:")[0].rstrip(". ")
    text = text.replace("no type matching {None}|", "no type matching none or ")
    return text[:1].lower() + text[1:] if text else "the arguments cannot be understood"


def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Our own warnings as a line; those of libraries are for developers."""
    if category is UserWarning and processes.is_main():
        _line(sys.stderr, f"unsee: warning: {message}")


def quiet_libraries() -> None:
    """No network and no chatter unless asked for; set before the libraries load."""
    from unsee.hub import OFFLINE, OFFLINE_UNLESS_ASKED

    os.environ.setdefault(OFFLINE, OFFLINE_UNLESS_ASKED)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
