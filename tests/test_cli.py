"""The command line: help, exit codes, and one clear line for every mistake."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from run_fixtures import assert_one_line, unsee
from unsee import cli
from unsee.cli import COMMANDS, main
from unsee.experiment import Experiment
from unsee.models.loading import EMBEDDED


def leaves(commands: object = COMMANDS, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    assert isinstance(commands, dict)
    for name, command in commands.items():
        if isinstance(command, dict):
            yield from leaves(command, (*prefix, name))
        else:
            yield (*prefix, name)


@pytest.mark.parametrize("command", leaves(), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert f"usage: unsee {' '.join(command)}" in shown.out
    undocumented = re.findall(r"^ +(--[\w-]+)(?: \S+)? *\(default", shown.out, flags=re.MULTILINE)
    assert not undocumented


def test_help_shows_the_defaults_of_the_dataclasses(capsys: pytest.CaptureFixture[str]) -> None:
    from unsee.learning import LearnOptions

    main(["learn", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    options = LearnOptions()
    assert f"passes over the subjects' questions (default: {options.epochs})" in shown
    assert f"highest learning rate of AdamW (default: {options.learning_rate})" in shown


def test_overview_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        assert all(name in capsys.readouterr().out for name in ("usage: unsee COMMAND",))
    assert main(["--version"]) == 0
    assert re.fullmatch(r"unsee \d+\.\d+.*\n", capsys.readouterr().out)
    assert main(["models"]) == 0
    assert "train" in capsys.readouterr().out


def test_models_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(EMBEDDED)


def test_light_commands_do_not_import_torch() -> None:
    code = "import sys, unsee, unsee.cli; unsee.cli.main(['list', 'methods']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_public_names_are_there() -> None:
    import unsee as package

    assert {"load_benchmark", "load_model", "unlearn", "answer", "score", "run", "learn"} <= set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'unlern'"):
        package.unlern  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "unknown command 'rnu' of `unsee`; did you mean 'run'?"),
        (["models", "trian"], "unknown command 'trian' of `unsee models`; did you mean 'train'?"),
        (["--versoin"], "unknown option '--versoin' of `unsee`; did you mean '--version'?"),
        (["run", "--dry-rn"], "unknown option '--dry-rn' of `unsee run`; did you mean '--dry-run'?"),
        (["demo", "--sed=1"], "unknown option '--sed' of `unsee demo`; did you mean '--seed'?"),
        (["demo", "--subjects", "many"], "--subjects"),
        (["demo", "--modality", "imgae"], "invalid choice 'imgae'"),
        (["demo", "--seed"], "missing value for argument '--seed'"),
        (["unlearn"], "--model must be given"),
        (["score"], "must be given"),
        (["run"], "needs an experiment file or --benchmark"),
        (["run", "absent.toml"], "experiment absent.toml cannot be read (No such file or directory)"),
        (["run", "--benchmark", "poeple"], "there is no benchmark 'poeple'; did you mean 'people'?"),
        (["demo", "--set", "npo.beat=1"], "unknown key 'method.npo.beat'; did you mean 'beta'?"),
        (["demo", "--set", "npo.beta=often"], "npo.beta = 'often'"),
        (["demo", "--set", "unlearn.methods=['nop']"], "unknown method 'nop'; did you mean 'npo'?"),
        (["unlearn", "--model", "m", "--method", "npoo"], "did you mean 'npo'?"),
        (["unlearn", "--model", "m"], "say what to forget"),
        (["unlearn", "--model", "m", "--forget", "absent.jsonl"], "absent.jsonl cannot be read"),
        (["answer", "--model", "m"], "give either --benchmark or --data"),
        (["report", "absent"], "absent is no run folder"),
        (["score", "absent"], "absent is no run folder"),
        (["data", "check", "absent.jsonl"], "absent.jsonl cannot be read"),
        (["list", "methds"], "invalid choice 'methds'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert_one_line(shown.err, message)


def test_a_process_exits_the_same_way(tmp_path: Path) -> None:
    wrong = unsee("run", "--dry-rn", cwd=tmp_path)
    assert wrong.returncode == 2
    assert_one_line(wrong.stderr, "did you mean '--dry-run'?")
    assert unsee("list", "sets", cwd=tmp_path).returncode == 0
    file = tmp_path / "bad.toml"
    file.write_text('[learn]\nepochs = "ten"\n')
    typed = unsee("run", str(file), cwd=tmp_path)
    assert typed.returncode == 2
    assert_one_line(typed.stderr, "learn.epochs = 'ten' is text, expected a whole number")
    file.write_text("seeds = [0\n[learn]\n")
    broken = unsee("run", str(file), cwd=tmp_path)
    assert broken.returncode == 2
    assert_one_line(broken.stderr, "bad.toml is no valid TOML: ")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


@pytest.mark.parametrize("lora", [["--lora", "none"], ["--lora=none"], ["--lora", "4"]], ids=" ".join)
def test_none_may_be_written_small(place: Path, capsys: pytest.CaptureFixture[str], lora: list[str]) -> None:
    forget = ["--method", "ga", "--forget", str(place / "people8/training.jsonl")]
    assert main(["unlearn", "--model", "m", *forget, *lora, "--dry-run"]) == 0
    assert "forget 32 questions" in capsys.readouterr().out


def test_dry_runs_write_nothing(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["run", str(place / "small.toml"), "--out", out, "--dry-run", "--only", "npo-*"]) == 0
    shown = capsys.readouterr().out
    assert "3 cells to compute and 0 done" in shown
    assert "memory of training above the loaded libraries" in shown and "activations" in shown
    assert main(["learn", str(place / "people8"), "--model", str(place / "model"), "--out", out, "--dry-run"]) == 0
    assert "32 questions" in capsys.readouterr().out
    data = ["--benchmark", str(place / "people8"), "--forget-ratio", "0.25"]
    assert main(["unlearn", "--model", "m", *data, "--out", out, "--dry-run"]) == 0
    assert "forget 8 questions by npo, keeping 24" in capsys.readouterr().out
    assert main(["answer", "--model", "m", *data, "--out", out, "--dry-run"]) == 0
    assert "would ask m 54 questions" in capsys.readouterr().out
    assert not Path(out).exists()


def test_own_data_from_model_to_answers(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From learning to unlearning one's own rows to answers, each by its command."""
    rows = (place / "people8/training.jsonl").read_text().splitlines()
    shutil.copytree(place / "people8/pictures", tmp_path / "pictures")
    (tmp_path / "forget.jsonl").write_text("\n".join(rows[:4]))
    (tmp_path / "retain.jsonl").write_text("\n".join(rows[4:]))
    taught, forgot, said = (str(tmp_path / name) for name in ("taught", "forgot", "said"))
    assert main(["learn", str(place / "people8"), "--model", str(place / "model"), "--out", taught, "--epochs", "1"]) == 0
    files = ["--forget", str(tmp_path / "forget.jsonl"), "--retain", str(tmp_path / "retain.jsonl")]
    command = [
        "unlearn",
        "--model",
        taught,
        *files,
        "--method",
        "npo",
        "--set",
        "beta=0.3",
        "--set",
        "steps=2",
        "--modules",
        "language",
        "projector",
        "--out",
        forgot,
    ]
    assert main(command) == 0
    assert "2 steps (finished)" in capsys.readouterr().out
    with safe_open(tmp_path / "forgot/adapter_model.safetensors", framework="numpy") as adapter:
        moved = set(adapter.keys())
    assert {part for part in ("language_model", "projector", "vision") if any(part in name for name in moved)} == {
        "language_model",
        "projector",
    }
    assert not (tmp_path / ".forgot.training").exists()
    assert (
        main(["answer", "--model", forgot, "--data", str(tmp_path / "forget.jsonl"), "--out", said, "--dtype", "bfloat16"]) == 0
    )
    assert "4 records" in capsys.readouterr().out
    assert main(command) == 2
    assert_one_line(capsys.readouterr().err, "exists and is not empty")


