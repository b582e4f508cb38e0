from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness_files import RECORDED, recorded, renamed, results_file, values

from unsee.errors import DataError
from unsee.metrics import CellInfo
from unsee.metrics.utility import utility_rows
from unsee.utility import Target, read_results
from unsee.utility.reading import merged

TINY = Target("tiny", Path("/elsewhere/tiny"), ("tiny",))


def rows_of(folder: Path, target: Target = TINY) -> list[dict[str, Any]]:
    return read_results(folder, target).to_dicts()


@pytest.mark.parametrize(
    ("harness", "version"), [("lm-eval", "0.4.13"), ("lmms-eval", "of a version it did not note")], ids=["lm-eval", "lmms-eval"]
)
def test_what_a_harness_wrote_is_read(harness: str, version: str) -> None:
    (row,) = rows_of(RECORDED / harness)
    assert row == {
        "harness": harness,
        "harness_version": version,
        "task": "colours_local",
        "task_version": "2.0",
        "metric": "exact_match",
        "filter": None,
        "value": 0.0,
        "stderr": 0.0,
        "n": 4,
        "n_all": 4,
        "higher_is_better": True,
        "problem": None,
        "model": "/elsewhere/tiny",
        "source": results_file(RECORDED / harness).name,
    }


def test_every_metric_and_filter_is_a_row(tmp_path: Path) -> None:
    given = values(exact_match__none=0.5, exact_match_stderr__none=0.25, acc__strict=0.75, bleu__none="N/A")
    rows = rows_of(recorded("lm-eval", tmp_path / "r", model="/elsewhere/tiny", change=given))
    assert [(row["metric"], row["filter"], row["value"], row["stderr"]) for row in rows] == [
        ("exact_match", None, 0.5, 0.25),
        ("acc", "strict", 0.75, None),
        ("bleu", None, None, None),
    ]
    assert rows[2]["problem"] == "lm-eval gave N/A, which is no number"
    assert rows[1]["higher_is_better"] is None


def test_the_later_of_two_results_counts_and_other_tasks_stay(tmp_path: Path) -> None:
    recorded("lm-eval", tmp_path / "both" / "a", model="/elsewhere/tiny", change=values(exact_match__none=0.25))
    later = recorded("lm-eval", tmp_path / "both" / "b", model="/elsewhere/tiny", change=values(exact_match__none=0.75))
    results_file(later).rename(later / "results_2027-01-01T00-00-00.000000.json")
    assert [row["value"] for row in rows_of(tmp_path / "both")] == [0.75]
    other = recorded("lm-eval", tmp_path / "c", model="/elsewhere/tiny", change=renamed("other", acc__none=0.5))
    kept = merged(read_results(tmp_path / "both", TINY), read_results(other, TINY))
    assert kept.select("task", "value").rows() == [("colours_local", 0.75), ("other", 0.5)]
    again = merged(kept, read_results(RECORDED / "lm-eval", TINY))
    assert again.select("task", "value").rows() == [("other", 0.5), ("colours_local", 0.0)]


@pytest.mark.parametrize(
    ("noted", "target", "fits"),
    [
        ("/elsewhere/tiny", TINY, True),
        ("models/npo-05-mixed-s0-12345678", Target("npo-05-mixed-s0-12345678", Path("r/cells/x/adapter"), ("x",)), True),
        ("/other/cells/npo-05/adapter", Target("npo-05", Path("run/cells/npo-05/adapter"), ("npo-05",)), True),
        ("/other/run/models/vanilla", Target("vanilla-05", Path("run/models/vanilla"), ("vanilla-05", "vanilla-10")), True),
        ("/other/run/models/gold-05-s0", Target("vanilla-05", Path("run/models/vanilla"), ("vanilla-05",)), False),
        ("/other/cells/ga-05/adapter", Target("npo-05", Path("run/cells/npo-05/adapter"), ("npo-05",)), False),
        ("/elsewhere/small", TINY, False),
    ],
)
def test_whose_results_they_are(noted: str, target: Target, fits: bool, tmp_path: Path) -> None:
    folder = recorded("lm-eval", tmp_path / "r", model=noted)
    assert target.is_named_by(noted) is fits
    if fits:
        assert rows_of(folder, target)
    else:
        with pytest.raises(DataError, match=f"was measured on {noted}, which is not .*; give the results of this model"):
            read_results(folder, target)


def test_of_an_adapter_the_adapter_is_noted(tmp_path: Path) -> None:
    def with_adapter(content: dict[str, Any]) -> None:
        content["config"]["model_args"] = {"pretrained": "/elsewhere/tiny", "peft": "/elsewhere/cells/npo/adapter"}

    folder = recorded("lm-eval", tmp_path / "r", model="/elsewhere/tiny", change=with_adapter)
    assert rows_of(folder, Target("npo", Path("cells/npo/adapter"), ("npo",)))
    with pytest.raises(DataError, match="which is not"):
        read_results(folder, TINY)


