"""Time and peak memory of `unsee demo` from an empty folder: `python perf/demo.py [--table]`."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="also print the demo's main table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "unsee", "demo", "--out", str(Path(folder) / "demo")]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        spent = time.perf_counter() - began
    if arguments.table:
        # What comes before it is progress, and what comes after it names a folder that is gone.
        whole = finished.stdout
        print(whole[whole.find("\ndemo: ") + 1 : whole.rfind("\nreport: ")])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"exit code {finished.returncode}, {spent / 60:.1f} min, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