def test_data_commands(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(place / "people8"), "--forget-ratio", "0.25"]) == 0
    shown = capsys.readouterr().out
    assert "8 subjects" in shown
    assert re.search(r"test +classification +0 +4 ", shown)
    assert main(["data", "check", str(place / "people8/gate.jsonl")]) == 0
    assert "48 rows about 8 subjects, no fault found" in capsys.readouterr().out
    assert main(["data", "export", "people8", "--out", str(tmp_path / "x")]) == 2
    assert_one_line(capsys.readouterr().err, "there is no benchmark 'people8'")


def test_flags_win_over_the_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Experiment, Path]] = []

    def taken(experiment: Experiment, *, out: Path, **_: object) -> int:
        seen.append((experiment, out))
        return 0

    monkeypatch.setattr(cli, "_run", taken)
    monkeypatch.chdir(place)
    flags = ["--methods", "kl", "--ratios", "0.5", "--seed", "3", "--model", "other", "--set", "learn.epochs=7"]
    assert main(["run", "small.toml", *flags]) == 0
    experiment, out = seen.pop()
    assert out == Path("runs/small")
    assert (experiment.unlearn.methods, experiment.unlearn.forget_ratios) == (("kl",), (0.5,))
    assert (experiment.seeds, experiment.model, experiment.learn.epochs) == ((3,), "other", 7)
    assert experiment.unlearn.modalities == ("mixed",)
    assert main(["run", "small.toml", "--benchmark", "people"]) == 0
    assert seen.pop()[0].benchmark.path is None
    assert main(["run", "small.toml", "--set", "unlearn.lora=none", "--set", "unlearn.methods=['ga']"]) == 0
    experiment = seen.pop()[0]
    assert experiment.unlearn.lora is None
    assert list(experiment.method) == ["ga"]
    assert main(["run", "--benchmark", "people8"]) == 0
    experiment, out = seen.pop()
    assert (experiment.benchmark.path, experiment.name, out) == ("people8", "people8", Path("runs/people8"))
    assert main(["run", "--benchmark", "people-paper"]) == 0
    assert seen.pop()[0].benchmark.name == "people-paper"


def test_the_demo_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Experiment, Path]] = []
    monkeypatch.setattr(cli, "_run", lambda experiment, *, out, **_: seen.append((experiment, out)) or 0)
    assert main(["demo"]) == 0
    experiment, out = seen.pop()
    assert out == Path("runs/demo")
    table = experiment.benchmark
    assert (table.subjects, table.celebrities, table.general) == (60, 40, 20)
    assert experiment.answer.protocols == ("strict",)
    methods = [cell.method for cell in experiment.cells]
    assert methods == ["vanilla", "gold", "do_nothing", "prompt_guard", "ga", "graddiff", "kl", "npo", "idk"]
    assert {cell.ratio for cell in experiment.cells} == {0.15}
