"""Regenerate every documented number: `python perf/make_numbers.py [--tune] [--only NAME ...]`.

Runs the commands below, writes what they print to docs/numbers.md with the command and the machine beside it, and renews the
model card. `--tune` also repeats the search for tuned defaults.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/numbers.md"
CARD = ROOT / "src/unsee/models/weights/tiny/README.md"
UNSEE = [sys.executable, "-m", "unsee"]
COMMANDS = {
    "card": [*UNSEE, "models", "card", "tiny", "--out", str(CARD)],
    "paper": [*UNSEE, "data", "check", "people-paper"],
    "answering": [sys.executable, "perf/answering.py"],
    "learning": [sys.executable, "perf/learning.py"],
    "training": [sys.executable, "perf/training.py"],
    "edits": [sys.executable, "perf/edits.py"],
    "demo": [sys.executable, "perf/demo.py", "--table"],
}
HEAD = """\
# Numbers

Written by `make numbers`; each block is what the command above it printed. Times are of this machine and noisy; ratios compare
two paths in one run. The abilities of the embedded model are in [its card](../src/unsee/models/weights/tiny/README.md).
"""


def shown(command: list[str]) -> str:
    """The command as a reader types it."""
    words = " ".join(command).replace(f"{sys.executable} -m unsee", "unsee").replace(sys.executable, "python")
    return words.replace(f"{ROOT}/", "")


def blocks(page: str) -> dict[str, str]:
    """Sections of the page by name."""
    return dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))


def machine() -> str:
    names = ("torch", "transformers", "peft")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{date.today()}, {os.cpu_count()} cores of {platform.machine()}, python {platform.python_version()}, {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=tuple(COMMANDS))
    arguments = parser.parse_args()
    if arguments.tune:
        subprocess.run([sys.executable, "perf/tune.py"], cwd=ROOT, check=True)
    kept = blocks(PAGE.read_text()) if PAGE.exists() else {}
    for name in arguments.only:
        command = COMMANDS[name]
        print(shown(command), flush=True)
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        text = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
        kept[name] = f"\n`{shown(command)}` ({machine()})\n\n```\n{text}\n```\n\n"
        print(done.stdout, flush=True)
        PAGE.write_text((HEAD + "\n" + "".join(f"## {key}\n{kept[key]}" for key in COMMANDS if key in kept)).rstrip() + "\n")


if __name__ == "__main__":
    main()
