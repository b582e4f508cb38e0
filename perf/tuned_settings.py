"""The file of tuned settings, which both searches write a part of."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from unsee.files import write_text

SETTINGS = Path(__file__).parents[1] / "src/unsee/tuned.toml"
HEAD = """\
# Settings per model, chosen on benchmarks `people-tuning` and `creatures-tuning`, whose people and facts occur in no reported
# number. Written by `python perf/tune.py` (methods) and `python perf/tune_edits.py` (defences, the attack that trains); every
# try is in perf/tuned.json and perf/tuned_edits.json.

"""


def keep_settings(model: str, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Write settings of a model; what the file says of other methods and models stays."""
    tables = tomllib.loads(SETTINGS.read_text())
    tables[model] = {**tables.get(model, {}), **chosen}
    write_text(SETTINGS, HEAD + tomli_w.dumps(tables))
