"""A process that starts a command in forks of itself and ends them at chosen moments; see test_resume.py.

    python killed_extends.py '["data", "extend", ...]' '[["kill", 0.4], ["write", 30], ["rename", 0], ["finish", 0]]'

`kill` comes after so many seconds, `write` inside the so-manieth write of a file, `rename` once the finished folder stands.
Prints one JSON list of [exit code or minus the signal, complaint, seconds] per session.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from interrupted_runs import dies_in_write


def imported_for_all() -> None:
    """What sessions need; nothing here starts a thread, which a fork would lose."""
    import openai  # noqa: F401
    import polars  # noqa: F401
    import scipy.fft  # noqa: F401
    from PIL import Image  # noqa: F401

    import unsee.benchmarks.extended.benchmark
    import unsee.benchmarks.extended.extend
    import unsee.benchmarks.extended.tables
    import unsee.cli  # noqa: F401


def dies_when_done() -> None:
    """SIGKILL this process when the work is about to be removed."""
    import unsee.benchmarks.extended.work as work

    work.discard_work = lambda out: os.kill(os.getpid(), signal.SIGKILL)


def session(arguments: list[str], kind: str, amount: float) -> tuple[int, str, float]:
    from unsee.cli import main

    with tempfile.TemporaryFile() as complaint:
        began = time.monotonic()
        process = os.fork()
        if process == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(complaint.fileno(), 2)
            if kind == "write":
                dies_in_write(int(amount))
            if kind == "rename":
                dies_when_done()
            code = main(arguments)
            sys.stderr.flush()
            os._exit(code)
        if kind == "kill":
            while time.monotonic() - began < amount:
                if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    break
                time.sleep(0.005)
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        complaint.seek(0)
        return os.waitstatus_to_exitcode(status), complaint.read().decode(), time.monotonic() - began


if __name__ == "__main__":
    given, plan = map(json.loads, sys.argv[1:])
    imported_for_all()
    sys.stdout.write(json.dumps([session(given, kind, amount) for kind, amount in plan]) + "\n")
