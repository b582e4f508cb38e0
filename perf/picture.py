"""The README's picture, cut from a report: `python perf/picture.py runs/demo/report.html docs/tradeoff.png`."""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

CHROMIUM = "chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1.5".split()
MARGIN = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    page = arguments.report.read_text()
    head = page[: page.index("<body")]
    section = re.search(r'<section id="trade-off".*?</section>', page, re.DOTALL)
    assert section, "the report has no trade-off plot"
    plots = re.sub(r"<(h2|p)[ >].*?</\1>", "", section[0], flags=re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        cut, shot = Path(folder) / "cut.html", Path(folder) / "shot.png"
        cut.write_text(f"{head}<body><main>{plots}</main></body></html>")
        command = [*CHROMIUM, "--window-size=1280,1000", f"--screenshot={shot}", cut.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        picture = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", picture.size, picture.getpixel((2, 2)))
    box = ImageChops.difference(picture, empty).getbbox()
    assert box, "nothing was drawn"
    left, top, right, bottom = box
    cropped = picture.crop((max(0, left - MARGIN), max(0, top - MARGIN), right + MARGIN, bottom + MARGIN))
    cropped.save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
