"""Results folders as harnesses write them: recorded ones, and copies of those with other numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
"""What lm-eval 0.4.13 and lmms-eval 0.7.3 wrote about the embedded model and four pictures, less versions of the machine."""


def results_file(folder: Path) -> Path:
    (found,) = (path for path in folder.rglob("*.json"))
    return found


def recorded(harness: str, folder: Path, *, model: str, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A copy of a recorded folder about another model, its content changed in place."""
    shutil.copytree(RECORDED / harness, folder)
    file = results_file(folder)
    content = json.loads(file.read_text().replace("/elsewhere/tiny", model))
    if change is not None:
        change(content)
    file.write_text(json.dumps(content))
    return folder


def values(**numbers: Any) -> Callable[[dict[str, Any]], None]:
    """Gives the recorded task these entries (`acc__none` for `acc,none`)."""

    def change(content: dict[str, Any]) -> None:
        content["results"]["colours_local"] |= {key.replace("__", ","): value for key, value in numbers.items()}

    return change


def renamed(task: str, **numbers: Any) -> Callable[[dict[str, Any]], None]:
    """Gives the recorded task another id and these entries only."""

    def change(content: dict[str, Any]) -> None:
        for part in ("versions", "n-samples", "higher_is_better"):
            content[part][task] = content[part].pop("colours_local")
        content["higher_is_better"][task] = {key.partition("__")[0]: True for key in numbers}
        content["results"] = {task: {key.replace("__", ","): value for key, value in numbers.items()}}

    return change