def _delete(key: str) -> Any:
    return lambda content: content.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_delete("results"), "no table results"),
        (lambda content: content.update(results={"colours_local": 3}), "results.colours_local is no table"),
        (_delete("lm_eval_version"), "names no version of them"),
        (values(exact_match__none="N/A"), r"holds no number \(lm-eval gave N/A"),
        (values(exact_match__none=float("nan")), r"holds no number \(lm-eval gave nan"),
        (lambda content: content.update(results={}), r"holds no number \(no task was measured"),
    ],
)
def test_what_cannot_be_used_is_one_line(change: Any, message: str, tmp_path: Path) -> None:
    folder = recorded("lm-eval", tmp_path / "r", model="/elsewhere/tiny", change=change)
    with pytest.raises(DataError, match=message) as told:
        read_results(folder, TINY)
    assert "\n" not in str(told.value)


def test_no_results_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results of lmms-eval or lm-eval"):
        read_results(tmp_path, TINY)
    (tmp_path / "results_2026.json").write_text('{"results": ')
    with pytest.raises(DataError, match="is damaged"):
        read_results(tmp_path, TINY)


def _judged(folder: Path, scores: list[list[int]], *, task: str = "llava_in_the_wild") -> Path:
    """A recorded folder as if its task had been judged so; reviews as that task writes them."""
    made = recorded("lmms-eval", folder, model="/elsewhere/tiny", change=renamed(task, gpt_eval_llava_all__none=100.0))
    (samples,) = made.glob("*.jsonl")
    lines = []
    for line, pair in zip(samples.read_text().splitlines(), scores, strict=False):
        reviews = {"gpt_eval_llava_all": {"scores": pair}, "gpt_eval_llava_conv": {"scores": [-999, -999]}}
        lines.append(json.dumps(json.loads(line) | reviews))
    samples.unlink()
    (made / samples.name.replace("colours_local", task)).write_text("\n".join(lines) + "\n")
    return made


def test_a_judge_that_never_answered_gives_no_value(tmp_path: Path) -> None:
    """lmms-eval then divides -1 by -1 and reports 100."""
    none = [[-1, -1]] * 4
    with pytest.raises(DataError, match="the judge gave no usable score for any of 4 answers"):
        read_results(_judged(tmp_path / "none", none), TINY)
    (row,) = rows_of(_judged(tmp_path / "some", [[8, 6], [-1, -1], [9, 9], [7, 3]]))
    assert (row["value"], row["problem"]) == (
        100.0,
        "the judge gave no usable score for 1 of 4 answers, which the value counts",
    )
    (row,) = rows_of(_judged(tmp_path / "all", [[8, 6]] * 4))
    assert row["problem"] is None
    alone = _judged(tmp_path / "alone", none)
    next(alone.glob("*.jsonl")).unlink()
    (row,) = rows_of(alone)
    assert row["problem"] == "no samples beside the results, so whether the judge answered cannot be seen"


def test_rows_of_results(tmp_path: Path) -> None:
    def part(content: dict[str, Any]) -> None:
        renamed("mmmu_val", acc__none=0.25, acc_stderr__none=0.2, words__none=12.0, words_stderr__none=9.0)(content)
        content["n-samples"]["mmmu_val"]["original"] = 900

    measured = read_results(recorded("lm-eval", tmp_path / "r", model="/elsewhere/tiny", change=part), TINY)
    cell = CellInfo(cell="npo-x", benchmark="people", method="npo", forget_ratio=0.05, seed=1)
    share, words = utility_rows(measured, cell=cell).to_dicts()
    assert (share["cell"], share["benchmark"], share["method"], share["forget_ratio"]) == ("npo-x", "people", "npo", 0.05)
    assert (share["set"], share["task"], share["metric"], share["protocol"]) == ("general", "mmmu_val", "acc", "lm-eval")
    assert (share["view"], share["group"], share["baseline"]) == (None, "harness=lm-eval", None)
    assert (share["value"], share["n"], share["n_subjects"], share["higher_is_better"]) == (0.25, 4, None, True)
    assert share["ci_low"] == 0.0  # a share is not below 0
    assert share["ci_high"] == pytest.approx(0.25 + 1.959964 * 0.2)
    assert share["reason"] == "4 of 900 questions; lm-eval 0.4.13, task version 2.0"
    assert words["ci_low"] == pytest.approx(12 - 1.959964 * 9)  # whose range nobody told us


def test_recorded_folders_stay_as_they_are(tmp_path: Path) -> None:
    shutil.copytree(RECORDED, tmp_path / "copy")
    read_results(tmp_path / "copy" / "lm-eval", TINY)
    assert {p.name for p in (tmp_path / "copy").rglob("*")} == {p.name for p in RECORDED.rglob("*")}
