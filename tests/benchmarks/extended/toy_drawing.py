"""A picture generator for tests: `python toy_drawing.py [MANNER] --picture IN --instruction TEXT --seed N --out OUT`.

`draw` is the same as a function. How it draws is its manner: good (blocks of colours by instruction and seed), copy (the
picture itself), flat (one colour), text (no picture), nothing (writes no file), fail (ends with code 3), slow (takes a minute),
huge (too many pixels), odd (fails where the seed is odd).
"""

from __future__ import annotations

import argparse
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image


def draw(picture: Image.Image | None, instruction: str, seed: int) -> Image.Image:
    """Something new in the size of the picture; an edit keeps the picture but for a corner."""
    assert picture is not None
    number = int.from_bytes(sha256(f"{instruction}{seed}".encode()).digest()[:8], "big")
    blocks = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    made = Image.fromarray(blocks).resize(picture.size, Image.Resampling.NEAREST)
    if instruction.startswith("Remove"):
        edited = picture.copy()
        edited.paste(made.crop((0, 0, picture.width // 4, picture.height // 4)))
        return edited
    return made


def fail(picture: Image.Image | None, instruction: str, seed: int) -> Image.Image:
    raise RuntimeError("out of memory")


def no_picture(picture: Image.Image | None, instruction: str, seed: int) -> str:
    return "a picture"


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("manner", nargs="?", default="good")
    for name in ("picture", "instruction", "out"):
        flags.add_argument(f"--{name}", required=True)
    flags.add_argument("--seed", type=int, required=True)
    given = flags.parse_args()
    shown = Image.open(given.picture)
    if given.manner == "fail" or (given.manner == "odd" and given.seed % 2):
        sys.exit("no luck today")
    if given.manner == "slow":
        time.sleep(60)
    if given.manner == "nothing":
        return
    if given.manner == "text":
        Path(given.out).write_text("not a picture")
        return
    made = {
        "copy": lambda: shown,
        "flat": lambda: Image.new("RGB", shown.size, "red"),
        "huge": lambda: Image.new("1", (5000, 5000)),
    }.get(given.manner, lambda: draw(shown, given.instruction, given.seed))()
    made.save(given.out)


if __name__ == "__main__":
    main()
