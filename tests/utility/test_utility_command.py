from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from harness_files import recorded, renamed, values
from polars.testing import assert_frame_equal

from doc_pages import bare, read, table
from run_fixtures import assert_one_line
from unsee.cli import main
from unsee.errors import ConfigError
from unsee.metrics import CellInfo
from unsee.metrics.utility import utility_rows
from unsee.run_folder import RunFolder
from unsee.run_results import rescore
from unsee.runs import Run
from unsee.utility import HARNESSES, Request, find_targets
from unsee.utility.known import BENCHMARKS, task_ids
from unsee.utility.reading import read_results

FAKE = """#!/bin/sh
# Stands for an interpreter with a harness: writes what one recorded, or fails as one does.
if [ "$1" = -c ]; then echo 0.4.13; exit 0; fi
echo "$HF_HUB_OFFLINE $@" > {told}
{body}
"""
BY_LM_EVAL = ["--harness", "lm-eval", "--tasks", "colours_local"]


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished.folder, tmp_path / "run"))


@pytest.fixture
def cells(run: Path) -> dict[str, str]:
    """Method -> id of its first cell."""
    return {path.name.partition("-")[0]: path.name for path in sorted((run / "cells").iterdir(), reverse=True)}


def fake_python(folder: Path, body: str) -> str:
    script = folder / "python"
    script.write_text(FAKE.format(told=folder / "told", body=body))
    script.chmod(0o755)
    return str(script)


def measured(folder: Path, model: str, number: float = 0.75, harness: str = "lm-eval") -> Path:
    return recorded(harness, folder, model=model, change=values(exact_match__none=number, exact_match_stderr__none=0.2))


def lines_of(captured: pytest.CaptureFixture[str]) -> list[str]:
    return captured.readouterr().out.splitlines()


def test_names_of_benchmarks_and_harnesses() -> None:
    assert task_ids(["mmmu", "llava-bench,pope", "scienceqa", "my_task"], "lmms-eval") == (
        "mmmu_val",
        "llava_in_the_wild",
        "pope",
        "scienceqa_img",
        "my_task",
    )
    assert task_ids(["mmmu,mmmu_val"], "lm-eval") == ("mmmu_val",)
    for one in BENCHMARKS:
        assert one.tasks.keys() == one.metrics.keys() <= HARNESSES.keys()


def test_the_page_names_the_benchmarks() -> None:
    told = table(read("docs/utility.md"), "name", "lmms-eval", "lm-eval")
    assert [bare(row["name"]) for row in told] == [one.name for one in BENCHMARKS]
    for row, one in zip(told, BENCHMARKS, strict=True):
        assert {name: bare(row[name]) for name in HARNESSES if row[name] != "-"} == one.tasks
        assert all(metric in row["metric"] for metric in one.metrics.values())
        assert ("judge" in row["needs"]) is one.judge


def test_commands_follow_the_family() -> None:
    asked = Request(weights="/m", adapter="/a", tasks=("pope", "x"), output="/o", family="llava", dtype="bfloat16", limit=3)
    assert shlex.join(HARNESSES["lm-eval"].command(asked, python="py")) == (
        "py -m lm_eval --model hf-multimodal --model_args pretrained=/m,peft=/a,dtype=bfloat16 --tasks pope,x --batch_size 1 "
        "--device cpu --apply_chat_template --limit 3 --log_samples --output_path /o"
    )
    assert shlex.join(HARNESSES["lmms-eval"].command(asked, python="py")) == (
        "py -m lmms_eval --model llava_hf --model_args pretrained=/m,dtype=bfloat16,device_map=cpu --tasks pope,x "
        "--batch_size 1 --device cpu --limit 3 --log_samples --output_path /o"
    )
    other = Request(weights="/m", tasks=("pope",), output="/o", family="brand_new", device="cuda", include="/t")
    words = HARNESSES["lmms-eval"].command(other)
    assert words[:3] == [sys.executable, "-m", "lmms_eval"] and words[words.index("--model") + 1] == "huggingface"
    assert "pretrained=/m,device_map=cuda" in words and words[words.index("--include_path") + 1] == "/t"
    chosen = Request(weights="/m", tasks=("pope",), output="/o", model="vllm", model_args={"tensor_parallel_size": "2"})
    assert "pretrained=/m,tensor_parallel_size=2" in HARNESSES["lmms-eval"].command(chosen)
    with pytest.raises(ConfigError, match="takes output_path=/o,p apart at commas"):
        HARNESSES["lmms-eval"].command(Request(weights="/m", tasks=("pope",), output="/o,p"))
    with pytest.raises(ConfigError, match="takes pretrained=/m,n apart at commas"):
        HARNESSES["lm-eval"].command(Request(weights="/m,n", tasks=("pope",), output="/o"))


