"""Time and peak memory of `unsee demo` from an empty folder: `python perf/demo.py`."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        finished = subprocess.run([sys.executable, "-m", "unsee", "demo", "--out", str(Path(folder) / "demo")], check=False)
        spent = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"unsee demo: exit {finished.returncode}, {spent / 60:.1f} min, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
