"""Results folders of the harnesses, read back: one row per task, metric and filter, with what the numbers rest on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import ConfigError, DataError
from unsee.files import read_json
from unsee.schemas import UTILITY
from unsee.utility.harnesses import HARNESSES, Harness
from unsee.utility.known import JUDGED

if TYPE_CHECKING:
    import polars as pl

    from unsee.utility.targets import Target

_RESULT_FILES = re.compile(r"(results_.*|.*_results)\.json")
_VERSIONS = {"lm_eval_version": "lm-eval", "lmms_eval_version": "lmms-eval"}
"""Only the harness itself writes this key."""
_REMEDY = "remove it or run the harness again"
_UNKNOWN = "unknown"
"""What lmms-eval notes as its version outside of a clone of its repository."""
_NO_SCORE = "the judge gave no usable score"


def read_results(folder: Path, target: Target) -> pl.DataFrame:
    """Everything harnesses measured of a checkpoint, schema UTILITY; of a task measured twice the later values.

    Raises:
        DataError: no results there, of another model, damaged, or without a single number.
    """
    import polars as pl

    files = sorted(path for path in folder.rglob("*.json") if _RESULT_FILES.fullmatch(path.name))
    if not files:
        raise DataError(
            f"{folder} holds no results of {' or '.join(HARNESSES)} (results_*.json or *_results.json); check the path"
        )
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(files, key=lambda path: (re.sub(r"\D", "", path.name), path.name)):
        for row in _rows(path, target):
            key = row["harness"], row["task"]
            if key in found and found[key][0]["source"] != row["source"]:
                del found[key]
            found.setdefault(key, []).append(row)
    rows = [row for listed in found.values() for row in listed]
    if not any(row["value"] is not None for row in rows):
        why = next((row["problem"] for row in rows if row["problem"]), "no task was measured")
        raise DataError(f"{files[-1]} holds no number ({why}); look into the harness's log and run it again")
    return pl.DataFrame(rows, schema=UTILITY)


def merged(before: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """Earlier values with those of newly measured tasks in their place."""
    import polars as pl

    if before is None:
        return new
    return pl.concat([before.join(new.select("harness", "task").unique(), on=["harness", "task"], how="anti"), new])


def _rows(path: Path, target: Target) -> Iterator[dict[str, Any]]:
    content = read_json(path, remedy=_REMEDY)
    harness, version = _harness(path, content)
    model = _model(path, content, harness)
    if not target.is_named_by(model):
        raise DataError(f"{path} was measured on {model}, which is not {target.folder}; give the results of this model")
    tasks = _table(path, content, "results") | _table(path, content, "groups", absent={})
    for task, values in tasks.items():
        if not isinstance(values, Mapping):
            raise DataError(f"{path} is damaged (results.{task} is no table); {_REMEDY}")
        counts = _inner(content, "n-samples", task)
        asked, whole = _count(counts.get("effective", values.get("sample_len"))), _count(counts.get("original"))
        is_judged = harness.name == "lmms-eval" and task in JUDGED
        failures = _unjudged(path, task) if is_judged else None
        shared: dict[str, Any] = {
            "harness": harness.name,
            "harness_version": version,
            "task": task,
            "model": model,
            "source": path.name,
        }
        shared |= {"task_version": _text(_inner(content, "versions").get(task)), "n": asked, "n_all": whole}
        for key, value in values.items():
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith(("_stderr", "_stderr_clt", "_stderr_clustered")):
                continue
            number = _number(value)
            problem = None if number is not None else f"{harness.name} gave {_text(value) or 'nothing'}, which is no number"
            if is_judged:
                number, problem = _judged(number, failures, problem)
            yield shared | {
                "metric": metric,
                "filter": None if chosen in ("", "none") else chosen,
                "value": number,
                "stderr": None if number is None else _number(values.get(f"{metric}_stderr,{chosen}")),
                "higher_is_better": _direction(content, task, metric),
                "problem": "; ".join(told for told in (problem, target.remark) if told) or None,
            }


def _harness(path: Path, content: Mapping[str, Any]) -> tuple[Harness, str]:
    for key, name in _VERSIONS.items():
        if key in content:
            version = _text(content[key]) or _UNKNOWN
            return HARNESSES[name], "of a version it did not note" if version.startswith(_UNKNOWN) else version
    raise DataError(f"{path} is no results file of {' or '.join(HARNESSES)}: it names no version of them; give another folder")


def _model(path: Path, content: Mapping[str, Any], harness: Harness) -> str:
    """The checkpoint a harness noted: the adapter where it loaded one, else the weights."""
    noted = _inner(content, "config").get("model_args")
    if isinstance(noted, str):
        noted = dict(part.partition("=")[::2] for part in noted.split(","))
    named = noted if isinstance(noted, Mapping) else {}
    model = named.get("peft") or named.get("pretrained") or content.get("model_name")
    if not isinstance(model, str) or not model:
        raise DataError(f"{path} does not say which model was measured by {harness.name} (config.model_args); {_REMEDY}")
    return model


def _unjudged(path: Path, task: str) -> tuple[int, int] | None:
    """(answers without a usable score of the judge, all answers) by the samples beside a results file; None without them."""
    date = path.name.removesuffix("_results.json")
    samples = path.with_name(f"{date}_samples_{task}.jsonl")
    if not samples.is_file():
        return None
    failed = count = 0
    for line in samples.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{samples} is damaged ({error}); {_REMEDY}") from error
        count += 1
        failed += not any(_has_scores(value) for value in row.values()) if isinstance(row, Mapping) else 1
    return failed, count


def _has_scores(value: object) -> bool:
    """Whether a review of the judge holds two scores; -1 stands for none, -999 for a review of another category."""
    scores = value.get("scores") if isinstance(value, Mapping) else None
    return isinstance(scores, list) and len(scores) == 2 and all((_number(one) or 0) > 0 for one in scores)


def _judged(number: float | None, failures: tuple[int, int] | None, problem: str | None) -> tuple[float | None, str | None]:
    """A judged value with what its judge failed to say; a mean over failures only is no value."""
    if failures is None:
        return number, problem or "no samples beside the results, so whether the judge answered cannot be seen"
    failed, count = failures
    if failed == count:
        return None, f"{_NO_SCORE} for any of {count} answers"
    return number, problem or (f"{_NO_SCORE} for {failed} of {count} answers, which the value counts" if failed else None)


def _direction(content: Mapping[str, Any], task: str, metric: str) -> bool | None:
    found = _inner(content, "higher_is_better", task).get(metric)
    return found if isinstance(found, bool) else None


def _table(path: Path, content: Mapping[str, Any], key: str, *, absent: dict[str, Any] | None = None) -> dict[str, Any]:
    found = content.get(key, absent)
    if not isinstance(found, dict):
        raise DataError(f"{path} is damaged (no table {key}); {_REMEDY}")
    return found


def _inner(content: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A table inside a table; empty where it is not there."""
    found: Any = content
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if value is None else " ".join(str(value).split())[:80]


def folder_of(results: Path, names: Iterable[str]) -> Path | None:
    """The folder below `results` that is named like a target."""
    return next((results / name for name in names if (results / name).is_dir()), None)


def no_folders(results: Path, targets: Iterable[Target]) -> ConfigError:
    """No folder of results belongs to a target."""
    return ConfigError(
        f"{results} has no folder named like a cell of this run, such as {next(iter(targets)).name}; give the folder that "
        "holds one folder of results per cell, as the printed commands write them"
    )
