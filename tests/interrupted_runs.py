"""A process that starts runs in forks of itself and ends them at chosen moments; see test_survival.py.

    python interrupted_runs.py TOML OUT '[["write", 75], ["kill", 0.4], ["interrupt", 0.6]]'

Forks spare each session the imports. Prints one JSON list of [exit code or minus the signal, complaint on stderr] per session.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import tempfile
import time
from pathlib import Path


def imported_for_all() -> None:
    """What sessions need; nothing here starts a thread, which a fork would lose."""
    import altair  # noqa: F401
    import peft  # noqa: F401
    import torch
    import vl_convert  # noqa: F401
    from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration, LlavaProcessor  # noqa: F401

    import unsee.learning
    import unsee.report
    import unsee.runs
    import unsee.training
    import unsee.unlearning

    torch.set_num_threads(1)
    # A checkpoint after every step, so that sessions end inside trainings that go on.
    unsee.training.train.__kwdefaults__["checkpoint_every"] = 1
    unsee.unlearning.unlearn_with_report.__kwdefaults__["checkpoint_every"] = 1


def dies_in_write(number: int) -> None:
    """SIGKILL this process inside its `number`-th write of a file."""
    real, left = os.fsync, number

    def fsync(descriptor: int) -> None:
        nonlocal left
        left -= stat.S_ISREG(os.fstat(descriptor).st_mode)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync


def seconds_of_work(process: int) -> float:
    """Processor time a process has used, which a busy machine does not stretch."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def session(arguments: list[str], kind: str, amount: float) -> tuple[int, str]:
    """Start a run and end it; returns its exit code (minus the signal where one ended it) and what it complained.

    Args:
        kind: "write" kills it inside its `amount`-th write, "kill" and "interrupt" (Ctrl-C) after `amount` seconds of work,
            anything else lets it finish.
    """
    from unsee.cli import main

    with tempfile.TemporaryFile() as complaint:
        process = os.fork()
        if process == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(complaint.fileno(), 2)
            if kind == "write":
                dies_in_write(int(amount))
            code = main(arguments)
            sys.stderr.flush()
            os._exit(code)
        if kind in ("kill", "interrupt"):
            while seconds_of_work(process) < amount:
                if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    break
                time.sleep(0.005)
            os.kill(process, signal.SIGKILL if kind == "kill" else signal.SIGINT)
        status = os.waitpid(process, 0)[1]
        complaint.seek(0)
        return os.waitstatus_to_exitcode(status), complaint.read().decode()


if __name__ == "__main__":
    toml, out, plan = sys.argv[1:]
    imported_for_all()
    done = [session(["run", toml, "--out", str(Path(out))], kind, amount) for kind, amount in json.loads(plan)]
    sys.stdout.write(json.dumps(done) + "\n")