def test_checkpoints_of_a_run(run: Path, cells: dict[str, str]) -> None:
    found = find_targets(run)
    by_name = {target.name: target for target in found.targets}
    assert by_name[cells["vanilla"]].folder == run / "models" / "vanilla"
    assert by_name[cells["npo"]].folder == run / "cells" / cells["npo"] / "adapter"
    assert by_name[cells["npo"]].base.resolve() == (run / "models" / "vanilla").resolve()
    assert [line.partition(":")[0] for line in found.skipped] == [cells["prompt_guard"]]
    assert "method.json" in found.skipped[0]
    assert [target.name for target in find_targets(run, only=["npo-*"]).targets] == [cells["npo"]]
    (run / "cells" / cells["ga"] / "DONE").unlink()
    assert f"{cells['ga']}: it has not finished" in find_targets(run).skipped


def test_dry_run_prints_commands_and_writes_nothing(
    run: Path, cells: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(run.rglob("*"))
    assert main(["utility", str(run), *BY_LM_EVAL, "--only", "npo-*", "--python", "py", "--dry-run", "--device", "cpu"]) == 0
    (line,) = lines_of(capsys)
    vanilla, adapter = (run / "models/vanilla").resolve(), (run / "cells" / cells["npo"] / "adapter").resolve()
    assert line.startswith("HF_HUB_OFFLINE=1 py -m lm_eval --model hf-multimodal ")
    assert f"--model_args pretrained={vanilla},peft={adapter},dtype=float32 " in line
    assert line.endswith(f"--output_path {(run / 'utility' / cells['npo']).resolve()}")
    assert main(["utility", str(run), "--tasks", "pope", "--only", "npo-*", "--dry-run", "--hub"]) == 0
    told, line = lines_of(capsys)
    assert told.startswith("# ") and "--export writes it merged" in told
    assert (
        f"-m lmms_eval --model llava_hf --model_args pretrained={(run / 'utility' / cells['npo'] / 'merged').resolve()},"
        in line
    )
    assert sorted(run.rglob("*")) == before


def test_results_made_elsewhere_become_rows(run: Path, cells: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    before = pl.read_parquet(run / "results.parquet")
    place = run.parent / "results"
    measured(place / cells["npo"], f"models/{cells['npo']}")
    measured(place / cells["vanilla"] / "deep", f"models/{cells['vanilla']}", 0.25, "lmms-eval")
    assert main(["utility", str(run), "--results", str(place)]) == 0
    assert f"{cells['npo']}: colours_local exact_match 0.75 +- 0.2 (standard error)" in lines_of(capsys)
    after = pl.read_parquet(run / "results.parquet")
    assert_frame_equal(after.filter(pl.col("group").str.starts_with("harness=").fill_null(False).not_()), before)
    rows = after.filter(pl.col("group").str.starts_with("harness=").fill_null(False))
    assert {(row["cell"], row["protocol"], row["value"]) for row in rows.to_dicts()} == {
        (cells["npo"], "lm-eval", 0.75),
        (cells["vanilla"], "lmms-eval", 0.25),
    }
    same = before.filter(cell=cells["npo"]).row(0, named=True)
    (row,) = rows.filter(cell=cells["npo"]).to_dicts()
    assert all(row[key] == same[key] for key in ("benchmark", "model", "method", "variant", "forget_ratio", "seed"))
    assert json.loads((run / "results.json").read_text())[-1]["group"].startswith("harness=")


def test_values_beside_quantized_answers_say_so(run: Path, cells: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    place = run.parent / "results"
    measured(place / cells["npo"], f"models/{cells['npo']}")
    (target,) = find_targets(run, only=["npo-*"]).targets
    assert read_results(place / cells["npo"], target)["problem"].to_list() == [None]
    in_bits = read_results(place / cells["npo"], replace(target, quantize="4bit"))
    (row,) = utility_rows(in_bits, cell=CellInfo(cell=cells["npo"])).to_dicts()
    assert "weights that are not quantized, unlike the cell's own answers (quantize = 4bit)" in row["reason"]
    experiment = RunFolder(run).read_experiment()
    assert experiment.cells, "made before what would name them otherwise"
    object.__setattr__(experiment, "quantize", "4bit")
    monkeypatch.setattr(RunFolder, "read_experiment", lambda _: experiment)
    assert {target.quantize for target in find_targets(run).targets} == {"4bit"}


@pytest.mark.slow
def test_scoring_again_keeps_what_was_measured(run: Path, cells: dict[str, str]) -> None:
    measured(run.parent / "results" / cells["npo"], f"models/{cells['npo']}")
    assert main(["utility", str(run), "--results", str(run.parent / "results")]) == 0
    after = pl.read_parquet(run / "results.parquet")
    assert_frame_equal(rescore(run), after)
    assert main(["utility", str(run), "--results", str(run.parent / "results")]) == 0
    assert_frame_equal(pl.read_parquet(run / "results.parquet"), after)


def test_the_report_has_a_table_of_its_own(run: Path, cells: dict[str, str]) -> None:
    place, given = run.parent / "results", {"pope_accuracy__none": 0.86, "pope_accuracy_stderr__none": 0.01}
    for name, share in (("npo", 0.71), ("vanilla", 0.86)):
        change = renamed("pope", **(given | {"pope_accuracy__none": share}), pope_f1_score__none=0.33)
        recorded("lmms-eval", place / cells[name], model=f"models/{cells[name]}", change=change)
    hostile = renamed("<script>alert(1)</script>", acc__none=0.5)
    recorded("lm-eval", place / cells["npo"] / "other", model=f"models/{cells['npo']}", change=hostile)
    before = (run / "report.html").read_text()
    assert main(["utility", str(run), "--results", str(place)]) == 0
    page = (run / "report.html").read_text()
    assert "General benchmarks" in page and "General benchmarks" not in before
    table = page[page.index('data-name="small-utility"') :]
    table = table[: table.index("</table>")]
    assert "POPE" in table and "pope_accuracy" in table and "pope_f1_score" not in table
    assert ">71" in table and ">86" in table
    assert "<script>alert" not in page and "&lt;script&gt;alert" in table
    assert before.count('type="radio"') == page.count('type="radio"')  # a harness is no protocol of ours


def test_terminal_and_comparison_show_it_too(
    run: Path, cells: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of a run without measurements are left out of the comparison's table."""
    other = Path(shutil.copytree(run, tmp_path / "other"))
    assert main(["report", str(run)]) == 0
    assert "general benchmarks" not in capsys.readouterr().out
    for name, share in (("npo", 0.71), ("vanilla", 0.86)):
        change = renamed("pope", pope_accuracy__none=share, pope_accuracy_stderr__none=0.01)
        recorded("lmms-eval", run.parent / "results" / cells[name], model=f"models/{cells[name]}", change=change)
    assert main(["utility", str(run), "--results", str(run.parent / "results")]) == 0
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    shown = capsys.readouterr().out
    shown = shown[shown.index("general benchmarks") :]
    assert "POPE" in shown and shown.index("86") < shown.index("71") and "84\u201388" in shown
    assert main(["report", str(other), str(run), "--out", str(tmp_path / "both.html")]) == 0
    page = (tmp_path / "both.html").read_text()
    table = page[page.index('data-name="comparison-utility"') :]
    table = table[: table.index("</table>")]
    assert ">86" in table and ">71" in table and table.count("<tr") == 1 + 2


def test_a_metric_that_papers_do_not_report_gets_no_table(
    run: Path, cells: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    change = renamed("pope", pope_f1_score__none=0.33)
    recorded("lmms-eval", run.parent / "results" / cells["npo"], model=f"models/{cells['npo']}", change=change)
    assert main(["utility", str(run), "--results", str(run.parent / "results")]) == 0
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    assert "general benchmarks" not in capsys.readouterr().out


def test_a_harness_is_run_and_its_results_are_kept(run: Path, cells: dict[str, str], tmp_path: Path) -> None:
    adapter = (run / "cells" / cells["npo"] / "adapter").resolve()
    made = measured(tmp_path / "made", str(adapter))
    body = f'for last in "$@"; do :; done\ncp -r {made} "$last"/model'
    python = fake_python(tmp_path, body)
    assert main(["utility", str(run), *BY_LM_EVAL, "--only", "npo-*", "--python", python]) == 0
    home = run / "utility" / cells["npo"]
    assert len(list(home.glob("lm-eval-*/model/results_*.json"))) == 1
    assert (home / "lm-eval.log").is_file() and not list(home.glob(".*.part"))
    told = (tmp_path / "told").read_text()
    assert told.startswith("1 -m lm_eval --model hf-multimodal") and str(adapter) in told
    (row,) = pl.read_parquet(run / "cells" / cells["npo"] / "utility.parquet").to_dicts()
    assert (row["value"], row["harness_version"]) == (0.75, "0.4.13")


def test_the_network_is_allowed_by_a_flag_alone(place: Path, tmp_path: Path) -> None:
    made = measured(tmp_path / "made", str(place / "model"))
    python = fake_python(tmp_path, f'for last in "$@"; do :; done\ncp -r {made} "$last"/model')
    command = ["utility", str(place / "model"), *BY_LM_EVAL, "--python", python, "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert (tmp_path / "told").read_text().startswith("1 -m lm_eval")
    assert main([*command, "--hub"]) == 0
    assert (tmp_path / "told").read_text().startswith(" -m lm_eval")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'ValueError: Tasks not found: colours_local'; exit 1", "ended with exit code 1 (ValueError: Tasks not found: "),
        (
            "echo 'x | ERROR | m:f:1 - Error during evaluation: no cuda. Please'",
            "ended without results (Error during evaluation: ",
        ),
        ("exit 3", "ended with exit code 3 (it said nothing)"),
        ('for last in "$@"; do :; done; cp -r {other} "$last"/x', "which is not"),
        ('for last in "$@"; do :; done; cp -r {empty} "$last"/x', "holds no number"),
    ],
)
def test_a_harness_that_fails_leaves_nothing_but_its_log(
    body: str, message: str, run: Path, cells: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = str((run / "cells" / cells["npo"] / "adapter").resolve())
    other = measured(tmp_path / "other", "/some/where/else")
    empty = recorded("lm-eval", tmp_path / "empty", model=adapter, change=values(exact_match__none=None))
    python = fake_python(tmp_path, body.format(other=other, empty=empty))
    before = (run / "results.parquet").read_bytes()
    assert main(["utility", str(run), *BY_LM_EVAL, "--only", "npo-*", "--python", python]) == 2
    assert_one_line(capsys.readouterr().err, message)
    assert [path.name for path in (run / "utility" / cells["npo"]).iterdir()] == ["lm-eval.log"]
    assert not (run / "cells" / cells["npo"] / "utility.parquet").exists()
    assert (run / "results.parquet").read_bytes() == before


def test_export_holds_plain_checkpoints_and_their_commands(
    run: Path, cells: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from unsee import load_model

    tasks, folder = run.parent / "my tasks", run.parent / "hand-over"
    tasks.mkdir()
    (tasks / "mine.yaml").write_text("task: mine\n")
    command = ["utility", str(run), "--tasks", "mine", "--include-path", str(tasks), "--only", "npo-*", "--export", str(folder)]
    assert main(command) == 0
    assert f"unsee utility {run} --results {folder / 'results'}" in capsys.readouterr().out
    script = (folder / "measure.sh").read_text()
    assert f'"${{PYTHON:-python}}" -m lmms_eval --model llava_hf --model_args pretrained=models/{cells["npo"]},' in script
    assert f"--output_path results/{cells['npo']} --include_path tasks" in script
    assert (folder / "tasks" / "mine.yaml").is_file() and str(run) not in script
    whole = folder / "models" / cells["npo"]
    assert not (whole / "adapter_config.json").exists()
    one, other = (load_model(path) for path in (whole, run / "cells" / cells["npo"] / "adapter"))
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        assert torch.allclose(one.network(input_ids=ids).logits, other.network(input_ids=ids).logits, atol=1e-4)
    assert main(command) == 2
    assert_one_line(capsys.readouterr().err, "exists and is not empty")


def test_a_lone_model_has_results_of_its_own(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for harness, number in (("lm-eval", 0.5), ("lmms-eval", 0.25), ("lm-eval", 0.75)):
        folder = measured(tmp_path / f"{harness}{number}", str(place / "model"), number, harness)
        assert main(["utility", str(place / "model"), "--results", str(folder), "--out", str(out)]) == 0
    rows = pl.read_parquet(out / "results.parquet")
    assert rows.select("cell", "model", "protocol", "value").rows() == [
        ("model", "model", "lm-eval", 0.75),
        ("model", "model", "lmms-eval", 0.25),
    ]
    assert main(["utility", str(place / "model"), "--only", "npo-*", "--results", str(tmp_path)]) == 2
    assert_one_line(capsys.readouterr().err, "--only chooses cells of a run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "pope", "--harness", "lm-eval"], "lm-eval has no POPE; ask for it with --harness lmms-eval"),
        ([], "say what to ask: --tasks mmmu llava-bench pope scienceqa"),
        (["--tasks", "llava-bench"], "llava_in_the_wild sends questions and answers to a judge on the network; add --hub"),
        (["--tasks", "llava-bench", "--hub"], "llava_in_the_wild needs a judge; set OPENAI_API_KEY"),
        (["--tasks", "pope", "--python", "/no/such/python"], "--python /no/such/python cannot be run"),
        (["--tasks", "pope", "--model-args", "fast"], "--model-args 'fast' has no value; write KEY=VALUE"),
        (["--tasks", "pope", "--limit", "0"], "--limit 0 is less than 1"),
        (["--tasks", "pope", "--include-path", "/no/tasks"], "--include-path /no/tasks is no folder"),
        (["--tasks", "pope", "--results", "/no/results"], "leave out --tasks"),
        (["--results", "/no/results"], "--results /no/results is no folder"),
        (["--tasks", "pope", "--export", "x", "--dry-run"], "--export writes checkpoints and --dry-run writes nothing"),
        (["--tasks", "pope", "--harness", "helm"], "invalid choice 'helm'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["utility", str(place / "model"), *arguments]) == 2
    assert_one_line(capsys.readouterr().err, message)
    assert not list(tmp_path.iterdir())


def test_a_missing_harness_is_one_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    assert main(["utility", str(place / "model"), "--tasks", "pope", "--python", str(bare), "--out", str(tmp_path / "o")]) == 2
    assert_one_line(capsys.readouterr().err, f"lmms-eval is not installed for {bare}; `pip install lmms_eval` there")
    assert not (tmp_path / "o").exists()


def test_results_of_other_cells_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "theirs" / "npo-05-mixed-s0-00000000", "models/npo-05-mixed-s0-00000000")
    assert main(["utility", str(run), "--results", str(tmp_path / "theirs")]) == 2
    assert_one_line(capsys.readouterr().err, "has no folder named like a cell of this run")
    assert main(["utility", str(tmp_path / "absent"), "--tasks", "pope"]) == 2
    assert_one_line(capsys.readouterr().err, "there is no run and no model folder")
    assert main(["utility", str(run), "--tasks", "pope", "--only", "nop-*"]) == 2
    assert_one_line(capsys.readouterr().err, "--only 'nop-*' matches no cell")


def test_an_unscored_cell_is_refused(run: Path, cells: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    results: Any = pl.read_parquet(run / "results.parquet").filter(pl.col("cell") != cells["npo"])
    results.write_parquet(run / "results.parquet")
    measured(run.parent / "r" / cells["npo"], f"models/{cells['npo']}")
    assert main(["utility", str(run), "--results", str(run.parent / "r")]) == 2
    assert_one_line(capsys.readouterr().err, f"has no values of {cells['npo']}; `unsee score")
    assert not (run / "cells" / cells["npo"] / "utility.parquet").exists()
