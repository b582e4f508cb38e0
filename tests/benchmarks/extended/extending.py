"""Extensions made in tests, and what a rewriter was asked for them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tables_by_hand import write_llava, write_okvqa, write_own, write_slake

from run_fixtures import write_people
from unsee.benchmarks.extended.extend import ExtendOptions, Generators, extend
from unsee.benchmarks.extended.files import write_extension
from unsee.benchmarks.extended.tables import read_source
from unsee.benchmarks.extended.variants import Extension, Grade, Kind, Variant
from unsee.benchmarks.extended.work import work_for

RIGHT = "--i-have-the-right-to"


def table_flags(format: str, folder: Path) -> list[object]:
    """Writes a table of a format; the flags by which `unsee data extend` reads it."""
    if format == "people":
        return ["--format", "people", "--facts", 2, "--keep", 0.02]
    if format == "people-folder":
        return ["--format", "people", "--data", write_people(folder), "--license", "MIT"]
    writer = {"okvqa": write_okvqa, "vqa-json": write_own, "slake": write_slake, "llava-json": write_llava}[format]
    return ["--format", format, "--data", writer(folder), *{"okvqa": [RIGHT], "vqa-json": ["--license", "MIT"]}.get(format, [])]


def asked(url: str) -> list[dict[str, Any]]:
    """What was put to a rewriter."""
    with urllib.request.urlopen(url.replace("/v1", "/asked"), timeout=10) as reply:
        return json.loads(reply.read())["bodies"]


def extended(
    data: Path, out: Path, generators: Generators | None = None, *, format: str = "vqa-json", **options: Any
) -> Extension:
    """The extension of a folder, written to `out`."""
    source = read_source(format, data, license="CC-BY-4.0")
    with work_for(out) as work:
        made = extend(source, ExtendOptions(**options), work=work, name="made", generators=generators)
        write_extension(out, made)
    return made


def of(extension: Extension, kind: Kind, grade: Grade) -> list[Variant]:
    """Its variants of a kind and grade."""
    return [one for one in extension.variants if (one.kind, one.grade) == (kind, grade)]
